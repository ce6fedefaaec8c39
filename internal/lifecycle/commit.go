package lifecycle

import (
	"context"
	"fmt"
	"slices"
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

// verdict is what became of a write.
type verdict uint8

const (
	written verdict = iota
	beaten          // the row has changed: someone else's is the newer truth
	owed            // the store fails
)

// commit makes next the truth in place of r, and only of r. The caller gets its
// answer even when the store fails; the write is then owed. tell runs when next
// has become the truth.
func (m *Manager) commit(v *Visitor, r, next *Record, tell func()) (func(), error) {
	truth, over := m.truth(v, r)
	how, row, err := beaten, truth, error(nil)
	if truth.Generation == r.Generation {
		how, row, err = m.write(v, over, next)
	}
	if how == beaten && next.renews(r) && row.doubts(r) {
		// Another replica sent the same refresh token and was told no, because
		// this one had used it: these tokens are the newer truth.
		next.Generation, over = nextGeneration(row.Generation), []uint64{row.Generation}
		how, _, err = m.write(v, over, next)
	}
	if how == owed && !m.owe(v, r, next, over) {
		how = beaten
	}
	switch how {
	case beaten:
		m.detach(func() { m.revoke(v, next) })
		return nil, nil
	case owed:
		m.detach(func() { m.payLate(v, next) })
		return func() {
			m.notify(EventStoreWriteFailed, v, next.Kind, err)
			tell()
		}, nil
	}
	m.paid(v, next, over)
	return tell, nil
}

// put makes build(row) the truth whatever the row has become meanwhile: the
// last login wins, and so does a logout. It returns the record it replaced. An
// error means that the store has not taken it yet.
func (m *Manager) put(v *Visitor, known *Record, build func(*Record) *Record, event EventKind) (*Record, error) {
	for range writeTries {
		epoch := m.epoch(v).Load()
		truth, over := m.truth(v, known)
		next := build(truth)
		how, row, err := m.write(v, over, next)
		switch {
		case how == beaten:
			known = row
			continue
		case how == owed && !m.owe(v, truth, next, over):
			continue
		case how == written:
			m.paid(v, next, over)
		}
		m.setTrouble(v, func(t *trouble) { *t = trouble{} }) // it was the old session's
		m.publish(v, next, epoch)
		if how == owed {
			m.notify(EventStoreWriteFailed, v, next.Kind, err)
			m.detach(func() { m.payLate(v, next) })
		}
		m.tell(event, v, truth, next)()
		return truth, err
	}
	return known, fmt.Errorf("%w: the session kept changing while it was written", sentinel.StoreUnavailable)
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
	kind := next.Kind
	if event == EventLoggedOut {
		kind = Customer
	}
	return func() {
		m.notify(event, v, kind, nil)
		if event == EventRefreshed && r.SessionID != next.SessionID {
			m.notify(EventSessionIDChanged, v, next.Kind, nil)
		}
	}
}

// write saves next in place of a row with one of the generations in over, and
// tries again while the store fails. If it was beaten it returns the winner.
func (m *Manager) write(v *Visitor, over []uint64, next *Record) (how verdict, row *Record, err error) {
	ctx, cancel := context.WithTimeout(m.ctx, writeLimit)
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

func (m *Manager) saveIf(ctx context.Context, v *Visitor, data []byte, base uint64, next *Record) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.StoreLimit)
	defer cancel()
	return guardSave(func() (bool, error) {
		return m.rows(v).SaveIf(ctx, m.key(v), data, base, next.Generation, next.ttl(time.Now()))
	})
}

// look reads the row itself, whatever this process holds.
func (m *Manager) look(ctx context.Context, v *Visitor) (*Record, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.StoreLimit)
	defer cancel()
	data, found, err := guardLoad(ctx, m.rows(v), m.key(v))
	switch {
	case err != nil:
		return nil, err
	case !found:
		return &Record{}, nil
	}
	return decode(data)
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

// debt is a record that the store would not take. It is the truth for this
// process for as long as the row is one that it replaces.
type debt struct {
	record *Record
	from   *Record  // what it follows
	over   []uint64 // generations of the rows it replaces; 0 stands for no row
	lease  *lease   // kept until the row is written; may be nil
}

func (d debt) replaces(generation uint64) bool {
	return d.record != nil && slices.Contains(d.over, generation)
}

// truth returns what has followed r in this process, r itself if nothing has,
// and the generations that the store may have in its place.
func (m *Manager) truth(v *Visitor, r *Record) (*Record, []uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.debts[m.key(v)]
	if d.replaces(r.Generation) || d.record != nil && d.record.Generation == r.Generation {
		return d.record, append(slices.Clone(d.over), d.record.Generation)
	}
	return r, []uint64{r.Generation}
}

// owe keeps next, which follows r, until the store takes it; false if something
// else has followed r meanwhile.
func (m *Manager) owe(v *Visitor, r, next *Record, over []uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.debts[m.key(v)]
	if before.replaces(r.Generation) {
		return false
	}
	m.debts[m.key(v)] = debt{record: next, from: r, over: over, lease: before.lease}
	if len(m.debts)%manyTroubles == 0 {
		for key, d := range m.debts { // visitors who never came back
			made := time.UnixMicro(int64(d.record.Generation)) // #nosec G115 -- microseconds, unless a row was forged
			if time.Since(made) > d.record.ttl(made) {
				delete(m.debts, key)
			}
		}
	}
	return true
}

// owes reports that r is what the store has not taken yet.
func (m *Manager) owes(v *Visitor, r *Record) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.debts[m.key(v)].record == r
}

// paid is told that the store has taken next in place of over.
func (m *Manager) paid(v *Visitor, next *Record, over []uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.debts[m.key(v)]
	if d.record != next && d.replaces(over[len(over)-1]) {
		// A login or logout came while next was being written, and is still owed.
		d.over = append(slices.Clone(d.over), next.Generation)
		m.debts[m.key(v)] = d
		return
	}
	m.settled(v)
}

func (m *Manager) forget(v *Visitor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settled(v)
}

// settled ends a debt, and with it the lease that was kept for its sake. The
// caller has m.mu.
func (m *Manager) settled(v *Visitor) {
	if l := m.debts[m.key(v)].lease; l != nil {
		m.start(l.free)
	}
	delete(m.debts, m.key(v))
}

// payLate goes on writing next, within a bound, while it is owed; nobody waits
// for it. After that the next change of the session tries again.
func (m *Manager) payLate(v *Visitor, next *Record) {
	ctx, cancel := context.WithTimeout(m.ctx, lateLimit)
	defer cancel()
	for wait := lateWritePause; pause(ctx, wait); wait = min(2*wait, 5*lateWritePause) {
		m.mu.Lock()
		d := m.debts[m.key(v)]
		m.mu.Unlock()
		if d.record != next {
			return
		}
		how, row, _ := m.try(ctx, v, d.over, next)
		switch {
		case how == owed:
		case how == beaten && next.renews(d.from) && row.doubts(d.from):
			next = m.rebase(v, d, row) // as in commit
		default:
			m.paid(v, next, d.over)
			m.epoch(v).Add(1)
			return
		}
	}
}

// rebase makes a debt one that replaces row.
func (m *Manager) rebase(v *Visitor, d debt, row *Record) *Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := *d.record
	next.Generation, d.over = nextGeneration(max(row.Generation, next.Generation)), []uint64{row.Generation}
	if m.debts[m.key(v)].record == d.record {
		d.record, d.lease = &next, m.debts[m.key(v)].lease
		m.debts[m.key(v)] = d
	}
	return &next
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
