package bff_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
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

const (
	visitorRows = "/bff/visitor/"
	bffRows     = "/bff/"
	sessionRows = `^acme\.\w+/visitor/`
)

// rewrite changes every row of the store whose key matches.
func (s *shop) rewrite(keys string, change func(data string) string) {
	s.t.Helper()
	changed, match := 0, regexp.MustCompile(keys)
	for line := range strings.SplitSeq(s.store.dump(), "\n") {
		key, data, _ := strings.Cut(line, " ")
		if match.MatchString(key) {
			changed++
			require.NoError(s.t, s.store.ConditionalTokenStore.Save(s.t.Context(), key, []byte(change(data)), 1<<62, time.Hour))
		}
	}
	require.Positive(s.t, changed)
}

func TestDamagedRows(t *testing.T) {
	future := func(data string) string { return strings.Replace(data, `"v":1`, `"v":2`, 1) }
	for what, c := range map[string]struct {
		rows   string
		change func(string) string
		status int
		fresh  bool // the visitor goes on as a fresh guest
	}{
		"visitor, not JSON":        {visitorRows, func(string) string { return "\x00{" }, 200, true},
		"visitor, empty":           {visitorRows, func(string) string { return "" }, 200, true},
		"visitor, no key":          {visitorRows, func(string) string { return `{"v":1,"g":5}` }, 200, true},
		"visitor, no generation":   {visitorRows, func(data string) string { return regexp.MustCompile(`"g":\d+`).ReplaceAllString(data, `"g":0`) }, 200, true},
		"visitor, no version":      {visitorRows, func(data string) string { return strings.Replace(data, `"v":1`, `"v":0`, 1) }, 200, true},
		"visitor, a word for seen": {visitorRows, func(data string) string { return regexp.MustCompile(`"s":\d+`).ReplaceAllString(data, `"s":"x"`) }, 200, true},
		"visitor, a long key":      {visitorRows, func(data string) string { return strings.Replace(data, `"k":"`, `"k":"x`, 1) }, 200, true},
		"visitor, from later":      {visitorRows, future, 503, false},
		"session, not JSON":        {sessionRows, func(string) string { return "{" }, 503, true},
		"session, cut":             {sessionRows, func(data string) string { return data[:len(data)/2] }, 503, true},
		"everything, not JSON":     {bffRows, func(string) string { return "<html>" }, 200, true},
		"everything, of arrays":    {bffRows, func(string) string { return "[]" }, 200, true},
	} {
		t.Run(what, func(t *testing.T) {
			s := newShop(t, setup{})
			b := s.browser()
			b.login()
			old := b.cookie
			s.rewrite(c.rows, c.change)
			out := b.do("GET", "/page")
			assert.Equal(t, c.status, out.StatusCode)
			if c.status == 503 {
				assert.NotEmpty(t, out.body)
			}
			if !c.fresh {
				assert.Nil(t, out.set)
				s.rewrite(c.rows, func(data string) string { return data })
				assert.Equal(t, s.number, b.ok("GET", "/page"), "nothing is lost")
				return
			}
			assert.Equal(t, guestNumber, b.ok("GET", "/page"))
			assert.NotEqual(t, old, b.cookie)
		})
	}
}

func TestALoginOverADamagedSession(t *testing.T) {
	s := newShop(t, setup{})
	b := s.browser()
	b.ok("GET", "/page")
	s.rewrite(sessionRows, func(string) string { return "{" })
	b.login()
	assert.Equal(t, s.number, b.ok("GET", "/page"))
}

func TestAStoreWithoutConditionalSave(t *testing.T) {
	s := newShop(t, setup{})
	s.open(setup{client: []emporix.Option{emporix.WithTokenStore(struct{ emporix.TokenStore }{s.store})}})
	b := s.browser()
	for range 3 {
		b.login()
		assert.Equal(t, s.number, b.ok("GET", "/page"))
		b.ok("POST", "/everywhere")
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		time.Sleep(2 * time.Millisecond)
	}
	synctest.Test(t, func(t *testing.T) { // writes of one row take turns
		s := newShop(t, setup{})
		s.store.delay = 10 * time.Millisecond
		s.open(setup{client: []emporix.Option{emporix.WithTokenStore(struct{ emporix.TokenStore }{s.store})}})
		var browsers []*browser
		var all sync.WaitGroup
		for range 6 {
			b := s.browser()
			browsers = append(browsers, b)
			all.Go(b.login)
		}
		all.Wait()
		require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
		for _, b := range browsers {
			assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		}
	})
}

// serve runs one handler behind the middleware.
func (b *browser) serve(handler http.HandlerFunc) *httptest.ResponseRecorder {
	b.shop.t.Helper()
	r := httptest.NewRequestWithContext(b.shop.t.Context(), "GET", "https://shop.example/", nil)
	if b.cookie != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-emporix", Value: b.cookie})
	}
	w := httptest.NewRecorder()
	b.shop.b.Handler(handler).ServeHTTP(w, r)
	return w
}

func TestTheAnswerHasBegun(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		for what, start := range map[string]func(http.ResponseWriter){
			"header": func(w http.ResponseWriter) { w.WriteHeader(200) },
			"body":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") },
			"flush":  func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
			"copy": func(w http.ResponseWriter) {
				_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("x"))
			},
			"controller": func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		} {
			w := s.browser().serve(func(w http.ResponseWriter, r *http.Request) {
				start(w)
				_, err := bff.From(r).Session(r.Context())
				assert.ErrorIs(t, err, bff.ErrTooLate, what)
				_, err = bff.From(r).Login(r.Context(), jo)
				assert.ErrorIs(t, err, bff.ErrTooLate)
				assert.ErrorIs(t, bff.From(r).Logout(r.Context()), bff.ErrTooLate)
			})
			assert.Empty(t, w.Result().Cookies())
		}
		s.fake.AssertCalls(t, "Auth.Login", 0)
	})
}

func TestCookieAndHeaders(t *testing.T) {
	s := newShop(t, setup{})
	w := s.browser().serve(func(w http.ResponseWriter, r *http.Request) {
		_, err := bff.From(r).Session(r.Context())
		assert.NoError(t, err)
		w.Header().Set("Cache-Control", "public")
		w.WriteHeader(204)
	})
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), "whatever the handler says")
	assert.Len(t, w.Result().Cookies(), 1)

	recorder := httptest.NewRecorder()
	func() { // somebody outside answers for a handler that panicked
		defer func() {
			_ = recover()
			recorder.WriteHeader(500)
		}()
		s.b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := bff.From(r).Login(r.Context(), jo)
			assert.NoError(t, err)
			panic("oops")
		})).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), "POST", "/", nil))
	}()
	require.Len(t, recorder.Result().Cookies(), 1, "and nothing is lost")
	b := s.browser()
	b.cookie = recorder.Result().Cookies()[0].Value
	assert.Equal(t, s.number, b.ok("GET", "/page"))
}

func TestTheBrowserGoesAwayDuringALogin(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{sealed: sealed})
			b := s.browser()
			b.ok("GET", "/page")
			s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Login", Delay: 3 * time.Second})
			w := b.serve(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithCancel(r.Context())
				defer cancel()
				time.AfterFunc(time.Second, cancel)
				_, err := bff.From(r).Login(ctx, jo)
				assert.NoError(t, err, "the login ends as it should")
			})
			require.Len(t, w.Result().Cookies(), 1)
		})
	})
}

// A double click: the browser throws away the first response.
func TestADoubleClickOnLogin(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		for _, password := range []string{"wrong", "correct+horse"} {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, setup{sealed: sealed})
				b := s.browser()
				b.ok("GET", "/page")
				guest := b.ok("GET", "/info")
				first := s.browser()
				first.cookie = b.cookie
				s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Login", Delay: time.Second})
				var both sync.WaitGroup
				both.Go(func() { first.do("POST", "/login password="+password) })
				both.Go(func() {
					time.Sleep(100 * time.Millisecond)
					b.do("POST", "/login password="+password)
				})
				both.Wait()
				time.Sleep(time.Second)
				if password == "wrong" {
					assert.Equal(t, guest, b.ok("GET", "/info"), "and the cart is there")
					s.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
					return
				}
				assert.Equal(t, s.number, b.ok("GET", "/page"))
			})
		}
	})
}

func TestALoginWhoseProfileFails(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		b := s.browser()
		b.ok("GET", "/page")
		for i, c := range []struct {
			fault  emporixtest.Fault
			status int
		}{
			{emporixtest.Fault{Status: 500}, 503},
			{emporixtest.Fault{Set: map[string]json.RawMessage{"customerNumber": json.RawMessage(`""`)}}, 502},
			{emporixtest.Fault{Set: map[string]json.RawMessage{"customerNumber": json.RawMessage(`"00000000"`), "id": json.RawMessage(`"00000000"`)}}, 502},
		} {
			c.fault.Operation = "Customers.Get"
			s.fake.Fail(t, c.fault)
			assert.Equal(t, c.status, b.do("POST", "/login password=correct+horse").StatusCode)
			if sealed {
				s.restart(cookieKey) // all there is is in the cookie
			}
			assert.Equal(t, "none  ", b.ok("GET", "/info"), "the guest's session is over with it")
			assert.Equal(t, guestNumber, b.ok("GET", "/page"), "no customer is logged in without being listed")
			s.fake.AssertCalls(t, "Auth.Logout", i+1)
		}
		b.login()
		assert.Equal(t, s.number, b.ok("GET", "/page"))
	})
}

func TestLogoutThatTheServerDoesNotConfirm(t *testing.T) {
	s := newShop(t, setup{})
	b := s.browser()
	assert.Equal(t, 401, b.do("POST", "/logout").StatusCode)
	b.ok("GET", "/page")
	assert.Equal(t, 401, b.do("POST", "/logout").StatusCode, "a guest has nothing to log out of")
	assert.NotEmpty(t, b.cookie)
	b.login()
	s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Logout", Status: 500})
	assert.Equal(t, 502, b.do("POST", "/logout").StatusCode, "it may have been done")
	assert.Empty(t, b.cookie, "here it is done")
	assert.Equal(t, guestNumber, b.ok("GET", "/page"))
}

func TestVisitorsAtOnce(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		numbers := map[string]string{}
		for i := range 40 {
			email := fmt.Sprintf("c%d@example.com", i)
			numbers[email] = s.fake.AddCustomer(t, emporixtest.Customer{Email: email, Password: jo.Password}).CustomerNumber
		}
		var all sync.WaitGroup
		for email, number := range numbers {
			all.Go(func() {
				b := s.browser()
				w := b.serve(func(w http.ResponseWriter, r *http.Request) {
					login, err := bff.From(r).Login(r.Context(), emporix.LoginRequest{Email: email, Password: jo.Password})
					if assert.NoError(t, err) {
						assert.Equal(t, number, login.Customer.CustomerNumber)
					}
				})
				b.cookie = w.Result().Cookies()[0].Value
				var views sync.WaitGroup
				for range 5 {
					views.Go(func() { assert.Equal(t, number, b.raw("GET", "/page", "__Host-emporix="+b.cookie).body) })
				}
				views.Wait()
			})
		}
		all.Wait()
	})
}

func TestOneVisitUsedByManyGoroutines(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		w := s.browser().serve(func(w http.ResponseWriter, r *http.Request) {
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					session, err := bff.From(r).Session(r.Context())
					if assert.NoError(t, err) {
						_, err = session.Customers.Get(r.Context())
						assert.NoError(t, err)
					}
					_, err = bff.From(r).Info(r.Context())
					assert.NoError(t, err)
				})
			}
			all.Wait()
		})
		assert.Len(t, w.Result().Cookies(), 1)
		s.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
	})
}

// Logging out everywhere meets a session that is changing its ID.
func TestLogoutEverywhereDuringAChange(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			b := s.browser()
			b.login()
			time.Sleep(time.Second)
			fault := emporixtest.Fault{Operation: "Credentials.ChangePassword", Delay: 2 * time.Second}
			if fails {
				fault.Status = 400
			}
			s.fake.Fail(t, fault)
			var change sync.WaitGroup
			change.Go(func() { b.do("POST", "/password password=correct+horse") })
			time.Sleep(time.Second)
			require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
			change.Wait()
			assert.Equal(t, guestNumber, b.ok("GET", "/page"), "none escapes")
			assert.NotContains(t, b.ok("GET", "/info"), s.number)
		})
	}
}

func TestLogoutEverywhereWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.login()
		s.store.fail(nil, errDown)
		assert.ErrorIs(t, s.b.LogoutEverywhere(t.Context(), s.number), emporix.ErrStoreUnavailable)
		s.store.fail(nil, nil)
		assert.Equal(t, s.number, b.ok("GET", "/page"))
		require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
	})
}

func TestDevelopment(t *testing.T) {
	s := newShop(t, setup{options: bff.Options{Development: true, Strict: true}})
	get := func(host string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://"+host+"/page", nil)
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		return w.Result()
	}
	for _, host := range []string{"127.0.0.1:8080", "127.1.2.3", "localhost", "LOCALHOST:1", "[::1]:80", "[::1]"} {
		resp := get(host)
		require.Equal(t, 200, resp.StatusCode)
		require.Len(t, resp.Cookies(), 1)
		c := resp.Cookies()[0]
		assert.Equal(t, "emporix", c.Name)
		assert.False(t, c.Secure)
		assert.True(t, c.HttpOnly)
		assert.Equal(t, http.SameSiteStrictMode, c.SameSite)
	}
	for _, host := range []string{
		"shop.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "10.0.0.1:8080", "192.168.1.2:80", "203.0.113.7", "0.0.0.0:80",
		"[2001:db8::1]:443", "[fe80::1]", "[::]:80", "128.0.0.1", "",
	} {
		assert.Equal(t, 403, get(host).StatusCode)
	}
}

// Who only tries it out needs no key, is told so, and can't put it in front of
// customers.
func TestDevelopmentCookies(t *testing.T) {
	var log bytes.Buffer
	keep := func() emporix.Option {
		return emporix.WithTokenStore(bff.DevelopmentCookieStore(slog.New(slog.NewTextHandler(&log, nil))))
	}
	s := newShop(t, setup{sealed: true, client: []emporix.Option{keep()}, options: bff.Options{Development: true}})
	assert.Contains(t, log.String(), "level=WARN")
	assert.Contains(t, log.String(), "random key")

	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/page", nil)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
	require.Len(t, w.Result().Cookies(), 1)
	visitor := w.Result().Cookies()[0]
	info := func() string {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/info", nil)
		r.AddCookie(visitor)
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		return w.Body.String()
	}
	assert.Contains(t, info(), string(emporix.SessionAnonymous))
	s.open(setup{sealed: true, client: []emporix.Option{keep()}, options: bff.Options{Development: true}})
	assert.Contains(t, info(), string(emporix.SessionNone), "another process has another key")

	_, err := bff.New(s.fake.Client(t, keep(), emporix.WithForegroundRenewal()), bff.Options{})
	require.ErrorContains(t, err, "needs a key that lasts")
}

func TestErrorPage(t *testing.T) {
	s := newShop(t, setup{options: bff.Options{ErrorPage: func(w http.ResponseWriter, _ *http.Request, status int, err error) {
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, "own page: ", errors.Is(err, emporix.ErrStoreUnavailable))
	}}})
	s.store.fail(errDown, errDown)
	out := s.browser().do("GET", "/page")
	assert.Equal(t, 503, out.StatusCode)
	assert.Equal(t, "own page: true", out.body)
	assert.Equal(t, 500, bff.Status(errors.New("x")))
}

// Nothing that a program could print shows a cookie, a key or a token.
func TestNothingLeaks(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := newShop(t, setup{options: bff.Options{Logger: logger, Providers: providers}})
	b := s.browser()
	b.login()
	cookie := b.cookie
	b.serve(func(_ http.ResponseWriter, r *http.Request) {
		visit := bff.From(r)
		session, err := visit.Session(r.Context())
		assert.NoError(t, err)
		_, err = visit.BeginSocialLogin(r.Context(), "idp", "")
		assert.NoError(t, err)
		info, err := visit.Info(r.Context())
		assert.NoError(t, err)
		for _, v := range []any{visit, *visit, session, info, s.b} {
			fmt.Fprintf(&log, "%v %+v %#v %s\n", v, v, v, v)
		}
	})
	s.rewrite(visitorRows, func(data string) string { return data[1:] })
	b.ok("GET", "/page")
	require.Contains(t, log.String(), "begins anew")
	assert.NotContains(t, log.String(), cookie)
	for line := range strings.SplitSeq(s.store.dump(), "\n") {
		if _, key, found := strings.Cut(line, `"k":"`); found {
			assert.NotContains(t, log.String(), key[:43])
		}
	}
	s.fake.AssertNoSecrets(t, []byte(log.String()))
}

// quoting is a store whose errors quote key and row.
type quoting struct {
	emporix.ConditionalTokenStore
	format string // of a row and a key
	on     bool
}

func (s *quoting) Load(ctx context.Context, key string) ([]byte, bool, error) {
	row, found, err := s.ConditionalTokenStore.Load(ctx, key)
	if s.on && err == nil {
		return nil, false, fmt.Errorf(s.format, row, key)
	}
	return row, found, err
}

func (s *quoting) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if s.on {
		return false, fmt.Errorf(s.format, data, key)
	}
	return s.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func (s *quoting) Save(ctx context.Context, key string, data []byte, _ uint64, _ time.Duration) error {
	return fmt.Errorf(s.format, data, key)
}

// A visitor's row names the session, and holds what proves who began a social login.
func TestErrorsOfTheStoreShowNoRow(t *testing.T) {
	secrets := regexp.MustCompile(`"(?:k|v)":"([^"]{43})"`)
	for _, format := range []string{"row %s of %s is damaged", "row %q of %q is damaged", "row %x of %x is damaged", "row %v of %v is damaged"} {
		t.Run(format, func(t *testing.T) {
			var log strings.Builder
			store := &quoting{format: format}
			s := newShop(t, setup{})
			store.ConditionalTokenStore = s.store
			s.open(setup{
				client:  []emporix.Option{emporix.WithTokenStore(store)},
				options: bff.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Providers: providers},
			})
			b := s.browser()
			b.ok("GET", "/page")
			b.ok("GET", "/social")
			found := secrets.FindAllStringSubmatch(s.store.dump(), -1)
			require.GreaterOrEqual(t, len(found), 2)
			told := func(out answer) {
				t.Helper()
				assert.Equal(t, 503, out.StatusCode)
				log.WriteString(out.Header.Get("X-Error"))
			}
			store.on = true
			told(b.do("GET", "/page"))
			told(s.browser().do("GET", "/page"))
			told(b.do("POST", "/login password=correct+horse"))
			assert.Contains(t, log.String(), "is damaged", "the reason stays")
			for _, one := range found {
				for _, form := range []string{one[1], fmt.Sprintf("%x", one[1]), strings.Trim(fmt.Sprint([]byte(one[1])), "[]")} {
					assert.NotContains(t, log.String(), form)
				}
			}
		})
	}
}
