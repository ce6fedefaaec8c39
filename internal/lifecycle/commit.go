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
	retryPause     = 5 * time.Second // between two tries of what has been pending for longer
)

// verdict is what became of a write.
type verdict uint8

const (
	written   verdict = iota
	beaten            // the row has changed: what it holds now is newer
	postponed         // the store fails
)

// commit puts next in the place of r, and only of r. committed is false if something
// else has followed r. Where the store fails, next counts in this process, and is
// written later. tell tells the observer; commit returns what to tell
// besides.
func (v *Visitor) commit(r, next *Record, tell func()) (told func(), committed bool) {
	truth, over := v.m().pending.latest(v.key(), r)
	if truth.Generation != r.Generation {
		v.drop(next)
		return func() {}, false
	}
	how, row, err := v.save(v.m().ctx, r, next, over)
	if how == beaten && next.supersedes(row, r) {
		next.Generation = nextGeneration(row.Generation)
		how, _, err = v.save(v.m().ctx, r, next, []uint64{row.Generation})
	}
	switch how {
	case beaten:
		v.drop(next)
		return func() {}, false
	case postponed:
		return func() {
			v.notify(EventStoreWriteFailed, next.Kind, err)
			tell()
		}, true
	default:
		return tell, true
	}
}

// drop discards a record that came too late.
func (v *Visitor) drop(r *Record) {
	v.m().detach(func() { v.revoke(r) })
}

// overwrite saves build(current), and builds again when the row changes underneath: the
// last login or logout wins. It returns the record that it replaced. An error means
// that the store has not taken it yet. When ctx ends, the record is a pending write
// from then on.
func (v *Visitor) overwrite(ctx context.Context, known *Record, build func(*Record) *Record, event EventKind) (*Record, error) {
	writing, cancel := v.writing(ctx)
	defer cancel()
	for range writeTries {
		epoch := v.epoch().Load()
		truth, over := v.m().pending.latest(v.key(), known)
		next := build(truth)
		how, row, err := v.save(writing, truth, next, over)
		if how == beaten {
			if row != nil {
				known = row
			}
			continue
		}
		v.setBackoff(func(t *backoff) { *t = backoff{} }) // it was the old session's
		v.publish(next, epoch)
		if how == postponed {
			v.inform(ctx, EventStoreWriteFailed, next.Kind, err)
		}
		kind := next.Kind
		if event == EventLoggedOut {
			kind = Customer
		}
		v.inform(ctx, event, kind, nil)
		return truth, err
	}
	return known, fmt.Errorf("%w: the session kept changing while it was written", sentinel.StoreUnavailable)
}

// writing bounds the writes of a caller: the store is let end what takes a moment,
// and a row in the SDK's own memory is always written.
func (v *Visitor) writing(caller context.Context) (context.Context, context.CancelFunc) {
	if v.prompt() {
		return v.m().ctx, func() {}
	}
	ctx, cancel := bounded.Linger(caller)
	stop := context.AfterFunc(v.m().ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// publish gives v its new record at once, unless something here has changed a
// row since epoch: then v looks again, like all other values of the visitor.
func (v *Visitor) publish(r *Record, epoch uint64) {
	if v.epoch().CompareAndSwap(epoch, epoch+1) {
		v.snap.Store(v.newSnapshot(r, epoch+1))
		return
	}
	v.epoch().Add(1)
}

// tell returns what tells the observer that next has followed r.
func (v *Visitor) tell(event EventKind, r, next *Record) func() {
	return func() {
		v.notify(event, next.Kind, nil)
		if event == EventRefreshed && r.SessionID != next.SessionID {
			v.notify(EventSessionIDChanged, next.Kind, nil)
		}
	}
}

// save writes next, which follows r, or makes it a pending write. If it was beaten
// by a row it returns that; there is none if it was beaten in this process.
func (v *Visitor) save(ctx context.Context, r, next *Record, over []uint64) (how verdict, row *Record, err error) {
	how, row, err = v.write(ctx, over, next)
	switch how {
	case written:
		v.release(next, over)
	case postponed:
		if !v.m().pending.add(v.key(), r, next, over) {
			return beaten, nil, nil
		}
		v.m().detach(func() { v.writeLate(next) })
	case beaten:
	}
	return how, row, err
}

// write saves next in place of a row with one of the generations in over, and
// tries again while the store fails. If it was beaten it returns the winner.
func (v *Visitor) write(ctx context.Context, over []uint64, next *Record) (how verdict, row *Record, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	for try := range writeTries {
		if try > 0 && !pause(ctx, writePause<<min(try-1, 5)) {
			break
		}
		if how, row, err = v.try(ctx, over, next); how != postponed {
			return how, row, nil
		}
	}
	return postponed, nil, v.storeError("writing the session", err, next)
}

func (v *Visitor) try(ctx context.Context, over []uint64, next *Record) (verdict, *Record, error) {
	data := next.encode()
	for _, base := range over { // oldest first: a row never goes back
		saved, err := v.saveIf(ctx, data, base, next)
		switch {
		case err != nil:
			return postponed, nil, err
		case saved:
			return written, nil, nil
		}
	}
	// Perhaps an earlier try was applied and only its response was lost.
	row, err := v.stored(ctx)
	switch {
	case err != nil:
		return postponed, nil, err
	case row.Generation == next.Generation && row.Access.Equal(next.Access) && row.Kind == next.Kind:
		return written, nil, nil
	}
	return beaten, row, nil
}

// writeLate goes on writing next, for a minute, while it is pending. After that retry
// and Close try again.
func (v *Visitor) writeLate(next *Record) {
	turn := v.m().pending.claim(v.key(), next)
	if turn == nil {
		return
	}
	defer v.m().pending.unclaim(v.key(), turn)
	ctx, cancel := context.WithTimeout(v.m().ctx, lateLimit)
	defer cancel()
	closed := v.m().closed // it is tried once more at once
	for wait := lateWritePause; next != nil && v.m().pending.claimed(v.key(), turn); wait = min(2*wait, 5*lateWritePause) {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-closed:
			closed = nil
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
		next = v.tryLate(ctx, next)
	}
}

// tryLate tries once to write next, if that is still pending. It returns what is
// pending then; nil if nothing is.
func (v *Visitor) tryLate(ctx context.Context, next *Record) *Record {
	d := v.m().pending.of(v.key())
	if d.record != next {
		return nil
	}
	over := d.writable()
	if len(over) == 0 { // the visitor may have logged out since
		v.m().setFree(v.m().pending.forget(v.key()))
		v.epoch().Add(1)
		return nil
	}
	how, row, _ := v.try(ctx, over, next)
	switch {
	case how == postponed:
		return next
	case how == beaten && next.supersedes(row, d.from):
		return v.m().pending.rebase(v.key(), d, row)
	}
	v.release(next, d.over)
	v.epoch().Add(1)
	return nil
}

// retry tries again, beside the calls that use the session, to write what is pending: the
// store may be back.
func (v *Visitor) retry() {
	d := v.m().pending.of(v.key())
	if !d.isIdle(retryPause) {
		return
	}
	v.m().detach(func() { v.retryNow(v.m().ctx, d.record, retryPause) })
}

// retryNow tries once, unless something else is writing next or has tried a moment ago.
func (v *Visitor) retryNow(ctx context.Context, next *Record, pause time.Duration) {
	if turn := v.m().pending.claimIdle(v.key(), next, pause); turn != nil {
		defer v.m().pending.unclaim(v.key(), turn)
		v.tryLate(ctx, next)
	}
}

// revoke ends tokens that are of no use any more. They may share a session with those
// that took their place, so this is for customers who have logged out.
func (v *Visitor) revoke(r *Record) {
	if r.Kind != Customer {
		return
	}
	if now, err := v.current(v.m().ctx); err != nil || now.Kind == Customer {
		return
	}
	ctx, cancel := context.WithTimeout(v.m().ctx, v.m().cfg.RefreshLimit)
	defer cancel()
	_ = v.m().cfg.Issuer.Revoke(ctx, r.Access) // best effort: the token is forgotten either way
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
