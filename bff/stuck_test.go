package bff_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

func withStore(store emporix.TokenStore) []emporix.Option {
	return []emporix.Option{emporix.WithTokenStore(store)}
}

// stuck is a store whose operations on some rows do not return, from one of them on,
// and that hears no context.
type stuck struct {
	emporix.ConditionalTokenStore
	rows    string // part of the rows' names
	mu      sync.Mutex
	armed   bool
	at      int
	hit     bool
	release chan struct{}
}

func (s *stuck) pass(key string) {
	s.mu.Lock()
	if !s.armed || !strings.Contains(key, s.rows) {
		s.mu.Unlock()
		return
	}
	s.at--
	blocks := s.at < 0
	s.hit = s.hit || blocks
	s.mu.Unlock()
	if blocks {
		<-s.release
	}
}

func (s *stuck) Load(ctx context.Context, key string) ([]byte, bool, error) {
	s.pass(key)
	return s.ConditionalTokenStore.Load(ctx, key)
}

func (s *stuck) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	s.pass(key)
	return s.ConditionalTokenStore.Save(ctx, key, data, generation, ttl)
}

func (s *stuck) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	s.pass(key)
	return s.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func (s *stuck) Delete(ctx context.Context, key string) error {
	s.pass(key)
	return s.ConditionalTokenStore.Delete(ctx, key)
}

// stuckLease is a stuck store with leases.
type stuckLease struct {
	*stuck
	leases emporix.LeaseTokenStore
}

func (s stuckLease) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	s.pass(key)
	return s.leases.Acquire(ctx, key, owner, ttl)
}

func (s stuckLease) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	s.pass(key)
	return s.leases.Remaining(ctx, key, owner)
}

func (s stuckLease) Release(ctx context.Context, key, owner string) error {
	s.pass(key)
	return s.leases.Release(ctx, key, owner)
}

const requestTime = 300 * time.Millisecond

// timed sends a request that has requestTime, and returns how long it took.
func (b *browser) timed(target string) (status int, took time.Duration) {
	b.shop.t.Helper()
	ctx, cancel := context.WithTimeout(b.shop.t.Context(), requestTime)
	defer cancel()
	method, path, _ := strings.Cut(target, " ")
	path, body, _ := strings.Cut(path, " ")
	r := httptest.NewRequestWithContext(ctx, method, "https://shop.example"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if b.cookie != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-emporix", Value: b.cookie})
	}
	began := time.Now()
	w := httptest.NewRecorder()
	b.shop.handler.ServeHTTP(w, r)
	return w.Code, time.Since(began)
}

var handlers = []string{
	"GET /static", "GET /page", "GET /info", "POST /login password=correct+horse", "POST /login password=wrong", "POST /logout", "POST /everywhere",
	"POST /password password=correct+horse", "POST /company id=x", "GET /social?to=/", "GET /callback?state=S&code=x", "POST /exchange token=x", "GET /api/cart/acme/carts/1",
}

// A store that never returns, from any of its operations on, and each handler: the
// request is answered at its deadline, whatever of the store is used after that.
func TestAStoreThatNeverReturns(t *testing.T) {
	plain := func(s *stuck) emporix.TokenStore { return struct{ emporix.TokenStore }{s} }
	conditional := func(s *stuck) emporix.TokenStore { return s }
	leasing := func(s *stuck) emporix.TokenStore {
		leases := emporix.NewMemoryStore(0)
		s.ConditionalTokenStore = leases
		return stuckLease{s, leases}
	}
	for name, tt := range map[string]struct {
		rows       string
		store      func(*stuck) emporix.TokenStore
		foreground bool
	}{
		"rows of package bff":  {bffRows, conditional, false},
		"all rows":             {"", conditional, false},
		"plain":                {"", plain, false},
		"plain, foreground":    {"", plain, true},
		"leasing":              {"", leasing, false},
		"leasing, foreground":  {"", leasing, true},
		"sessions, foreground": {"visitor/", conditional, true},
	} {
		t.Run(name, func(t *testing.T) {
			situations := 0
			for _, target := range handlers {
				for _, who := range []string{"stranger", "guest", "customer"} {
					for at, more := 0, true; more; at++ {
						synctest.Test(t, func(t *testing.T) {
							s := newShop(t, setup{})
							store := &stuck{ConditionalTokenStore: s.store, rows: tt.rows, at: at, release: make(chan struct{})}
							options := withStore(tt.store(store))
							if tt.foreground {
								options = append(options, emporix.WithForegroundRenewal())
							}
							s.open(setup{client: options, options: bff.Options{Providers: providers}})
							b := s.browser()
							if who != "stranger" {
								b.ok("GET", "/page")
							}
							target := target
							if who == "customer" {
								b.login()
								if strings.Contains(target, "/callback") {
									target = strings.ReplaceAll(target, "=S", "="+begin(t, b, "/").Get("state"))
								}
								if tt.foreground { // so that a renewal is due
									time.Sleep(13 * time.Hour)
								}
							}
							store.mu.Lock()
							store.armed = true
							store.mu.Unlock()
							_, took := b.timed(target)
							assert.LessOrEqual(t, took, requestTime+100*time.Millisecond, "%s, %s, operation %d", target, who, at)
							store.mu.Lock()
							more = store.hit && !t.Failed()
							store.mu.Unlock()
							close(store.release)
							synctest.Wait()
						})
						situations++
					}
				}
			}
			t.Logf("%d situations", situations)
		})
	}
}

// blockedLogger never takes a line.
type blockedLogger struct {
	slog.Handler
	release chan struct{}
}

// hangsOnce is a store without conditional saves, one of whose writes never returns.
type hangsOnce struct {
	emporix.TokenStore
	armed atomic.Bool
	never chan struct{}
}

func (s *hangsOnce) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	if strings.Contains(key, "bff/visitor/") && s.armed.Swap(false) {
		<-s.never
	}
	return s.TokenStore.Save(ctx, key, data, generation, ttl)
}

// A write that does not return shuts out no other visitor.
func TestAWriteThatNeverReturnsShutsOutItsOwnRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		store := &hangsOnce{TokenStore: struct{ emporix.TokenStore }{s.store}, never: make(chan struct{})}
		s.open(setup{client: withStore(store)})
		store.armed.Store(true)
		s.browser().do("GET", "/page")
		require.False(t, store.armed.Load(), "a write hangs")
		time.Sleep(10 * time.Minute)
		for range 200 {
			began := time.Now()
			require.Equal(t, "200 OK", s.browser().do("GET", "/page").Status)
			assert.Less(t, time.Since(began), 100*time.Millisecond)
		}
		close(store.never)
	})
}

func (l blockedLogger) Handle(context.Context, slog.Record) error { <-l.release; return nil }

func TestHooksThatNeverReturn(t *testing.T) {
	release := make(chan struct{})
	handler := slog.NewTextHandler(&strings.Builder{}, nil) // takes every level
	for name, options := range map[string]func() bff.Options{
		"BeforeLogin": func() bff.Options {
			return bff.Options{BeforeLogin: func(context.Context, *emporix.Session) error { <-release; return nil }}
		},
		"AfterLogin": func() bff.Options {
			return bff.Options{AfterLogin: func(context.Context, *emporix.Session, *bff.Login) error { <-release; return nil }}
		},
		"Site": func() bff.Options {
			return bff.Options{Site: func(*http.Request) emporix.SessionContext { <-release; return emporix.SessionContext{} }}
		},
		"ReadOnly": func() bff.Options {
			return bff.Options{ReadOnly: func(*http.Request) bool { <-release; return false }}
		},
		"ErrorPage": func() bff.Options {
			return bff.Options{ErrorPage: func(http.ResponseWriter, *http.Request, int, error) { <-release }}
		},
		"Logger": func() bff.Options {
			return bff.Options{Logger: slog.New(blockedLogger{handler, release})}
		},
	} {
		for _, target := range handlers {
			t.Run(name+", "+target, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					release = make(chan struct{})
					s := newShop(t, setup{})
					b, stranger := s.browser(), s.browser()
					b.login()
					with := options()
					with.Providers = providers
					s.open(setup{options: with})
					if name == "Logger" {
						s.rewrite(visitorRows, func(string) string { return "{" }) // there is something to tell
					}
					for _, browser := range []*browser{b, stranger} {
						status, took := browser.timed(target)
						assert.LessOrEqual(t, took, requestTime+100*time.Millisecond)
						assert.NotZero(t, status)
					}
					close(release)
					synctest.Wait()
				})
			})
		}
	}
}

func TestALoggerThatReturnsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var lines strings.Builder
		handler := slog.NewTextHandler(&lines, nil)
		s := newShop(t, setup{options: bff.Options{Logger: slog.New(lateLogger{handler, release})}})
		damaged := func() {
			b := s.browser()
			b.ok("GET", "/page")
			s.rewrite(visitorRows, func(string) string { return "{" })
			b.ok("GET", "/page")
		}
		for range 5 {
			damaged()
			synctest.Wait()
		}
		close(release)
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(lines.String(), "begins anew"), "lines are dropped while one does not return")
		damaged()
		assert.Equal(t, 2, strings.Count(lines.String(), "begins anew"), "and not afterwards")
	})
}

type lateLogger struct {
	slog.Handler
	release chan struct{}
}

func (l lateLogger) Handle(ctx context.Context, r slog.Record) error {
	<-l.release
	return l.Handler.Handle(ctx, r)
}

func TestAnErrorPage(t *testing.T) {
	for what, c := range map[string]struct {
		page   func(w http.ResponseWriter)
		status int
		body   string
	}{
		"status and text": {func(w http.ResponseWriter) { w.WriteHeader(418); _, _ = fmt.Fprint(w, "own") }, 418, "own"},
		"text":            {func(w http.ResponseWriter) { _, _ = fmt.Fprint(w, "own") }, 200, "own"},
		"two statuses":    {func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(404); w.WriteHeader(500) }, 404, ""},
		"a success first": {func(w http.ResponseWriter) { w.WriteHeader(200); w.WriteHeader(404) }, 200, ""},
		"nothing":         {func(http.ResponseWriter) {}, 200, ""},
		"a panic":         {func(http.ResponseWriter) { panic("oops") }, 503, "Nothing is lost"},
		"headers of other": {func(w http.ResponseWriter) {
			w.Header().Set("X-Own", "1")
			w.Header().Del("Retry-After")
			w.WriteHeader(503)
		}, 503, ""},
	} {
		s := newShop(t, setup{options: bff.Options{ErrorPage: func(w http.ResponseWriter, _ *http.Request, _ int, _ error) { c.page(w) }}})
		s.store.fail(errDown, errDown)
		out := s.browser().do("GET", "/page")
		assert.Equal(t, c.status, out.StatusCode, what)
		assert.Contains(t, out.body, c.body, what)
		assert.Equal(t, "no-store", out.Header.Get("Cache-Control"), what)
		if what == "headers of other" {
			assert.Equal(t, "1", out.Header.Get("X-Own"))
			require.Empty(t, out.Header.Get("Retry-After"))
		}
	}
}

// An API that is slow, in each of its operations, and each handler: the request is
// answered at its deadline, and nobody is locked out.
func TestAnAPIThatIsSlow(t *testing.T) {
	for _, target := range handlers {
		for _, who := range []string{"stranger", "stranger of a site", "guest", "customer"} {
			for _, operation := range []string{
				"Auth.StartAnonymous", "Auth.Login", "Auth.Logout", "Customers.Get", "Credentials.ChangePassword", "Auth.Refresh", "Auth.SocialLogin", "Auth.ExchangeToken",
			} {
				synctest.Test(t, func(t *testing.T) {
					options := bff.Options{Providers: providers}
					if who == "stranger of a site" {
						options.Site = func(*http.Request) emporix.SessionContext { return emporix.SessionContext{Currency: "EUR"} }
					}
					s := newShop(t, setup{options: options})
					b := s.browser()
					if who == "guest" || who == "customer" {
						b.ok("GET", "/page")
					}
					target := strings.ReplaceAll(strings.ReplaceAll(target, "code=x", "code=code-x"), "token=x", "token=token-x")
					if who == "customer" {
						b.login()
						if strings.Contains(target, "/callback") {
							target = strings.ReplaceAll(target, "=S", "="+begin(t, b, "/").Get("state"))
						}
					}
					s.fake.Fail(t, emporixtest.Fault{Operation: operation, Delay: 20 * time.Second, Times: 3})
					_, took := b.timed(target)
					assert.LessOrEqual(t, took, requestTime+200*time.Millisecond, "%s, %s, %s", target, who, operation)
					time.Sleep(2 * time.Minute)
					s.fake.Server().ClearFaults()
					stranger := s.browser()
					if s.fake.Calls(t, "Credentials.ChangePassword") == 0 {
						stranger.login()
					}
					assert.NotContains(t, b.ok("GET", "/info"), "expired")
					b.ok("GET", "/page")
				})
			}
		}
	}
}
