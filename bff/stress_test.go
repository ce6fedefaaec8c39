package bff_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// Visitors who press everything at once, in several tabs that share a cookie,
// see no other visitor, are told nothing wrong, and can go on afterwards.
func TestVisitorsWhoDoEverythingAtOnce(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{sealed: sealed, options: bff.Options{MaxSessions: 5}})
			s.store.delay = time.Millisecond
			for _, operation := range []string{"Auth.Login", "Auth.Logout", "Customers.Get"} {
				s.fake.Fail(t, emporixtest.Fault{Operation: operation, Delay: 20 * time.Millisecond, Times: 1000})
			}
			var all sync.WaitGroup
			for visitor := range 4 {
				email := fmt.Sprintf("v%d@example.com", visitor)
				number := s.fake.AddCustomer(t, emporixtest.Customer{Email: email, Password: jo.Password}).CustomerNumber
				mine := s.browser()
				var jar sync.Mutex
				var tabs sync.WaitGroup
				for tab := range 4 {
					random := rand.New(rand.NewPCG(uint64(visitor), uint64(tab))) // #nosec G404,G115 -- small numbers
					tabs.Go(func() {
						for range 25 {
							time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
							b := s.browser()
							jar.Lock()
							b.cookie = mine.cookie
							jar.Unlock()
							w := b.serve(func(_ http.ResponseWriter, r *http.Request) {
								visit := bff.From(r)
								var err error
								switch random.IntN(6) {
								case 0:
									_, err = visit.Login(r.Context(), emporix.LoginRequest{Email: email, Password: jo.Password})
								case 1:
									_, err = visit.Login(r.Context(), emporix.LoginRequest{Email: email, Password: "wrong"})
									assert.Error(t, err)
									err = nil
								case 2:
									if err = visit.Logout(r.Context()); err != nil {
										assert.ErrorIs(t, err, emporix.ErrNotLoggedIn)
										err = nil
									}
								default:
									session, openErr := visit.Session(r.Context())
									if !assert.NoError(t, openErr) {
										return
									}
									me, readErr := session.Customers.Get(r.Context())
									if err = readErr; err == nil {
										assert.Contains(t, []string{guestNumber, number}, me.CustomerNumber)
									}
								}
								assert.NoError(t, err)
							})
							for _, c := range w.Result().Cookies() {
								jar.Lock()
								mine.cookie = c.Value
								jar.Unlock()
							}
						}
					})
				}
				all.Go(func() {
					tabs.Wait()
					w := mine.serve(func(_ http.ResponseWriter, r *http.Request) {
						_, err := bff.From(r).Login(r.Context(), emporix.LoginRequest{Email: email, Password: jo.Password})
						assert.NoError(t, err)
					})
					mine.cookie = w.Result().Cookies()[0].Value
					assert.Equal(t, number, mine.ok("GET", "/page"))
					assert.Equal(t, number, mine.ok("GET", "/page"))
				})
			}
			all.Wait()
		})
	})
}
