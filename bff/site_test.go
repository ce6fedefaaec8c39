package bff_test

import (
	"net/http"
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

// asked keeps the queries of anonymous logins.
type asked struct {
	next http.RoundTripper
	mu   sync.Mutex
	with []string
}

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/anonymous/login") {
		q := r.URL.Query()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.with = append(a.with, q.Get("siteCode")+" "+q.Get("currency")+" "+q.Get("language"))
	}
	return a.next.RoundTrip(r)
}

func TestSite(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		a := &asked{next: s.fake.Transport()}
		s.open(setup{sealed: sealed, client: []emporix.Option{emporix.WithTransport(a)}, options: bff.Options{
			Site: func(r *http.Request) emporix.SessionContext {
				if r.Header.Get("Accept-Language") == "de" {
					return emporix.SessionContext{SiteCode: "main", Currency: "EUR", Language: "de"}
				}
				return emporix.SessionContext{SiteCode: "us", Currency: "USD", Language: "en"}
			},
		}})
		b := s.browser()
		b.header.Set("Accept-Language", "de")
		b.ok("GET", "/page")
		b.header.Set("Sec-Purpose", "prefetch")
		b.header.Set("Accept-Language", "en")
		b.ok("GET", "/page")
		assert.Equal(t, []string{"main EUR de"}, a.with, "a visitor stays with it, and a prefetch changes nothing")
		s.browser().login()
		require.Equal(t, []string{"main EUR de", "us USD en"}, a.with)

		b.header.Del("Sec-Purpose")
		sessionID := func() string { info := strings.Fields(b.ok("GET", "/info")); return info[len(info)-1] }
		cart := sessionID()
		b.login()
		assert.Equal(t, cart, sessionID(), "the cart of a guest who logs in stays")
		assert.Len(t, a.with, 2)
	})
}

// Each beginning is a call that costs: requests at the same time make one.
func TestManyRequestsOfAGuestWhoComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{options: bff.Options{
			Site: func(*http.Request) emporix.SessionContext { return emporix.SessionContext{Currency: "EUR"} },
		}})
		b := s.browser()
		b.ok("GET", "/page")
		for calls, fault := range []emporixtest.Fault{{}, {Status: http.StatusForbidden}} { // those who waited share a failure
			time.Sleep(10 * 24 * time.Hour)
			fault.Operation, fault.Delay = "Auth.StartAnonymous", time.Second
			s.fake.Fail(t, fault)
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					got := (&browser{shop: s, cookie: b.cookie}).do("GET", "/page").StatusCode
					assert.Equal(t, max(fault.Status, http.StatusOK), got)
				})
			}
			all.Wait()
			s.fake.AssertCalls(t, "Auth.StartAnonymous", 2+calls)
		}
		b.ok("GET", "/page")
	})
}

// A guest whose session the store has forgotten begins the next one as the site says,
// and one only, however many requests they come back with.
func TestAGuestOfASiteComesBack(t *testing.T) {
	for how, forget := range map[string]func(*shop, *browser){
		"after days": func(*shop, *browser) { time.Sleep(10 * 24 * time.Hour) },
		"after days, to log in": func(_ *shop, b *browser) {
			time.Sleep(10 * 24 * time.Hour)
			b.login()
		},
		"after a login that failed half-way": func(s *shop, b *browser) {
			s.fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Status: http.StatusServiceUnavailable, Times: 3})
			assert.Equal(t, http.StatusServiceUnavailable, b.do("POST", "/login password=correct+horse").StatusCode)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			a := &asked{next: s.fake.Transport()}
			s.open(setup{client: []emporix.Option{emporix.WithTransport(a)}, options: bff.Options{
				Site: func(*http.Request) emporix.SessionContext { return emporix.SessionContext{Currency: "EUR"} },
			}})
			var ids sync.Map
			s.mux.HandleFunc("GET /id", func(_ http.ResponseWriter, r *http.Request) {
				session, err := bff.From(r).Session(r.Context())
				if assert.NoError(t, err) {
					_, err := session.Customers.Get(r.Context())
					assert.NoError(t, err)
					info, err := session.Info(r.Context())
					assert.NoError(t, err)
					ids.Store(info.SessionID, true)
				}
			})
			b := s.browser()
			b.ok("GET", "/page")
			forget(s, b)
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() { (&browser{shop: s, cookie: b.cookie}).ok("GET", "/id") })
			}
			all.Wait()
			b.ok("GET", "/id")
			n := 0
			ids.Range(func(any, any) bool { n++; return true })
			assert.Equal(t, 1, n, how)
			for _, with := range a.with {
				assert.Equal(t, " EUR ", with, how)
			}
		})
	}
}
