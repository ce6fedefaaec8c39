package acceptance_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

func TestLife_L16_ExpiresInOfAllKinds(t *testing.T) {
	const good, bad = true, false
	for value, usable := range map[string]bool{
		`3599`: good, `"3599"`: good, `3599.0`: good, `3.6e3`: good, `"absent"`: good, `9223372036854775807`: good, `1e400`: good,
		`0`: bad, `-1`: bad, `"abc"`: bad, `"NaN"`: bad, `true`: bad, `{}`: bad, `[]`: bad,
	} {
		t.Run(value, func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
				own := client.DefaultSession()
				require.NoError(t, fixture.AnonymousCall(t.Context(), own))
				session := fixture.Info(t, own).SessionID
				time.Sleep(90 * time.Minute)
				fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", ExpiresIn: json.RawMessage(value), Times: 2})
				err := fixture.AnonymousCall(t.Context(), own)
				if usable {
					require.NoError(t, err)
					left := time.Until(fixture.Info(t, own).AccessExpires)
					assert.Greater(t, left, 4*time.Minute)
					assert.LessOrEqual(t, left, 365*24*time.Hour)
				} else {
					require.ErrorIs(t, err, emporix.ErrBadResponse)
					require.NoError(t, fixture.AnonymousCall(t.Context(), own))
				}
				assert.Equal(t, session, fixture.Info(t, own).SessionID)
				fake.AssertCalls(t, "Auth.StartAnonymous", 1)
			})
		})
	}
}

// New tokens that have ended already: one replacement for a call, and an error
// that says so.
func TestLife_L16_DeadOnArrival(t *testing.T) {
	slow := func(t *testing.T, fake *emporixtest.Fake) {
		for _, op := range []string{"Auth.StartAnonymous", "Auth.RefreshAnonymous", "Auth.Refresh", "Auth.Login"} {
			fake.Fail(t, emporixtest.Fault{Operation: op, Delay: 2 * time.Second, After: true, Times: -1})
		}
		t.Cleanup(fake.Server().ClearFaults) // each case calls some of them
	}
	second := emporixtest.WithLifetimes(emporixtest.Lifetimes{Anonymous: time.Second, Customer: time.Second})
	t.Run("guest", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			slow(t, fake)
			for n := 1; n <= 3; n++ {
				err := fixture.AnonymousCall(t.Context(), client.DefaultSession())
				require.ErrorIs(t, err, emporix.ErrBadResponse)
				require.ErrorContains(t, err, "had already ended when it arrived")
				assert.Equal(t, n, fake.Calls(t, "Auth.StartAnonymous")+fake.Calls(t, "Auth.RefreshAnonymous"))
			}
		}, second)
	})
	t.Run("through HTTPClient", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			slow(t, fake)
			_, err := client.HTTPClient().Get(fake.URL() + "/cart/")
			require.ErrorIs(t, err, emporix.ErrBadResponse)
			fake.AssertCalls(t, "Auth.StartAnonymous", 1)
		}, second)
	})
	t.Run("revoked at once", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			fake.Fail(t, emporixtest.Fault{Operation: "Credentials.RequestPasswordReset", Body: emporixfake.BodyGatewayFault, Times: -1})
			require.ErrorIs(t, fixture.AnonymousCall(t.Context(), client.DefaultSession()), emporix.ErrUnauthorized)
			fake.AssertCalls(t, "Auth.StartAnonymous", 1)
			fake.AssertCalls(t, "Auth.RefreshAnonymous", 1)
			fake.AssertCalls(t, "Credentials.RequestPasswordReset", 2)
		})
	})
	t.Run("employee", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			employee := fake.Client(t, emporix.WithEmployeeCredentials("backend", "backend-secret-for-tests"))
			fake.Fail(t, emporixtest.Fault{Operation: "OAuth.Token", Delay: 2 * time.Second, After: true, Times: -1})
			err := employee.Customers.Activate(t.Context(), "1")
			require.ErrorIs(t, err, emporix.ErrBadResponse)
			fake.AssertCalls(t, "OAuth.Token", 1)
		}, emporixtest.WithLifetimes(emporixtest.Lifetimes{Employee: time.Second}))
	})
}
