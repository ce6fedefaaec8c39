package lifecycle

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// MoveTo carries the session over to another key, which must be unused, and leaves a
// tombstone behind: the old key gives access to nothing. When the caller has gone
// before it is the move's turn, nothing would use the new key: the session stays.
func (v *Visitor) MoveTo(caller context.Context, to *Visitor) error {
	var begun atomic.Bool
	err := v.alone(caller, v.withLease(nil, func(ctx context.Context, r *Record, l *lease) (func(), error) {
		switch {
		case caller.Err() != nil:
			return nil, context.Cause(caller)
		case r.Kind == None && !r.Ended:
			return nil, nil // nothing to carry
		}
		begun.Store(true)
		over, suspect := uint64(0), l.doubtful(r) && r.Kind == Customer
		for range writeTries { // until the old key's row has stayed as it was
			next := *r
			next.Suspect = r.Suspect || suspect
			next.Generation = nextGeneration(max(r.Generation, over))
			switch how, _, err := to.write(v.m().ctx, []uint64{over}, &next); how {
			case beaten:
				return nil, fmt.Errorf("%w: the new session key is in use; give a new random one", sentinel.Conflict)
			case postponed: // the session stays where it is
				return nil, err
			}
			to.epoch().Add(1)
			over = next.Generation
			if moved, ok := v.commit(r, r.tombstone(false), func() {}); ok {
				return moved, nil
			}
			var err error
			if r, err = v.current(ctx); err != nil {
				return nil, err
			}
			suspect = false // of the tokens that were there
		}
		return nil, fmt.Errorf("%w: the session kept changing while it was moved", sentinel.StoreUnavailable)
	}))
	return unfinished(caller, &begun, "the session is still being moved", err)
}

// RenewIfDue renews the session if it is time to, and waits for it, so that nothing
// needs to run in the background afterwards.
func (v *Visitor) RenewIfDue(ctx context.Context) error {
	if v.m().Closed() {
		return sentinel.Closed
	}
	s, err := v.snapshot(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	switch s.record.plan(v.key(), now) {
	case use, start:
		return nil
	case renewEarly:
		if now.Before(v.backoff().next) {
			return nil
		}
	}
	return v.join(ctx, v.renewIfDue(WantCustomer, s.record))
}
