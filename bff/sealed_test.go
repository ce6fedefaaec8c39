package bff_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
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
	s.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
	for _, secret := range s.fake.Server().Secrets() {
		plain, err := base64.RawURLEncoding.DecodeString(b.cookie)
		require.NoError(t, err)
		assert.NotContains(t, string(plain), secret)
	}
	_, writes := s.store.cost()
	assert.Zero(t, writes)
}

// A store around a CookieStore, such as one that counts, keeps sessions in cookies too.
func TestAnEmbeddedCookieStore(t *testing.T) {
	type counted struct{ *bff.CookieStore }
	s := newShop(t, setup{})
	restart := func() {
		store := emporix.WithTokenStore(counted{newCookieStore(t, cookieKey)})
		s.open(setup{client: []emporix.Option{store, emporix.WithForegroundRenewal()}})
	}
	restart()
	b := s.browser()
	b.login()
	restart()
	assert.Equal(t, s.number, b.ok("GET", "/page"))
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
	assert.Equal(t, guestNumber, b.ok("GET", "/page"), "a key that was taken out opens nothing")
}

// Each cookie has a key of its own, from twenty random bytes behind the key's ID.
func TestSealedSaltsAreRandom(t *testing.T) {
	s := newShop(t, setup{sealed: true})
	b := s.browser()
	b.ok("GET", "/page")
	var seen [20]map[byte]bool
	for range 20 {
		again := bff.Reseal(s.b, b.cookie, func(plain []byte) []byte { return plain })
		data, err := base64.RawURLEncoding.DecodeString(again)
		require.NoError(t, err)
		for i := range seen {
			if seen[i] == nil {
				seen[i] = map[byte]bool{}
			}
			seen[i][data[6+i]] = true
		}
	}
	for i := range seen {
		assert.Greater(t, len(seen[i]), 5, "byte %d", i)
	}
}

// Between any two replicas of a roll-out in two steps no visitor is logged out.
func TestSealedKeysRotateOverReplicas(t *testing.T) {
	next := []byte("a new key, a new key, a new key, a")
	steps := [][][]byte{{cookieKey}, {cookieKey, next}, {next, cookieKey}, {next}}
	for i := range steps[1:] {
		s := newShop(t, setup{sealed: true})
		s.restart(steps[i]...)
		b := s.browser()
		b.login()
		for _, keys := range [][][]byte{steps[i+1], steps[i]} {
			s.restart(keys...)
			assert.Equal(t, s.number, b.ok("GET", "/page"), i)
			s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Status: http.StatusServiceUnavailable})
			b.do("POST", "/company id=x") // seals anew
		}
		assert.Equal(t, s.number, b.ok("GET", "/page"), i)
	}
}

// After a key was taken out, the log can say why visitors begin anew.
func TestACookieOfAnotherKeyIsLogged(t *testing.T) {
	s := newShop(t, setup{sealed: true})
	b := s.browser()
	b.login()
	var log bytes.Buffer
	s.open(setup{sealed: true, options: bff.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))},
		client: []emporix.Option{emporix.WithTokenStore(newCookieStore(t, []byte("a new key, a new key, a new key, a")))}})
	assert.Equal(t, guestNumber, b.ok("GET", "/page"))
	assert.Contains(t, log.String(), "sealed under another key")
	for _, size := range []int{0, 1, 4, 20, 21, 22, 60} {
		s.browser().raw("GET", "/info", "__Host-emporix="+base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{1}, size)))
	}
	assert.NotContains(t, log.String(), "level=WARN", "anybody can cause it")
	b.cookie = bff.Reseal(s.b, b.cookie, func([]byte) []byte { return []byte("{") })
	assert.Equal(t, guestNumber, b.ok("GET", "/page"))
	assert.Contains(t, log.String(), "level=WARN msg=\"bff: a visitor begins anew\"", "only the shop can cause it")
}

func TestSealedKeysAreChecked(t *testing.T) {
	for what, keys := range map[string][][]byte{
		"none": {}, "nil": {nil}, "short": {cookieKey[:31]}, "zero": {make([]byte, 32)}, "one byte": {bytes.Repeat([]byte("x"), 40)},
		"two bytes again and again": {bytes.Repeat([]byte("ab"), 16)}, "a word again and again": {bytes.Repeat([]byte("canary!"), 9)}, "zeros and a one": {append(make([]byte, 31), 1)},
		"hexadecimal of 16 bytes": {[]byte("0123456789abcdef0123456789ABCDEF")}, "hexadecimal, long": {bytes.Repeat([]byte("0a1b2c3d"), 7)},
		"twice": {cookieKey, cookieKey}, "second short": {cookieKey, []byte("short")},
	} {
		_, err := bff.NewCookieStore(keys...)
		require.ErrorIs(t, err, emporix.ErrInvalidRequest, what)
		assert.NotContains(t, err.Error(), "short\"")
		assert.Equal(t, what == "twice" || what == "second short", strings.Contains(err.Error(), "key 2"), what)
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
		require.Equal(t, guestNumber, out.body, what)
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
	whole := b.cookie // whole groups of four, so that what follows is not of the last one
	for len(whole)%4 != 0 {
		whole = bff.Reseal(s.b, whole, func(plain []byte) []byte { return append(plain, ' ') })
	}
	for _, more := range []string{"A", "!", "!more", "="} {
		try("followed by "+more, whole+more)
	}
	try("huge", strings.Repeat("A", 100_000))

	other := emporixtest.New(t, emporixtest.WithTenant("other"))
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
		s := newShop(t, setup{sealed: true, fake: []emporixtest.Option{emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true })}})
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
		assert.Equal(t, guestNumber, old.ok("GET", "/page"), "this process remembers a logout")
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
	assert.Equal(t, guestNumber, b.ok("GET", "/page"), "nobody is logged in")
	s.fake.AssertCalls(t, "Auth.Logout", 1)
	b.login()
	assert.Equal(t, s.number, b.ok("GET", "/page"))
	assert.Less(t, len(b.cookie), 2000)
	assert.ErrorIs(t, s.b.LogoutEverywhere(context.Background(), s.number), bff.ErrNeedsStore)
}

// A tenant whose guests' tokens fit into no cookie: the page's author gets the
// error, and pages begin no sessions that can't be kept.
func TestAGuestWhoFitsIntoNoCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var errs []error
		s := newShop(t, setup{sealed: true, options: bff.Options{
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			ErrorPage: func(w http.ResponseWriter, r *http.Request, status int, err error) {
				visit, visited := bff.FromContext(r.Context())
				require.True(t, visited)
				if errs == nil { // the error of a page that began a session, which is lost
					_, late := visit.Session(r.Context())
					assert.Error(t, late)
				}
				errs = append(errs, err)
				http.Error(w, "sorry", status)
			},
		}})
		huge, err := json.Marshal("x." + strings.Repeat("y", 5000))
		require.NoError(t, err)
		s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Set: map[string]json.RawMessage{"refresh_token": huge}, Times: 3})
		var all []*browser
		page := func(b *browser) {
			t.Helper()
			out := b.do("GET", "/page")
			assert.Equal(t, 500, out.StatusCode)
			assert.Nil(t, out.set)
			assert.NotContains(t, out.body, guestNumber, "of the handler's page nothing is left")
			require.NotEmpty(t, errs)
			assert.ErrorIs(t, errs[len(errs)-1], bff.ErrCookieTooLarge)
			errs = nil
		}
		for range 5 {
			all = append(all, s.browser())
			for range 3 {
				page(all[len(all)-1])
			}
		}
		s.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
		assert.Contains(t, all[0].ok("GET", "/info"), "none", "pages that only look are shown")
		assert.Equal(t, 1, strings.Count(log.String(), "does not fit into a cookie; no other one is begun"))
		customer := s.browser()
		customer.login() // whose tokens do fit
		assert.Equal(t, s.number, customer.ok("GET", "/page"))
		s.fake.AssertCalls(t, "Auth.StartAnonymous", 2)

		time.Sleep(time.Minute)
		for _, b := range all {
			page(b)
		}
		s.fake.AssertCalls(t, "Auth.StartAnonymous", 3)

		time.Sleep(time.Minute) // the tenant's tokens are shorter now
		for _, b := range all {
			assert.Equal(t, guestNumber, b.ok("GET", "/page"))
			assert.NotEmpty(t, b.cookie)
		}
		s.fake.AssertCalls(t, "Auth.StartAnonymous", 3+len(all))
		s.browser().serve(func(_ http.ResponseWriter, r *http.Request) { begins(t, r) })
		s.fake.AssertCalls(t, "Auth.StartAnonymous", 3+len(all))
	})
}

// However the page is written, the error comes in its place.
func TestThePageOfAGuestWhoFitsIntoNoCookie(t *testing.T) {
	for what, row := range map[string]struct {
		cookie bool // from a page that asked the API for nothing
		answer http.HandlerFunc
	}{
		"nothing": {false, func(http.ResponseWriter, *http.Request) {}},
		"text": {false, func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.WriteString(w, "page")
			assert.NoError(t, err)
		}},
		"status": {false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204); w.WriteHeader(200) }},
		"copied": {false, func(w http.ResponseWriter, _ *http.Request) {
			n, _ := io.Copy(w, strings.NewReader("page"))
			assert.EqualValues(t, 4, n)
		}},
		"stream": {false, func(w http.ResponseWriter, _ *http.Request) {
			assert.NoError(t, http.NewResponseController(w).Flush())
			_, _ = io.WriteString(w, "page")
		}},
		"redirect": {false, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/page", http.StatusSeeOther) }},
		"file":     {false, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "doc.go") }},
		"hijacked": {false, func(w http.ResponseWriter, _ *http.Request) {
			_, _, err := http.NewResponseController(w).Hijack()
			assert.ErrorIs(t, err, bff.ErrTooLate)
			assert.ErrorIs(t, err, bff.ErrCookieTooLarge)
		}},
		"known": {true, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }},
	} {
		s := newShop(t, setup{sealed: true})
		b := s.browser()
		if row.cookie {
			w := b.serve(func(_ http.ResponseWriter, r *http.Request) { begins(t, r) })
			b.cookie = w.Result().Cookies()[0].Value
		}
		huge, err := json.Marshal("x." + strings.Repeat("y", 5000))
		require.NoError(t, err)
		s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Set: map[string]json.RawMessage{"refresh_token": huge}, Times: -1})
		for i := range 3 {
			resp := b.over(func(w http.ResponseWriter, r *http.Request) {
				session, err := bff.From(r).Session(r.Context())
				if err != nil {
					assert.NotZero(t, i, what)
					assert.ErrorIs(t, err, bff.ErrCookieTooLarge, what)
					s.b.Error(w, r, err)
					return
				}
				_, err = session.Customers.Get(r.Context())
				assert.NoError(t, err)
				w.Header().Set("Refresh", "0; url=/next")
				w.Header().Set("Content-Disposition", "attachment")
				row.answer(w, r)
			})
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, 500, resp.StatusCode, what)
			assert.Equal(t, "Something went wrong here.\n", string(body), what)
			assert.Equal(t, []string{"no-store"}, resp.Header.Values("Cache-Control"), what)
			assert.Empty(t, resp.Header.Get("Location")+resp.Header.Get("Last-Modified")+resp.Header.Get("Refresh")+resp.Header.Get("Content-Disposition"), what)
			assert.Empty(t, resp.Cookies(), what)
		}
		s.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
	}
}

// A page is shown, although the tokens that were renewed during it do not fit any more
// into the cookie that the visitor has.
func TestTokensThatDoNotFitAnyMore(t *testing.T) {
	huge, err := json.Marshal("x." + strings.Repeat("y", 5000))
	require.NoError(t, err)
	for who, renewal := range map[string]emporixtest.Fault{
		"customer": {Operation: "Auth.Refresh", Set: map[string]json.RawMessage{"saas_token": huge}},
		"guest":    {Operation: "Auth.RefreshAnonymous", Set: map[string]json.RawMessage{"refresh_token": huge}},
	} {
		var log bytes.Buffer
		s := newShop(t, setup{sealed: true, options: bff.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}})
		b := s.browser()
		number := b.ok("GET", "/page")
		if who == "customer" {
			b.login()
			number = s.number
		}
		nothing := ""
		s.fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Status: 401, RawBody: &nothing})
		s.fake.Fail(t, renewal)
		out := b.do("GET", "/page")
		assert.Equal(t, 200, out.StatusCode, who)
		assert.Equal(t, number, out.body, who)
		assert.Nil(t, out.set, who)
		assert.Contains(t, log.String(), "the visitor's cookie could not be written", who)
		s.fake.AssertCalls(t, renewal.Operation, 1)
		assert.Equal(t, guestNumber, s.browser().ok("GET", "/page"), "%s: others are guests all the same", who)
		if who == "customer" { // also with the page of the login
			s.fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Status: 401, RawBody: &nothing, Call: 1})
			s.fake.Fail(t, renewal)
			w := s.browser().serve(func(w http.ResponseWriter, r *http.Request) {
				_, err := bff.From(r).Login(r.Context(), jo)
				assert.NoError(t, err)
				session, err := bff.From(r).Session(r.Context())
				assert.NoError(t, err)
				_, err = session.Customers.Get(r.Context())
				assert.NoError(t, err)
				_, _ = io.WriteString(w, "page")
			})
			assert.Equal(t, "page", w.Body.String())
			assert.Empty(t, w.Result().Cookies())
		}
	}
}

// A handler that panics is answered by what stands around it.
func TestAPanicOfAGuestWhoFitsIntoNoCookie(t *testing.T) {
	s := newShop(t, setup{sealed: true})
	huge, err := json.Marshal("x." + strings.Repeat("y", 5000))
	require.NoError(t, err)
	s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Set: map[string]json.RawMessage{"refresh_token": huge}})
	w := httptest.NewRecorder()
	assert.Panics(t, func() {
		s.b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			session, err := bff.From(r).Session(r.Context())
			assert.NoError(t, err)
			_, err = session.Customers.Get(r.Context())
			assert.NoError(t, err)
			panic("x")
		})).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "https://shop.example/", nil))
	})
	assert.Empty(t, w.Body.String())
}

// A session begins with the page that asks for it, and goes on with the next.
func TestAGuestInACookieCostsOneCall(t *testing.T) {
	s := newShop(t, setup{sealed: true})
	b := s.browser()
	for range 3 {
		b.serve(func(_ http.ResponseWriter, r *http.Request) { _, _ = bff.From(r).Info(r.Context()) })
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
	}
	s.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
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
		assert.Equal(t, 10, sessions)
		for _, b := range visitors {
			assert.Contains(t, b.ok("GET", "/info"), "anonymous")
		}
		s.fake.AssertCalls(t, "Auth.StartAnonymous", 60)

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
			assert.Equal(t, guestNumber, old.raw("GET", "/page", "__Host-emporix="+old.cookie).body, "%s: this process remembers", after)
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

// An ID that was replaced because a change had failed names no customer either, as long as
// its cookie can be opened.
func TestNoOlderCookieNamesACustomer(t *testing.T) {
	for _, failures := range []int{0, 1, 5, 9, 20} {
		for _, last := range []string{"/logout", "/password password=correct+horse", "/login password=correct+horse"} {
			t.Run(fmt.Sprintf("%d failures, %s", failures, last), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newShop(t, setup{sealed: true})
					b := s.browser()
					b.login()
					old := []string{b.cookie}
					for range failures {
						assert.NotEqual(t, "200 OK", b.do("POST", "/password password=incorrect").Status)
						old = append(old, b.cookie)
					}
					b.ok("POST", last)
					for _, later := range []time.Duration{0, 59 * time.Minute, 2 * time.Minute, 3 * time.Hour} {
						time.Sleep(later)
						for i, cookie := range old {
							thief := s.browser()
							thief.cookie = cookie
							assert.NotContains(t, thief.do("GET", "/info").body, s.number, "cookie %d after %s", i, later)
							thief.cookie = cookie
							assert.NotEqual(t, s.number, thief.do("GET", "/page").body, "cookie %d after %s", i, later)
						}
					}
				})
			})
		}
	}
}
