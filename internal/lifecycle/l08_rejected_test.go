package lifecycle

import (
	"context"
	"errors"
	"sync"
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

// rejectedBy sends 401 for old tokens: what a service does with a token.
func useWith(w *fixture, v *Visitor, want Want, good func(string) bool) (calls int, err error) {
	token, err := w.m.at(v).Token(w.t.Context(), want)
	if err != nil {
		return 0, err
	}
	if good(token.Access.Reveal()) {
		return 1, nil
	}
	again, ok, err := w.m.at(v).ReplaceRejected(w.t.Context(), want, token)
	if err != nil || !ok {
		return 1, errors.Join(err, errWire)
	}
	if good(again.Access.Reveal()) {
		return 2, nil
	}
	return 2, errWire
}

func TestL08_FiftyRejectionsMakeOneRenewal(t *testing.T) {
	for _, want := range []Want{WantAnonymous, WantCustomer} {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := visitor("jo")
			if want == WantCustomer {
				w.logIn(v)
			}
			old := w.token(v, want)
			w.tokenServer.script(5*time.Second, nil)
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					token, err := w.m.at(visitor("jo")).Token(t.Context(), want)
					assert.NoError(t, err)
					time.Sleep(time.Duration(i) * 200 * time.Millisecond) // the 401s come one after the other
					again, ok, err := w.m.at(visitor("jo")).ReplaceRejected(t.Context(), want, token)
					if assert.NoError(t, err) && assert.True(t, ok, "call %d has no token to try again with", i) {
						assert.NotEqual(t, old, again.Access.Reveal())
					}
				})
			}
			all.Wait()
			assert.Equal(t, 1, w.tokenServer.count(refreshAnonymous)+w.tokenServer.count(refreshCustomer))
		})
	}
}

func TestL08_ALateRejectionOfTheLastTokenRenewsNothing(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		old, err := w.m.at(v).Token(t.Context(), WantAnonymous)
		require.NoError(t, err)
		require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
		again, ok, err := w.m.at(v).ReplaceRejected(t.Context(), WantAnonymous, old)
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, "A2", again.Access.Reveal())
		assert.Equal(t, 1, w.tokenServer.count(refreshAnonymous))
	})
}

// Another replica has renewed what this one still holds.
func TestL08_ARejectedTokenThatAnotherReplicaReplaced(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, a *fixture) {
		b := newFixture(t, a.tokenServer, a.fakeStore)
		v := a.customer("jo")
		old, err := a.m.at(v).Token(t.Context(), WantCustomer)
		require.NoError(t, err)
		require.NoError(t, b.m.at(visitor("jo")).Refresh(t.Context(), nil))
		again, ok, err := a.m.at(v).ReplaceRejected(t.Context(), WantCustomer, old)
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, a.row("jo").Access.Reveal(), again.Access.Reveal())
		assert.Equal(t, 1, a.tokenServer.count(refreshCustomer))
	})
}

// That a forced renewal comes too soon is the news of whoever asked for it.
func TestL08_OthersAreNotTooSoon(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.tokenServer.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
			g.ExpiresIn.Duration = 20 * time.Second
			return nil
		})
		v := visitor("jo")
		_, err := useWith(w, v, WantAnonymous, func(string) bool { return false })
		require.ErrorIs(t, err, errWire)
		rejected, err := w.m.at(v).Token(t.Context(), WantAnonymous)
		require.NoError(t, err)
		time.Sleep(21 * time.Second)
		w.fakeStore.fail(func(string) trip { time.Sleep(time.Second); return works })
		var both sync.WaitGroup
		both.Go(func() {
			_, _, err := w.m.at(v).ReplaceRejected(t.Context(), WantAnonymous, rejected)
			assert.NoError(t, err)
		})
		synctest.Wait()
		both.Go(func() { assert.Equal(t, "A3", w.token(v, WantAnonymous)) })
		both.Wait()
	})
}

// A row that changed without a new access token is still about that token.
func TestL08_ARejectionCountsWhileTheAccessTokenIsTheSame(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		old, err := w.m.at(v).Token(t.Context(), WantCustomer)
		require.NoError(t, err)
		w.tokenServer.script(0, failing(map[string]failure.Outcome{refreshCustomer: failure.Unknown}))
		require.Error(t, w.m.at(v).Refresh(t.Context(), nil))
		w.tokenServer.script(0, nil)
		_, ok, err := w.m.at(v).ReplaceRejected(t.Context(), WantCustomer, old)
		require.NoError(t, err)
		assert.True(t, ok)
	})
}

func TestL08_AServerThatRejectsForeverIsNotFlooded(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		for range 120 {
			calls, err := useWith(w, v, WantCustomer, func(string) bool { return false })
			require.Error(t, err)
			assert.LessOrEqual(t, calls, 2)
			time.Sleep(time.Second)
		}
		assert.InDelta(t, 4, w.tokenServer.count(refreshCustomer), 1)
		assert.Equal(t, Customer, w.info("jo").Kind)
		calls, err := useWith(w, v, WantCustomer, func(string) bool { return true })
		require.NoError(t, err)
		assert.Equal(t, 1, calls)
	})
}

func TestL08_ARejectedTokenWithoutARefreshToken(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.tokenServer.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
			g.Refresh, g.RefreshExpiresIn = secret.Secret{}, wire.Lifetime{}
			return nil
		})
		v := visitor("jo")
		calls, err := useWith(w, v, WantAnonymous, func(token string) bool { return token != "A1" })
		require.NoError(t, err)
		assert.Equal(t, 2, calls)
		assert.Equal(t, []EventKind{EventStarted, EventReplaced}, w.told())
		w.logIn(v)
		_, err = useWith(w, v, WantCustomer, func(string) bool { return false })
		require.ErrorIs(t, err, sentinel.SessionExpired)
	})
}
