package bff

import (
	"context"
	"errors"
	"fmt"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// storeKeeper keeps each visitor's record as a row of its own in the token
// store, under a hash of the cookie's value.
type storeKeeper struct {
	b      *BFF
	rows   *rows
	renews bool // the client renews nothing by itself
}

func (k *storeKeeper) row(id string) string { return k.rows.key("visitor", id) }

func (k *storeKeeper) open(ctx context.Context, value string) (*visitor, error) {
	if !wellFormed(value) {
		return nil, nil
	}
	v, err := k.read(ctx, digest("visitor", value))
	if v != nil {
		v.value = value
	}
	return v, err
}

// read returns nil for a row that is absent or damaged.
func (k *storeKeeper) read(ctx context.Context, id string) (*visitor, error) {
	data, found, err := k.rows.load(ctx, k.row(id))
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
	return &visitor{record: r, id: id}, nil
}

func (k *storeKeeper) issue(ctx context.Context, r record) (*visitor, error) {
	v := &visitor{record: r, value: randomValue(), fresh: true}
	v.id = digest("visitor", v.value)
	v.Generation = nextGeneration(0)
	saved, err := k.rows.saveIf(ctx, k.row(v.id), v.encode(), 0, v.Generation, v.ttl(&k.b.opts, time.Now()))
	if err == nil && !saved {
		err = fmt.Errorf("%w: a new visitor's row exists already", emporix.ErrStoreUnavailable)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (k *storeKeeper) update(ctx context.Context, v *visitor, change func(*record)) (*visitor, error) {
	for range saveTries {
		next := v.record
		change(&next)
		next.Generation = nextGeneration(v.Generation)
		saved, err := k.rows.saveIf(ctx, k.row(v.id), next.encode(), v.Generation, next.Generation, next.ttl(&k.b.opts, time.Now()))
		changed := *v
		if err != nil {
			return nil, err
		}
		if saved {
			changed.record = next
			return &changed, nil
		}
		now, err := k.read(ctx, v.id)
		switch {
		case err != nil:
			return nil, err
		case now == nil || now.Superseded || now.Key != v.Key:
			return nil, errChanged
		}
		changed.record = now.record
		v = &changed
	}
	return nil, errChanged
}

var errChanged = fmt.Errorf("%w: another request of the visitor's has changed the session meanwhile", emporix.ErrConflict)

func (k *storeKeeper) claim(ctx context.Context, v *visitor, to string) (*visitor, error) {
	claimed := *v
	claimed.Generation = nextGeneration(v.Generation)
	claimed.Changing, claimed.Moving = time.Now().Add(changeLimit).UnixMilli(), to
	saved, err := k.rows.saveIf(ctx, k.row(v.id), claimed.encode(), v.Generation, claimed.Generation, claimed.ttl(&k.b.opts, time.Now()))
	if err != nil || !saved {
		return nil, err
	}
	return &claimed, nil
}

func (k *storeKeeper) supersede(ctx context.Context, v, next *visitor) error {
	_, err := k.update(ctx, v, func(r *record) {
		r.Superseded, r.Customer, r.LoggedIn, r.Changing, r.Moving, r.Social = true, "", 0, 0, "", nil
		if next != nil {
			r.Next = next.id
		}
	})
	return err
}

func (k *storeKeeper) successor(ctx context.Context, v *visitor) (*visitor, error) {
	if v.Next == "" {
		return nil, nil
	}
	return k.read(ctx, v.Next)
}

func (k *storeKeeper) discard(ctx context.Context, v *visitor) error {
	return k.rows.delete(ctx, k.row(v.id))
}

// prepare notes the visit, from time to time. That it can't is no reason to turn
// the visitor away: a store that only reads still serves pages.
func (k *storeKeeper) prepare(ctx context.Context, v *visitor, s *emporix.Session) (*visitor, error) {
	if k.renews {
		if err := s.Renew(ctx); err != nil {
			if ctx.Err() != nil || errors.Is(err, emporix.ErrClosed) {
				return nil, err
			}
			k.b.log(ctx, "a session could not be renewed", err) // the call that needs it says so
		}
	}
	if time.Since(time.Unix(v.Seen, 0)) < k.b.touchPace {
		return v, nil
	}
	noted, err := k.update(ctx, v, func(r *record) { r.Seen = time.Now().Unix() })
	if err == nil {
		return noted, nil
	}
	if !errors.Is(err, errChanged) {
		k.b.log(ctx, "the visit could not be noted", err)
	}
	return v, nil
}

func (k *storeKeeper) cookie(v *visitor) (string, bool, error) { return v.value, v.fresh, nil }
