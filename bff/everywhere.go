package bff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// index knows the sessions of each customer: one row per customer, under a hash
// of the customer number, with the IDs of the sessions' rows.
type index struct {
	b    *BFF
	rows *rows
}

type listing struct {
	Version    int     `json:"v"`
	Generation uint64  `json:"g"`
	Ended      int64   `json:"e,omitempty"` // unix milliseconds; sessions that began before are over
	Sessions   []entry `json:"s,omitempty"` // the oldest first
}

type entry struct {
	ID string `json:"i"`
	At int64  `json:"t"` // unix milliseconds
}

func (x *index) row(customer string) string {
	return x.rows.key("customer", digest("customer", customer))
}

func (x *index) read(ctx context.Context, customer string) (listing, error) {
	data, found, err := x.rows.load(ctx, x.row(customer))
	if err != nil || !found {
		return listing{Version: recordVersion}, err
	}
	var l listing
	if json.Unmarshal(data, &l) != nil || l.Version != recordVersion || l.Generation == 0 {
		return l, fmt.Errorf("bff: %w: the list of a customer's sessions is damaged, or of a newer version", emporix.ErrStoreUnavailable)
	}
	return l, nil
}

// update changes the list, however many do it at once.
func (x *index) update(ctx context.Context, customer string, change func(*listing) error) error {
	for try := range 4 * saveTries {
		l, err := x.read(ctx, customer)
		if err != nil {
			return err
		}
		before := l.Generation
		if err := change(&l); err != nil {
			return err
		}
		l.Generation = nextGeneration(before)
		data, err := json.Marshal(l)
		if err != nil {
			return err
		}
		saved, err := x.rows.saveIf(ctx, x.row(customer), data, before, l.Generation, x.b.opts.Absolute)
		if err != nil || saved {
			return err
		}
		pause := time.NewTimer(rand.N(time.Duration(min(try, 6)+1) * 5 * time.Millisecond)) // #nosec G404 -- jitter
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("bff: %w: the list of the customer's sessions kept changing", emporix.ErrStoreUnavailable)
}

// add lists a session in place of the one that it follows. A session that began
// before its customer was logged out everywhere is refused.
func (x *index) add(ctx context.Context, v, follows *visitor) error {
	var oldest []entry
	err := x.update(ctx, v.Customer, func(l *listing) error {
		if v.LoggedIn <= l.Ended {
			return fmt.Errorf("bff: %w: the customer was logged out everywhere meanwhile", emporix.ErrSessionExpired)
		}
		dead := time.Now().Add(-x.b.opts.Absolute).UnixMilli()
		l.Sessions = slices.DeleteFunc(l.Sessions, func(e entry) bool {
			return e.At < dead || follows != nil && e.ID == follows.id || e.ID == v.id
		})
		oldest = nil
		if spare := len(l.Sessions) + 1 - x.b.opts.MaxSessions; spare > 0 {
			oldest = slices.Clone(l.Sessions[:spare])
			l.Sessions = slices.Delete(l.Sessions, 0, spare)
		}
		l.Sessions = append(l.Sessions, entry{ID: v.id, At: v.LoggedIn})
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := x.end(ctx, v.Customer, oldest); err != nil {
		x.b.log(ctx, "a customer's oldest session was not logged out", err)
	}
	if follows != nil && follows.Customer != "" && follows.Customer != v.Customer {
		if err := x.remove(ctx, follows.Customer, follows.id); err != nil {
			x.b.log(ctx, "the list of a customer's sessions could not be updated", err)
		}
	}
	return nil
}

func (x *index) remove(ctx context.Context, customer, id string) error {
	return x.update(ctx, customer, func(l *listing) error {
		l.Sessions = slices.DeleteFunc(l.Sessions, func(e entry) bool { return e.ID == id })
		return nil
	})
}

// end logs sessions out, a few at a time, and returns those that are over.
func (x *index) end(ctx context.Context, customer string, sessions []entry) (over []string, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, e := range sessions {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			gone, endErr := x.endOne(ctx, customer, e.ID)
			mu.Lock()
			defer mu.Unlock()
			if gone {
				over = append(over, e.ID)
			}
			err = errors.Join(err, endErr)
		})
	}
	all.Wait()
	return over, err
}

func (x *index) endOne(ctx context.Context, customer, id string) (gone bool, err error) {
	keep := &storeKeeper{b: x.b, rows: x.rows}
	who, err := keep.read(ctx, id)
	if err != nil {
		return false, err
	}
	if who == nil || who.Customer != customer {
		return true, nil
	}
	// The ID first: from here on no request finds the session.
	if err := keep.discard(ctx, who); err != nil {
		return false, err
	}
	err = x.b.client.Session(who.Key).Auth.Logout(ctx)
	if errors.Is(err, emporix.ErrNotLoggedIn) {
		err = nil
	}
	return true, err
}

// LogoutEverywhere logs a customer out of all sessions that began before now, in
// whichever browser and on whichever replica. Sessions are removed here whatever
// the server says; an error that is not emporix.ErrStoreUnavailable means that
// the server did not confirm all of them. After emporix.ErrStoreUnavailable some
// sessions may go on: try again. With sessions in cookies it is ErrNeedsStore.
func (b *BFF) LogoutEverywhere(ctx context.Context, customerNumber string) error {
	if b.index == nil {
		return ErrNeedsStore
	}
	if customerNumber == "" {
		return &emporix.ArgumentError{Field: "customerNumber", Reason: "is empty"}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeLimit)
	defer cancel()
	var sessions []entry
	ended := time.Now().UnixMilli()
	err := b.index.update(ctx, customerNumber, func(l *listing) error {
		l.Ended = max(l.Ended, ended)
		sessions = slices.Clone(l.Sessions) // also those of a replica whose clock is ahead
		for _, e := range sessions {
			l.Ended = max(l.Ended, e.At)
		}
		return nil
	})
	if err != nil {
		return err
	}
	over, err := b.index.end(ctx, customerNumber, sessions)
	return errors.Join(err, b.index.update(ctx, customerNumber, func(l *listing) error {
		l.Sessions = slices.DeleteFunc(l.Sessions, func(e entry) bool { return slices.Contains(over, e.ID) })
		return nil
	}))
}
