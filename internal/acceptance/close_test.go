package acceptance_test

import (
	"fmt"
	"runtime"
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

func TestLife_L14_ManyVisitorsNoGoroutines(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, _ *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		before := runtime.NumGoroutine()
		for i := range 200 {
			require.NoError(t, fixture.AnonymousCall(t.Context(), client.Session(fmt.Sprint(i))))
		}
		synctest.Wait()
		assert.InDelta(t, before, runtime.NumGoroutine(), 5)
	})
}

func TestLife_L14_Close(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Delay: 5 * time.Second})
		var all sync.WaitGroup
		all.Go(func() { assert.ErrorIs(t, fixture.AnonymousCall(t.Context(), client.Session("jo")), emporix.ErrClosed) })
		synctest.Wait()
		require.NoError(t, client.Close(t.Context()))
		all.Wait()
		require.ErrorIs(t, fixture.AnonymousCall(t.Context(), client.Session("jo")), emporix.ErrClosed)
		require.ErrorIs(t, client.Auth.Logout(t.Context()), emporix.ErrClosed)
		_, err := client.Session("jo").Info(t.Context())
		require.ErrorIs(t, err, emporix.ErrClosed)
	})
}

func TestLife_L14_AClosedClientSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fixture.Fake(t)
		client := fake.Client(t)
		_, err := client.Auth.Login(t.Context(), fixture.Jo)
		require.NoError(t, err)
		_, err = client.Customers.Get(t.Context()) // the session has a live token at hand
		require.NoError(t, err)
		require.NoError(t, client.Close(t.Context()))
		sent := len(fake.Journal())

		_, err = client.Customers.Get(t.Context())
		require.ErrorIs(t, err, emporix.ErrClosed)
		_, err = client.Addresses.Add(t.Context(), emporix.AddressRequest{ContactName: "Jo"})
		require.ErrorIs(t, err, emporix.ErrClosed)
		resp, err := client.HTTPClient().Get(fake.URL() + "/cart/acme/carts")
		if err == nil {
			_ = resp.Body.Close()
		}
		require.ErrorIs(t, err, emporix.ErrClosed)
		assert.Len(t, fake.Journal(), sent)
	})
}
