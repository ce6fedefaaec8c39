package emporix_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
)

func TestLife_L08_ARevokedToken(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		logIn(t, client.Session("jo"))
		session := info(t, client.Session("jo")).SessionID
		assert.Positive(t, fake.Server().RevokeAccess(""))
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Delay: time.Second})
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				assert.NoError(t, customerCall(t.Context(), client.Session("jo")))
			})
		}
		all.Wait()
		fake.AssertCalls(t, "Auth.Refresh", 1)
		assert.Equal(t, session, info(t, client.Session("jo")).SessionID)
	})
}

func TestLife_L08_RejectedForever(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		own := client.DefaultSession()
		logIn(t, own)
		fake.Fail(t, emporixtest.Fault{Operation: "Addresses.List", Status: 401, Body: emporixfake.BodyGatewayFault, Times: -1})
		for range 60 {
			require.ErrorIs(t, customerCall(t.Context(), own), emporix.ErrUnauthorized)
			time.Sleep(time.Second)
		}
		assert.LessOrEqual(t, fake.Calls(t, "Auth.Refresh"), 2)
		assert.LessOrEqual(t, fake.Calls(t, "Addresses.List"), 62)
		assert.Equal(t, emporix.SessionCustomer, info(t, own).Kind)
	})
}

// A renewal that fails while the token is rejected is tried again with the next
// call, and nobody is told to log in.
func TestLife_L08_TheRenewalFailsForAMoment(t *testing.T) {
	for operation, call := range map[string]func(context.Context, *emporix.Session) error{"Auth.Refresh": customerCall, "Auth.RefreshAnonymous": anonymousCall} {
		inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
			visitor := client.Session("jo")
			require.NoError(t, anonymousCall(t.Context(), visitor))
			if operation == "Auth.Refresh" {
				logIn(t, visitor)
			}
			fake.Server().RevokeAccess("")
			fake.Fail(t, emporixtest.Fault{Operation: operation, Status: 503, Times: 2})
			for range 2 {
				err := call(t.Context(), visitor)
				require.ErrorIs(t, err, emporix.ErrUnavailable)
				require.NotErrorIs(t, err, emporix.ErrUnauthorized)
			}
			require.NoError(t, call(t.Context(), visitor))
			fake.AssertCalls(t, operation, 3)
		})
	}
}

// A 401 that is about what the customer typed is theirs.
func TestLife_L08_AWrongPasswordIsTheCustomers(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: jo.Email, Password: "wrong horse"})
		require.ErrorIs(t, err, emporix.ErrInvalidCredentials)
		fake.AssertCalls(t, "Auth.Login", 1)
		logIn(t, client.DefaultSession())
		require.Error(t, client.Credentials.ChangePassword(t.Context(), emporix.ChangePasswordRequest{CurrentPassword: "wrong horse", NewPassword: "battery staple"}))
		fake.AssertCalls(t, "Credentials.ChangePassword", 1)
		fake.AssertCalls(t, "Auth.Refresh", 0)
		fake.AssertCalls(t, "Auth.RefreshAnonymous", 0)
		require.NoError(t, customerCall(t.Context(), client.DefaultSession()))
	})
}

func TestLife_L10_TheUtilityBearerIsReplaced(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
		own := client.DefaultSession()
		logIn(t, own)
		_, err := client.Auth.Refresh(t.Context())
		require.NoError(t, err)
		before := info(t, own)
		fake.Server().RevokeAccess("")
		seen.kinds()
		after, err := client.Auth.Refresh(t.Context())
		require.NoError(t, err)
		assert.Equal(t, before.SessionID, after.SessionID)
		require.NoError(t, customerCall(t.Context(), own))
		assert.Equal(t, []emporix.EventKind{emporix.EventSessionRefreshed}, seen.kinds())
	}, emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
}
