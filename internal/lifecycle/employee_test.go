package lifecycle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
)

func TestEmployeesBearerIsKeptAndRenewed(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		v := visitor("jo")
		assert.Equal(t, "E1", w.token(v, WantEmployee))
		assert.Equal(t, "E1", w.token(visitor("mo"), WantEmployee))
		time.Sleep(5 * time.Hour)
		assert.Equal(t, "E2", w.token(v, WantEmployee))
		calls, err := useWith(w, v, WantEmployee, func(token string) bool { return token == "E3" })
		require.NoError(t, err)
		assert.Equal(t, 2, calls)
		w.tokenServer.script(0, failing(map[string]failure.Outcome{employee: failure.Refused}))
		time.Sleep(5 * time.Hour)
		_, err = w.m.at(v).Token(t.Context(), WantEmployee)
		require.ErrorIs(t, err, errWire)
		w.tokenServer.script(0, nil)
		w.token(v, WantEmployee)
		assert.Empty(t, w.told(), "it is nobody's session")
		assert.Empty(t, w.fakeStore.rows, "it never leaves the process")
	})
}
