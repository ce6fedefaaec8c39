package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

func TestLife_Events(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, _ *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
		visitor := client.Session("jo's cookie")
		require.NoError(t, fixture.AnonymousCall(t.Context(), visitor))
		_, err := visitor.Auth.Refresh(t.Context())
		require.NoError(t, err)
		fixture.LogIn(t, visitor)
		_, err = visitor.Auth.Refresh(t.Context())
		require.NoError(t, err)
		require.NoError(t, visitor.Auth.Logout(t.Context()))
		synctest.Wait()
		for _, e := range seen.Events() {
			assert.Equal(t, "jo's cookie", e.Key.Reveal())
			assert.NotContains(t, fmt.Sprintf("%+v", e), "cookie")
			assert.NoError(t, e.Err)
		}
		assert.Equal(t, []emporix.EventKind{
			emporix.EventSessionStarted, emporix.EventSessionRefreshed, emporix.EventLoggedIn,
			emporix.EventSessionRefreshed, emporix.EventLoggedOut,
		}, seen.Kinds())
	})
}

func TestLife_L11_ASessionIDThatChangesIsAnEvent(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
		require.NoError(t, fixture.AnonymousCall(t.Context(), client.DefaultSession()))
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Set: map[string]json.RawMessage{"sessionId": json.RawMessage(`"another"`)}})
		refreshed, err := client.Auth.Refresh(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "another", refreshed.SessionID)
		assert.Contains(t, seen.Kinds(), emporix.EventSessionIDChanged)
	})
}

// panickyHandler is a log handler that panics at its n-th line, and so is its level.
type panickyHandler struct {
	slog.Handler
	left *atomic.Int32
}

func (p panickyHandler) Enabled(context.Context, slog.Level) bool { p.Level(); return true }

func (p panickyHandler) Handle(context.Context, slog.Record) error { p.Level(); return nil }

func (p panickyHandler) Level() slog.Level {
	if p.left.Add(-1) == 0 {
		panic("the disk is full")
	}
	return slog.LevelDebug
}

// A log handler or an observer that panics, at whichever line, loses no tokens and fails
// no call, and the observer hears of everything.
func TestLife_L14_ALogHandlerThatPanicsLosesNothing(t *testing.T) {
	handlers := map[string]func(panickyHandler) slog.Handler{
		"handler": func(p panickyHandler) slog.Handler { return p },
		"level": func(p panickyHandler) slog.Handler {
			return slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: p}) //nolint:sloglint // which asks the level
		},
	}
	for name, handler := range handlers {
		for at := int32(1); ; at++ {
			hit := false
			synctest.Test(t, func(t *testing.T) {
				fake := emporixtest.New(t)
				fake.AddCustomer(t, emporixtest.Customer{Email: fixture.Jo.Email, Password: fixture.Jo.Password})
				left, seen := new(atomic.Int32), new(fixture.Watcher)
				left.Store(at)
				client := fake.Client(t, emporix.WithLogger(slog.New(handler(panickyHandler{slog.DiscardHandler, left}))), emporix.WithObserver(func(e emporix.Event) {
					seen.Observe(e)
					panic("the observer")
				}))
				session := client.Session("jo")
				_, err := session.Auth.Login(t.Context(), fixture.Jo)
				require.NoError(t, err)
				time.Sleep(13 * time.Hour)
				_, err = session.Auth.Refresh(t.Context())
				require.NoError(t, err, "%s %d", name, at)
				time.Sleep(23 * time.Hour)
				require.NoError(t, fixture.CustomerCall(t.Context(), session))
				require.NoError(t, fixture.AnonymousCall(t.Context(), session))
				synctest.Wait()
				require.True(t, fixture.Info(t, session).CanRefresh, "%s %d", name, at)
				assert.Equal(t, []emporix.EventKind{emporix.EventSessionStarted, emporix.EventLoggedIn, emporix.EventSessionRefreshed, emporix.EventSessionRefreshed}, seen.Kinds())
				noUnauthorized(t, fake)
				hit = left.Load() <= 0
			})
			if t.Failed() || !hit {
				assert.Greater(t, at, int32(4), "%s: it never panicked", name)
				break
			}
		}
	}
}
