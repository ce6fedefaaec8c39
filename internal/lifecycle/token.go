package lifecycle

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Token returns a bearer for v. While the token is good it costs a look at the
// monotonic clock: no lock, no store, no allocation.
func (v *Visitor) Token(ctx context.Context, want Want) (Token, error) {
	if want == WantEmployee {
		v = v.m().employee
	}
	if s := v.snap.Load(); s != nil && s.wants&(1<<want) != 0 && s.epoch == v.epoch().Load() && int64(time.Since(s.taken)) < s.checked.Load() {
		return s.token(), nil
	}
	return v.find(ctx, want)
}

// find is the way of every call that has no good token at hand.
func (v *Visitor) find(ctx context.Context, want Want) (Token, error) {
	began := time.Now()
	for range 4 { // a renewal may be overtaken by a login or logout; then look again
		if v.m().Closed() {
			return Token{}, sentinel.Closed
		}
		s, err := v.snapshotFor(ctx, want, began)
		if err != nil {
			return Token{}, err
		}
		r := s.record
		if want == WantAnonymous && r.Kind == Customer {
			v = v.m().utility
			continue
		}
		now := time.Now()
		switch r.plan(v.key(), now) {
		case use:
			s.checked.Store(int64(min(now.Sub(s.taken)+wallCheck, s.good)))
			return s.token(), nil
		case renewEarly:
			// While the renewal is under way, or waits for its turn, there is nothing
			// to look at: its end changes the epoch.
			wait := wallCheck
			if !v.m().cfg.Foreground {
				wait = v.renewInBackground(r)
			}
			s.checked.Store(int64(min(now.Sub(s.taken)+min(wait, wallCheck), s.alive)))
			return s.token(), nil
		default:
			if err := v.join(ctx, v.renewIfDue(want, r)); err != nil {
				return Token{}, err
			}
		}
	}
	return Token{}, fmt.Errorf("%w: the session changed again and again while it was being renewed; try again", sentinel.Unavailable)
}

// snapshotFor returns a snapshot of a session that may have a token of that kind. One
// that was taken before the call began can't refuse it.
func (v *Visitor) snapshotFor(ctx context.Context, want Want, began time.Time) (*snapshot, error) {
	s, err := v.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if s.record.refuses(want) != nil && s.taken.Before(began) {
		if s, err = v.freshSnapshot(ctx); err != nil {
			return nil, err
		}
	}
	return s, s.record.refuses(want)
}

// renewInBackground starts an early renewal unless the last one failed a moment
// ago. No call waits for it. It returns when there is a reason to ask again.
func (v *Visitor) renewInBackground(seen *Record) time.Duration {
	if wait := time.Until(v.backoff().next); wait > 0 {
		return wait
	}
	v.launch(false, v.renewIfDue(WantCustomer, seen)) // begins nothing
	return wallCheck
}

// snapshot returns the row as this process knows it, from the snapshot if nothing
// here has changed it since. A write that is still pending is tried again beside the call.
func (v *Visitor) snapshot(ctx context.Context) (*snapshot, error) {
	v.retry()
	epoch := v.epoch().Load()
	if s := v.snap.Load(); s != nil && s.epoch == epoch {
		return s, nil
	}
	return v.freshSnapshot(ctx)
}

// freshSnapshot reads the row from the store. An old snapshot can't tell that no
// customer is logged in: another process may have logged the visitor in since.
func (v *Visitor) freshSnapshot(ctx context.Context) (*snapshot, error) {
	epoch := v.epoch().Load()
	r, err := v.current(ctx)
	if err != nil {
		return nil, err
	}
	s := v.newSnapshot(r, epoch)
	v.snap.Store(s)
	return s, nil
}

// Info returns a copy of the session's record, without starting anything.
func (v *Visitor) Info(ctx context.Context) (Record, error) {
	if v.m().Closed() {
		return Record{}, sentinel.Closed
	}
	s, err := v.snapshot(ctx)
	if err != nil {
		return Record{}, err
	}
	return *s.record, nil
}

// snapshot is an immutable reading of a row.
type snapshot struct {
	record *Record
	bearer bearer
	wants  uint8 // the wants that it serves, a bit each
	epoch  uint64
	taken  time.Time     // has a monotonic reading
	alive  time.Duration // after taken, until the access token ends
	good   time.Duration // after taken, until it is time to plan again
	// checked is how long after taken the wall clock may be left unread: the
	// monotonic clock stops while a machine sleeps.
	checked atomic.Int64
}

const wallCheck = time.Second

func (v *Visitor) newSnapshot(r *Record, epoch uint64) *snapshot {
	now := time.Now()
	s := &snapshot{record: r, epoch: epoch, taken: now}
	if r.Kind == None {
		return s
	}
	s.bearer = bearer{
		Kind: r.Kind, Generation: r.Generation, Access: r.Access,
		Bearer: secret.New("Bearer " + r.Access.Reveal()), SessionID: r.SessionID, owner: v,
	}
	s.wants = r.serves()
	s.alive = r.AccessUntil.Sub(now)
	if r.plan(v.key(), now) == use {
		s.good = s.alive
		if r.refreshable(now) && !r.Suspect {
			s.good = min(s.good, r.renewAt(v.key()).Sub(now))
		}
		s.checked.Store(int64(min(s.good, wallCheck)))
	}
	return s
}

func (s *snapshot) token() Token { return Token{&s.bearer} }
