package bff

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// storeVisitors keeps each visitor's record as a row of its own in the token
// store, under a hash of the cookie's value.
type storeVisitors struct {
	b      *BFF
	rows   *rows
	renews bool // the client renews nothing by itself
}

func (k *storeVisitors) row(id string) string { return k.rows.key("visitor", id) }

func (k *storeVisitors) open(ctx context.Context, value string) (*visitorRecord, error) {
	if err := newerCookie(value); err != nil {
		return nil, err
	}
	if !wellFormed(value) {
		return nil, nil
	}
	v, err := k.read(ctx, digest("visitor", value))
	if v == nil || v.State != stateSettled { // no browser was given that one
		return nil, err
	}
	return v, nil
}

func (k *storeVisitors) read(ctx context.Context, id string) (*visitorRecord, error) {
	return k.visitor(ctx, id, k.rows.load)
}

// visitor returns nil for a row that is absent or damaged.
func (k *storeVisitors) visitor(ctx context.Context, id string, load func(context.Context, string) ([]byte, bool, error)) (*visitorRecord, error) {
	data, found, err := load(ctx, k.row(id))
	if err != nil || !found {
		return nil, err
	}
	r, err := decodeRecord(data)
	if errors.Is(err, errDamaged) {
		k.b.log(ctx, "a visitor begins anew", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &visitorRecord{record: r, id: id}, nil
}

// save writes next in place of v's record.
func (k *storeVisitors) save(ctx context.Context, v *visitorRecord, next record, tries int) (*visitorRecord, error) {
	next.Generation, next.Write = nextGeneration(v.Generation), rand.Text()
	saved, err := k.rows.saveIf(ctx, k.row(v.id), next.encode(), v.Generation, next.Generation, next.ttl(&k.b.opts, time.Now()), tries)
	if err != nil || !saved {
		return nil, err
	}
	changed := *v
	changed.record = next
	return &changed, nil
}

func (k *storeVisitors) transient(r record) *visitorRecord {
	value := randomValue()
	return &visitorRecord{record: r, id: digest("visitor", value), value: value, fresh: true}
}

func (k *storeVisitors) issue(ctx context.Context, r record) (*visitorRecord, error) {
	v := k.transient(record{})
	tries := 1 // a stranger's page does not wait for a store that fails
	if r.State == statePromised {
		tries = saveTries
	}
	issued, err := k.save(ctx, v, r, tries)
	if err == nil && issued == nil {
		err = fmt.Errorf("bff: %w: a new visitor's row exists already", emporix.ErrStoreUnavailable)
	}
	return issued, err
}

func (k *storeVisitors) update(ctx context.Context, v *visitorRecord, change func(*record)) (*visitorRecord, error) {
	return k.updateIn(ctx, v, saveTries, change)
}

func (k *storeVisitors) updateIn(ctx context.Context, v *visitorRecord, tries int, change func(*record)) (*visitorRecord, error) {
	for range saveTries {
		next := v.record
		change(&next)
		saved, err := k.save(ctx, v, next, tries)
		if err != nil || saved != nil {
			return saved, err
		}
		now, err := k.read(ctx, v.id)
		switch {
		case err != nil:
			return nil, err
		case now == nil || now.Superseded || now.Key != v.Key || now.State != v.State || now.Next != v.Next:
			return nil, errChanged
		}
		changed := *v
		changed.record = now.record
		v = &changed
	}
	return nil, errChanged
}

var errChanged = fmt.Errorf("%w: another request of the visitor's has changed the session in the meantime", emporix.ErrConflict)

// change names the row that is there while a change may be under way. The store
// drops it in time, by its own clock.
func (k *storeVisitors) change(id string) string { return k.rows.key("change", id) }

func (k *storeVisitors) claim(ctx context.Context, v, next *visitorRecord, from string) (*visitorRecord, error) {
	mark := listing{Version: recordVersion, Generation: nextGeneration(0)}
	if err := k.rows.save(ctx, k.change(next.id), mark.encode(), mark.Generation, changeLimit); err != nil {
		return nil, err
	}
	reserved := v.record
	reserved.Changing = time.Now().Add(changeLimit).UnixMilli()
	reserved.Moving, reserved.Next, reserved.From = next.Key, next.id, from
	claimed, err := k.save(ctx, v, reserved, saveTries)
	if err != nil { // it may have been written
		k.finished(ctx, next)
	}
	return claimed, err
}

func (k *storeVisitors) underWay(ctx context.Context, v *visitorRecord) (bool, error) {
	// For a store that keeps rows longer than it was told; the clock that set the
	// time may be behind this one.
	if !time.Now().Before(time.UnixMilli(v.Changing).Add(clockSkew)) {
		return false, nil
	}
	if _, found, err := k.rows.load(ctx, k.change(v.Next)); err != nil || !found {
		return false, err
	}
	next, err := k.read(ctx, v.Next)
	return next != nil && next.State == statePromised, err
}

func (k *storeVisitors) finished(ctx context.Context, next *visitorRecord) {
	if err := k.rows.delete(ctx, k.change(next.id)); err != nil {
		k.b.log(ctx, "a visitor stays reserved for a minute", err)
	}
}

func (k *storeVisitors) supersede(ctx context.Context, v, next *visitorRecord, tries int) error {
	_, err := k.updateIn(ctx, v, tries, func(r *record) { r.end(v.id, next.id) })
	return err
}

func (k *storeVisitors) retire(ctx context.Context, v *visitorRecord) (bool, error) {
	over := v.record
	over.end(v.id, "")
	ended, err := k.save(ctx, v, over, saveTries)
	return ended != nil, err
}

// successor also returns a visitor whose change has not been settled.
func (k *storeVisitors) successor(ctx context.Context, v *visitorRecord) (*visitorRecord, error) {
	if v.Next == "" {
		return nil, nil
	}
	next, err := k.read(ctx, v.Next)
	if next == nil && err == nil && v.Moving != "" {
		// It goes last when a change is taken back: is this one still open?
		now, err := k.read(ctx, v.id)
		if err == nil && (now == nil || now.Next != v.Next) {
			err = errChanged
		}
		return nil, err
	}
	return next, err
}

func (k *storeVisitors) discard(ctx context.Context, v *visitorRecord) error {
	return k.rows.delete(ctx, k.row(v.id))
}

// prepare notes the visit, from time to time. That it can't is no reason to turn
// the visitor away: a store that only reads still serves pages.
func (k *storeVisitors) prepare(ctx context.Context, v *visitorRecord, s *emporix.Session) (*visitorRecord, error) {
	if k.renews {
		if err := s.RenewIfDue(ctx); err != nil {
			if ctx.Err() != nil || errors.Is(err, emporix.ErrClosed) {
				return nil, err
			}
			k.b.log(ctx, "a session could not be renewed", err) // the call that needs it says so
		}
	}
	if time.Since(time.Unix(v.Seen, 0)) < k.b.touchPace {
		return v, nil
	}
	noted, err := k.updateIn(ctx, v, 1, func(r *record) { r.Seen = max(r.Seen, time.Now().Unix()) })
	if err == nil {
		return noted, nil
	}
	if !errors.Is(err, errChanged) {
		k.b.log(ctx, "the visit could not be noted", err)
	}
	return v, nil
}

func (k *storeVisitors) cookie(v *visitorRecord) (string, bool, error) { return v.value, v.fresh, nil }
