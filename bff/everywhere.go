package bff

import (
	"context"
	crand "crypto/rand"
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
	Write      string  `json:"w,omitempty"` // names the write, so that its writer knows it again
	Ended      uint64  `json:"e,omitempty"` // generation of the last logout everywhere; sessions listed before are over
	Sessions   []entry `json:"s,omitempty"` // the oldest first
}

type entry struct {
	ID string `json:"i"`
	At int64  `json:"t"` // unix milliseconds, by the clock of the replica of the login
}

func (l *listing) encode() []byte {
	data, err := json.Marshal(l)
	if err != nil { // strings and numbers always encode
		panic("bff: a list does not encode")
	}
	return data
}

// listSlack is how much longer a list and its entries stay than the sessions, so
// that none is forgotten early where the clocks of replicas differ.
const listSlack = 24 * time.Hour

func (x *index) row(customer string) string {
	return x.rows.key("customer", digest("customer", customer))
}

func (x *index) read(ctx context.Context, customer string) (listing, error) {
	data, found, err := x.rows.loadAgain(ctx, x.row(customer))
	if err != nil || !found {
		return listing{Version: recordVersion}, err
	}
	if err := tooNew(data, "the list of a customer's sessions"); err != nil {
		return listing{}, err
	}
	var l listing
	if json.Unmarshal(data, &l) != nil || l.Version != recordVersion || l.Generation == 0 {
		return l, fmt.Errorf("bff: %w: the list of a customer's sessions is damaged; remove its row", emporix.ErrStoreUnavailable)
	}
	return l, nil
}

// update changes the list, however many do it at once. change is given the list
// with the generation that it will have.
func (x *index) update(ctx context.Context, customer string, change func(*listing) error) error {
	for try := range 4 * saveTries {
		l, err := x.read(ctx, customer)
		if err != nil {
			return err
		}
		before := l.Generation
		l.Generation, l.Write = nextGeneration(before), crand.Text()
		if err := change(&l); err != nil {
			return err
		}
		saved, err := x.rows.saveIf(ctx, x.row(customer), l.encode(), before, l.Generation, x.b.opts.Absolute+listSlack, saveTries)
		if err != nil || saved {
			return err
		}
		if !pause(ctx, rand.N(time.Duration(min(try, 6)+1)*5*time.Millisecond)) { // #nosec G404 -- jitter
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("bff: %w: the list of the customer's sessions kept changing", emporix.ErrStoreUnavailable)
}

// add lists a session beside the one that it follows, and returns the generation
// of the list in which its login is. A session whose login was listed before its
// customer was logged out everywhere is refused.
func (x *index) add(ctx context.Context, id string, r *record, follows *visitor) (listed uint64, err error) {
	former := ""
	if follows != nil {
		former = follows.id
	}
	listed = r.Listed
	var oldest []entry
	err = x.update(ctx, r.Customer, func(l *listing) error {
		if listed == 0 { // of a login: it counts from the first try
			listed = l.Generation
		}
		if listed <= l.Ended {
			return fmt.Errorf("bff: %w: the customer was logged out everywhere meanwhile", emporix.ErrSessionExpired)
		}
		dead := time.Now().Add(-x.b.opts.Absolute - listSlack).UnixMilli()
		l.Sessions = slices.DeleteFunc(l.Sessions, func(e entry) bool { return e.At < dead || e.ID == id })
		oldest = slices.DeleteFunc(slices.Clone(l.Sessions), func(e entry) bool { return e.ID == former })
		oldest = oldest[:max(len(oldest)+1-x.b.opts.MaxSessions, 0)]
		l.Sessions = append(l.Sessions, entry{ID: id, At: r.LoggedIn})
		return nil
	})
	if err != nil || len(oldest) == 0 {
		return listed, err
	}
	if err := x.endAll(ctx, r.Customer, oldest); err != nil { // what goes on stays listed
		x.b.log(ctx, "a customer's oldest session was not logged out", err)
	}
	return listed, nil
}

func (x *index) remove(ctx context.Context, customer string, ids ...string) error {
	return x.update(ctx, customer, func(l *listing) error {
		l.Sessions = slices.DeleteFunc(l.Sessions, func(e entry) bool { return slices.Contains(ids, e.ID) })
		return nil
	})
}

// endAll logs sessions out and takes those that are over from the list.
func (x *index) endAll(ctx context.Context, customer string, sessions []entry) error {
	over, err := x.end(ctx, sessions)
	if len(over) == 0 {
		return err
	}
	return errors.Join(err, x.remove(ctx, customer, over...))
}

// end logs sessions out, a few at a time, and returns those that are over.
func (x *index) end(ctx context.Context, sessions []entry) (over []string, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, e := range sessions {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			gone, endErr := x.endOne(ctx, e.ID)
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

// endOne ends an ID and its session; either is enough for nobody to be logged in
// with it. A change that is under way is ended at both its places.
func (x *index) endOne(ctx context.Context, id string) (gone bool, err error) {
	keep := &storeKeeper{b: x.b, rows: x.rows}
	who, err := keep.visitor(ctx, id, x.rows.loadAgain)
	if err != nil {
		return false, err
	}
	if who == nil || who.Superseded {
		return true, nil
	}
	places := []*visitor{who}
	if who.Moving != "" {
		next, err := keep.visitor(ctx, who.Next, x.rows.loadAgain)
		if err != nil {
			return false, err
		}
		if next != nil && next.State != stateSettled { // a settled one is listed itself, perhaps for somebody else
			places = append(places, next)
		}
	}
	var unwritten, unconfirmed error
	for _, place := range places {
		// The ID first: from here on no request finds the session.
		idErr := keep.discard(ctx, place)
		err := endSession(ctx, x.b.client.Session(place.Key))
		switch {
		case idErr == nil, !errors.Is(err, emporix.ErrStoreUnavailable) && !errors.Is(err, emporix.ErrClosed):
			unconfirmed = errors.Join(unconfirmed, notRemoved(err))
		default:
			unwritten = errors.Join(unwritten, idErr, err)
		}
	}
	return unwritten == nil, errors.Join(unwritten, unconfirmed)
}

// notRemoved is the error of a logout whose visitor ID is over all the same: the
// customer is logged out, whatever the store says of the session.
func notRemoved(err error) error {
	if !errors.Is(err, emporix.ErrStoreUnavailable) { // also none
		return err
	}
	return fmt.Errorf("bff: %w: the customer is logged out, and the session's tokens could not be removed: %v", emporix.ErrUnavailable, err) //nolint:errorlint // it must not say that the customer may be logged in
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
	ctx, cancel := detach(ctx)
	defer cancel()
	var sessions []entry
	err := b.index.update(ctx, customerNumber, func(l *listing) error {
		l.Ended = l.Generation
		sessions = slices.Clone(l.Sessions)
		return nil
	})
	if err != nil {
		return err
	}
	return b.index.endAll(ctx, customerNumber, sessions)
}
