package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/emporix-community/emporix-go/internal/bounded"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Writing a record: tries and patience while someone waits, and afterwards.
const (
	writeTries     = 8
	writeLimit     = 5 * time.Second
	writePause     = 50 * time.Millisecond
	lateLimit      = time.Minute
	lateWritePause = time.Second
)

// verdict is what became of a write.
type verdict uint8

const (
	written verdict = iota
	beaten          // the row has changed: someone else's is the newer truth
	owed            // the store fails
)

// commit makes next the truth in place of r, and only of r. Its caller gets its
// answer even when the store fails: the write is then owed. It returns what to
// tell, nil if something else has followed r.
func (m *Manager) commit(v *Visitor, r, next *Record, tell func()) func() {
	truth, over := m.debts.truth(m.key(v), r)
	if truth.Generation != r.Generation {
		return m.drop(v, next)
	}
	how, row, err := m.save(m.ctx, v, r, next, over)
	if how == beaten && next.outweighs(row, r) {
		next.Generation = nextGeneration(row.Generation)
		how, _, err = m.save(m.ctx, v, r, next, []uint64{row.Generation})
	}
	switch how {
	case beaten:
		return m.drop(v, next)
	case owed:
		return func() {
			m.notify(EventStoreWriteFailed, v, next.Kind, err)
			tell()
		}
	default:
		return tell
	}
}

// drop discards a record that came too late.
func (m *Manager) drop(v *Visitor, r *Record) func() {
	m.detach(func() { m.revoke(v, r) })
	return nil
}

// put makes build(row) the truth whatever the row has become meanwhile: the
// last login wins, and so does a logout. It returns the record it replaced. An
// error means that the store has not taken it yet. When ctx ends, the record is
// owed to the store from then on.
func (m *Manager) put(ctx context.Context, v *Visitor, known *Record, build func(*Record) *Record, event EventKind) (*Record, error) {
	writing, cancel := m.writing(ctx, v)
	defer cancel()
	for range writeTries {
		epoch := m.epoch(v).Load()
		truth, over := m.debts.truth(m.key(v), known)
		next := build(truth)
		how, row, err := m.save(writing, v, truth, next, over)
		if how == beaten {
			if row != nil {
				known = row
			}
			continue
		}
		m.setTrouble(v, func(t *trouble) { *t = trouble{} }) // it was the old session's
		m.publish(v, next, epoch)
		if how == owed {
			m.inform(ctx, EventStoreWriteFailed, v, next.Kind, err)
		}
		kind := next.Kind
		if event == EventLoggedOut {
			kind = Customer
		}
		m.inform(ctx, event, v, kind, nil)
		return truth, err
	}
	return known, fmt.Errorf("%w: the session kept changing while it was written", sentinel.StoreUnavailable)
}

// writing bounds the writes of a caller: the store is let end what takes a moment,
// and a row in the SDK's own memory is always written.
func (m *Manager) writing(caller context.Context, v *Visitor) (context.Context, context.CancelFunc) {
	if m.prompt(v) {
		return m.ctx, func() {}
	}
	ctx, cancel := bounded.Linger(caller)
	stop := context.AfterFunc(m.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// publish gives v its new record at once, unless something here has changed a
// row since epoch: then v looks again, like all other values of the visitor.
func (m *Manager) publish(v *Visitor, r *Record, epoch uint64) {
	if m.epoch(v).CompareAndSwap(epoch, epoch+1) {
		v.snap.Store(m.snapshot(v, r, epoch+1))
		return
	}
	m.epoch(v).Add(1)
}

// tell returns what tells the observer that next has followed r.
func (m *Manager) tell(event EventKind, v *Visitor, r, next *Record) func() {
	return func() {
		m.notify(event, v, next.Kind, nil)
		if event == EventRefreshed && r.SessionID != next.SessionID {
			m.notify(EventSessionIDChanged, v, next.Kind, nil)
		}
	}
}

// save writes next, which follows r, and keeps the book of what is owed. If it
// was beaten by a row it returns that; there is none if it was beaten here.
func (m *Manager) save(ctx context.Context, v *Visitor, r, next *Record, over []uint64) (how verdict, row *Record, err error) {
	how, row, err = m.write(ctx, v, over, next)
	switch how {
	case written:
		m.settle(v, next, over)
	case owed:
		if !m.debts.owe(m.key(v), r, next, over) {
			return beaten, nil, nil
		}
		m.detach(func() { m.payLate(v, next) })
	}
	return how, row, err
}

// write saves next in place of a row with one of the generations in over, and
// tries again while the store fails. If it was beaten it returns the winner.
func (m *Manager) write(ctx context.Context, v *Visitor, over []uint64, next *Record) (how verdict, row *Record, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	for try := range writeTries {
		if try > 0 && !pause(ctx, writePause<<min(try-1, 5)) {
			break
		}
		if how, row, err = m.try(ctx, v, over, next); how != owed {
			return how, row, nil
		}
	}
	return owed, nil, m.storeError(v, "writing the session", err, next)
}

func (m *Manager) try(ctx context.Context, v *Visitor, over []uint64, next *Record) (verdict, *Record, error) {
	data := next.encode()
	for _, base := range over { // oldest first: a row never goes back
		saved, err := m.saveIf(ctx, v, data, base, next)
		switch {
		case err != nil:
			return owed, nil, err
		case saved:
			return written, nil, nil
		}
	}
	// Perhaps an earlier try was applied and only its answer was lost.
	row, err := m.look(ctx, v)
	switch {
	case err != nil:
		return owed, nil, err
	case row.Generation == next.Generation && row.Access.Equal(next.Access) && row.Kind == next.Kind:
		return written, nil, nil
	}
	return beaten, row, nil
}

// payLate goes on writing next, within a bound, while it is owed; nobody waits
// for it. After that the next change of the session tries again.
func (m *Manager) payLate(v *Visitor, next *Record) {
	ctx, cancel := context.WithTimeout(m.ctx, lateLimit)
	defer cancel()
	for wait := lateWritePause; pause(ctx, wait); wait = min(2*wait, 5*lateWritePause) {
		d := m.debts.of(m.key(v))
		if d.record != next {
			return
		}
		how, row, _ := m.try(ctx, v, d.over, next)
		switch {
		case how == owed:
		case how == beaten && next.outweighs(row, d.from):
			next = m.debts.rebase(m.key(v), d, row)
		default:
			m.settle(v, next, d.over)
			m.epoch(v).Add(1)
			return
		}
	}
}

// revoke ends tokens that nobody will use. They may share a session with those
// that took their place, so this is for customers who have logged out.
func (m *Manager) revoke(v *Visitor, r *Record) {
	if r.Kind != Customer {
		return
	}
	if now, err := m.load(m.ctx, v); err != nil || now.Kind == Customer {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, m.cfg.RefreshLimit)
	defer cancel()
	_ = m.cfg.Issuer.Revoke(ctx, r.Access) // best effort: the token is forgotten either way
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
