package lifecycle

import (
	"context"
	"fmt"
	"time"

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

// unsaved is a record that the store would not take. It is the truth for this
// process until it is written.
type unsaved struct {
	record *Record
	base   uint64 // the generation of the row it is to replace
}

// verdict is what became of a write.
type verdict uint8

const (
	written verdict = iota
	beaten          // the row has changed: someone else's is the newer truth
	owed            // the store fails
)

// commit makes next the truth in place of r, and only of r. The caller gets its
// answer even when the store fails; the write is then owed.
func (m *Manager) commit(v *Visitor, r, next *Record, event EventKind) (func(), error) {
	base := m.baseOf(v, r)
	how, err := m.write(m.ctx, v, base, next, writeTries, writeLimit, writePause)
	switch how {
	case beaten:
		m.forget(v)
		// A logout or another login came first. Nobody will use these tokens.
		return func() { m.revoke(next) }, nil
	case owed:
		m.mu.Lock()
		m.unsaved[m.key(v)] = unsaved{record: next, base: base}
		m.mu.Unlock()
		m.publish(v, next)
		return func() {
			m.notify(EventStoreWriteFailed, v, next.Kind, err)
			m.told(event, v, r, next)
			m.payLate(v, base, next)
		}, nil
	}
	m.forget(v)
	m.publish(v, next)
	return func() { m.told(event, v, r, next) }, nil
}

func (m *Manager) told(event EventKind, v *Visitor, r, next *Record) {
	switch event {
	case 0:
	case EventLoggedOut:
		m.notify(event, v, Customer, nil)
	default:
		m.notify(event, v, next.Kind, nil)
	}
	if event == EventRefreshed && r.SessionID != next.SessionID {
		m.notify(EventSessionIDChanged, v, next.Kind, nil)
	}
}

// baseOf is the generation that the store holds where this process holds r.
func (m *Manager) baseOf(v *Visitor, r *Record) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.unsaved[m.key(v)]; u.record != nil && u.record.Generation == r.Generation {
		return u.base
	}
	return r.Generation
}

func (m *Manager) forget(v *Visitor) {
	m.mu.Lock()
	delete(m.unsaved, m.key(v))
	m.mu.Unlock()
}

// publish gives v the new record and makes all other values of the visitor look again.
func (m *Manager) publish(v *Visitor, r *Record) {
	v.snap.Store(m.snapshot(v, r, m.epoch(v).Add(1)))
}

// write saves next if the row still has generation base, and tries again while
// the store fails.
func (m *Manager) write(ctx context.Context, v *Visitor, base uint64, next *Record, tries int, limit, pause time.Duration) (verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	data := next.encode()
	var err error
	for try := 0; try < tries; try++ {
		if try > 0 {
			select {
			case <-time.After(min(pause<<min(try-1, 5), time.Second*5)):
			case <-ctx.Done():
				return owed, err
			}
		}
		var saved bool
		saved, err = m.saveIf(ctx, v, data, base, next)
		if err == nil && saved {
			return written, nil
		}
		if err != nil {
			continue
		}
		// Not saved: perhaps an earlier try was applied and only its answer lost.
		row, found, loadErr := m.look(ctx, v)
		switch {
		case loadErr != nil:
			err = loadErr
			continue
		case found && row.Generation == next.Generation && row.Access.Equal(next.Access) && row.Kind == next.Kind:
			return written, nil
		default:
			return beaten, nil
		}
	}
	return owed, fmt.Errorf("%w: writing the session failed %d times: %w", sentinel.StoreUnavailable, tries, err)
}

func (m *Manager) saveIf(ctx context.Context, v *Visitor, data []byte, base uint64, next *Record) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.StoreLimit)
	defer cancel()
	return guardSave(func() (bool, error) {
		return m.rows(v).SaveIf(ctx, m.key(v), data, base, next.Generation, next.ttl(time.Now()))
	})
}

// look reads the row itself, whatever this process holds.
func (m *Manager) look(ctx context.Context, v *Visitor) (*Record, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.StoreLimit)
	defer cancel()
	data, found, err := guardLoad(ctx, m.rows(v), m.key(v))
	if err != nil || !found {
		return &Record{}, false, err
	}
	r, err := decode(data)
	if err != nil {
		return nil, false, err
	}
	return r, true, nil
}

// payLate goes on writing what is owed, within a bound; nobody waits for it.
// After that the next change of the session tries again.
func (m *Manager) payLate(v *Visitor, base uint64, next *Record) {
	how, _ := m.write(m.ctx, v, base, next, 1<<10, lateLimit, lateWritePause)
	if how == owed {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.unsaved[m.key(v)]; u.record == next {
		delete(m.unsaved, m.key(v))
	}
	m.epoch(v).Add(1)
}

func (m *Manager) revoke(r *Record) {
	if r.Kind != Customer || r.Access.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, m.cfg.RefreshLimit)
	defer cancel()
	_ = m.cfg.Issuer.Revoke(ctx, r.Access) // best effort: the token is forgotten either way
}
