package emporix_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// A token response that is not as documented is logged. A log handler that does not
// return keeps no caller.
func TestALogHandlerThatBlocksOnAnOddAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const guest, odd = `{"access_token":"guest","expires_in":3599}`, `{"access_token":"jo","expires_in":3599,"saas_token":5}`
		mock := httpmock.NewMockTransport()
		mock.RegisterResponder("GET", "=~anonymous/login", httpmock.NewStringResponder(200, guest))
		mock.RegisterResponder("POST", "=~/login", httpmock.NewStringResponder(200, odd))
		mock.RegisterResponder("GET", "=~optin", httpmock.NewStringResponder(200, odd))
		back := make(chan struct{})
		client, err := emporix.NewClient("acme", "storefront", emporix.WithTransport(mock), emporix.WithLogger(slog.New(stuckAtWarnings{slog.DiscardHandler, back})))
		require.NoError(t, err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = client.Session("a").Auth.Login(ctx, fixture.Jo)
		assert.NoError(t, err, "the login itself was done")
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = client.Session("b").Customers.ConfirmSignUp(ctx, "token")
		assert.NoError(t, err)

		assert.ErrorContains(t, client.Close(t.Context()), "2 calls of the log handler")
		close(back)
	})
}

// A log handler of a user's may block already when it is asked for its level.
func TestALogHandlerThatBlocksWhenItIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		client := fixture.LoggedIn(t, fixture.Always(200, `{"id":"1"}`), emporix.WithLogger(slog.New(stuckWhenAsked{slog.DiscardHandler, back})))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.NoError(t, fixture.Get(ctx, client))
		close(back)
	})
}

type stuckWhenAsked struct {
	slog.Handler
	back chan struct{}
}

func (h stuckWhenAsked) Enabled(ctx context.Context, _ slog.Level) bool {
	if _, limited := ctx.Deadline(); limited {
		<-h.back
	}
	return false
}

type stuckAtWarnings struct {
	slog.Handler
	back chan struct{}
}

func (stuckAtWarnings) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (h stuckAtWarnings) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "emporix: odd token response" {
		<-h.back
	}
	return nil
}
