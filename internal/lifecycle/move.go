package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Move carries the session of one visitor over to another key, which must be
// unused, and leaves a tombstone behind: whoever knows the old key has nothing.
// When the caller has gone before it is the move's turn, nobody would take the
// new key: the session stays.
func (m *Manager) Move(caller context.Context, from, to *Visitor) error {
	return m.alone(caller, from, m.leased(from, nil, func(ctx context.Context, r *Record, l *lease) (func(), error) {
		switch {
		case caller.Err() != nil:
			return nil, context.Cause(caller)
		case r.Kind == None && !r.Ended:
			return nil, nil // nothing to carry
		}
		over, suspect := uint64(0), l.doubtful(r) && r.Kind == Customer
		for range writeTries { // until the old key's row has not changed meanwhile
			next := *r
			next.Suspect = r.Suspect || suspect
			next.Generation = nextGeneration(max(r.Generation, over))
			switch how, _, err := m.write(m.ctx, to, []uint64{over}, &next); how {
			case beaten:
				return nil, fmt.Errorf("%w: the new session key is in use; give a new random one", sentinel.Conflict)
			case owed: // the session stays where it is
				return nil, err
			}
			m.epoch(to).Add(1)
			over = next.Generation
			if moved := m.commit(from, r, r.gone(false), func() {}); moved != nil {
				return moved, nil
			}
			var err error
			if r, err = m.load(ctx, from); err != nil {
				return nil, err
			}
			suspect = false // of the tokens that were there
		}
		return nil, fmt.Errorf("%w: the session kept changing while it was moved", sentinel.StoreUnavailable)
	}))
}

// Due renews the session if it is time to, and waits for it, so that nothing
// needs to run in the background afterwards.
func (m *Manager) Due(ctx context.Context, v *Visitor) error {
	if m.Closed() {
		return sentinel.Closed
	}
	s, err := m.read(ctx, v)
	if err != nil {
		return err
	}
	now := time.Now()
	switch s.record.plan(m.key(v), now) {
	case use, start:
		return nil
	case renewEarly:
		if now.Before(m.trouble(v).next) {
			return nil
		}
	}
	return m.join(ctx, v, m.upkeep(v, WantCustomer, s.record))
}
