package lifecycle

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/wire"
)

func TestL11_ARefreshKeepsWhatItsAnswerOmits(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		entity := "company"
		require.NoError(t, w.m.at(v).Refresh(t.Context(), &entity))
		before := w.info("jo")
		w.tokenServer.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
			if c.op == refreshCustomer {
				g.Refresh, g.RefreshExpiresIn = secret.Secret{}, wire.Lifetime{}
			}
			return nil
		})
		time.Sleep(time.Hour)
		require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
		after := w.info("jo")
		assert.NotEqual(t, before.Access.Reveal(), after.Access.Reveal())
		assert.Equal(t, before.Refresh.Reveal(), after.Refresh.Reveal())
		assert.Equal(t, before.RefreshUntil, after.RefreshUntil, "its end doesn't move by itself")
		assert.Equal(t, "S1", after.SessionID)
		assert.Equal(t, "saas-C2", after.SaaS.Reveal())
		assert.Equal(t, "company", after.LegalEntity)
		calls := w.tokenServer.of(refreshCustomer)
		assert.Equal(t, "company", calls[len(calls)-1].entity, "it is sent again each time")

		entity = ""
		require.NoError(t, w.m.at(v).Refresh(t.Context(), &entity))
		assert.Empty(t, w.info("jo").LegalEntity)
	})
}

// A refresh that takes longer than the kept refresh token lives, is no corrupt
// row.
func TestL11_AKeptRefreshTokenMayEndMeanwhile(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := w.customer("jo")
		time.Sleep(refreshLife - 2*time.Second)
		w.tokenServer.script(10*time.Second, func(_ context.Context, c tokenCall, g *Grant) error {
			if c.op == refreshCustomer {
				g.Refresh, g.RefreshExpiresIn = secret.Secret{}, wire.Lifetime{}
				g.SentAt = time.Now()
			}
			return nil
		})
		require.NoError(t, w.m.at(v).Refresh(t.Context(), nil))
		assert.Equal(t, w.row("jo").Access.Reveal(), w.token(visitor("jo"), WantCustomer))
	})
}

func TestL11_ASwitchThatIsRefusedChangesNothing(t *testing.T) {
	for _, outcome := range []failure.Outcome{failure.Refused, failure.Failed, failure.NotSent, failure.Unknown} {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := w.customer("jo")
			before := w.info("jo")
			w.tokenServer.script(0, failing(map[string]failure.Outcome{refreshCustomer: outcome}))
			entity := "foreign"
			require.ErrorIs(t, w.m.at(v).Refresh(t.Context(), &entity), errWire)
			after := w.info("jo")
			assert.Equal(t, outcome == failure.Unknown, after.Suspect)
			assert.Equal(t, before.Access.Reveal(), after.Access.Reveal())
			assert.Equal(t, before.Refresh.Reveal(), after.Refresh.Reveal())
			assert.Empty(t, after.LegalEntity)
		})
	}
}

// A switch that is refused is its caller's concern: another caller who waited for it
// looks again, and a switch whose caller has left may be made.
func TestL11_ASwitchIsItsCallersAlone(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		entity := "company"
		w.tokenServer.script(0, func(ctx context.Context, c tokenCall, g *Grant) error {
			g.ExpiresIn.Duration = time.Hour
			if c.entity == entity {
				pause(ctx, 10*time.Second)
				return &failure.Failure{Token: failure.Undecided, Problem: wire.Problem{About: wire.SubjectLegalEntity}, Err: sentinel.InvalidRequest}
			}
			return nil
		})
		v := w.customer("jo")
		time.Sleep(time.Hour - time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		switched := make(chan error)
		go func() { switched <- w.m.at(v).Refresh(ctx, &entity) }()
		time.Sleep(2 * time.Second) // the token is over
		assert.NotEmpty(t, w.token(v, WantCustomer))
		err := <-switched
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, sentinel.OutcomeUnknown)
	})
}
