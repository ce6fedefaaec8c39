package lifecycle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// A token that the server perhaps rejected is renewed if that is possible, and
// nothing more: no session ends, and no failure is told to the caller.
func TestL08_ADoubtfulRejection(t *testing.T) {
	for name, tt := range map[string]struct {
		want    Want
		refresh bool // there is a refresh token
		fails   map[string]failure.Outcome
		renewed bool
		calls   int // of a refresh endpoint
	}{
		"a guest's, renewed":         {WantAnonymous, true, nil, true, 1},
		"a customer's, renewed":      {WantCustomer, true, nil, true, 1},
		"no refresh token":           {WantAnonymous, false, nil, false, 0},
		"a customer's, without one":  {WantCustomer, false, nil, false, 0},
		"a guest's, refused":         {WantAnonymous, true, map[string]failure.Outcome{refreshAnonymous: failure.Refused}, false, 1},
		"a guest's, undecided":       {WantAnonymous, true, map[string]failure.Outcome{refreshAnonymous: failure.Undecided}, false, 1},
		"a customer's, refused":      {WantCustomer, true, map[string]failure.Outcome{refreshCustomer: failure.Refused}, false, 1},
		"a customer's, undecided":    {WantCustomer, true, map[string]failure.Outcome{refreshCustomer: failure.Undecided}, false, 1},
		"a customer's, the server's": {WantCustomer, true, map[string]failure.Outcome{refreshCustomer: failure.Failed}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				w.tokenServer.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
					if !tt.refresh {
						g.Refresh, g.RefreshExpiresIn = secret.Secret{}, wire.Lifetime{}
					}
					return nil
				})
				v := visitor("jo")
				if tt.want == WantCustomer {
					w.logIn(v)
				}
				rejected, err := w.m.at(v).Token(t.Context(), tt.want)
				require.NoError(t, err)
				began := w.tokenServer.count(anonymous)
				w.tokenServer.script(0, failing(tt.fails))
				again, ok := w.m.at(v).ReplaceDoubtful(t.Context(), tt.want, rejected)
				assert.Equal(t, tt.renewed, ok)
				assert.Equal(t, tt.calls, w.tokenServer.count(refreshAnonymous)+w.tokenServer.count(refreshCustomer))
				if ok {
					assert.False(t, again.Access.Equal(rejected.Access))
					_, ok = w.m.at(v).ReplaceDoubtful(t.Context(), tt.want, again)
					assert.False(t, ok, "it is new")
				} else {
					assert.Equal(t, rejected.Access.Reveal(), w.token(v, tt.want), "it stays in use")
				}
				assert.Equal(t, rejected.SessionID, w.info("jo").SessionID)
				events := w.told()
				assert.NotContains(t, events, EventReplaced)
				assert.NotContains(t, events, EventExpired)
				if tt.want == WantAnonymous {
					assert.Equal(t, began, w.tokenServer.count(anonymous))
				}
			})
		})
	}
}

// A bearer of nobody's session, such as that of a login, is not renewed.
func TestL08_ABearerOfItsOwn(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		_, err := w.m.at(v).Login(t.Context(), func(ctx context.Context, bearer Token) (Grant, error) {
			_, ok, err := w.m.at(v).ReplaceRejected(ctx, WantAnonymous, bearer)
			assert.False(t, ok)
			return Grant{}, errors.Join(err, &failure.Failure{Token: failure.BearerRefused, Err: errWire})
		})
		require.ErrorIs(t, err, errWire)
		assert.Zero(t, w.tokenServer.count(refreshAnonymous)+w.tokenServer.count(refreshCustomer))
		assert.Equal(t, "C2", w.token(v, WantCustomer))
	})
}

// What keeps a login from its bearer is told, and no password is sent.
func TestL09_ALoginWithoutABearer(t *testing.T) {
	for name, tt := range map[string]struct {
		customer bool // before
		breaks   func(w *fixture)
		err      error
	}{
		"no anonymous session": {false, func(w *fixture) {
			w.tokenServer.script(0, failing(map[string]failure.Outcome{anonymous: failure.Failed}))
		}, errWire},
		"none for another customer": {true, func(w *fixture) {
			w.tokenServer.script(0, failing(map[string]failure.Outcome{anonymous: failure.Failed}))
		}, errWire},
		"the store can't be read":             {false, func(w *fixture) { w.fakeStore.fail(always("load", breaks)) }, sentinel.StoreUnavailable},
		"the store can't be read, a customer": {true, func(w *fixture) { w.fakeStore.fail(always("load", breaks)) }, sentinel.StoreUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				if tt.customer {
					w.customer("jo")
				}
				tt.breaks(w)
				sent := w.tokenServer.count(login)
				_, err := w.m.at(visitor("jo")).Login(t.Context(), w.tokenServer.login)
				require.ErrorIs(t, err, tt.err)
				assert.Equal(t, sent, w.tokenServer.count(login))
			})
		})
	}
}

// A login whose bearer was refused is sent again only with a new one.
func TestL09_ARejectedBearerThatCannotBeRenewed(t *testing.T) {
	for name, tt := range map[string]struct {
		bearer  failure.Rejection
		refresh failure.Outcome
		logins  int
		guests  int
	}{
		"for sure":                 {failure.TheBearer, failure.Failed, 1, 1},
		"perhaps":                  {failure.PerhapsTheBearer, failure.Failed, 1, 1},
		"for sure, and it is over": {failure.TheBearer, failure.Refused, 2, 2},
		"perhaps, and refused":     {failure.PerhapsTheBearer, failure.Refused, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := visitor("jo")
				own := w.token(v, WantAnonymous)
				w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
					switch {
					case c.op == login && c.bearer == own:
						return &failure.Failure{Token: failure.BearerRefused, Bearer: tt.bearer, Err: errors.New("the bearer")}
					case c.op == refreshAnonymous:
						return &failure.Failure{Token: tt.refresh, Err: errWire}
					}
					return nil
				})
				_, err := w.m.at(v).Login(t.Context(), w.tokenServer.login)
				assert.Equal(t, tt.logins == 1, err != nil, err)
				assert.Equal(t, tt.logins, w.tokenServer.count(login))
				assert.Equal(t, tt.guests, w.tokenServer.count(anonymous))
			})
		})
	}
}

// A switch to another legal entity needs a refresh token, and says why it failed.
func TestL11_WhatASwitchComesTo(t *testing.T) {
	entity := "company"
	for name, tt := range map[string]struct {
		fails *failure.Failure
		err   error
		not   error
	}{
		"refused for the entity": {&failure.Failure{Token: failure.Undecided, Problem: wire.Problem{About: wire.SubjectLegalEntity}, Err: sentinel.InvalidRequest}, sentinel.InvalidRequest, sentinel.Unavailable},
		"refused for a reason":   {&failure.Failure{Token: failure.Undecided, Err: sentinel.InvalidRequest}, sentinel.Unavailable, sentinel.InvalidRequest},
		"refused":                {&failure.Failure{Token: failure.Refused, Err: sentinel.InvalidRequest}, sentinel.InvalidRequest, sentinel.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := w.customer("jo")
				w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
					if c.op == refreshCustomer {
						return tt.fails
					}
					return nil
				})
				err := w.m.at(v).Refresh(t.Context(), &entity)
				require.ErrorIs(t, err, tt.err)
				require.NotErrorIs(t, err, tt.not)
				assert.Equal(t, "C2", w.row("jo").Access.Reveal())
			})
		})
	}
	t.Run("without a refresh token", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := w.customer("jo")
			time.Sleep(25 * time.Hour)
			require.ErrorIs(t, w.m.at(v).Refresh(t.Context(), &entity), sentinel.NotRefreshable)
			assert.Zero(t, w.tokenServer.count(refreshCustomer))
		})
	})
	t.Run("with a lease that runs short", func(t *testing.T) {
		inShop(t, 1, func(t *testing.T, s *shop) {
			s.replicas[0].customer("jo")
			s.links[0].on("remaining", func() { s.leasingStore.drop("jo") })
			require.NoError(t, s.replicas[0].m.at(visitor("jo")).Refresh(t.Context(), &entity))
			assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
			assert.Equal(t, entity, s.replicas[0].row("jo").LegalEntity)
		})
	})
	t.Run("that another process has spent the token of", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, a *fixture) {
			b := newFixture(t, a.tokenServer, a.fakeStore)
			a.customer("jo")
			for _, w := range []*fixture{a, b} {
				w.m.cfg.CallLimit = 10 * time.Second
				w.token(w.m.utility, WantAnonymous)
			}
			strictly(a.tokenServer, 5*time.Second, func(*Grant) {})
			go func() { _ = a.m.at(visitor("jo")).Refresh(context.Background(), nil) }()
			synctest.Wait()
			require.NoError(t, b.m.at(visitor("jo")).Refresh(t.Context(), &entity))
			assert.Equal(t, 3, a.tokenServer.count(refreshCustomer))
			assert.Equal(t, entity, a.row("jo").LegalEntity)
		})
	})
}

// A refresh that answers with another session ID is told as that, too.
func TestL11_AnotherSessionID(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		w.told()
		w.tokenServer.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
			if c.op == refreshCustomer {
				g.SessionID, g.SaaS = "another", secret.New("a new one")
			}
			return nil
		})
		require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
		assert.Equal(t, []EventKind{EventRefreshed, EventSessionIDChanged}, w.told())
		assert.Equal(t, "another", w.row("jo").SessionID)
		assert.Equal(t, "a new one", w.row("jo").SaaS.Reveal())
		require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
		assert.Equal(t, []EventKind{EventRefreshed}, w.told(), "it is the same again")
	})
}

// New tokens are written over another process's doubt about the old ones, and over
// nothing else.
func TestL05_TokensOutweighADoubt(t *testing.T) {
	for name, tt := range map[string]struct {
		row  func(r *Record) *Record // that another process writes first
		wins bool                    // this process's
	}{
		"in doubt":        {(*Record).suspected, true},
		"without refresh": {(*Record).withoutRefresh, true},
		"expired":         {func(r *Record) *Record { return r.tombstone(true) }, true},
		"logged out":      {func(r *Record) *Record { return r.tombstone(false) }, false},
		"renewed": {func(r *Record) *Record {
			return r.renew(Grant{SentAt: time.Now(), Token: wire.Token{Access: secret.New("C9")}})
		}, false},
		"another's": {func(r *Record) *Record {
			return begin(Anonymous, Grant{SentAt: time.Now(), Token: wire.Token{Access: secret.New("A9")}}, r.Generation)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := w.customer("jo")
				w.token(w.m.utility, WantAnonymous)
				first := true
				w.fakeStore.fail(func(op string) trip {
					if op == "save" && first {
						first = false
						other := tt.row(w.row("jo"))
						assert.NoError(t, w.fakeStore.Save(t.Context(), rowOf("jo"), other.encode(), other.Generation, time.Hour))
					}
					return works
				})
				_ = w.m.at(v).Refresh(t.Context(), nil)
				synctest.Wait()
				assert.Equal(t, tt.wins, w.row("jo").Access.Reveal() == "C4")
				revoked := 0
				if name == "logged out" || name == "another's" {
					revoked = 1 // nobody will use them
				}
				assert.Equal(t, revoked, w.tokenServer.count(revoke))
			})
		})
	}
}

// neverSaves is a store in which something else is always written first: under some
// keys, or all.
type neverSaves struct {
	*fakeStore
	key   string
	tried int
}

func (s *neverSaves) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if s.key == "" || s.key == key {
		s.tried++
		return false, nil
	}
	return s.fakeStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

// A row that changes again and again is no reason to go on for ever.
func TestL05_ARowThatKeepsChanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &neverSaves{fakeStore: &fakeStore{rows: map[string]fakeRow{}}, key: "none"}
		w := newFixtureOver(t, &tokenServer{}, store.fakeStore, store)
		w.customer("jo")
		store.key = ""
		_, err := w.m.at(visitor("eve")).Token(t.Context(), WantAnonymous)
		require.ErrorIs(t, err, sentinel.Unavailable)
		require.ErrorContains(t, err, "changed again and again")
		assert.Equal(t, 5, w.tokenServer.count(anonymous))

		store.key, store.tried = rowOf("jo"), 0
		err = w.m.at(visitor("jo")).MoveTo(t.Context(), w.m.at(visitor("new")))
		require.ErrorIs(t, err, sentinel.StoreUnavailable)
		require.ErrorContains(t, err, "kept changing while it was moved")
		assert.Equal(t, writeTries, store.tried)

		store.tried = 0
		w.logIn(visitor("jo"))
		assert.Equal(t, writeTries, store.tried)
		require.NoError(t, w.m.at(visitor("jo")).Logout(t.Context(), noCall))
		assert.Nil(t, w.row("jo"), "it is deleted instead")
	})
}

// Over is what a customer's session is when nothing can renew it.
func TestOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		past, now, later := time.Now().Add(-1), time.Now(), time.Now().Add(1)
		r := secret.New("r")
		for _, tt := range []struct {
			r    Record
			want bool
		}{
			{Record{Kind: Customer, AccessUntil: later}, false},
			{Record{Kind: Customer, AccessUntil: now}, true},
			{Record{Kind: Customer, AccessUntil: past, Refresh: r, RefreshUntil: later}, false},
			{Record{Kind: Customer, AccessUntil: past, Refresh: r, RefreshUntil: now}, true},
			{Record{Kind: Customer, AccessUntil: past, RefreshUntil: later}, true},
			{Record{Kind: Anonymous, AccessUntil: past}, false},
			{Record{Kind: Anonymous, AccessUntil: later, Ended: true}, true},
			{Record{Ended: true}, true},
			{Record{}, false},
		} {
			assert.Equal(t, tt.want, tt.r.Over(), tt.r)
		}
	})
}

// Who reads the row while a login is being written, right after something else has
// ended here, sees the login too.
func TestL09_ALoginIsSeenByWhoHasJustReadTheRow(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		jo, other := visitor("jo"), visitor("jo")
		w.token(jo, WantAnonymous)
		w.tokenServer.script(0, failing(map[string]failure.Outcome{refreshAnonymous: failure.NotSent}))
		w.fakeStore.fail(func(op string) trip {
			if op == "save" {
				w.fakeStore.fail(nil)
				assert.Error(t, w.m.at(other).Refresh(t.Context(), nil))
				r, err := w.m.at(other).Info(t.Context())
				assert.NoError(t, err)
				assert.Equal(t, Anonymous, r.Kind)
			}
			return works
		})
		w.logIn(jo)
		r, err := w.m.at(other).Info(t.Context())
		require.NoError(t, err)
		assert.Equal(t, Customer, r.Kind)
	})
}
