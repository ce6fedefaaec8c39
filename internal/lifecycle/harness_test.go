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

// The names of the tokenServer's calls.
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

// tokenServer is a scripted Issuer. Its tokens are numbered over all calls.
type tokenServer struct {
	mu     sync.Mutex
	calls  []tokenCall
	took   time.Duration
	answer func(ctx context.Context, c tokenCall, g *Grant) error // changes a grant or fails; may be nil
}

func (o *tokenServer) issue(ctx context.Context, c tokenCall, access string, life, refresh time.Duration) (Grant, error) {
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

func (o *tokenServer) Anonymous(ctx context.Context, sc SessionContext) (Grant, error) {
	return o.issue(ctx, tokenCall{op: anonymous, entity: sc.SiteCode}, "A", anonymousLife, refreshLife)
}

func (o *tokenServer) RefreshAnonymous(ctx context.Context, refresh secret.Secret) (Grant, error) {
	return o.issue(ctx, tokenCall{op: refreshAnonymous, refresh: refresh.Reveal()}, "A", anonymousLife, refreshLife)
}

func (o *tokenServer) RefreshCustomer(ctx context.Context, bearer, refresh secret.Secret, entity string) (Grant, error) {
	return o.issue(ctx, tokenCall{op: refreshCustomer, bearer: bearer.Reveal(), refresh: refresh.Reveal(), entity: entity}, "C", customerLife, refreshLife)
}

func (o *tokenServer) Employee(ctx context.Context) (Grant, error) {
	return o.issue(ctx, tokenCall{op: employee}, "E", 4*time.Hour, 0)
}

func (o *tokenServer) Revoke(ctx context.Context, access secret.Secret) error {
	_, err := o.issue(ctx, tokenCall{op: revoke, bearer: access.Reveal()}, "", 0, 0)
	return err
}

// login is what a Login calls.
func (o *tokenServer) login(ctx context.Context, bearer Token) (Grant, error) {
	g, err := o.issue(ctx, tokenCall{op: login, bearer: bearer.Access.Reveal()}, "C", customerLife, refreshLife)
	if err == nil {
		g.SaaS = secret.New("saas-" + g.Access.Reveal())
	}
	return g, err
}

func (o *tokenServer) of(op string) (calls []tokenCall) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		if c.op == op {
			calls = append(calls, c)
		}
	}
	return calls
}

func (o *tokenServer) count(op string) int { return len(o.of(op)) }

// script sets how the tokenServer answers from now on.
func (o *tokenServer) script(took time.Duration, answer func(context.Context, tokenCall, *Grant) error) {
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

// trip is what goes wrong with one use of the fakeStore.
type trip uint8

const (
	works  trip = iota
	breaks      // nothing is done
	loses       // it is done, and the response is an error
	panics
)

type fakeRow struct {
	data       []byte
	generation uint64
	until      time.Time
}

// fakeStore is a conditional store that fails on demand.
type fakeStore struct {
	mu    sync.Mutex
	rows  map[string]fakeRow
	saves int
	fault func(op string) trip // may sleep; may be nil
}

var errStoreDown = errors.New("the fakeStore is down")

func (s *fakeStore) do(op string, act func()) error {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	how := works
	if fault != nil {
		how = fault(op)
	}
	switch how {
	case breaks:
		return errStoreDown
	case panics:
		panic("R1 is lost")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	act()
	if how == loses {
		return errStoreDown
	}
	return nil
}

func (s *fakeStore) Load(_ context.Context, key string) (data []byte, found bool, err error) {
	err = s.do("load", func() {
		if r := s.rows[key]; time.Now().Before(r.until) {
			data, found = r.data, true
		}
	})
	return data, found, err
}

func (s *fakeStore) Save(_ context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	return s.do("save", func() {
		s.saves++
		s.rows[key] = fakeRow{data, generation, time.Now().Add(ttl)}
	})
}

func (s *fakeStore) SaveIf(_ context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error) {
	err = s.do("save", func() {
		var current uint64
		if r := s.rows[key]; time.Now().Before(r.until) {
			current = r.generation
		}
		if saved = current == expected; saved {
			s.saves++
			s.rows[key] = fakeRow{data, generation, time.Now().Add(ttl)}
		}
	})
	return saved, err
}

func (s *fakeStore) Delete(_ context.Context, key string) error {
	return s.do("delete", func() { delete(s.rows, key) })
}

func (s *fakeStore) fail(fault func(op string) trip) {
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

// fixture is a manager over a tokenServer and a fakeStore.
type fixture struct {
	t           *testing.T
	m           *Manager
	tokenServer *tokenServer
	fakeStore   *fakeStore

	mu     sync.Mutex
	events []Event
}

// inVirtualTime runs a test in virtual time. When it ends, every goroutine has.
func inVirtualTime(t *testing.T, test func(t *testing.T, w *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newFixture(t, &tokenServer{}, &fakeStore{rows: map[string]fakeRow{}}))
	})
}

func newFixture(t *testing.T, o *tokenServer, s *fakeStore) *fixture {
	return newFixtureOver(t, o, s, s)
}

func newFixtureOver(t *testing.T, o *tokenServer, s *fakeStore, store Store) *fixture {
	w := &fixture{t: t, tokenServer: o, fakeStore: s}
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
		key := v.id.Reveal()
		v.id = secret.Secret{}
		v.Init(m, "visitor/", key)
	}
	if v.m() != m {
		panic("a visitor of another Manager")
	}
	return v
}

// token is what a call gets; it must not fail.
func (w *fixture) token(v *Visitor, want Want) string {
	w.t.Helper()
	token, err := w.m.at(v).Token(w.t.Context(), want)
	require.NoError(w.t, err)
	return token.Access.Reveal()
}

// customer is a visitor who is logged in.
func (w *fixture) customer(key string) *Visitor {
	w.t.Helper()
	v := visitor(key)
	w.logIn(v)
	return v
}

func (w *fixture) logIn(v *Visitor) Login {
	w.t.Helper()
	result, err := w.m.at(v).Login(w.t.Context(), w.tokenServer.login)
	require.NoError(w.t, err)
	require.True(w.t, result.Established)
	return result
}

// info is the session as another value of the same visitor sees it.
func (w *fixture) info(key string) Record {
	w.t.Helper()
	r, err := w.m.at(visitor(key)).Info(w.t.Context())
	require.NoError(w.t, err)
	return r
}

// row is what lies on the fakeStore.
func (w *fixture) row(key string) *Record {
	w.t.Helper()
	w.fakeStore.mu.Lock()
	defer w.fakeStore.mu.Unlock()
	row, found := w.fakeStore.rows[rowOf(key)]
	if !found {
		return nil
	}
	r, err := decode(row.data)
	require.NoError(w.t, err)
	require.Equal(w.t, row.generation, r.Generation)
	return r
}

// told returns the events so far, and forgets them.
func (w *fixture) told() []EventKind {
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
func (w *fixture) size(of string) int {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	w.m.pending.mu.Lock()
	defer w.m.pending.mu.Unlock()
	return map[string]int{
		"flights": len(w.m.flights), "running": len(w.m.running), "backoffs": len(w.m.backoffs), "pending writes": len(w.m.pending.rows),
	}[of]
}

// rowOf is the store's name for a visitor's row.
func rowOf(key string) string { return "acme/visitor/" + key }
