package bff_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixtest"
)

// http.TimeoutHandler answers in place of a handler that goes on: the cookie of what
// that comes to reaches nobody. The visitor goes on with the old one, and nobody is
// left logged in whom no cookie names.
func TestAChangeThatEndsAfterTheAnswer(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		for delay := 4600 * time.Millisecond; delay < 5100*time.Millisecond; delay += 20 * time.Millisecond {
			late := func(t *testing.T, target, operation string, customer bool) (s *shop, b *browser, given bool) {
				s = newShop(t, setup{sealed: sealed})
				b = s.browser()
				b.ok("GET", "/page")
				if customer {
					b.login()
				}
				slow := func(delay time.Duration) {
					s.store.mu.Lock()
					defer s.store.mu.Unlock()
					s.store.delay = delay
				}
				slow(20 * time.Millisecond)
				s.fake.Fail(t, emporixtest.Fault{Operation: operation, Delay: delay})
				s.handler = s.b.Handler(http.TimeoutHandler(s.mux, 5*time.Second, "too slow"))
				given = b.do("POST", target).set != nil // with whichever answer; a guest gets one too
				time.Sleep(5 * time.Minute)
				slow(0)
				return s, b, given
			}
			t.Run("a password change "+delay.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, b, _ := late(t, "/password password=correct+horse", "Credentials.ChangePassword", true)
					assert.True(t, strings.HasPrefix(b.ok("GET", "/info"), "customer "+s.number))
					if !sealed {
						require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
						assert.Equal(t, guestNumber, b.ok("GET", "/page"))
						s.fake.AssertCalls(t, "Auth.Logout", 1)
					}
				})
			})
			t.Run("a login "+delay.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, b, given := late(t, "/login password=correct+horse", "Auth.Login", false)
					if given && b.ok("GET", "/page") == s.number {
						return
					}
					assert.NotContains(t, b.ok("GET", "/info"), "customer")
					if s.fake.Calls(t, "Auth.Logout") == 0 {
						loggedIn := func(e emporixtest.Entry) bool { return e.Bearer == "customer" }
						assert.False(t, slices.ContainsFunc(s.fake.Journal(), loggedIn))
					}
					assert.Equal(t, guestNumber, b.ok("GET", "/page"))
				})
			})
		}
	})
}
