package emporix_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

func TestLife_Events(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *emporixtest.Fake, client *emporix.Client, seen *watcher) {
		visitor := client.Session("jo's cookie")
		require.NoError(t, anonymousCall(t.Context(), visitor))
		_, err := visitor.Auth.Refresh(t.Context())
		require.NoError(t, err)
		logIn(t, visitor)
		_, err = visitor.Auth.Refresh(t.Context())
		require.NoError(t, err)
		require.NoError(t, visitor.Auth.Logout(t.Context()))
		synctest.Wait()
		for _, e := range seen.events {
			assert.Equal(t, "jo's cookie", e.Key.Reveal())
			assert.NotContains(t, fmt.Sprintf("%+v", e), "cookie")
			assert.NoError(t, e.Err)
		}
		assert.Equal(t, []emporix.EventKind{
			emporix.EventSessionStarted, emporix.EventSessionRefreshed, emporix.EventLoggedIn,
			emporix.EventSessionRefreshed, emporix.EventLoggedOut,
		}, seen.kinds())
	})
}

func TestLife_L11_ASessionIDThatChangesIsAnEvent(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
		require.NoError(t, anonymousCall(t.Context(), client.DefaultSession()))
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Set: map[string]json.RawMessage{"sessionId": json.RawMessage(`"another"`)}})
		refreshed, err := client.Auth.Refresh(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "another", refreshed.SessionID)
		assert.Contains(t, seen.kinds(), emporix.EventSessionIDChanged)
	})
}
