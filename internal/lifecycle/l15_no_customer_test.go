package lifecycle

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func TestL15_ACustomersCallNeedsACustomer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := visitor("jo")
		_, err := w.m.Token(t.Context(), v, WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		assert.Empty(t, w.office.calls)
		w.token(v, WantAnonymous)
		_, err = w.m.Token(t.Context(), v, WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
		require.ErrorIs(t, w.m.Logout(t.Context(), v, nil), sentinel.NotLoggedIn)
		entity := "company"
		require.ErrorIs(t, w.m.Refresh(t.Context(), v, &entity), sentinel.NotLoggedIn)
		assert.Len(t, w.office.calls, 1)
	})
}
