package lifecycle

import (
	"slices"
	"sync"
	"time"
)

// pendingWrite is a record that the store has not taken yet. In this process it
// counts instead of the row for as long as the row is one that it replaces.
type pendingWrite struct {
	record *Record
	from   *Record  // what it follows
	over   []uint64 // generations of the rows it replaces; 0 stands for no row
	lease  *lease   // kept until the row is written; may be nil
	made   time.Time
}

// replaces reports whether d follows a row of this generation. After the life of
// a tombstone it follows no absent row: the visitor may have logged out since.
func (d pendingWrite) replaces(generation uint64) bool {
	return d.record != nil && slices.Contains(d.over, generation) && (generation != 0 || time.Since(d.made) < tombstoneLife)
}

// manyPending is how many more there are before old ones are looked for.
const manyPending = 1024

// pendingWrites are the writes that this process still has to make, by the row's
// name.
type pendingWrites struct {
	mu   sync.Mutex
	rows map[string]pendingWrite
}

// of returns the pending write of one row; without a record there is none.
func (w *pendingWrites) of(key string) pendingWrite {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rows[key]
}

// latest returns what has followed r in this process, r itself if nothing has,
// and the generations that the store may have in its place.
func (w *pendingWrites) latest(key string, r *Record) (*Record, []uint64) {
	d := w.of(key)
	if d.replaces(r.Generation) || d.record != nil && d.record.Generation == r.Generation {
		return d.record, append(slices.Clone(d.over), d.record.Generation)
	}
	return r, []uint64{r.Generation}
}

// add keeps next, which follows r, until the store takes it. It returns false if
// something else has followed r in this process.
func (w *pendingWrites) add(key string, r, next *Record, over []uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.rows[key]
	if before.replaces(r.Generation) {
		return false
	}
	w.rows[key] = pendingWrite{record: next, from: r, over: over, lease: before.lease, made: time.Now()}
	if len(w.rows)%manyPending == 0 {
		w.forgetOld()
	}
	return true
}

// forgetOld drops the writes of visitors who did not come back. The caller has w.mu.
func (w *pendingWrites) forgetOld() {
	for key, d := range w.rows {
		if time.Since(d.made) > d.record.ttl(d.made) {
			delete(w.rows, key)
		}
	}
}

// rebase makes d a write that replaces row.
func (w *pendingWrites) rebase(key string, d pendingWrite, row *Record) *Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := *d.record
	next.Generation, d.over = nextGeneration(max(row.Generation, next.Generation)), []uint64{row.Generation}
	if w.rows[key].record == d.record {
		d.record, d.lease = &next, w.rows[key].lease
		w.rows[key] = d
	}
	return &next
}

// done is told that the store has taken next in place of over. It returns the lease
// that was kept until then.
func (w *pendingWrites) done(key string, next *Record, over []uint64) *lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.rows[key]
	if d.record != next && d.replaces(over[len(over)-1]) {
		// A login or logout came while next was being written, and is still pending.
		d.over = append(slices.Clone(d.over), next.Generation)
		w.rows[key] = d
		return nil
	}
	delete(w.rows, key)
	return d.lease
}

// forget drops the write of a row that is gone, and returns its lease.
func (w *pendingWrites) forget(key string) *lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.rows[key]
	delete(w.rows, key)
	return d.lease
}

// keepLease keeps the lease while there is a write of its row.
func (w *pendingWrites) keepLease(key string, l *lease) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, found := w.rows[key]
	if found {
		d.lease = l
		w.rows[key] = d
	}
	return found
}

// takeLease hands out the lease that has been kept; nil if there is none.
func (w *pendingWrites) takeLease(key string) *lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, found := w.rows[key]
	if !found {
		return nil
	}
	l := d.lease
	d.lease = nil
	w.rows[key] = d
	return l
}

// release ends the pending write that next has made, and gives back the lease that
// was kept.
func (v *Visitor) release(next *Record, over []uint64) {
	v.m().setFree(v.m().pending.done(v.key(), next, over))
}

func (m *Manager) setFree(l *lease) {
	if l != nil {
		m.detach(l.free)
	}
}
