package lifecycle

import (
	"slices"
	"sync"
	"time"
)

// debt is a record that the store would not take. It is the truth for this
// process for as long as the row is one that it replaces.
type debt struct {
	record *Record
	from   *Record  // what it follows
	over   []uint64 // generations of the rows it replaces; 0 stands for no row
	lease  *lease   // kept until the row is written; may be nil
	made   time.Time
}

// replaces reports whether d follows a row of this generation. After the life of
// a tombstone it follows no absent row: somebody may have logged out meanwhile.
func (d debt) replaces(generation uint64) bool {
	return d.record != nil && slices.Contains(d.over, generation) && (generation != 0 || time.Since(d.made) < tombstoneLife)
}

// manyDebts is how many more are owed before the book is looked through.
const manyDebts = 1024

// book is what this process owes the store, by the row's name.
type book struct {
	mu   sync.Mutex
	owed map[string]debt
}

// of returns the debt of one row; without a record there is none.
func (b *book) of(key string) debt {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.owed[key]
}

// truth returns what has followed r in this process, r itself if nothing has,
// and the generations that the store may have in its place.
func (b *book) truth(key string, r *Record) (*Record, []uint64) {
	d := b.of(key)
	if d.replaces(r.Generation) || d.record != nil && d.record.Generation == r.Generation {
		return d.record, append(slices.Clone(d.over), d.record.Generation)
	}
	return r, []uint64{r.Generation}
}

// owe keeps next, which follows r, until the store takes it; false if something
// else has followed r meanwhile.
func (b *book) owe(key string, r, next *Record, over []uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.owed[key]
	if before.replaces(r.Generation) {
		return false
	}
	b.owed[key] = debt{record: next, from: r, over: over, lease: before.lease, made: time.Now()}
	if len(b.owed)%manyDebts == 0 {
		b.forgetOld()
	}
	return true
}

// forgetOld drops the debts of visitors who never came back. The caller has b.mu.
func (b *book) forgetOld() {
	for key, d := range b.owed {
		if time.Since(d.made) > d.record.ttl(d.made) {
			delete(b.owed, key)
		}
	}
}

// rebase makes a debt one that replaces row.
func (b *book) rebase(key string, d debt, row *Record) *Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := *d.record
	next.Generation, d.over = nextGeneration(max(row.Generation, next.Generation)), []uint64{row.Generation}
	if b.owed[key].record == d.record {
		d.record, d.lease = &next, b.owed[key].lease
		b.owed[key] = d
	}
	return &next
}

// paid is told that the store has taken next in place of over. It returns the
// lease that was kept for the debt's sake.
func (b *book) paid(key string, next *Record, over []uint64) *lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.owed[key]
	if d.record != next && d.replaces(over[len(over)-1]) {
		// A login or logout came while next was being written, and is still owed.
		d.over = append(slices.Clone(d.over), next.Generation)
		b.owed[key] = d
		return nil
	}
	delete(b.owed, key)
	return d.lease
}

// forget drops the debt of a row that is gone, and returns its lease.
func (b *book) forget(key string) *lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.owed[key]
	delete(b.owed, key)
	return d.lease
}

// keepLease holds on to the lease while its row is owed.
func (b *book) keepLease(key string, l *lease) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, owes := b.owed[key]
	if owes {
		d.lease = l
		b.owed[key] = d
	}
	return owes
}

// takeLease hands out the lease that has been held on to; nil if there is none.
func (b *book) takeLease(key string) *lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, owes := b.owed[key]
	if !owes {
		return nil
	}
	l := d.lease
	d.lease = nil
	b.owed[key] = d
	return l
}

// settle ends what next was owed for, and gives back the lease that was kept.
func (v *Visitor) settle(next *Record, over []uint64) {
	v.m().setFree(v.m().debts.paid(v.key(), next, over))
}

func (m *Manager) setFree(l *lease) {
	if l != nil {
		m.detach(l.free)
	}
}
