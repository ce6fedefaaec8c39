package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// The lifetimes that the API documents.
const (
	anonymousLife = 3599 * time.Second
	customerLife  = 2591999 * time.Second
	refreshLife   = 86399 * time.Second
)

// The names of the office's calls.
const (
	anonymous        = "anonymous"
	refreshAnonymous = "refresh anonymous"
	refreshCustomer  = "refresh customer"
	employee         = "employee"
	revoke           = "revoke"
	login            = "login"
)

type tokenCall struct {
	op, bearer, refresh, entity string
	at                          time.Time
}

// office is a scripted Issuer. Its tokens are numbered over all calls.
type office struct {
	mu     sync.Mutex
	calls  []tokenCall
	took   time.Duration
	answer func(ctx context.Context, c tokenCall, g *Grant) error // changes a grant or fails; may be nil
}

func (o *office) issue(ctx context.Context, c tokenCall, access string, life, refresh time.Duration) (Grant, error) {
	c.at = time.Now()
	o.mu.Lock()
	o.calls = append(o.calls, c)
	n, took, answer := len(o.calls), o.took, o.answer
	o.mu.Unlock()
	if took > 0 && !pause(ctx, took) {
		return Grant{}, &failure.Failure{Token: failure.Unknown, Err: context.Cause(ctx)}
	}
	known := func(d time.Duration) wire.Lifetime { return wire.Lifetime{Duration: d, Known: true} }
	g := Grant{SentAt: c.at, Token: wire.Token{
		Access: secret.New(fmt.Sprintf("%s%d", access, n)), ExpiresIn: known(life),
		Refresh: secret.New(fmt.Sprintf("R%d", n)), RefreshExpiresIn: known(refresh),
	}}
	if c.op == anonymous {
		g.SessionID = fmt.Sprintf("S%d", n)
	}
	if answer != nil {
		if err := answer(ctx, c, &g); err != nil {
			return Grant{}, err
		}
	}
	return g, nil
}

func (o *office) Anonymous(ctx context.Context, sc SessionContext) (Grant, error) {
	return o.issue(ctx, tokenCall{op: anonymous, entity: sc.SiteCode}, "A", anonymousLife, refreshLife)
}

func (o *office) RefreshAnonymous(ctx context.Context, refresh secret.Secret) (Grant, error) {
	return o.issue(ctx, tokenCall{op: refreshAnonymous, refresh: refresh.Reveal()}, "A", anonymousLife, refreshLife)
}

func (o *office) RefreshCustomer(ctx context.Context, bearer, refresh secret.Secret, entity string) (Grant, error) {
	return o.issue(ctx, tokenCall{op: refreshCustomer, bearer: bearer.Reveal(), refresh: refresh.Reveal(), entity: entity}, "C", customerLife, refreshLife)
}

func (o *office) Employee(ctx context.Context) (Grant, error) {
	return o.issue(ctx, tokenCall{op: employee}, "E", 4*time.Hour, 0)
}

func (o *office) Revoke(ctx context.Context, access secret.Secret) error {
	_, err := o.issue(ctx, tokenCall{op: revoke, bearer: access.Reveal()}, "", 0, 0)
	return err
}

// login is what a Login calls.
func (o *office) login(ctx context.Context, bearer Token) (Grant, error) {
	g, err := o.issue(ctx, tokenCall{op: login, bearer: bearer.Access.Reveal()}, "C", customerLife, refreshLife)
	if err == nil {
		g.SaaS = secret.New("saas-" + g.Access.Reveal())
	}
	return g, err
}

func (o *office) of(op string) (calls []tokenCall) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		if c.op == op {
			calls = append(calls, c)
		}
	}
	return calls
}

func (o *office) count(op string) int { return len(o.of(op)) }

// script sets how the office answers from now on.
func (o *office) script(took time.Duration, answer func(context.Context, tokenCall, *Grant) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.took, o.answer = took, answer
}

var errWire = errors.New("the wire is down")

// failing answers every op with outcome; nil outcomes succeed.
func failing(outcomes map[string]failure.Outcome) func(context.Context, tokenCall, *Grant) error {
	return func(_ context.Context, c tokenCall, _ *Grant) error {
		if outcome, fails := outcomes[c.op]; fails {
			return &failure.Failure{Token: outcome, Err: errWire}
		}
		return nil
	}
}

// trip is what goes wrong with one use of the shelf.
type trip uint8

const (
	works  trip = iota
	breaks      // nothing is done
	loses       // it is done, and the answer is an error
	panics
)

type shelfRow struct {
	data       []byte
	generation uint64
	until      time.Time
}

// shelf is a conditional store that fails on demand.
type shelf struct {
	mu    sync.Mutex
	rows  map[string]shelfRow
	saves int
	fault func(op string) trip // may sleep; may be nil
}

var errShelf = errors.New("the shelf is down")

func (s *shelf) do(op string, act func()) error {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	how := works
	if fault != nil {
		how = fault(op)
	}
	switch how {
	case breaks:
		return errShelf
	case panics:
		panic("R1 fell off the shelf")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	act()
	if how == loses {
		return errShelf
	}
	return nil
}

func (s *shelf) Load(_ context.Context, key string) (data []byte, found bool, err error) {
	err = s.do("load", func() {
		if r := s.rows[key]; time.Now().Before(r.until) {
			data, found = r.data, true
		}
	})
	return data, found, err
}

func (s *shelf) Save(_ context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	return s.do("save", func() {
		s.saves++
		s.rows[key] = shelfRow{data, generation, time.Now().Add(ttl)}
	})
}

func (s *shelf) SaveIf(_ context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error) {
	err = s.do("save", func() {
		var current uint64
		if r := s.rows[key]; time.Now().Before(r.until) {
			current = r.generation
		}
		if saved = current == expected; saved {
			s.saves++
			s.rows[key] = shelfRow{data, generation, time.Now().Add(ttl)}
		}
	})
	return saved, err
}

func (s *shelf) Delete(_ context.Context, key string) error {
	return s.do("delete", func() { delete(s.rows, key) })
}

func (s *shelf) fail(fault func(op string) trip) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// always fails one kind of operation.
func always(op string, how trip) func(string) trip {
	return func(got string) trip {
		if got == op {
			return how
		}
		return works
	}
}

// world is a manager over an office and a shelf.
type world struct {
	t      *testing.T
	m      *Manager
	office *office
	shelf  *shelf

	mu     sync.Mutex
	events []Event
}

// bubble runs a test in virtual time. When it ends, every goroutine has.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newWorld(t, &office{}, &shelf{rows: map[string]shelfRow{}}))
	})
}

func newWorld(t *testing.T, o *office, s *shelf) *world { return newWorldOver(t, o, s, s) }

func newWorldOver(t *testing.T, o *office, s *shelf, store Store) *world {
	w := &world{t: t, office: o, shelf: s}
	w.m = New(Config{
		Scope: "acme", Store: store, Issuer: o, RefreshLimit: 30 * time.Second, StoreLimit: 2 * time.Second,
		Notify: func(e Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	})
	t.Cleanup(func() {
		if w.m.Closed() {
			return
		}
		assert.NoError(t, w.m.Close(context.Background()))
	})
	return w
}

// visitor is one of the first Manager that it is used with.
func visitor(key string) *Visitor { return &Visitor{id: secret.New(key)} }

// at returns v, of this Manager.
func (m *Manager) at(v *Visitor) *Visitor {
	if v.m == nil {
		v.Init(m, "visitor/", v.id.Reveal())
	}
	if v.m() != m {
		panic("a visitor of another Manager")
	}
	return v
}

// token is what a call gets; it must not fail.
func (w *world) token(v *Visitor, want Want) string {
	w.t.Helper()
	token, err := w.m.at(v).Token(w.t.Context(), want)
	require.NoError(w.t, err)
	return token.Access.Reveal()
}

// customer is a visitor who is logged in.
func (w *world) customer(key string) *Visitor {
	w.t.Helper()
	v := visitor(key)
	w.logIn(v)
	return v
}

func (w *world) logIn(v *Visitor) Login {
	w.t.Helper()
	result, err := w.m.at(v).Login(w.t.Context(), w.office.login)
	require.NoError(w.t, err)
	require.True(w.t, result.Established)
	return result
}

// info is the session as another value of the same visitor sees it.
func (w *world) info(key string) Record {
	w.t.Helper()
	r, err := w.m.at(visitor(key)).Info(w.t.Context())
	require.NoError(w.t, err)
	return r
}

// row is what lies on the shelf.
func (w *world) row(key string) *Record {
	w.t.Helper()
	w.shelf.mu.Lock()
	defer w.shelf.mu.Unlock()
	row, found := w.shelf.rows[rowOf(key)]
	if !found {
		return nil
	}
	r, err := decode(row.data)
	require.NoError(w.t, err)
	require.Equal(w.t, row.generation, r.Generation)
	return r
}

// told returns the events so far, and forgets them.
func (w *world) told() []EventKind {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var kinds []EventKind
	for _, e := range w.events {
		kinds = append(kinds, e.Kind)
	}
	w.events = nil
	return kinds
}

// elapsed returns how long do took, in virtual time.
func elapsed(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

// size is how much the manager remembers of a kind.
func (w *world) size(of string) int {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	w.m.debts.mu.Lock()
	defer w.m.debts.mu.Unlock()
	return map[string]int{
		"flights": len(w.m.flights), "running": len(w.m.running), "troubles": len(w.m.troubles), "debts": len(w.m.debts.owed),
	}[of]
}

// rowOf is the store's name for a visitor's row.
func rowOf(key string) string { return "acme/visitor/" + key }
