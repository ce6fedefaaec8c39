package lifecycle

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

func TestL07_AnAnonymousRefreshIsSentOnceMore(t *testing.T) {
	for _, graceful := range []bool{true, false} {
		t.Run(fmt.Sprint("grace ", graceful), func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				v := visitor("jo")
				w.token(v, WantAnonymous)
				time.Sleep(2 * time.Hour)
				lost := false
				w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
					switch {
					case c.op != refreshAnonymous || lost && graceful:
						return nil
					case lost:
						return &failure.Failure{Token: failure.Refused, Err: errWire}
					}
					lost = true
					return &failure.Failure{Token: failure.Unknown, Err: errWire}
				})
				w.token(v, WantAnonymous)
				calls := w.tokenServer.of(refreshAnonymous)
				require.Len(t, calls, 2)
				assert.Equal(t, calls[0].refresh, calls[1].refresh)
				assert.Equal(t, graceful, w.info("jo").SessionID == "S1")
			})
		})
	}
}

func TestL07_ACustomersLostRefreshIsHeldBack(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.tokenServer.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
			g.ExpiresIn.Duration, g.RefreshExpiresIn.Duration = 48*time.Hour, 60*time.Hour
			if c.op == refreshCustomer {
				return &failure.Failure{Token: failure.Unknown, Err: errWire}
			}
			return nil
		})
		v := w.customer("jo")
		for range 47 {
			assert.Equal(t, "C2", w.token(v, WantCustomer))
			time.Sleep(time.Hour)
		}
		assert.Equal(t, 1, w.tokenServer.count(refreshCustomer), "a strict server would end the session")
		r := w.info("jo")
		assert.True(t, r.Suspect)
		assert.False(t, r.Refresh.IsZero())

		time.Sleep(2 * time.Hour) // nothing to lose now
		w.tokenServer.script(0, nil)
		w.token(v, WantCustomer)
		calls := w.tokenServer.of(refreshCustomer)
		require.Len(t, calls, 2)
		assert.Equal(t, calls[0].refresh, calls[1].refresh)
		assert.False(t, w.info("jo").Suspect)
	})
}

// Code of the user's that panics or ends its goroutine while a refresh is under way: the
// token may have been spent, as after a lost response.
func TestL07_APanicIsALostAnswer(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("R1") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *fixture) {
				customer, guest := w.customer("jo"), visitor("guest")
				w.token(guest, WantAnonymous)
				time.Sleep(2 * time.Hour)
				armed := true
				w.tokenServer.script(0, func(_ context.Context, c tokenCall, _ *Grant) error {
					if armed && (c.op == refreshCustomer || c.op == refreshAnonymous) {
						armed = false
						end()
					}
					return nil
				})
				w.token(guest, WantAnonymous)
				calls := w.tokenServer.of(refreshAnonymous)
				require.Len(t, calls, 2, "a guest's is sent once more")
				assert.Equal(t, calls[0].refresh, calls[1].refresh)
				armed = true
				w.told()
				err := w.m.at(customer).Refresh(t.Context(), nil)
				require.ErrorIs(t, err, sentinel.Unavailable)
				require.ErrorContains(t, err, "panic")
				assert.NotContains(t, err.Error(), "R1")
				assert.Equal(t, []EventKind{EventRefreshFailed}, w.told())
				for range 47 {
					w.token(customer, WantCustomer)
					time.Sleep(time.Hour)
				}
				assert.Equal(t, 1, w.tokenServer.count(refreshCustomer), "a customer's is held back")
				assert.True(t, w.info("jo").Suspect)
			})
		})
	}
}
