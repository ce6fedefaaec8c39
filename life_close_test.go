package emporix_test

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
)

func TestLife_L14_ManyVisitorsNoGoroutines(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		before := runtime.NumGoroutine()
		for i := range 200 {
			require.NoError(t, anonymousCall(t.Context(), client.Session(fmt.Sprint(i))))
		}
		synctest.Wait()
		assert.InDelta(t, before, runtime.NumGoroutine(), 5)
	})
}

func TestLife_L14_Close(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Delay: 5 * time.Second})
		var all sync.WaitGroup
		all.Go(func() { assert.ErrorIs(t, anonymousCall(t.Context(), client.Session("jo")), emporix.ErrClosed) })
		synctest.Wait()
		require.NoError(t, client.Close(t.Context()))
		all.Wait()
		require.ErrorIs(t, anonymousCall(t.Context(), client.Session("jo")), emporix.ErrClosed)
		require.ErrorIs(t, client.Auth.Logout(t.Context()), emporix.ErrClosed)
		_, err := client.Session("jo").Info(t.Context())
		require.ErrorIs(t, err, emporix.ErrClosed)
	})
}

func TestLife_L14_AClosedClientSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "correct horse"})
		client := fake.Client(t)
		_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
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
