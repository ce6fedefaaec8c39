package emporix_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

func TestARenewalInTheBackgroundFillsNoRawResponse(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, *emporix.Client){
		"Auth.RefreshAnonymous": func(t *testing.T, c *emporix.Client) {
			t.Helper()
			require.NoError(t, anonymousCall(t.Context(), c.DefaultSession()))
			time.Sleep(58 * time.Minute)
		},
		"Auth.Refresh": func(t *testing.T, c *emporix.Client) {
			t.Helper()
			logIn(t, c.DefaultSession())
			time.Sleep(20 * time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
				begin(t, client)
				fake.AssertCalls(t, name, 0)
				fake.Fail(t, emporixtest.Fault{Operation: name, Delay: time.Second}) // its answer comes last
				var raw emporix.RawResponse
				_, err := client.Customers.Get(emporix.WithRawResponse(t.Context(), &raw))
				require.NoError(t, err)
				time.Sleep(time.Minute)
				synctest.Wait()
				fake.AssertCalls(t, name, 1)
				assert.Equal(t, "Customers.Get", raw.Operation())
			})
		})
	}
}

func TestEveryCallFillsItsRawResponse(t *testing.T) {
	for _, calls := range []map[string]func(context.Context, *emporix.Client) error{writes, reads} {
		for name, call := range calls {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client := loggedIn(t, always(409, `{"status":409,"message":"a conflict"}`))
					var raw emporix.RawResponse
					assert.Error(t, call(emporix.WithRawResponse(t.Context(), &raw), client))
					assert.Equal(t, name, raw.Operation())
					assert.Equal(t, 409, raw.StatusCode())
					assert.JSONEq(t, `{"status":409,"message":"a conflict"}`, string(raw.Body()))
				})
			})
		}
	}
}
