package bff

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/transport"
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
	Lost       int64   `json:"l,omitempty"` // unix milliseconds: when a damaged list was replaced; it may have named more sessions
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
	switch {
	case errors.Is(err, emporix.ErrStoreCorrupt): // as a store says that seals its rows
		return listing{}, errDamagedList
	case err != nil || !found:
		return listing{Version: recordVersion}, err
	}
	if err := tooNew(data, "the list of a customer's sessions"); err != nil {
		return listing{}, err
	}
	var l listing
	if json.Unmarshal(data, &l) != nil || l.Version != recordVersion || l.Generation == 0 {
		return listing{}, errDamagedList
	}
	return l, nil
}

// update changes the list, however many do it at once. change is given the list
// with the generation that it will have.
func (x *index) update(ctx context.Context, customer string, change func(*listing) error) error {
	lost := int64(0)
	for try := range 4 * saveTries {
		l, err := x.read(ctx, customer)
		if errors.Is(err, errDamagedList) {
			if l, err = x.replace(ctx, customer); errors.Is(err, errChanged) { // by another request
				if !pause(ctx, writePause) {
					return context.Cause(ctx)
				}
				continue
			}
		}
		if err != nil {
			return err
		}
		// Another request may have begun a list between the removal and this write.
		lost = max(lost, l.Lost)
		l.Lost = lost
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

// errDamagedList: which sessions a customer has can't be read.
var errDamagedList = fmt.Errorf("bff: %w: the list of a customer's sessions is damaged", emporix.ErrStoreCorrupt)

// usable reports whether the list can be read, or can be replaced.
func (x *index) usable(ctx context.Context, customer string) error {
	if _, err := x.read(ctx, customer); !errors.Is(err, errDamagedList) {
		return err
	}
	return nil
}

// replace removes a damaged list, so that its customer can log in. One request
// does that; errChanged means that it is another one. The list that follows must
// not be removed with it: so the mark stays, and the row is looked at again.
func (x *index) replace(ctx context.Context, customer string) (listing, error) {
	mark := listing{Version: recordVersion, Generation: nextGeneration(0), Write: crand.Text()}
	row := x.rows.key("repair", digest("customer", customer))
	marked, err := x.rows.saveIf(ctx, row, mark.encode(), 0, mark.Generation, changeLimit, saveTries)
	if err != nil {
		return listing{}, err
	}
	if !marked {
		return listing{}, errChanged
	}
	l, err := x.read(ctx, customer)
	if !errors.Is(err, errDamagedList) {
		return l, err
	}
	if err := x.rows.delete(ctx, x.row(customer)); err != nil {
		return listing{}, err
	}
	x.b.log(ctx, "a customer's sessions are listed anew; those from before are not found when the customer is logged out everywhere", errDamagedList)
	return listing{Version: recordVersion, Lost: time.Now().UnixMilli()}, nil
}

// add lists a session beside the one that it follows, and returns the generation
// of the list in which its login is. A session whose login was listed before its
// customer was logged out everywhere is refused.
func (x *index) add(ctx context.Context, id string, r *record, follows *visitorRecord) (listed uint64, err error) {
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
			return fmt.Errorf("bff: %w: the customer was logged out everywhere during this login", emporix.ErrSessionExpired)
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

// end logs sessions out, a few at a time, and returns those that are over. All
// their IDs end before the API is asked: it may be slow, and time may run out.
func (x *index) end(ctx context.Context, sessions []entry) (over []string, err error) {
	endings := make([]ending, len(sessions))
	fewAtATime(len(sessions), func(i int) { endings[i] = x.endID(ctx, sessions[i].ID) })
	fewAtATime(len(sessions), func(i int) { endings[i].endSessions(ctx, x) })
	for i, e := range endings {
		if e.unwritten == nil {
			over = append(over, sessions[i].ID)
		}
		err = errors.Join(err, e.unwritten, e.unconfirmed)
	}
	return over, err
}

func fewAtATime(n int, do func(i int)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	all.Wait()
}

// ending is what a logout of one session has come to.
type ending struct {
	places                 []place
	unwritten, unconfirmed error
}

// place is where a session is, and why its ID could not be removed.
type place struct {
	key   string
	idErr error
}

// endID ends an ID. A change that is under way is ended at both its places.
func (x *index) endID(ctx context.Context, id string) (e ending) {
	keep := &storeVisitors{b: x.b, rows: x.rows}
	find := func(id string) (*visitorRecord, error) {
		who, err := keep.visitor(ctx, id, x.rows.loadAgain)
		if errors.Is(err, emporix.ErrStoreCorrupt) { // a sealed row that no key opens can't be used any more
			return nil, keep.discard(ctx, &visitorRecord{id: id})
		}
		return who, err
	}
	who, err := find(id)
	if err != nil {
		return ending{unwritten: stillIn(err)}
	}
	if who == nil || who.Superseded {
		return ending{}
	}
	found := []*visitorRecord{who}
	if who.Moving != "" {
		next, err := find(who.Next)
		if err != nil {
			return ending{unwritten: stillIn(err)}
		}
		if next != nil && next.State != stateSettled { // a settled one is listed itself, perhaps for another customer
			found = append(found, next)
		}
	}
	for _, v := range found {
		e.places = append(e.places, place{v.Key, keep.discard(ctx, v)})
	}
	return e
}

// endSessions ends the sessions of an ID. With the ID or the session gone, the ID logs
// no customer in.
func (e *ending) endSessions(ctx context.Context, x *index) {
	for _, at := range e.places {
		err := endSession(ctx, x.b.client.Session(at.key))
		switch {
		case at.idErr == nil, !errors.Is(err, emporix.ErrStoreUnavailable) && !errors.Is(err, emporix.ErrClosed) && !errors.Is(err, errStuck):
			e.unconfirmed = errors.Join(e.unconfirmed, notRemoved(err))
		default:
			e.unwritten = errors.Join(e.unwritten, stillIn(errors.Join(at.idErr, err)))
		}
	}
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
// sessions may go on: try again. After emporix.ErrStoreCorrupt some may go on too,
// until they end by themselves: the list that named them was damaged, and was
// replaced. With sessions in cookies it is ErrNeedsStore. A customerNumber that can
// be none, such as one with a space around it, is an *emporix.ArgumentError: it would
// end no session.
func (b *BFF) LogoutEverywhere(ctx context.Context, customerNumber string) error {
	if b.index == nil {
		return ErrNeedsStore
	}
	if err := checkCustomerNumber(customerNumber); err != nil {
		return err
	}
	return b.logoutEverywhere(ctx, customerNumber)
}

// checkCustomerNumber refuses what the API would refuse as a customer number, and what
// it might read as another one.
func checkCustomerNumber(number string) error {
	const field = "customerNumber"
	if f := failure.Of(transport.CheckIdentifier(field, number, 256)); f != nil {
		return &emporix.ArgumentError{Field: field, Reason: f.Err.Error()}
	}
	if strings.TrimSpace(number) != number {
		return &emporix.ArgumentError{Field: field, Reason: "begins or ends with a space"}
	}
	return nil
}

var errLostSessions = fmt.Errorf("bff: %w: the list of the customer's sessions was damaged and has been replaced; sessions that only the damaged one named were not logged out", emporix.ErrStoreCorrupt)

// logoutEverywhere also ends sessions that are known, but may not be listed.
func (b *BFF) logoutEverywhere(ctx context.Context, customerNumber string, known ...entry) error {
	if b.index == nil {
		return ErrNeedsStore
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	var sessions []entry
	var lost error
	err := b.index.update(ctx, customerNumber, func(l *listing) error {
		l.Ended = l.Generation
		sessions, lost = slices.Clone(l.Sessions), nil
		for _, k := range known {
			if !slices.ContainsFunc(sessions, func(e entry) bool { return e.ID == k.ID }) {
				sessions = append(sessions, k)
			}
		}
		if l.Lost != 0 && l.Lost >= time.Now().Add(-b.opts.Absolute-listSlack).UnixMilli() {
			lost = errLostSessions
		}
		return nil
	})
	if err != nil {
		return stillIn(err)
	}
	return errors.Join(b.index.endAll(ctx, customerNumber, sessions), lost)
}
