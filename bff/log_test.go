package bff_test

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// What goes wrong and is not the visitor's concern is in the log, and only then.
func TestWhatTheVisitorNeedNotKnowIsLogged(t *testing.T) {
	for _, c := range []struct {
		message string
		setup   setup
		wrong   func(s *shop) // before the last step
		steps   func(s *shop, b *browser, wrong func())
	}{
		{
			"a session could not be renewed", setup{sealed: true},
			func(s *shop) { s.fake.Fail(s.t, emporixtest.Fault{Operation: "Auth.Refresh", Status: 500, Times: -1}) },
			func(_ *shop, b *browser, wrong func()) {
				b.login()
				time.Sleep(13 * time.Hour)
				wrong()
				b.ok("GET", "/page")
			},
		}, {
			"a session could not be renewed", setup{client: []emporix.Option{emporix.WithForegroundRenewal()}},
			func(s *shop) { s.fake.Fail(s.t, emporixtest.Fault{Operation: "Auth.Refresh", Status: 500, Times: -1}) },
			func(_ *shop, b *browser, wrong func()) {
				b.login()
				time.Sleep(13 * time.Hour)
				wrong()
				b.ok("GET", "/page")
			},
		}, {
			"the visit could not be noted", setup{},
			func(s *shop) { s.store.fail(nil, errDown) },
			func(_ *shop, b *browser, wrong func()) {
				b.login()
				time.Sleep(2 * time.Hour)
				wrong()
				b.ok("GET", "/page")
			},
		}, {
			"an idle customer's logout was not confirmed", setup{options: bff.Options{Idle: time.Hour}},
			func(s *shop) { s.fake.Fail(s.t, emporixtest.Fault{Operation: "Auth.Logout", Status: 500}) },
			func(s *shop, b *browser, wrong func()) {
				s.store.forever = true
				b.login()
				time.Sleep(time.Hour)
				wrong()
				b.ok("GET", "/page")
			},
		}, {
			"an idle visitor could not be removed", setup{options: bff.Options{Idle: time.Hour}},
			func(s *shop) { s.store.fail(nil, errDown) },
			func(s *shop, b *browser, wrong func()) {
				s.store.forever = true
				b.ok("GET", "/page")
				time.Sleep(time.Hour)
				wrong()
				b.do("GET", "/info")
			},
		}, {
			"a customer's oldest session was not logged out", setup{options: bff.Options{MaxSessions: 1}},
			func(s *shop) { s.fake.Fail(s.t, emporixtest.Fault{Operation: "Auth.Logout", Status: 500}) },
			func(s *shop, b *browser, wrong func()) { b.login(); wrong(); s.browser().login() },
		}, {
			"a session could not be kept", setup{},
			func(s *shop) { s.store.onWrite = func(string) { s.store.failKeys = visitorRows } },
			func(_ *shop, b *browser, wrong func()) { wrong(); b.do("POST", "/login password=wrong") },
		}, {
			"a session is used after the response had begun: caches and the browser may keep that response", setup{}, nil,
			func(_ *shop, b *browser, wrong func()) {
				b.login()
				b.serve(func(w http.ResponseWriter, r *http.Request) {
					if wrong != nil {
						w.WriteHeader(200)
					}
					_, err := bff.From(r).Session(r.Context())
					assert.NoError(b.shop.t, err)
				})
			},
		}, {
			"a login that came too late was not confirmed to be undone", setup{},
			func(s *shop) { s.fake.Fail(s.t, emporixtest.Fault{Operation: "Auth.Logout", Status: 500, Times: -1}) },
			func(s *shop, _ *browser, wrong func()) { wrong(); logInTooLate(s, func() {}) },
		}, {
			"a change of the visitor's ID came too late, and could not be taken back", setup{},
			func(s *shop) { s.store.fail(nil, errDown) },
			func(s *shop, _ *browser, wrong func()) { logInTooLate(s, wrong) },
		}, {
			"Options.ErrorPage failed", setup{options: bff.Options{ErrorPage: func(w http.ResponseWriter, _ *http.Request, status int, err error) {
				if status == 503 {
					panic(err)
				}
				w.WriteHeader(status)
			}}},
			func(s *shop) { s.store.fail(errDown, errDown) },
			func(_ *shop, b *browser, wrong func()) { wrong(); b.do("POST", "/login password=wrong") },
		},
	} {
		for _, goesWrong := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				var said sync.Map
				s := newShop(t, c.setup)
				c.setup.options.Logger = slog.New(honest{t: t, said: &said})
				s.open(c.setup)
				wrong := func() {}
				switch {
				case !goesWrong && c.wrong == nil:
					wrong = nil
				case goesWrong && c.wrong != nil:
					wrong = func() { c.wrong(s) }
				}
				c.steps(s, s.browser(), wrong)
				_, found := said.Load("bff: " + c.message)
				assert.Equal(t, goesWrong, found, c.message)
				s.store.fail(nil, nil)
				time.Sleep(2 * time.Minute)
			})
		}
	}
}

// logInTooLate logs visitors in whose responses http.TimeoutHandler has sent in the
// midst of it, and calls then at that moment.
func logInTooLate(s *shop, then func()) {
	for delay := 4800 * time.Millisecond; delay < 4960*time.Millisecond; delay += 20 * time.Millisecond {
		b := s.browser()
		b.ok("GET", "/page")
		s.store.mu.Lock()
		s.store.delay = 20 * time.Millisecond
		s.store.mu.Unlock()
		s.fake.Fail(s.t, emporixtest.Fault{Operation: "Auth.Login", Delay: delay})
		s.handler = s.b.Handler(http.TimeoutHandler(s.mux, 5*time.Second, "too slow"))
		time.AfterFunc(5*time.Second, then)
		b.do("POST", "/login password=correct+horse")
		time.Sleep(time.Minute)
		s.store.fail(nil, nil)
		s.store.mu.Lock()
		s.store.delay = 0
		s.store.mu.Unlock()
	}
}

// An ID whose change stands is worth nothing, and each request that comes with it
// tries to remove it.
func TestAnIDThatCouldNotBeRemovedIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b, tab := s.browser(), s.browser()
		b.ok("GET", "/page")
		tab.cookie = b.cookie
		old := ""
		for key := range s.store.keys {
			if strings.Contains(key, visitorRows) {
				old = key
			}
		}
		s.store.onWrite = func(key string) {
			if key == old { // reserved for the change, which can't remove it
				s.store.failKeys = old
			}
		}
		b.login()
		for _, fails := range []bool{true, true, false} {
			if !fails {
				s.store.failKeys, s.store.onWrite = "", nil
			}
			var said sync.Map
			s.open(setup{options: bff.Options{Logger: slog.New(honest{t: t, said: &said})}})
			began := time.Now()
			assert.NotContains(t, tab.ok("GET", "/info"), s.number)
			assert.Zero(t, time.Since(began), "once: no request waits for that")
			_, found := said.Load("bff: an ID that is worth nothing could not be removed")
			assert.Equal(t, fails, found)
		}
		assert.Equal(t, s.number, b.ok("GET", "/page"))
	})
}

// A login that came too late takes no place among the sessions of its customer.
func TestALoginThatCameTooLateIsInNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{options: bff.Options{MaxSessions: 2}})
		b := s.browser()
		b.login()
		logInTooLate(s, func() {})
		assert.Equal(t, s.number, b.ok("GET", "/page"), "the older session goes on")
		s.browser().login()
		assert.Equal(t, s.number, b.ok("GET", "/page"), "the older session goes on")
	})
}
