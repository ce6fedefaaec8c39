package lifecycle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func TestStartReplacesAnAnonymousSession(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		require.NoError(t, w.m.at(v).Start(t.Context(), SessionContext{SiteCode: "PL"}))
		w.token(v, WantAnonymous)
		require.NoError(t, w.m.at(v).Start(t.Context(), SessionContext{SiteCode: "DE"}))
		assert.Equal(t, []EventKind{EventStarted, EventReplaced}, w.told())
		time.Sleep(30 * time.Hour) // over; the next one has the same context
		w.token(v, WantAnonymous)
		var sites []string
		for _, c := range w.tokenServer.of(anonymous) {
			sites = append(sites, c.entity)
		}
		assert.Equal(t, []string{"PL", "DE", "DE"}, sites)
		w.logIn(v)
		require.ErrorIs(t, w.m.at(v).Start(t.Context(), SessionContext{}), sentinel.LoggedIn)
	})
}
