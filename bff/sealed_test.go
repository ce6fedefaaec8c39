package bff_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// with opens another process with these keys.
func (s *shop) restart(keys ...[]byte) {
	s.t.Helper()
	s.open(setup{client: []emporix.Option{emporix.WithTokenStore(newCookieStore(s.t, keys...)), emporix.WithForegroundRenewal()}})
}

func TestSealedSessionsNeedNoServer(t *testing.T) {
	s := newShop(t, setup{sealed: true})
	b := s.browser()
	b.login()
	assert.Nil(t, b.do("GET", "/page").set, "nothing has changed")
	s.restart(cookieKey)
	assert.Equal(t, s.number, b.ok("GET", "/page"))
	s.fake.AssertCalls(t, "Auth.Login", 1)
	s.fake.AssertCalls(t, "Auth.Anonymous", 1)
	for _, secret := range s.fake.Server().Secrets() {
		plain, err := base64.RawURLEncoding.DecodeString(b.cookie)
		require.NoError(t, err)
		assert.NotContains(t, string(plain), secret)
	}
	_, writes := s.store.cost()
	assert.Zero(t, writes)
}

func TestSealedKeysRotate(t *testing.T) {
	next := []byte("a new key, a new key, a new key, a")
	s := newShop(t, setup{sealed: true})
	b := s.browser()
	b.login()
	s.restart(next, cookieKey)
	assert.Equal(t, s.number, b.ok("GET", "/page"), "an old key opens")
	b.ok("POST", "/password password=correct+horse")
	s.restart(next)
	assert.Equal(t, s.number, b.ok("GET", "/page"), "the new one seals")
	s.restart(cookieKey)
	assert.Equal(t, nobody, b.ok("GET", "/page"), "a key that was taken out opens nothing")
}

// After a key was taken out, the log can say why visitors begin anew.
func TestACookieOfAnotherKeyIsLogged(t *testing.T) {
	s := newShop(t, setup{sealed: true})
	b := s.browser()
	b.login()
	var log bytes.Buffer
	s.open(setup{sealed: true, options: bff.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))},
		client: []emporix.Option{emporix.WithTokenStore(newCookieStore(t, []byte("a new key, a new key, a new key, a")))}})
	assert.Equal(t, nobody, b.ok("GET", "/page"))
	assert.Contains(t, log.String(), "sealed under another key")
	assert.NotContains(t, log.String(), "level=WARN", "anybody can cause it")
}

func TestSealedKeysAreChecked(t *testing.T) {
	for what, keys := range map[string][][]byte{
		"none": {}, "nil": {nil}, "short": {cookieKey[:31]}, "zero": {make([]byte, 32)}, "one byte": {bytes.Repeat([]byte("x"), 40)},
		"twice": {cookieKey, cookieKey}, "second short": {cookieKey, []byte("short")},
	} {
		_, err := bff.NewCookieStore(keys...)
		require.ErrorIs(t, err, emporix.ErrInvalidRequest, what)
		assert.NotContains(t, err.Error(), "short\"")
	}
	client := emporixtest.New(t).Client(t, emporix.WithTokenStore(newCookieStore(t, cookieKey)))
	_, err := bff.New(client, bff.Options{})
	assert.ErrorContains(t, err, "WithForegroundRenewal")
	assert.NotContains(t, fmt.Sprintf("%+v %#v", newCookieStore(t, cookieKey), client), string(cookieKey))
}

func TestSealedCookiesAreTamperProof(t *testing.T) {
	s := newShop(t, setup{sealed: true})
	b := s.browser()
	b.login()
	good, err := base64.RawURLEncoding.DecodeString(b.cookie)
	require.NoError(t, err)
	s.restart(cookieKey)
	try := func(what, value string) {
		t.Helper()
		out := s.browser().raw("GET", "/page", "__Host-emporix="+value)
		require.Equal(t, 200, out.StatusCode, what)
		require.Equal(t, nobody, out.body, what)
	}
	text := base64.RawURLEncoding.EncodeToString
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		try(fmt.Sprint("bit of byte ", i), text(bad))
	}
	for cut := range len(good) {
		if cut%37 == 0 {
			try("cut", text(good[:cut]))
		}
	}
	try("extended", text(append(bytes.Clone(good), 0)))
	try("another alphabet", base64.StdEncoding.EncodeToString(good))
	require.Zero(t, len(b.cookie)%4, "what follows is not of the last group; else take a session of another length")
	for _, more := range []string{"A", "!", "!more", "="} {
		try("followed by "+more, b.cookie+more)
	}
	try("huge", strings.Repeat("A", 100_000))

	other := emporixtest.New(t, emporixtest.Tenant("other"))
	client := other.Client(t, emporix.WithTokenStore(newCookieStore(t, cookieKey)), emporix.WithForegroundRenewal())
	elsewhere, err := bff.New(client, bff.Options{})
	require.NoError(t, err)
	r := httptest.NewRequestWithContext(t.Context(), "GET", "https://other.example/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-emporix", Value: b.cookie})
	elsewhere.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		info, err := bff.From(r).Info(r.Context())
		assert.NoError(t, err)
		assert.Equal(t, emporix.SessionNone, info.Kind, "another tenant's")
	})).ServeHTTP(httptest.NewRecorder(), r)

	assert.Equal(t, s.number, b.ok("GET", "/page"))
}

func TestSealedSessionsAreRenewedInTheForeground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{sealed: true})
		b := s.browser()
		b.login()
		for range 40 {
			time.Sleep(13 * time.Hour)
			out := b.do("GET", "/page")
			assert.Equal(t, s.number, out.body)
			assert.NotNil(t, out.set)
			s.restart(cookieKey) // all there is is in the cookie
		}
		assert.Equal(t, 40, s.fake.Calls(t, "Auth.Refresh"))
		s.fake.AssertCalls(t, "Auth.Login", 1)
	})
}

func TestTwoTabsRenewOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{sealed: true, fake: []emporixtest.Option{emporixtest.Assume(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true })}})
		b := s.browser()
		b.login()
		old := b.cookie
		time.Sleep(13 * time.Hour)
		var tabs sync.WaitGroup
		for range 8 {
			tabs.Go(func() {
				tab := s.browser()
				tab.cookie = old
				assert.Equal(t, s.number, tab.ok("GET", "/page"))
			})
		}
		tabs.Wait()
		s.fake.AssertCalls(t, "Auth.Refresh", 1)
		time.Sleep(time.Minute)
		assert.Equal(t, s.number, b.ok("GET", "/page"), "a tab that comes late too")
		s.fake.AssertCalls(t, "Auth.Refresh", 1)
	})
}

func TestSealedReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{sealed: true})
		b := s.browser()
		b.login()
		old := s.browser()
		old.cookie = b.cookie
		b.ok("POST", "/logout")
		assert.Equal(t, nobody, old.ok("GET", "/page"), "this process remembers a logout")
		b.login()
		old.cookie = b.cookie
		time.Sleep(30 * 24 * time.Hour)
		s.restart(cookieKey)
		assert.Equal(t, "none  ", old.ok("GET", "/info"), "idle")
	})
}

func TestACookieFromTheFuture(t *testing.T) {
	later := newShop(t, setup{sealed: true})
	b := later.browser()
	b.login()
	later.restart(cookieKey)
	require.Contains(t, b.ok("GET", "/info"), "customer")
	synctest.Test(t, func(t *testing.T) { // where it is the year 2000
		s := newShop(t, setup{sealed: true})
		old := s.browser()
		old.cookie = b.cookie
		assert.Equal(t, "none  ", old.ok("GET", "/info"))
	})
}

func TestASessionThatFitsIntoNoCookie(t *testing.T) {
	s := newShop(t, setup{sealed: true})
	huge, err := json.Marshal("x." + strings.Repeat("y", 5000) + ".z")
	require.NoError(t, err)
	s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Login", Set: map[string]json.RawMessage{"saas_token": huge}})
	b := s.browser()
	out := b.do("POST", "/login password=correct+horse")
	assert.Equal(t, 500, out.StatusCode)
	assert.Contains(t, out.Header.Get("X-Error"), bff.ErrCookieTooLarge.Error())
	assert.Equal(t, nobody, b.ok("GET", "/page"), "nobody is logged in")
	s.fake.AssertCalls(t, "Auth.Logout", 1)
	b.login()
	assert.Equal(t, s.number, b.ok("GET", "/page"))
	assert.Less(t, len(b.cookie), 2000)
	assert.ErrorIs(t, s.b.LogoutEverywhere(context.Background(), s.number), bff.ErrNeedsStore)
}

// FuzzReturnTo finds no way from a social login to another site, read as a browser
// reads it.
func FuzzReturnTo(f *testing.F) {
	fake := emporixtest.New(f)
	b, err := bff.New(fake.Client(f), bff.Options{Providers: providers})
	require.NoError(f, err)
	shop, err := url.Parse("https://shop.example/callback")
	require.NoError(f, err)
	for _, seed := range []string{"/account?a=b#c", "//evil.example", "/\\evil.example", "/\t/evil.example", "/..//evil.example", "https:evil.example", "/%2f/evil.example", " /x", "/@evil.example", "/:80//x", "?x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, to string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://shop.example/", nil)
		b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if _, err := bff.From(r).BeginSocialLogin(r.Context(), "idp", to); err != nil {
				return
			}
			browsers := strings.NewReplacer("\\", "/", "\t", "", "\n", "", "\r", "")
			there, err := shop.Parse(strings.TrimSpace(browsers.Replace(to)))
			assert.NoError(t, err)
			assert.Equal(t, "https://shop.example", there.Scheme+"://"+there.Host)
		})).ServeHTTP(httptest.NewRecorder(), r)
	})
}

func FuzzSealedCookie(f *testing.F) {
	fake := emporixtest.New(f)
	store, err := bff.NewCookieStore(cookieKey)
	require.NoError(f, err)
	b, err := bff.New(fake.Client(f, emporix.WithTokenStore(store), emporix.WithForegroundRenewal()), bff.Options{})
	require.NoError(f, err)
	f.Add("__Host-emporix=AQ")
	f.Add("__Host-emporix=" + strings.Repeat("A", 300))
	f.Fuzz(func(t *testing.T, cookies string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://shop.example/", nil)
		r.Header.Set("Cookie", cookies)
		b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			info, err := bff.From(r).Info(r.Context())
			assert.NoError(t, err)
			assert.Equal(t, emporix.SessionNone, info.Kind)
		})).ServeHTTP(httptest.NewRecorder(), r)
	})
}

// Sessions in memory are bounded, and end with their time; what they are is in the
// cookies. What has ended is remembered for as long as its cookie could be opened.
func TestSealedSessionsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		store := newCookieStore(t, cookieKey)
		bff.Bound(store, 10)
		s.open(setup{client: []emporix.Option{emporix.WithTokenStore(store), emporix.WithForegroundRenewal()}})
		var visitors []*browser
		for range 60 {
			b := s.browser()
			b.ok("GET", "/page")
			visitors = append(visitors, b)
			time.Sleep(time.Second)
		}
		sessions, _ := bff.Kept(store)
		assert.LessOrEqual(t, sessions, 10)
		for _, b := range visitors {
			assert.Contains(t, b.ok("GET", "/info"), "anonymous")
		}
		s.fake.AssertCalls(t, "Auth.Anonymous", 60)

		bff.Bound(store, 1000)
		b, old := s.browser(), s.browser()
		b.login()
		old.cookie = b.cookie
		b.ok("POST", "/password password=correct+horse")
		for range 100 {
			s.browser().ok("GET", "/page")
		}
		for _, after := range []time.Duration{0, time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 2 * time.Hour, 24 * time.Hour, 29 * 24 * time.Hour} {
			time.Sleep(after)
			assert.Equal(t, nobody, old.raw("GET", "/page", "__Host-emporix="+old.cookie).body, "%s: this process remembers", after)
		}
		for range 100 { // each look at a few
			s.browser().ok("GET", "/page")
		}
		sessions, _ = bff.Kept(store)
		assert.Less(t, sessions, 202, "those that nobody used went")
		for range 10 {
			b := s.browser()
			b.ok("POST", "/login password=another+one")
			time.Sleep(32 * 24 * time.Hour)
		}
		_, ended := bff.Kept(store)
		assert.Less(t, ended, 8, "and what could not be presented any more")
	})
}
