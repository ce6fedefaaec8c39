package bff_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// Who presses "log out" and closes the tab is logged out.
func TestTheBrowserGoesAwayDuringALogout(t *testing.T) {
	for what, patience := range map[string]time.Duration{"at once": 0, "meanwhile": time.Second} {
		for where, logout := range map[string]func(*bff.Visit, context.Context) error{
			"here": (*bff.Visit).Logout, "everywhere": (*bff.Visit).LogoutEverywhere,
		} {
			inBothModes(t, func(t *testing.T, sealed bool) {
				if sealed && where == "everywhere" {
					return
				}
				synctest.Test(t, func(t *testing.T) {
					s := newShop(t, setup{sealed: sealed})
					b, copied := s.browser(), s.browser()
					b.login()
					copied.cookie = b.cookie
					s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Logout", Delay: 3 * time.Second})
					b.serve(func(_ http.ResponseWriter, r *http.Request) {
						ctx, cancel := context.WithCancel(r.Context())
						defer cancel()
						time.AfterFunc(patience, cancel)
						assert.NoError(t, logout(bff.From(r), ctx), "%s, %s", what, where)
					})
					s.fake.AssertCalls(t, "Auth.Logout", 1)
					assert.Equal(t, guestNumber, copied.ok("GET", "/page"))
				})
			})
		}
	}
}

// At its deadline a logout is answered, and goes on.
func TestTheDeadlineOfALogout(t *testing.T) {
	for where, logout := range map[string]func(*bff.Visit, context.Context) error{
		"here": (*bff.Visit).Logout, "everywhere": (*bff.Visit).LogoutEverywhere,
	} {
		inBothModes(t, func(t *testing.T, sealed bool) {
			if sealed && where == "everywhere" {
				return
			}
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, setup{sealed: sealed})
				b, copied := s.browser(), s.browser()
				b.login()
				copied.cookie = b.cookie
				s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Logout", Delay: 3 * time.Second})
				w := b.serve(func(_ http.ResponseWriter, r *http.Request) {
					ctx, cancel := context.WithTimeout(r.Context(), time.Second)
					defer cancel()
					began := time.Now()
					err := logout(bff.From(r), ctx)
					assert.ErrorIs(t, err, emporix.ErrUnavailable, where)
					assert.NotErrorIs(t, err, emporix.ErrStoreUnavailable, "the customer is logged out here")
					assert.LessOrEqual(t, time.Since(began), 1100*time.Millisecond)
				})
				require.Len(t, w.Result().Cookies(), 1)
				assert.Negative(t, w.Result().Cookies()[0].MaxAge)
				assert.Equal(t, guestNumber, copied.ok("GET", "/page"))
				time.Sleep(5 * time.Second)
				journal := s.fake.Journal()
				assert.True(t, slices.ContainsFunc(journal, func(e emporixtest.Entry) bool { return e.Operation == "Auth.Logout" && e.Status == 204 }), "the server has heard of it")
			})
		})
	}
}

// The cart is merged all the same. Only a request's own deadline is kept, because
// the hook may never return.
func TestTheBrowserGoesAwayDuringAHook(t *testing.T) {
	for what, leave := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"gone": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			merged := false
			s := newShop(t, setup{options: bff.Options{AfterLogin: func(ctx context.Context, customer *emporix.Session, _ *bff.Login) error {
				time.Sleep(2 * time.Second)
				_, err := customer.Customers.Get(ctx)
				merged = err == nil
				return err
			}}})
			b := s.browser()
			w := b.serve(func(_ http.ResponseWriter, r *http.Request) {
				ctx, cancel := leave(r.Context())
				defer cancel()
				began := time.Now()
				login, err := bff.From(r).Login(ctx, jo)
				if what == "gone" {
					assert.NoError(t, err)
					return
				}
				assert.Less(t, time.Since(began), time.Second+100*time.Millisecond)
				assert.True(t, login.LoggedIn, "the login stands")
				var hook *bff.HookError
				assert.ErrorAs(t, err, &hook)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			})
			time.Sleep(2 * time.Second)
			synctest.Wait()
			assert.True(t, merged, what)
			require.Len(t, w.Result().Cookies(), 1)
			b.cookie = w.Result().Cookies()[0].Value
			assert.Equal(t, s.number, b.ok("GET", "/page"))
		})
	}
}

func TestTheBrowserGoesAwayBeforeALogin(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		b := s.browser()
		b.ok("GET", "/page")
		before := b.ok("GET", "/info")
		b.serve(func(_ http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			_, err := bff.From(r).Login(ctx, jo)
			assert.ErrorIs(t, err, context.Canceled)
		})
		s.fake.AssertCalls(t, "Auth.Login", 0)
		assert.Equal(t, before, b.ok("GET", "/info"), "nothing has happened")
	})
}

// A log-out that meets a change of the ID ends the session that it became.
func TestALogoutDuringAChange(t *testing.T) {
	for _, target := range []string{"/logout", "/everywhere"} {
		inBothModes(t, func(t *testing.T, sealed bool) {
			if sealed && target == "/everywhere" {
				return
			}
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, setup{sealed: sealed})
				b, other := s.browser(), s.browser()
				b.login()
				other.cookie = b.cookie
				s.fake.Fail(t, emporixtest.Fault{Operation: "Credentials.ChangePassword", Delay: 2 * time.Second})
				var change sync.WaitGroup
				change.Go(func() { b.ok("POST", "/password password=correct+horse") })
				time.Sleep(time.Second)
				other.ok("POST", target)
				assert.Empty(t, other.cookie)
				change.Wait()
				assert.Equal(t, guestNumber, b.ok("GET", "/page"), "whoever pressed %s is logged out", target)
				s.fake.AssertCalls(t, "Auth.Logout", 1)
			})
		})
	}
}

// The change has begun and ended between the moments at which a log-out looks.
func TestALogoutThatAChangeOvertakes(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		b, other := s.browser(), s.browser()
		b.login()
		other.cookie = b.cookie
		w := other.serve(func(_ http.ResponseWriter, r *http.Request) {
			info, err := bff.From(r).Info(r.Context())
			assert.NoError(t, err)
			assert.Equal(t, s.number, info.CustomerNumber)
			b.ok("POST", "/password password=correct+horse")
			assert.NoError(t, bff.From(r).Logout(r.Context()))
		})
		require.Len(t, w.Result().Cookies(), 1)
		assert.Negative(t, w.Result().Cookies()[0].MaxAge)
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		s.fake.AssertCalls(t, "Auth.Logout", 1)
	})
}

func TestADoubleClickOnLogout(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		b, again := s.browser(), s.browser()
		b.login()
		again.cookie = b.cookie
		b.ok("POST", "/logout")
		assert.Equal(t, 401, again.do("POST", "/logout").StatusCode)
		s.fake.AssertCalls(t, "Auth.Logout", 1)
	})
}

// A page that was slow must not bring back the cookie from before the login.
func TestASlowPageDuringALogin(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		for _, password := range []string{"correct+horse", "wrong"} {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, setup{sealed: sealed})
				b, slow := s.browser(), s.browser()
				b.ok("GET", "/page")
				guest := b.ok("GET", "/info")
				time.Sleep(59 * time.Minute) // the slow page renews the guest's token
				slow.cookie = b.cookie
				w := slow.serve(func(_ http.ResponseWriter, r *http.Request) {
					_, err := bff.From(r).Session(r.Context())
					assert.NoError(t, err)
					b.do("POST", "/login password="+password)
				})
				for _, late := range w.Result().Cookies() {
					b.cookie = late.Value
				}
				if sealed {
					s.restart(cookieKey) // only the cookie counts
				}
				if password == "wrong" {
					assert.Equal(t, guest, b.ok("GET", "/info"))
					return
				}
				assert.Equal(t, s.number, b.ok("GET", "/page"))
			})
		}
	})
}

func TestTheCallerGoesAwayDuringALogoutEverywhere(t *testing.T) {
	s := newShop(t, setup{})
	b := s.browser()
	b.login()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.b.LogoutEverywhere(ctx, s.number))
	assert.Equal(t, guestNumber, b.ok("GET", "/page"))
}

// A log-out that the store's failure keeps from being looked at is unavailable: the
// customer is told nothing wrong, and stays logged in.
func TestALogoutWhileTheStoreFails(t *testing.T) {
	for what, fail := range map[string][2]error{"down": {errDown, errDown}, "reading": {errDown, nil}, "writing": {nil, errDown}} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			b, guest := s.browser(), s.browser()
			b.login()
			guest.ok("GET", "/page")
			cookie := b.cookie
			s.store.fail(fail[0], fail[1])
			out := b.do("POST", "/logout")
			assert.Equal(t, 503, out.StatusCode, what)
			assert.Contains(t, out.Header.Get("X-Error"), "token store unavailable", what)
			assert.Equal(t, cookie, b.cookie, what)
			if fail[0] != nil {
				assert.Equal(t, 503, guest.do("POST", "/logout").StatusCode, what)
				assert.Equal(t, 503, b.do("POST", "/everywhere").StatusCode, what)
			}
			s.store.fail(nil, nil)
			if fail[0] != nil {
				assert.Equal(t, s.number, b.ok("GET", "/page"), what)
			}
			b.do("POST", "/logout")
			assert.Equal(t, guestNumber, b.ok("GET", "/page"), what)
			time.Sleep(2 * time.Minute)
		})
	}
}

// A login that fails in the same request does not bring back who has logged out.
func TestALogoutAndALoginThatFails(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		for what, fault := range map[string]emporixtest.Fault{
			"no profile": {Operation: "Customers.Get", Status: 500},
			"no outcome": {Operation: "Auth.Login", Status: 500},
		} {
			s := newShop(t, setup{sealed: sealed})
			b := s.browser()
			b.login()
			old := b.cookie
			s.fake.Fail(t, fault)
			w := b.serve(func(_ http.ResponseWriter, r *http.Request) {
				assert.NoError(t, bff.From(r).Logout(r.Context()))
				_, err := bff.From(r).Login(r.Context(), jo)
				assert.Error(t, err)
			})
			require.Len(t, w.Result().Cookies(), 1, what)
			assert.NotEqual(t, old, w.Result().Cookies()[0].Value, what)
			assert.Equal(t, what == "no profile", w.Result().Cookies()[0].MaxAge < 0, what)
		}
	})
}

// A login whose time is up while another request renews the session leaves nothing
// behind that the visitor has to wait for.
func TestALoginThatHasNoTimeToBegin(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{sealed: sealed, client: []emporix.Option{emporix.WithTimeouts(emporix.Timeouts{Attempt: time.Minute})}})
			b, tab := s.browser(), s.browser()
			b.ok("GET", "/page")
			guest := b.ok("GET", "/info")
			tab.cookie = b.cookie
			time.Sleep(2 * time.Hour)
			s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Delay: 20 * time.Second})
			var page sync.WaitGroup
			page.Go(func() { assert.Equal(t, guestNumber, tab.ok("GET", "/page")) })
			time.Sleep(time.Second)
			status, took := b.timed("POST /login password=correct+horse")
			assert.Equal(t, 503, status)
			assert.LessOrEqual(t, took, requestTime+100*time.Millisecond)
			began := time.Now()
			assert.Equal(t, guest, b.ok("GET", "/info"))
			assert.Less(t, time.Since(began), time.Second)
			page.Wait()
			s.fake.AssertCalls(t, "Auth.Login", 0)
			b.login()
			assert.Equal(t, s.number, b.ok("GET", "/page"))
		})
	})
}
