package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// place is the shop over a fake of its own.
type place struct {
	url  string
	fake *emporixtest.Fake
	log  *bytes.Buffer
}

func open(t *testing.T, options ...emporix.Option) *place {
	t.Helper()
	fake := emporixtest.New(t, emporixtest.WithSocket(), emporixtest.WithSeed(seed()),
		emporixtest.WithAssumptions(func(a *emporixfake.Assumptions) { a.DoubleOptIn = true }))
	t.Setenv(emporix.EnvHost, fake.URL())
	server := httptest.NewUnstartedServer(nil)
	p := &place{url: "http://" + server.Listener.Addr().String(), fake: fake, log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	handler, err := newShop(t.Context(), fake.Client(t, append(options, emporix.WithLogger(log))...), settings{url: p.url}, log)
	require.NoError(t, err)
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(server.Close)
	return p
}

// visitor is a browser without the looks.
type visitor struct {
	t    *testing.T
	at   *place
	http *http.Client
}

func newJar(t *testing.T) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return jar
}

func (p *place) visitor(t *testing.T) *visitor {
	t.Helper()
	return &visitor{t, p, &http.Client{Jar: newJar(t)}}
}

type seen struct {
	status int
	where  string // the path after redirects
	body   string
	header http.Header
}

func (v *visitor) send(method, path, contentType, body string, headers ...string) seen {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.at.url+path, strings.NewReader(body))
	require.NoError(v.t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := v.http.Do(req)
	require.NoError(v.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(v.t, err)
	return seen{res.StatusCode, res.Request.URL.RequestURI(), string(raw), res.Header}
}

func (v *visitor) get(path string) seen { v.t.Helper(); return v.send("GET", path, "", "") }

func (v *visitor) post(path string, form ...string) seen {
	v.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	return v.send("POST", path, "application/x-www-form-urlencoded", values.Encode())
}

func (v *visitor) json(method, path, body string) seen {
	v.t.Helper()
	return v.send(method, path, "application/json", body)
}

func (v *visitor) logIn(email string) {
	v.t.Helper()
	got := v.post("/login", "email", email, "password", seedPassword)
	require.Equal(v.t, "/account?done=logged-in", got.where, got.body)
}

func TestAGuestsPageViewWithALiveTokenCostsNoCall(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	require.Contains(t, v.get("/").body, "You are here as a <strong>guest</strong>")
	before := len(p.fake.Journal())
	for _, path := range []string{"/", "/login", "/signup", "/api/session", "/password/forgotten"} {
		require.Equal(t, http.StatusOK, v.get(path).status, path)
	}
	assert.Len(t, p.fake.Journal(), before)
}

func TestAPageWithoutASessionSetsNoCookie(t *testing.T) {
	v := open(t).visitor(t)
	for _, path := range []string{"/login", "/signup", "/static/shop.css", "/healthz", "/account", "/no-such-page"} {
		assert.Empty(t, v.get(path).header.Values("Set-Cookie"), path)
	}
}

func TestTheLoginLeadsBackIntoTheShopOnly(t *testing.T) {
	for next, want := range map[string]string{
		"/account/addresses":           "/account/addresses",
		"":                             "/account?done=logged-in",
		"https://evil.example/":        "/account?done=logged-in",
		"//evil.example/":              "/account?done=logged-in",
		`/\evil.example/`:              "/account?done=logged-in",
		"/\tevil":                      "/account?done=logged-in",
		"/\x0b/evil.example/":          "/account?done=logged-in",
		"/" + strings.Repeat("a", 999): "/account?done=logged-in",
	} {
		v := open(t).visitor(t)
		assert.Equal(t, want, v.post("/login", "email", "jo@example.com", "password", seedPassword, "next", next).where, "%q", next)
	}
}

func TestWhoIsLoggedInIsNotAskedToLogIn(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	assert.Equal(t, "/login", v.get("/login").where)
	v.logIn("jo@example.com")
	before := len(p.fake.Journal())
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for query, want := range map[string]string{
		"": "/account", "?next=%2Faccount%2Fcompany&done=please-log-in": "/account/company", "?next=https%3A%2F%2Fevil.example%2F": "/account",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := v.send(method, "/login"+query, "", "")
			assert.Equal(t, http.StatusSeeOther, got.status, query)
			assert.Equal(t, want, got.header.Get("Location"), query)
		}
	}
	assert.Len(t, p.fake.Journal(), before, "it costs no call")
	v.http.CheckRedirect = nil
	p.fake.Server().RevokeAccess("")
	p.fake.Server().RevokeRefresh("")
	assert.Contains(t, v.get("/account").where, "/login?next=", "a session that has ended is asked")
	assert.Contains(t, v.get("/login").body, "<h1>Log in</h1>")
}

func TestWhatWasTypedIsShownAsTextAndThePasswordNever(t *testing.T) {
	v := open(t).visitor(t)
	got := v.post("/signup", "firstName", `"><script>alert(1)</script>`, "email", "x", "password", "hunter2-hunter2")
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	assert.NotContains(t, got.body, "<script")
	assert.Contains(t, got.body, "&lt;script&gt;")
	assert.NotContains(t, got.body, "hunter2")
	assert.Contains(t, got.body, "<title>Problem: Create an account")

	got = v.post("/login", "email", "jo@example.com", "password", "hunter2-hunter2")
	require.Equal(t, http.StatusUnauthorized, got.status)
	assert.Contains(t, got.body, "jo@example.com")
	assert.NotContains(t, got.body, "hunter2")
}

func TestAnEmptyPasswordIsAskedForByItsName(t *testing.T) {
	v := open(t).visitor(t)
	assert.Contains(t, v.post("/login", "email", "jo@example.com").body, "Please enter your password.")
	assert.Contains(t, v.post("/signup").body, "Please enter your password.")
	assert.Contains(t, v.post("/password/reset", "token", "t").body, "Please enter your new password.")
	v.logIn("jo@example.com")
	got := v.post("/account/security/password").body
	assert.Contains(t, got, "Please enter your current password.")
	assert.Contains(t, got, "Please enter your new password.")
	assert.Contains(t, v.post("/account/security/email").body, "Please enter your password.")
}

func TestPostsOfOtherSitesAreRefused(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	v.logIn("jo@example.com")
	for _, path := range []string{"/logout", "/login", "/account/security/everywhere", "/account/addresses/new", "/api/logout", "/login/social"} {
		got := v.send("POST", path, "application/x-www-form-urlencoded", "", "Sec-Fetch-Site", "cross-site")
		assert.Equal(t, http.StatusForbidden, got.status, path)
		assert.Contains(t, got.body, "Another site sent this request with your browser", path)
		assert.Equal(t, path == "/api/logout", got.header.Get("Content-Type") == "application/json", path)
		got = v.send("POST", path, "application/x-www-form-urlencoded", "", "Origin", "https://evil.example")
		assert.Equal(t, http.StatusForbidden, got.status, path)
	}
	assert.Contains(t, v.get("/account").body, "Hello, Jo")
}

func TestASessionThatEndedIsSaidInWords(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	v.logIn("jo@example.com")
	p.fake.Server().RevokeAccess("")
	p.fake.Server().RevokeRefresh("")
	got := v.get("/account/addresses")
	assert.Contains(t, got.where, "/login?next=%2Faccount%2Faddresses")
	assert.Contains(t, got.body, "Your session has ended. Log in again and carry on where you were.")
	v.post("/login", "email", "jo@example.com", "password", seedPassword)
	assert.Contains(t, v.get("/account").body, "Hello, Jo")
}

func TestAnOutageKeepsWhatWasTyped(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	v.logIn("jo@example.com")
	p.fake.Fail(t, emporixtest.Fault{Operation: "Addresses.Add", Status: 503, Times: -1})
	got := v.post("/account/addresses/new", "contactName", "Jo", "street", "Torstraße", "zipCode", "10119", "city", "Berlin", "country", "DE")
	assert.GreaterOrEqual(t, got.status, 500)
	assert.Contains(t, got.body, "Torstraße")
	assert.Contains(t, got.body, "please try again")
	assert.NotContains(t, got.body, "503")
}

func TestAnUnknownOutcomeAsksToLookFirst(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	v.logIn("jo@example.com")
	p.fake.Fail(t, emporixtest.Fault{Operation: "Addresses.Add", Cut: emporixfake.CutAfter, Times: -1})
	got := v.post("/account/addresses/new", "contactName", "Jo", "street", "Torstraße", "zipCode", "10119", "city", "Berlin", "country", "DE")
	assert.Contains(t, got.body, "Please look whether it is done before you try again.")
	assert.Equal(t, 1, p.fake.Calls(t, "Addresses.Add"))
}

func TestSocialLoginIsBoundToTheBrowserThatBeganIt(t *testing.T) {
	p := open(t)
	mine, theirs := p.visitor(t), p.visitor(t)
	stop := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	mine.http.CheckRedirect = stop
	authorize := mine.post("/login/social").header.Get("Location")
	require.Contains(t, authorize, "code_challenge_method=S256")
	back := mine.post(strings.TrimPrefix(authorize, p.url), "email", "jo@example.com").header.Get("Location")
	require.Contains(t, back, socialCallback+"?code=")
	back = strings.TrimPrefix(back, p.url)

	theirs.get("/")
	got := theirs.get(back)
	assert.Equal(t, http.StatusBadRequest, got.status)
	assert.Contains(t, theirs.get("/").body, "You are here as a <strong>guest</strong>")
	assert.Equal(t, "/account?done=logged-in", mine.get(back).header.Get("Location"))
	assert.Equal(t, http.StatusBadRequest, mine.get(back).status, "a state works once")
}

func TestTheIdentityProviderRefusesWhatIsNotTheShops(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	good, err := url.Parse(v.post("/login/social").header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, v.get(good.RequestURI()).status)
	for name, value := range map[string]string{
		"client_id": "other", "redirect_uri": "https://evil.example" + socialCallback, "state": "",
		"code_challenge": "abc", "code_challenge_method": "plain", "response_type": "token",
		"redirect_uri, a script": "javascript://" + strings.TrimPrefix(p.url, "http://") + socialCallback,
		"redirect_uri, a user":   "http://jo@" + strings.TrimPrefix(p.url, "http://") + socialCallback,
		"redirect_uri, a mark":   p.url + socialCallback + "#",
	} {
		query := good.Query()
		param, _, _ := strings.Cut(name, ",")
		query.Set(param, value)
		for _, got := range []seen{v.get(providerPath + "?" + query.Encode()), v.post(providerPath+"?"+query.Encode(), "email", "jo@example.com")} {
			assert.Equal(t, http.StatusBadRequest, got.status, name)
			assert.Empty(t, got.header.Get("Location"), name)
		}
	}
}

func TestPKCEIsChecked(t *testing.T) {
	p := open(t)
	require.NoError(t, p.fake.Server().AddSocialIdentity("code", emporixfake.Identity{Email: "jo@example.com",
		CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"})) // of RFC 7636, appendix B
	client := p.fake.Client(t)
	_, err := client.Auth.SocialLogin(t.Context(), emporix.SocialLoginRequest{Code: "code", RedirectURI: p.url, CodeVerifier: "wrong"})
	require.ErrorIs(t, err, emporix.ErrUnauthorized)
	_, err = client.Auth.SocialLogin(t.Context(), emporix.SocialLoginRequest{Code: "code", RedirectURI: p.url,
		CodeVerifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"})
	require.NoError(t, err)
}

func TestNoSecretIsShownOrLogged(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	var all bytes.Buffer
	keep := func(s seen) seen {
		all.WriteString(s.body)
		for name, values := range s.header {
			all.WriteString(name + strings.Join(values, "\n"))
		}
		return s
	}
	keep(v.post("/login", "email", "bea@example.com", "password", "hunter2-hunter2"))
	v.logIn("bea@example.com")
	for _, path := range []string{"/", "/account", "/account/profile", "/account/addresses", "/account/security", "/account/company", "/api/session", "/api/account"} {
		keep(v.get(path))
	}
	keep(v.post("/account/company", "company", "okafor-retail"))
	keep(v.post("/account/security/password", "currentPassword", "wrong wrong horse", "newPassword", "nine quiet harbours"))
	keep(v.post("/account/security/email", "newEmail", "b@example.com", "password", seedPassword))
	keep(v.post("/logout"))
	p.fake.AssertNoSecrets(t, all.Bytes(), p.log.Bytes())
}
