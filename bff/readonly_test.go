package bff_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

// prefetch is a request that the browser makes before anybody asked for it; its
// Set-Cookie may be lost.
func (b *browser) prefetch(target string) answer {
	b.shop.t.Helper()
	b.header.Set("Sec-Purpose", "prefetch")
	defer b.header.Del("Sec-Purpose")
	out := b.do("GET", target)
	assert.Nil(b.shop.t, out.set, "a prefetch sets no cookie")
	return out
}

func TestAPrefetchRenewsNothing(t *testing.T) {
	for what, c := range map[string]struct{ sealed, foreground bool }{
		"store": {}, "store, foreground": {foreground: true}, "cookie": {sealed: true},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				with := setup{sealed: c.sealed}
				if c.foreground {
					with.client = []emporix.Option{emporix.WithForegroundRenewal()}
				}
				s := newShop(t, with)
				b := s.browser()
				b.login()
				old := b.cookie
				time.Sleep(13 * time.Hour)
				s.store.cost()
				assert.Equal(t, s.number, b.prefetch("/page").body)
				synctest.Wait()
				_, writes := s.store.cost()
				if !c.sealed && !c.foreground { // the renewed tokens are in the store, so no cookie is lost
					s.fake.AssertCalls(t, "Auth.Refresh", 1)
					return
				}
				assert.Zero(t, writes, "the visit is not noted")
				s.fake.AssertCalls(t, "Auth.Refresh", 0)
				assert.Equal(t, s.number, b.ok("GET", "/page"))
				s.fake.AssertCalls(t, "Auth.Refresh", 1)
				b.cookie = old
				assert.Equal(t, s.number, b.prefetch("/page").body, "of a tab that has not heard of it yet")
			})
		})
	}
}

func TestAPrefetchNotesNoVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.login()
		time.Sleep(2 * time.Hour)
		s.store.cost()
		assert.Equal(t, s.number, b.prefetch("/page").body)
		_, writes := s.store.cost()
		assert.Zero(t, writes)
	})
}

func TestAPrefetchBeginsNoSession(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{sealed: sealed, options: bff.Options{Providers: providers}})
			b := s.browser()
			w := b.serve(func(_ http.ResponseWriter, r *http.Request) { // a visitor who has asked the API for nothing
				_, err := bff.From(r).Session(r.Context())
				assert.NoError(t, err)
			})
			b.cookie = w.Result().Cookies()[0].Value
			assert.Equal(t, 503, b.prefetch("/page").StatusCode)
			s.fake.AssertCalls(t, "Auth.StartAnonymous", 0)

			b.ok("GET", "/page")
			before := s.store.dump()
			assert.Equal(t, 503, b.prefetch("/social?to=/").StatusCode)
			assert.Equal(t, before, s.store.dump())

			var until time.Time
			b.serve(func(_ http.ResponseWriter, r *http.Request) {
				info, err := bff.From(r).Info(r.Context())
				assert.NoError(t, err)
				until = info.AccessExpires
			})
			time.Sleep(time.Until(until))
			assert.Equal(t, 503, b.prefetch("/page").StatusCode, "a token that is over would have to be renewed")
			s.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
			s.fake.AssertCalls(t, "Auth.RefreshAnonymous", 0)
		})
	})
}

func TestAPrefetchEndsNoSession(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{sealed: sealed, options: bff.Options{Absolute: 24 * time.Hour}})
			s.store.forever = true
			b := s.browser()
			b.login()
			time.Sleep(24 * time.Hour)
			assert.Equal(t, 503, b.prefetch("/page").StatusCode)
			s.fake.AssertCalls(t, "Auth.Logout", 0)
			assert.Equal(t, guestNumber, b.ok("GET", "/page"))
			s.fake.AssertCalls(t, "Auth.Logout", 1)
		})
	})
	s := newShop(t, setup{})
	b := s.browser()
	b.login()
	s.rewrite(sessionRows, func(string) string { return "{" })
	assert.Equal(t, 503, b.prefetch("/page").StatusCode)
	require.NotEmpty(t, b.cookie)
	assert.Negative(t, b.do("GET", "/page").set.MaxAge, "it is the next page that begins anew")
}

// Scripts prefetch with fetch, and say so by no header but this.
func TestPrefetchesByScripts(t *testing.T) {
	navigation := func(r *http.Request) bool {
		mode := r.Header.Get("Sec-Fetch-Mode")
		return mode == "" || mode == "navigate"
	}
	s := newShop(t, setup{options: bff.Options{ReadOnly: func(r *http.Request) bool { return r.Method == "GET" && !navigation(r) }}})
	b := s.browser()
	b.header.Set("Sec-Fetch-Mode", "cors")
	out := b.do("GET", "/page")
	assert.Equal(t, 503, out.StatusCode)
	assert.Nil(t, out.set)
	b.header.Set("Sec-Fetch-Mode", "navigate")
	b.ok("GET", "/page")
	b.header.Set("Sec-Fetch-Mode", "cors")
	assert.Equal(t, guestNumber, b.ok("GET", "/page"), "it may read a session that there is")
	b.login()
}
