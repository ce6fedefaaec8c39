package lifecycle

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func noCall(context.Context, Token) error { return nil }

func TestL09_LoginKeepsTheSession(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		own := w.token(v, WantAnonymous)
		result := w.logIn(v)
		assert.Equal(t, own, w.tokenServer.of(login)[0].bearer)
		assert.Equal(t, "S1", result.SessionID)
		assert.False(t, result.SessionChanged)
		assert.Equal(t, "S1", w.info("jo").SessionID)
		assert.Equal(t, "C2", w.token(v, WantCustomer))
		assert.Equal(t, "C2", w.token(v, WantAny))
		assert.Equal(t, []EventKind{EventStarted, EventLoggedIn}, w.told())
	})
}

func TestL09_TheAnswersSessionWins(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.tokenServer.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
			if c.op == login {
				g.SessionID = "another"
			}
			return nil
		})
		v := visitor("jo")
		result := w.logIn(v)
		assert.True(t, result.SessionChanged)
		assert.Equal(t, "another", result.SessionID)
		assert.Equal(t, "another", w.info("jo").SessionID)
	})
}

func TestL09_ALoginThatFailsChangesNothing(t *testing.T) {
	for _, outcome := range []failure.Outcome{failure.Refused, failure.Failed, failure.NotSent, failure.Unknown} {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := visitor("jo")
			own := w.token(v, WantAnonymous)
			w.tokenServer.script(0, failing(map[string]failure.Outcome{login: outcome}))
			_, err := w.m.at(v).Login(t.Context(), w.tokenServer.login)
			require.ErrorIs(t, err, errWire)
			assert.Equal(t, 1, w.tokenServer.count(login), "a wrong password is sent once")
			assert.Equal(t, own, w.token(v, WantAnonymous))
			_, err = w.m.at(v).Token(t.Context(), WantCustomer)
			require.ErrorIs(t, err, sentinel.NotLoggedIn)
		})
	}
}

func TestL09_ALoginWithoutTokensChangesNothing(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		own := w.token(v, WantAnonymous)
		result, err := w.m.at(v).Login(t.Context(), func(context.Context, Token) (Grant, error) { return Grant{}, nil })
		require.NoError(t, err)
		assert.False(t, result.Established)
		assert.Equal(t, "S1", result.SessionID)
		assert.Equal(t, own, w.token(v, WantAnonymous))
	})
}

func TestL09_ARejectedBearerIsRenewedAndTheSessionKept(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		own := w.token(v, WantAnonymous)
		w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
			if c.op == login && c.bearer == own {
				return &failure.Failure{Token: failure.BearerRefused, Err: errWire}
			}
			return nil
		})
		result := w.logIn(v)
		assert.Equal(t, "S1", result.SessionID)
		assert.Equal(t, 2, w.tokenServer.count(login))
		assert.Equal(t, 1, w.tokenServer.count(refreshAnonymous))
		assert.Equal(t, 1, w.tokenServer.count(anonymous))
	})
}

// A renewal of the anonymous session that is under way neither loses the login
// nor undoes it, whichever answer comes first.
func TestL09_LoginDuringARenewal(t *testing.T) {
	for _, loginTakes := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second} {
		t.Run(fmt.Sprint("login takes ", loginTakes), func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := visitor("jo")
				w.token(v, WantAnonymous)
				time.Sleep(anonymousLife - time.Minute)
				w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
					time.Sleep(map[string]time.Duration{login: loginTakes, refreshAnonymous: 5 * time.Second}[c.op])
					return nil
				})
				w.token(v, WantAnonymous) // starts an early renewal
				synctest.Wait()
				w.logIn(v)
				time.Sleep(time.Minute)
				r := w.info("jo")
				assert.Equal(t, Customer, r.Kind)
				assert.Equal(t, "S1", r.SessionID)
				assert.Equal(t, Customer, w.row("jo").Kind)
				assert.Equal(t, r.Access.Reveal(), w.token(v, WantCustomer))
				assert.Equal(t, 1, w.tokenServer.count(refreshAnonymous))
			})
		})
	}
}

// The login stands even if its caller has left by the time that it is saved.
func TestL09_ALoginOutlivesItsCaller(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := w.m.at(visitor("jo")).Login(ctx, func(ctx context.Context, bearer Token) (Grant, error) {
			defer cancel()
			return w.tokenServer.login(ctx, bearer)
		})
		require.NoError(t, err)
		assert.Equal(t, Customer, w.row("jo").Kind)
	})
}
