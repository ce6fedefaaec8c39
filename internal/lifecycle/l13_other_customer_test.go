package lifecycle

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestL13_NothingOfTheOldCustomerIsCarriedOver(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		entity := "jo's company"
		require.NoError(t, w.m.at(v).Refresh(t.Context(), &entity))
		old := w.info("jo")
		utility := w.token(w.m.utility, WantAnonymous)
		result := w.logIn(v)
		assert.True(t, result.SessionChanged)
		r := w.info("jo")
		for name, pair := range map[string][2]string{
			"access": {old.Access.Reveal(), r.Access.Reveal()}, "refresh": {old.Refresh.Reveal(), r.Refresh.Reveal()},
			"saas": {old.SaaS.Reveal(), r.SaaS.Reveal()}, "session": {old.SessionID, r.SessionID}, "entity": {old.LegalEntity, r.LegalEntity},
		} {
			assert.NotEqual(t, pair[0], pair[1], name)
		}
		assert.Empty(t, r.LegalEntity)
		bearer := w.tokenServer.of(login)[1].bearer
		assert.NotEqual(t, old.Access.Reveal(), bearer)
		assert.NotEqual(t, w.tokenServer.of(login)[0].bearer, bearer, "the old visitor's")
		assert.NotEqual(t, utility, bearer, "the client's own, whose session all visitors would share")
		require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
		calls := w.tokenServer.of(refreshCustomer)
		assert.Empty(t, calls[len(calls)-1].entity)
	})
}

func TestL13_ARefreshOfTheOldCustomerComesLate(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		time.Sleep(13 * time.Hour)
		w.token(w.m.utility, WantAnonymous)
		w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
			if c.op == refreshCustomer {
				time.Sleep(5 * time.Second)
			}
			return nil
		})
		w.token(v, WantCustomer)
		synctest.Wait()
		w.logIn(v)
		now := w.info("jo")
		time.Sleep(time.Minute)
		assert.Equal(t, now.Access.Reveal(), w.info("jo").Access.Reveal())
		assert.Zero(t, w.tokenServer.count(revoke))
	})
}

// Two logins at once: the one that was answered last stays, in one piece.
func TestL13_TwoLoginsAtOnce(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		w.token(v, WantAnonymous)
		var all sync.WaitGroup
		var last string
		for i := range 5 {
			all.Go(func() {
				_, err := w.m.at(visitor("jo")).Login(t.Context(), func(ctx context.Context, bearer Token) (Grant, error) {
					g, err := w.tokenServer.login(ctx, bearer)
					time.Sleep(time.Duration(5-i) * time.Second)
					if i == 0 {
						last = g.Access.Reveal()
					}
					return g, err
				})
				assert.NoError(t, err)
			})
		}
		all.Wait()
		r := w.info("jo")
		assert.Equal(t, last, r.Access.Reveal())
		assert.Equal(t, "saas-"+last, r.SaaS.Reveal())
		assert.Equal(t, "S1", r.SessionID)
	})
}

// A new session is not punished for the troubles of the last one.
func TestL13_TroublesEndWithTheirSession(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		_, err := useWith(w, v, WantAnonymous, func(string) bool { return false })
		require.ErrorIs(t, err, errWire)
		w.logIn(v)
		calls, err := useWith(w, v, WantCustomer, func(token string) bool { return token != "C3" })
		require.NoError(t, err)
		assert.Equal(t, 2, calls)
	})
}
