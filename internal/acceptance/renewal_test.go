package acceptance_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

func TestLife_L02_AGuestFor30Days(t *testing.T) {
	t.Parallel()
	for _, rotates := range []bool{false, true} {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
			require.NoError(t, fixture.AnonymousCall(t.Context(), client.DefaultSession()))
			first := fixture.Info(t, client.DefaultSession()).SessionID
			for range 30 * 24 * 2 {
				require.NoError(t, fixture.AnonymousCall(t.Context(), client.DefaultSession()))
				time.Sleep(30*time.Minute - time.Second)
			}
			assert.Equal(t, first, fixture.Info(t, client.DefaultSession()).SessionID)
			fake.AssertCalls(t, "Auth.StartAnonymous", 1)
			if !rotates { // else a call that is under way may lose its token, and gets the next one
				noUnauthorized(t, fake)
			}
			assert.NotContains(t, seen.Kinds(), emporix.EventSessionReplaced)
		}, emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) {
			a.AnonymousRefreshRotates, a.ReuseKillsFamily, a.RefreshInvalidatesAccess = rotates, rotates, rotates
		}))
	}
}

func TestLife_L02_AnActiveCustomerFor60Days(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
		session := fixture.LogIn(t, client.DefaultSession()).SessionID
		saas, err := client.DefaultSession().SaaSToken(t.Context())
		require.NoError(t, err)
		for range 60 * 3 {
			require.NoError(t, fixture.CustomerCall(t.Context(), client.DefaultSession()))
			time.Sleep(8 * time.Hour)
		}
		require.NoError(t, fixture.CustomerCall(t.Context(), client.DefaultSession()))
		assert.Equal(t, session, fixture.Info(t, client.DefaultSession()).SessionID)
		kept, err := client.DefaultSession().SaaSToken(t.Context())
		require.NoError(t, err)
		assert.Equal(t, saas.Reveal(), kept.Reveal(), "a renewal keeps it")
		fake.AssertCalls(t, "Auth.Login", 1)
		noUnauthorized(t, fake)
		assert.NotContains(t, seen.Kinds(), emporix.EventSessionExpired)
	}, emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
}

func TestLife_L02_AnIdleCustomer(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
		own := client.DefaultSession()
		fixture.LogIn(t, own)
		time.Sleep(25 * time.Hour)
		require.NoError(t, fixture.CustomerCall(t.Context(), own))
		assert.False(t, fixture.Info(t, own).CanRefresh)
		fake.AssertCalls(t, "Auth.Refresh", 0)
		_, err := client.Auth.Refresh(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotRefreshable)

		time.Sleep(29 * 24 * time.Hour)
		require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrSessionExpired)
		require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrSessionExpired, "until a customer logs in")
		assert.True(t, fixture.Info(t, own).Expired)
		assert.Contains(t, seen.Kinds(), emporix.EventSessionExpired)
		require.NoError(t, fixture.AnonymousCall(t.Context(), own), "anonymous calls go on")
		fake.AssertCalls(t, "Auth.Refresh", 0)
		fixture.LogIn(t, own)
		require.NoError(t, fixture.CustomerCall(t.Context(), own))
		assert.False(t, fixture.Info(t, own).Expired)
	})
}

func TestLife_L03_AFailedRenewalIsNotSeen(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
		own := client.DefaultSession()
		require.NoError(t, fixture.AnonymousCall(t.Context(), own))
		session := fixture.Info(t, own).SessionID
		time.Sleep(55 * time.Minute)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Status: 500, Times: 6})
		for range 100 {
			took := time.Now()
			require.NoError(t, fixture.AnonymousCall(t.Context(), own))
			assert.Zero(t, time.Since(took))
			time.Sleep(2500 * time.Millisecond)
		}
		assert.LessOrEqual(t, fake.Calls(t, "Auth.RefreshAnonymous"), 4)
		assert.Contains(t, seen.Kinds(), emporix.EventRefreshFailed)
		fake.Server().ClearFaults()
		time.Sleep(time.Hour)
		require.NoError(t, fixture.AnonymousCall(t.Context(), own))
		assert.Equal(t, session, fixture.Info(t, own).SessionID)
	})
}

// One answer with a Retry-After of months costs no session.
func TestLife_L03_ARetryAfterBeyondTheRefreshToken(t *testing.T) {
	for _, retryAfter := range []string{"9999999", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		t.Run(retryAfter, func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
				own := client.DefaultSession()
				fixture.LogIn(t, own)
				fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Status: 503, RetryAfter: retryAfter})
				for range 3 * 24 * 6 {
					time.Sleep(10 * time.Minute)
					require.NoError(t, fixture.CustomerCall(t.Context(), own))
				}
				assert.True(t, fixture.Info(t, own).CanRefresh)
			})
		})
	}
}

func TestLife_L01_AThousandGoroutines(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		fixture.LogIn(t, client.Session("jo"))
		time.Sleep(90 * time.Minute)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Delay: 3 * time.Second})
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { assert.NoError(t, fixture.CustomerCall(t.Context(), client.Session("jo"))) })
		}
		all.Wait()
		fake.AssertCalls(t, "Auth.Refresh", 1)
	}, emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour}), emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
}

func TestLife_L04_LeadersAndWaitersMayLeave(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		fixture.LogIn(t, client.Session("jo"))
		time.Sleep(90 * time.Minute)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Delay: 5 * time.Second})
		leader, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { assert.ErrorIs(t, fixture.CustomerCall(leader, client.Session("jo")), context.Canceled) })
		synctest.Wait()
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			began := time.Now()
			assert.ErrorIs(t, fixture.CustomerCall(ctx, client.Session("jo")), context.DeadlineExceeded)
			assert.Equal(t, 2*time.Second, time.Since(began))
		})
		all.Go(func() { assert.NoError(t, fixture.CustomerCall(t.Context(), client.Session("jo"))) })
		time.Sleep(time.Second)
		cancel()
		all.Wait()
		assert.NoError(t, fixture.CustomerCall(t.Context(), client.Session("jo")))
		fake.AssertCalls(t, "Auth.Refresh", 1)
	}, emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour}), emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
}

// noUnauthorized says that the server has rejected nothing.
func noUnauthorized(t *testing.T, fake *emporixtest.Fake) {
	t.Helper()
	for _, e := range fake.Journal() {
		require.NotEqual(t, 401, e.Status, e.String())
	}
}
