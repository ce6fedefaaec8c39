package bff_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
)

var providers = map[string]bff.Provider{"idp": {
	AuthURL: "https://idp.example/authorize?tenant=x", ClientID: "shop", RedirectURI: "https://shop.example/callback",
}}

// begin starts a social login and returns what the provider was asked.
func begin(t *testing.T, b *browser, to string) url.Values {
	t.Helper()
	u, err := url.Parse(b.ok("GET", "/social?to="+url.QueryEscape(to)))
	require.NoError(t, err)
	assert.Equal(t, "idp.example", u.Host)
	return u.Query()
}

func TestSocialLogin(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed, options: bff.Options{Providers: providers}})
		require.NoError(t, s.fake.Server().AddSocialIdentity("code-1", emporixtest.Identity{Email: jo.Email}))
		b := s.browser()
		asked := begin(t, b, "/account?tab=1")
		assert.Equal(t, "x", asked.Get("tenant"))
		assert.Equal(t, []string{"code", "shop", "https://shop.example/callback", "openid email profile", "S256"},
			[]string{asked.Get("response_type"), asked.Get("client_id"), asked.Get("redirect_uri"), asked.Get("scope"), asked.Get("code_challenge_method")})
		assert.Len(t, asked.Get("code_challenge"), 43)
		assert.GreaterOrEqual(t, len(asked.Get("state")), 22)
		if !sealed {
			assert.NotContains(t, s.store.dump(), asked.Get("state"))
		}
		old := b.cookie
		callback := "/callback?" + url.Values{"state": {asked.Get("state")}, "code": {"code-1"}}.Encode()

		stranger, victim := s.browser(), s.browser()
		victim.ok("GET", "/page")
		for _, other := range []*browser{stranger, victim} { // login CSRF: somebody else's state
			out := other.do("GET", callback)
			assert.Equal(t, 400, out.StatusCode)
			assert.Contains(t, out.Header.Get("X-Error"), bff.ErrState.Error())
		}
		s.fake.AssertCalls(t, "Auth.SocialLogin", 0)

		assert.Equal(t, "/account?tab=1", b.ok("GET", callback))
		assert.NotEqual(t, old, b.cookie)
		assert.Equal(t, s.number, b.ok("GET", "/page"))
		assert.Equal(t, 400, b.do("GET", callback).StatusCode, "a state works once")
		s.fake.AssertCalls(t, "Auth.SocialLogin", 1)
	})
}

// The link may be part of a page. In a cookie its state must be written before.
func TestASocialLoginThatBeginsAfterTheAnswer(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed, options: bff.Options{Providers: providers}})
		require.NoError(t, s.fake.Server().AddSocialIdentity("code-1", emporixtest.Identity{Email: jo.Email}))
		var link string
		var err error
		s.mux.HandleFunc("GET /late", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("<h1>Log in</h1>"))
			link, err = bff.From(r).BeginSocialLogin(r.Context(), "idp", "")
		})
		b := s.browser()
		b.ok("GET", "/page")
		b.ok("GET", "/late")
		if sealed {
			assert.ErrorIs(t, err, bff.ErrTooLate)
			return
		}
		u, err := url.Parse(link)
		require.NoError(t, err)
		b.ok("GET", "/callback?"+url.Values{"state": u.Query()["state"], "code": {"code-1"}}.Encode())
	})
}

// With several identity providers, the state begins with the name of a
// configuration.
func TestStatesThatNameTheirConfiguration(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		named := func(configuration string) setup {
			p := providers["idp"]
			p.Configuration = configuration
			return setup{sealed: sealed, options: bff.Options{Providers: map[string]bff.Provider{"idp": p}}}
		}
		s := newShop(t, named("my-shop.google_2"))
		require.NoError(t, s.fake.Server().AddSocialIdentity("code-1", emporixtest.Identity{Email: jo.Email}))
		b := s.browser()
		states := map[string]bool{}
		state := ""
		for range 3 {
			state = begin(t, b, "").Get("state")
			name, random, found := strings.Cut(state, "--")
			require.True(t, found)
			assert.Equal(t, "my-shop.google_2", name)
			assert.GreaterOrEqual(t, len(random), 26)
			assert.NotContains(t, random, "-")
			assert.Equal(t, name, bff.StateConfiguration(state))
			states[random] = true
		}
		assert.Len(t, states, 3)
		_, random, _ := strings.Cut(state, "--")
		for _, other := range []string{random, "other--" + random, "my-shop.google_2-" + random, "my-shop.google_2--" + random + "x", "my-shop.google_2--"} {
			assert.Equal(t, 400, b.do("GET", "/callback?"+url.Values{"state": {other}, "code": {"code-1"}}.Encode()).StatusCode, other)
		}
		s.fake.AssertCalls(t, "Auth.SocialLogin", 0)
		assert.Equal(t, 200, b.do("GET", "/callback?"+url.Values{"state": {state}, "code": {"code-1"}}.Encode()).StatusCode)
		s.fake.AssertCalls(t, "Auth.SocialLogin", 1)
	})
	for state, want := range map[string]string{
		"google--ABC": "google", "my-shop--ABC": "my-shop", "g--a--b": "g", "ABC": "", "": "", "--ABC": "", "a b--ABC": "", "google-ABC": "", "-a--ABC": "",
		strings.Repeat("a", 100) + "--ABC": strings.Repeat("a", 100), strings.Repeat("a", 101) + "--ABC": "",
	} {
		assert.Equal(t, want, bff.StateConfiguration(state), state)
	}
}

func TestAStateOfAnotherConfigurationIsNotTaken(t *testing.T) {
	s := newShop(t, setup{options: bff.Options{Providers: providers}})
	b := s.browser()
	state := begin(t, b, "").Get("state")
	p := providers["idp"]
	p.Configuration = "google"
	s.open(setup{options: bff.Options{Providers: map[string]bff.Provider{"idp": p}}})
	out := b.do("GET", "/callback?"+url.Values{"state": {state}, "code": {"code-1"}}.Encode())
	assert.Equal(t, 400, out.StatusCode)
	assert.Contains(t, out.Header.Get("X-Error"), bff.ErrState.Error())
	s.fake.AssertCalls(t, "Auth.SocialLogin", 0)
}

func TestConfigurationsThatNoStateCanBeginWith(t *testing.T) {
	client := emporixtest.New(t).Client(t)
	for name, good := range map[string]bool{
		"google": true, "my-shop": true, "a-b-c": true, "A.b_9": true, strings.Repeat("a", 100): true,
		"my--shop": false, "-google": false, "google-": false, "-": false, "--": false, "my shop": false, "a/b": false, "a&b": false, "ü": false, "a%2Db": false,
		"a\n": false, "google\n": false, strings.Repeat("a", 101): false,
	} {
		p := providers["idp"]
		p.Configuration = name
		_, err := bff.New(client, bff.Options{Providers: map[string]bff.Provider{"idp": p}})
		if good {
			assert.NoError(t, err, "%q", name)
			continue
		}
		require.ErrorIs(t, err, emporix.ErrInvalidRequest, "%q", name)
		assert.ErrorContains(t, err, "Configuration")
	}
}

// redeemed keeps the queries with which codes are redeemed.
type redeemed struct {
	next http.RoundTripper
	with []url.Values
}

func (r *redeemed) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/socialLogin") {
		r.with = append(r.with, req.URL.Query())
	}
	return r.next.RoundTrip(req)
}

func TestSocialLoginProvesWhoBeganIt(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{})
		r := &redeemed{next: s.fake.Transport()}
		s.open(setup{sealed: sealed, options: bff.Options{Providers: providers}, client: []emporix.Option{emporix.WithTransport(r)}})
		b := s.browser()
		var challenges []string
		for range 2 {
			asked := begin(t, b, "")
			challenges = append(challenges, asked.Get("code_challenge"))
			b.do("GET", "/callback?"+url.Values{"state": {asked.Get("state")}, "code": {"code-1"}, "redirect_uri": {"https://evil.example"}}.Encode())
		}
		require.Len(t, r.with, 2)
		assert.NotEqual(t, challenges[0], challenges[1])
		for i, query := range r.with {
			sum := sha256.Sum256([]byte(query.Get("code_verifier")))
			assert.Equal(t, challenges[i], base64.RawURLEncoding.EncodeToString(sum[:]))
			assert.Equal(t, "https://shop.example/callback", query.Get("redirect_uri"), "never the request's")
		}
	})
}

func TestConfirmSignUp(t *testing.T) {
	for _, logsIn := range []bool{true, false} {
		inBothModes(t, func(t *testing.T, sealed bool) {
			s := newShop(t, setup{sealed: sealed, fake: []emporixtest.Option{emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) {
				a.DoubleOptIn, a.OptInLogsIn = true, logsIn
			})}})
			b := s.browser()
			b.ok("GET", "/page")
			planted := b.cookie
			w := b.serve(func(_ http.ResponseWriter, r *http.Request) {
				session, err := bff.From(r).Session(r.Context())
				assert.NoError(t, err)
				_, err = session.Customers.SignUp(r.Context(), emporix.SignUpRequest{Email: "ann@example.com", Password: "a new password", CustomerDetails: emporix.CustomerDetails{FirstName: "Ann"}})
				assert.NoError(t, err)
				login, err := bff.From(r).ConfirmSignUp(r.Context(), s.fake.LatestMail(t, emporixfake.MailOptIn, "ann@example.com").Token)
				assert.NoError(t, err)
				assert.Equal(t, logsIn, login.LoggedIn)
				assert.Equal(t, logsIn, login.Customer != nil && login.Customer.FirstName == "Ann")
			})
			require.Len(t, w.Result().Cookies(), 1)
			b.cookie = w.Result().Cookies()[0].Value
			assert.NotEqual(t, planted, b.cookie)
			assert.Equal(t, logsIn, b.ok("GET", "/page") != guestNumber)
			thief := s.browser()
			thief.cookie = planted
			assert.Equal(t, guestNumber, thief.ok("GET", "/page"))
		})
	}
}

// The token works once: a second try would be told that it is unknown.
func TestASignUpThatIsConfirmedAndLogsNobodyIn(t *testing.T) {
	for what, fails := range map[string]func(s *shop){
		"the profile": func(s *shop) {
			s.fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Status: http.StatusServiceUnavailable, Times: 3})
		},
		"the list": func(s *shop) { s.store.failKeys = "/bff/customer/" },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{fake: []emporixtest.Option{emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) {
				a.DoubleOptIn, a.OptInLogsIn = true, true
			})}})
			_, err := s.client.Session("ann").Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: "ann@example.com", Password: "a new password"})
			require.NoError(t, err)
			fails(s)
			s.browser().serve(func(_ http.ResponseWriter, r *http.Request) {
				login, err := bff.From(r).ConfirmSignUp(r.Context(), s.fake.LatestMail(t, emporixfake.MailOptIn, "ann@example.com").Token)
				assert.Nil(t, login)
				assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown, what)
				assert.Equal(t, http.StatusBadGateway, bff.Status(err), what)
			})
			s.store.failKeys = ""
			_, err = s.client.Session("ann").Auth.Login(t.Context(), emporix.LoginRequest{Email: "ann@example.com", Password: "a new password"})
			assert.NoError(t, err, "%s: the sign-up is confirmed", what)
		})
	}
}

func TestSocialLoginRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{options: bff.Options{Providers: providers}})
		b := s.browser()
		for what, callback := range map[string]string{
			"no state":       "code=x",
			"empty":          "state=&code=x",
			"unknown":        "state=" + strings.Repeat("A", 26) + "&code=x",
			"twice":          "state=S&state=S&code=x",
			"long":           "state=" + strings.Repeat("A", 300) + "&code=x",
			"refused":        "state=S&error=access_denied&error_description=%3Cscript%3E",
			"no code":        "state=S",
			"two codes":      "state=S&code=a&code=b",
			"empty code":     "state=S&code=",
			"long code":      "state=S&code=" + strings.Repeat("a", 5000),
			"code and error": "state=S&code=a&error=x",
		} {
			state := begin(t, b, "").Get("state")
			out := b.do("GET", "/callback?"+strings.ReplaceAll(callback, "=S", "="+state))
			assert.Contains(t, []int{400, 401}, out.StatusCode, what)
			assert.NotContains(t, out.body+out.Header.Get("X-Error"), "script")
		}
		state := begin(t, b, "").Get("state")
		time.Sleep(10 * time.Minute)
		assert.Equal(t, 400, b.do("GET", "/callback?code=x&state="+state).StatusCode, "too old")
		oldest := begin(t, b, "").Get("state")
		for range 3 {
			begin(t, b, "")
		}
		assert.Equal(t, 400, b.do("GET", "/callback?code=x&state="+oldest).StatusCode, "three at a time")
		for _, c := range []struct {
			others int
			after  time.Duration
			status int
		}{{2, 10*time.Minute - time.Second, 401}, {3, 0, 400}, {0, 10 * time.Minute, 400}} {
			state := begin(t, b, "").Get("state")
			for range c.others {
				begin(t, b, "")
			}
			time.Sleep(c.after)
			assert.Equal(t, c.status, b.do("GET", "/callback?error=x&state="+state).StatusCode, c)
		}
		used := begin(t, b, "").Get("state")
		assert.Equal(t, 401, b.do("GET", "/callback?error=x&state="+used).StatusCode)
		assert.Equal(t, 400, b.do("GET", "/callback?code=x&state="+used).StatusCode, "a state works once, also when it failed")
		s.fake.AssertCalls(t, "Auth.SocialLogin", 0)
		for _, to := range []string{"//evil.example", "https://evil.example", "/\\evil.example", "evil", "javascript:alert(1)", "/a\nb", "/a\x1fb", "/a\x7fb", "/a#\r\nb", "/a#\x7f", "/%zz", "/" + strings.Repeat("x", 600)} {
			assert.Equal(t, 400, b.do("GET", "/social?to="+url.QueryEscape(to)).StatusCode, to)
		}
		for _, to := range []string{"/a b", "/a#b c", "/~", "/\u00e4"} {
			assert.Equal(t, 200, b.do("GET", "/social?to="+url.QueryEscape(to)).StatusCode, to)
		}
		for size, status := range map[int]int{512: 200, 513: 400} {
			assert.Equal(t, status, b.do("GET", "/social?to=/"+strings.Repeat("x", size-1)).StatusCode, size)
		}
		for size, calls := range map[int]int{4096: 1, 4097: 0} {
			before := s.fake.Calls(t, "Auth.SocialLogin")
			b.do("GET", "/callback?code="+strings.Repeat("a", size)+"&state="+begin(t, b, "").Get("state"))
			s.fake.AssertCalls(t, "Auth.SocialLogin", before+calls)
		}
	})
}

func TestExchangeTokenAndSignUp(t *testing.T) {
	s := newShop(t, setup{})
	require.NoError(t, s.fake.Server().AddSubjectToken("idp.t0k3n", emporixtest.Identity{Email: jo.Email}, ""))
	b := s.browser()
	b.ok("GET", "/page")
	old := b.cookie
	assert.Equal(t, s.number, b.ok("POST", "/exchange token=idp.t0k3n"))
	assert.NotEqual(t, old, b.cookie)
	assert.NotEqual(t, 200, b.do("POST", "/exchange token=unknown").StatusCode)
	assert.Equal(t, s.number, b.ok("GET", "/page"), "a refused login leaves the present one")
}

// Where a cookie has no room for three social logins, the newest can be finished.
func TestSocialLoginsThatFillTheCookie(t *testing.T) {
	s := newShop(t, setup{sealed: true, options: bff.Options{Providers: providers}})
	require.NoError(t, s.fake.Server().AddSocialIdentity("code-1", emporixtest.Identity{Email: jo.Email}))
	b := s.browser()
	to := "/" + strings.Repeat("a&", 250) // & is six bytes in JSON
	var newest url.Values
	for range 4 {
		newest = begin(t, b, to)
	}
	assert.Equal(t, to, b.ok("GET", "/callback?code=code-1&state="+newest.Get("state")))
	assert.Equal(t, s.number, b.ok("GET", "/page"))
}

func TestOptionsAreChecked(t *testing.T) {
	client := emporixtest.New(t).Client(t)
	_, err := bff.New(nil, bff.Options{})
	require.ErrorIs(t, err, emporix.ErrInvalidRequest)
	_, err = bff.New(client, bff.Options{
		Idle: -1, MaxSessions: -1, TrustedOrigins: []string{"shop.example"},
		Providers: map[string]bff.Provider{"a": {AuthURL: "http://idp.example", ClientID: "x", RedirectURI: "https://shop.example"}, "b": {}},
	})
	require.ErrorIs(t, err, emporix.ErrInvalidRequest)
	for _, part := range []string{"Idle", "MaxSessions", "TrustedOrigins", `Providers["a"]`, `Providers["b"]`} {
		assert.ErrorContains(t, err, part)
	}
	for address, refused := range map[string]bool{
		"https://idp.example/a?b=c": false, "http://127.0.0.1:8080/a": false, "http://localhost/a": false, "https://localhost/a": false,
		"http://idp.example": true, "ftp://127.0.0.1/a": true, "https://": true, "https://a@idp.example": true, "https://idp.example/#a": true, "://": true,
	} {
		for _, p := range []bff.Provider{
			{AuthURL: address, ClientID: "x", RedirectURI: "https://shop.example"}, {AuthURL: "https://idp.example", ClientID: "x", RedirectURI: address},
		} {
			_, err := bff.New(client, bff.Options{Providers: map[string]bff.Provider{"a": p}})
			assert.Equal(t, refused, errors.Is(err, emporix.ErrInvalidRequest), "%v %v", p, err)
		}
	}
	b, err := bff.New(client, bff.Options{})
	require.NoError(t, err)
	for _, rules := range []bff.ProxyRules{
		{}, {Allow: []string{"/cart/"}}, {Allow: []string{"GET cart"}}, {Allow: []string{"get /cart/x"}}, {Allow: []string{" /cart/x"}}, {Allow: []string{"GET /{service}/x"}}, {Allow: []string{"GET /"}}, {Allow: []string{"GET /customer/{tenant}/me"}},
		{Allow: []string{"POST /OAuth/token"}}, {Allow: []string{"GET /a/{", "GET /b"}}, {Allow: []string{"GET /a", "GET /a"}}, {Allow: []string{"GET /a"}, Prefix: "x"},
	} {
		_, err := b.Proxy(rules)
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest, "%v", rules)
	}
	assert.Panics(t, func() { bff.From(&http.Request{}) })
}

func TestHooksOfEveryLogin(t *testing.T) {
	var heard []string
	s := newShop(t, setup{
		options: bff.Options{
			Providers:   providers,
			BeforeLogin: func(context.Context, *emporix.Session) error { heard = append(heard, "before"); return nil },
			AfterLogin:  func(context.Context, *emporix.Session, *bff.Login) error { heard = append(heard, "after"); return nil },
		},
		fake: []emporixtest.Option{emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.DoubleOptIn, a.OptInLogsIn = true, true })},
	})
	require.NoError(t, s.fake.Server().AddSubjectToken("idp.t0k3n", emporixtest.Identity{Email: jo.Email}, ""))
	require.NoError(t, s.fake.Server().AddSocialIdentity("code-1", emporixtest.Identity{Email: jo.Email}))
	for what, login := range map[string]func(b *browser){
		"password": func(b *browser) { b.login() },
		"exchange": func(b *browser) { b.ok("POST", "/exchange token=idp.t0k3n") },
		"social": func(b *browser) {
			b.ok("GET", "/callback?"+url.Values{"state": {begin(t, b, "/").Get("state")}, "code": {"code-1"}}.Encode())
		},
		"sign-up": func(b *browser) {
			b.serve(func(_ http.ResponseWriter, r *http.Request) {
				session, err := bff.From(r).Session(r.Context())
				assert.NoError(t, err)
				_, err = session.Customers.SignUp(r.Context(), emporix.SignUpRequest{Email: "ann@example.com", Password: "a new password"})
				assert.NoError(t, err)
				login, err := bff.From(r).ConfirmSignUp(r.Context(), s.fake.LatestMail(t, emporixfake.MailOptIn, "ann@example.com").Token)
				assert.NoError(t, err)
				assert.True(t, login.LoggedIn)
			})
		},
	} {
		b := s.browser()
		b.ok("GET", "/page")
		heard = nil
		login(b)
		assert.Equal(t, []string{"before", "after"}, heard, what)
	}
}

// What a shop does with its map of providers later changes nothing.
func TestProvidersAreThoseOfTheStart(t *testing.T) {
	given := maps.Clone(providers)
	s := newShop(t, setup{options: bff.Options{Providers: given}})
	clear(given)
	assert.NotEmpty(t, begin(t, s.browser(), "").Get("state"))
}
