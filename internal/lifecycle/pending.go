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
	turn   *turn     // of the goroutine that is writing it; nil if none is
	tried  time.Time // when the last turn ended

	removed bool // the record is a tombstone, and the row has been deleted
}

// turn is the right of one goroutine to write a pending write.
type turn struct{ _ byte }

// isIdle reports a write that nothing is making, and that was not tried within pause.
func (d pendingWrite) isIdle(pause time.Duration) bool {
	return d.record != nil && d.turn == nil && time.Since(d.tried) >= pause
}

// replaces reports whether d follows a row of this generation. After the life of
// a tombstone it follows no absent row: the visitor may have logged out since.
func (d pendingWrite) replaces(generation uint64) bool {
	return d.record != nil && slices.Contains(d.over, generation) && (generation != 0 || time.Since(d.made) < tombstoneLife)
}

// writable returns the generations of the rows that d may still be written over.
func (d pendingWrite) writable() (over []uint64) {
	for _, generation := range d.over {
		if d.replaces(generation) {
			over = append(over, generation)
		}
	}
	return over
}

// manyPending says how often old writes are dropped: whenever their number is a multiple
// of it.
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
		d.record, d.lease, d.turn = &next, w.rows[key].lease, w.rows[key].turn
		w.rows[key] = d
	}
	return &next
}

// claim makes the caller the one that writes next; nil if next is not pending.
func (w *pendingWrites) claim(key string, next *Record) *turn {
	return w.claimIf(key, next, func(pendingWrite) bool { return true })
}

// claimIdle is claim, unless something else is writing next or has tried within pause.
func (w *pendingWrites) claimIdle(key string, next *Record, pause time.Duration) *turn {
	return w.claimIf(key, next, func(d pendingWrite) bool { return d.isIdle(pause) })
}

func (w *pendingWrites) claimIf(key string, next *Record, may func(pendingWrite) bool) *turn {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, found := w.rows[key]
	if !found || d.record != next || !may(d) {
		return nil
	}
	d.turn = new(turn)
	w.rows[key] = d
	return d.turn
}

// claimed reports whether nothing has claimed the write since.
func (w *pendingWrites) claimed(key string, by *turn) bool { return w.of(key).turn == by }

// unclaim ends a turn.
func (w *pendingWrites) unclaim(key string, by *turn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d, found := w.rows[key]; found && d.turn == by {
		d.turn, d.tried = nil, time.Now()
		w.rows[key] = d
	}
}

// all returns what is pending, by the row's name.
func (w *pendingWrites) all() map[string]*Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]*Record, len(w.rows))
	for key, d := range w.rows {
		all[key] = d.record
	}
	return all
}

// lost returns how many writes are pending whose loss matters.
func (w *pendingWrites) lost() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.rows {
		if !d.removed && time.Since(d.made) < d.record.ttl(d.made) {
			n++
		}
	}
	return n
}

// remove notes that the row which a tombstone is to replace was deleted, and hands out
// the lease. The write stays pending: another one may still bring the row back.
func (w *pendingWrites) remove(key string) *lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, found := w.rows[key]
	if !found {
		return nil
	}
	l := d.lease
	d.lease, d.removed = nil, true
	w.rows[key] = d
	return l
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
