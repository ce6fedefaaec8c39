package lifecycle

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/internal/wire"
)

func TestL16_LifetimesThatMakeNoSense(t *testing.T) {
	tests := map[string]struct {
		access, refresh wire.Lifetime
		wantAccess      time.Duration
		wantRefresh     time.Duration
	}{
		"absent":         {wire.Lifetime{}, wire.Lifetime{}, defaultLife, defaultLife},
		"no access life": {wire.Lifetime{}, wire.Lifetime{Duration: time.Hour, Known: true}, defaultLife, time.Hour},
		"no refresh":     {wire.Lifetime{Duration: time.Hour, Known: true}, wire.Lifetime{}, time.Hour, time.Hour},
		"huge":           {wire.Lifetime{Duration: 1<<63 - 1, Known: true}, wire.Lifetime{Duration: 1<<63 - 1, Known: true}, maxLife, maxLife},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				w.tokenServer.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
					g.ExpiresIn, g.RefreshExpiresIn = tt.access, tt.refresh
					return nil
				})
				w.token(visitor("jo"), WantAnonymous)
				r := w.info("jo")
				assert.Equal(t, tt.wantAccess, r.AccessUntil.Sub(r.Issued))
				assert.Equal(t, tt.wantRefresh, r.RefreshUntil.Sub(r.Issued))
				assert.Equal(t, "A1", w.token(visitor("jo"), WantAnonymous))
			})
		})
	}
}

// A slow answer doesn't lengthen a life.
func TestL16_LifetimesCountFromTheRequest(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		began := time.Now()
		w.tokenServer.script(20*time.Second, nil)
		w.token(visitor("jo"), WantAnonymous)
		assert.True(t, w.info("jo").AccessUntil.Equal(began.Add(anonymousLife)))
	})
}
