package lifecycle

import (
	"context"
	"errors"
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
	err := v.alone(caller, v.withLease(nil, func(ctx context.Context, r *Record, l *lease) (tell func(), err error) {
		switch {
		case caller.Err() != nil:
			return nil, context.Cause(caller)
		case r.Kind == None && !r.Ended:
			return nil, nil // nothing to carry
		}
		begun.Store(true)
		return v.carry(ctx, to, r, l.doubtful(r) && r.Kind == Customer)
	}))
	return unfinished(caller, &begun, "the session is still being moved", err)
}

// carry writes r to the new key, and then a tombstone in its place, until the row there
// has stayed as it was. If that fails, nothing stays at the new key.
func (v *Visitor) carry(ctx context.Context, to *Visitor, r *Record, suspect bool) (tell func(), err error) {
	over := uint64(0)
	var copied, before *Record // at the new key
	defer func() {
		if err != nil && copied != nil {
			to.undoMove(copied, before)
		}
	}()
	for range writeTries {
		next := *r
		next.Suspect = r.Suspect || suspect
		next.Generation = nextGeneration(max(r.Generation, over))
		copied, before = &next, copied
		switch how, _, err := to.write(v.m().ctx, []uint64{over}, &next); how {
		case beaten:
			copied = nil // what is there is another session
			return nil, fmt.Errorf("%w: the new session key is in use; give a new random one", sentinel.Conflict)
		case postponed: // the session stays where it is
			if errors.As(err, new(unreadableRowError)) {
				copied = nil
			}
			return nil, err
		case written:
		}
		to.epoch().Add(1)
		over = next.Generation
		if moved, ok := v.commit(r, r.tombstone(false), func() {}); ok {
			return moved, nil
		}
		if r, err = v.current(ctx); err != nil {
			return nil, err
		}
		suspect = false // of the tokens that were there
	}
	return nil, fmt.Errorf("%w: the session kept changing while it was moved", sentinel.StoreUnavailable)
}

// undoMove puts a tombstone in the place of what a move that failed has written at v, or
// may have written: the response may have been lost, and a write that was left may come
// later. before is what the move had written there before that; nil if nothing.
func (v *Visitor) undoMove(moved, before *Record) {
	v.undone.Store(moved.Generation)
	replaced := []uint64{moved.Generation}
	if before != nil {
		replaced = []uint64{before.Generation, moved.Generation}
	}
	tombstone := moved.tombstone(false)
	if v.m().pending.add(v.key(), moved, tombstone, replaced) {
		v.m().detach(func() { v.writeLate(tombstone) })
	}
	v.epoch().Add(1)
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
	case renewNow, replace, expired:
	}
	return v.join(ctx, v.renewIfDue(WantCustomer, s.record))
}
