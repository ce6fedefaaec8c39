package emporix_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// fields are those that joined argument errors name.
func fields(t *testing.T, err error) (names []string) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "%T", err)
	for _, problem := range joined.Unwrap() {
		var argument *emporix.ArgumentError
		require.ErrorAs(t, problem, &argument)
		names = append(names, argument.Field)
	}
	return names
}

func TestAllMistakesAreNamedAtOnce(t *testing.T) {
	const secret = "s3cr3t\x00value"
	_, err := emporix.NewClient("Acme/"+secret, secret,
		nil,
		emporix.WithBaseURL("http://user:"+url.QueryEscape(secret)+"@api.example"),
		emporix.WithTransport(nil), emporix.WithHTTPClient(nil), emporix.WithMiddleware(nil), emporix.WithTokenStore(nil),
		emporix.WithLanguage(secret), emporix.WithUserAgent(secret),
		emporix.WithSessionContext(emporix.SessionContext{SiteCode: secret}),
		emporix.WithTimeouts(emporix.Timeouts{Store: -1}), emporix.WithRetries(emporix.Retries{MaxAttempts: 11}),
		emporix.WithEmployeeCredentials("", secret), emporix.WithEmployeeToken(nil))
	require.ErrorIs(t, err, emporix.ErrInvalidRequest)
	assert.ElementsMatch(t, []string{
		"tenant", "clientID", "option", "WithBaseURL", "WithTransport", "WithHTTPClient", "WithMiddleware", "WithTokenStore",
		"WithLanguage", "WithUserAgent", "WithSessionContext", "WithTimeouts", "WithRetries", "WithEmployeeCredentials", "WithEmployeeToken",
	}, fields(t, err))
	assert.NotContains(t, err.Error(), "s3cr3t")
	assert.NotContains(t, err.Error(), "value")
	_, err = emporix.NewClient("acme", "id", emporix.WithEmployeeCredentials("id", "s3cr3t"),
		emporix.WithEmployeeToken(func(context.Context) (emporix.Secret, error) { return emporix.Secret{}, nil }))
	assert.Equal(t, []string{"WithEmployeeToken"}, fields(t, err))
}

func TestBadInputTenant(t *testing.T) {
	for _, tenant := range []string{"A", "ab", "Acme", "a2345678901234567", "a/b", "..", "a.b", "te nant", "ténant", "a%2fb", "1abc", "abc\n", "acme-1"} {
		_, err := emporix.NewClient(tenant, "id")
		require.ErrorIs(t, err, emporix.ErrInvalidRequest, tenant)
		assert.Equal(t, []string{"tenant"}, fields(t, err))
		assert.Equal(t, "emporix: invalid argument: tenant must be 3 to 16 lower-case letters and digits, the first a letter", err.Error())
	}
	for _, tenant := range []string{"abc", "a23", "a234567890123456"} {
		_, err := emporix.NewClient(tenant, "id")
		assert.NoError(t, err, tenant)
	}
}

func TestBadInputBaseURL(t *testing.T) {
	for raw, why := range map[string]string{
		"":                                     "https://",
		"api.emporix.io":                       "https://",
		"//evil.example":                       "https://",
		"ftp://api.emporix.io":                 "https://",
		"https:api.emporix.io":                 "no host",
		"https:///path":                        "no host",
		"https://":                             "no host",
		"http://api.emporix.io":                "not encrypted",
		"http://127.0.0.1.evil.example":        "not encrypted",
		"http://localhost.evil.example":        "not encrypted",
		"http://0.0.0.0":                       "not encrypted",
		"https://jo:CANARY@api.emporix.io":     "credentials",
		"https://CANARY@api.emporix.io":        "credentials",
		"https://@api.emporix.io":              "credentials",
		"https://api.emporix.io?token=CANARY":  "query",
		"https://api.emporix.io?":              "query",
		"https://api.emporix.io#CANARY":        "fragment",
		"https://api.emporix.io#":              "fragment",
		"https://api.emporix.io.":              "plain ASCII name",
		"https://émporix.io":                   "xn--",
		"https://api\u0080emporix.io":          "plain ASCII name",
		"https://[fe80::1%25a%20b]":            "plain ASCII name",
		"https://api.emporix.io:0":             "port",
		"https://api.emporix.io:":              "port",
		"https://api.emporix.io:65536":         "port",
		"https://api.emporix.io:CANARY":        "no URL",
		"https://api.emporix.io/../CANARY":     "relative path",
		"https://api.emporix.io/%2e%2e/CANARY": "relative path",
		"https://api.emporix.io/a%2f..%2fb":    "relative path",
		"https://api.emporix.io\\@evil":        "no URL",
		"https://api emporix.io":               "no URL",
		"https://api.emporix.io/\nCANARY":      "no URL",
		" https://api.emporix.io":              "no URL",
		"https://[::1":                         "no URL",
		"https://api.emporix.io/" + strings.Repeat("CANARY", 200_000): "longer than 2048",
	} {
		_, err := emporix.NewClient("acme", "id", emporix.WithBaseURL(raw))
		if assert.ErrorIs(t, err, emporix.ErrInvalidRequest, "%.60q", raw) {
			assert.Equal(t, []string{"WithBaseURL"}, fields(t, err))
			assert.ErrorContains(t, err, why, "%.60q", raw)
			assert.NotContains(t, err.Error(), "CANARY")
		}
	}
	for _, raw := range []string{
		"https://api.emporix.io", "HTTPS://api.emporix.io/", "https://api.emporix.io:8443/base/", "https://xn--mporix-bva.io",
		"http://127.0.0.1:8787", "http://localhost", "http://[::1]:80", "http://127.1.2.3", "https://192.0.2.1", "https://api.emporix.io:65535", "https://~.emporix.io",
	} {
		_, err := emporix.NewClient("acme", "id", emporix.WithBaseURL(raw))
		assert.NoError(t, err, raw)
	}
}

func FuzzBaseURL(f *testing.F) {
	for _, seed := range []string{"https://api.emporix.io", "http://localhost:1", "https://u:p@h", "//x", "https://h/..", "https://h:0", "https://[::1%25a]", "https://h?x#y", "https://h/!(a)/%2f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var sent *http.Request
		client, err := emporix.NewClient("acme", "id", emporix.WithBaseURL(raw), emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			sent = r
			return nil, errors.New("not sent")
		})), emporix.WithRetries(emporix.Retries{MaxAttempts: 1}))
		if err != nil {
			assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
			assert.Less(t, len(err.Error()), 200)
			return
		}
		_, err = client.Customers.Get(t.Context())
		require.Error(t, err)
		require.NotNil(t, sent)
		assert.True(t, sent.URL.Scheme == "https" || sent.URL.Scheme == "http")
		assert.NotEmpty(t, sent.URL.Hostname())
		assert.Nil(t, sent.URL.User)
		assert.Empty(t, sent.URL.Fragment)
		assert.True(t, strings.HasSuffix(sent.URL.EscapedPath(), "/customerlogin/auth/anonymous/login"), sent.URL.Path)
	})
}

func FuzzTenant(f *testing.F) {
	for _, seed := range []string{"acme", "", "..", "a/b", "a%2fb", "ACME"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tenant string) {
		_, err := emporix.NewClient(tenant, "id")
		if err == nil {
			assert.Equal(t, url.PathEscape(tenant), tenant)
			assert.Regexp(t, "^[a-z][a-z0-9]{2,15}$", tenant)
		}
	})
}

func TestFromEnv(t *testing.T) {
	set := func(t *testing.T, values map[string]string) {
		for _, name := range []string{emporix.EnvTenant, emporix.EnvHost, emporix.EnvClientID, emporix.EnvEmployeeID, emporix.EnvEmployeeSecret, emporix.EnvLog} {
			t.Setenv(name, values[name])
		}
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		want []string // fields at fault
	}{
		"nothing":            {nil, []string{emporix.EnvTenant, emporix.EnvClientID}},
		"only what's needed": {map[string]string{emporix.EnvTenant: "acme", emporix.EnvClientID: "id"}, nil},
		"everything":         {map[string]string{emporix.EnvTenant: "acme", emporix.EnvClientID: "id", emporix.EnvHost: "http://localhost:1", emporix.EnvEmployeeID: "e", emporix.EnvEmployeeSecret: "CANARY"}, nil},
		"a secret alone":     {map[string]string{emporix.EnvTenant: "acme", emporix.EnvClientID: "id", emporix.EnvEmployeeSecret: "CANARY"}, []string{emporix.EnvEmployeeID}},
		"an ID alone":        {map[string]string{emporix.EnvTenant: "acme", emporix.EnvClientID: "id", emporix.EnvEmployeeID: "e"}, []string{emporix.EnvEmployeeSecret}},
		"several at once": {map[string]string{emporix.EnvHost: "https://u:CANARY@h", emporix.EnvEmployeeSecret: "CANARY"},
			[]string{emporix.EnvTenant, emporix.EnvClientID, emporix.EnvHost, emporix.EnvEmployeeID}},
	} {
		t.Run(name, func(t *testing.T) {
			set(t, tt.env)
			client, err := emporix.NewClientFromEnv()
			if tt.want == nil {
				require.NoError(t, err)
				require.NotNil(t, client)
				return
			}
			require.ErrorIs(t, err, emporix.ErrInvalidRequest)
			assert.ElementsMatch(t, tt.want, fields(t, err))
			assert.NotContains(t, err.Error(), "CANARY")
		})
	}
}

// Options win over the environment, also over half a pair in it.
func TestOptionsReplaceTheEmployeeOfTheEnvironment(t *testing.T) {
	token := emporix.WithEmployeeToken(func(context.Context) (emporix.Secret, error) { return emporix.NewSecret("x"), nil })
	for _, pair := range [][2]string{{"e", "s"}, {"e", ""}, {"", "s"}, {" ", "s"}} {
		t.Setenv(emporix.EnvTenant, "acme")
		t.Setenv(emporix.EnvClientID, "id")
		t.Setenv(emporix.EnvEmployeeID, pair[0])
		t.Setenv(emporix.EnvEmployeeSecret, pair[1])
		for name, opt := range map[string]emporix.Option{"a token": token, "credentials": emporix.WithEmployeeCredentials("a", "b")} {
			_, err := emporix.NewClientFromEnv(opt)
			assert.NoError(t, err, "%s %q", name, pair)
		}
		_, err := emporix.NewClientFromEnv(token, emporix.WithEmployeeCredentials("a", "b"))
		assert.Equal(t, []string{"WithEmployeeToken"}, fields(t, err), "two options are still one too many")
		_, err = emporix.NewClientFromEnv()
		assert.Equal(t, pair == [2]string{"e", "s"}, err == nil, pair)
	}
}

func TestBlankAndUnprintableCredentials(t *testing.T) {
	for _, bad := range []string{" ", "\t", "CANARY\n", "CANARY\x00", "CANARY\xff", strings.Repeat("CANARY", 1000)} {
		_, err := emporix.NewClient("acme", bad)
		assert.Equal(t, []string{"clientID"}, fields(t, err), "%q", bad)
		_, err = emporix.NewClient("acme", "id", emporix.WithEmployeeCredentials(bad, "s"))
		assert.Equal(t, []string{"WithEmployeeCredentials"}, fields(t, err), "%q", bad)
		_, err = emporix.NewClient("acme", "id", emporix.WithEmployeeCredentials("e", bad))
		assert.Equal(t, []string{"WithEmployeeCredentials"}, fields(t, err), "%q", bad)
		assert.NotContains(t, err.Error(), "CANARY")
	}
}

// What is as long as it may be is taken, and what is a byte longer is not.
func TestTheLongestOptions(t *testing.T) {
	base := func(path string) emporix.Option { return emporix.WithBaseURL("https://api.emporix.io/" + path) }
	start := func(set func(*emporix.SessionContext, string)) func(string) emporix.Option {
		return func(text string) emporix.Option {
			var sc emporix.SessionContext
			set(&sc, text)
			return emporix.WithSessionContext(sc)
		}
	}
	for field, tt := range map[string]struct {
		most int
		opt  func(text string) emporix.Option
	}{
		"WithBaseURL":                       {2048 - len("https://api.emporix.io/"), base},
		"WithLanguage":                      {256, emporix.WithLanguage},
		"WithUserAgent":                     {256, emporix.WithUserAgent},
		"WithSessionContext Currency":       {64, start(func(sc *emporix.SessionContext, text string) { sc.Currency = text })},
		"WithSessionContext SiteCode":       {64, start(func(sc *emporix.SessionContext, text string) { sc.SiteCode = text })},
		"WithSessionContext Language":       {64, start(func(sc *emporix.SessionContext, text string) { sc.Language = text })},
		"WithSessionContext TargetLocation": {64, start(func(sc *emporix.SessionContext, text string) { sc.TargetLocation = text })},
		"WithEmployeeCredentials":           {4096, func(text string) emporix.Option { return emporix.WithEmployeeCredentials(text, "s") }},
		"WithEmployeeCredentials ":          {4096, func(text string) emporix.Option { return emporix.WithEmployeeCredentials("e", text) }},
	} {
		_, err := emporix.NewClient("acme", "id", tt.opt(strings.Repeat("x", tt.most)))
		assert.NoError(t, err, field)
		_, err = emporix.NewClient("acme", "id", tt.opt(strings.Repeat("x", tt.most+1)))
		assert.ErrorContains(t, err, "emporix: invalid argument: "+strings.TrimSpace(field)+" ")
	}
	_, err := emporix.NewClient("acme", strings.Repeat("x", 256))
	assert.NoError(t, err)
	_, err = emporix.NewClient("acme", strings.Repeat("x", 257))
	assert.Equal(t, []string{"clientID"}, fields(t, err))
	for text, fine := range map[string]bool{" ~": true, "a\x1f": false, "a\x7f": false} {
		_, err := emporix.NewClient("acme", "id", emporix.WithLanguage(text))
		assert.Equal(t, fine, err == nil, "%q", text)
	}
}

// The limits of a client without options are those that the documentation names.
func TestDefaultLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Delay: time.Hour, Times: 9})
		began := time.Now()
		require.ErrorIs(t, fixture.Get(t.Context(), fake.Client(t)), emporix.ErrUnavailable)
		assert.Equal(t, 30*time.Second, time.Since(began).Truncate(time.Second), "three attempts of ten seconds")
		began = time.Now()
		require.ErrorIs(t, fixture.Get(t.Context(), fake.Client(t, emporix.WithTimeouts(emporix.Timeouts{Attempt: time.Hour}))), emporix.ErrUnavailable)
		assert.Equal(t, 30*time.Second, time.Since(began), "one renewal")

		client := fake.Client(t, emporix.WithTokenStore(stuckStore{emporix.NewMemoryStore(0)}))
		began = time.Now()
		_, err := client.DefaultSession().Info(t.Context())
		require.ErrorIs(t, err, emporix.ErrStoreUnavailable)
		assert.Equal(t, 2*time.Second, time.Since(began))
	})
	client, err := emporix.NewClient("acme", "storefront")
	require.NoError(t, err)
	store := client.Settings().TokenStore
	for i := range 200 {
		save(t, store, fmt.Sprint(i), "x", 1, time.Hour)
	}
	for i := range 200 {
		assert.Equal(t, "x", load(t, store, fmt.Sprint(i)))
	}
}

// stuckStore does not answer before its caller leaves.
type stuckStore struct{ emporix.TokenStore }

func (stuckStore) Load(ctx context.Context, _ string) ([]byte, bool, error) {
	<-ctx.Done()
	return nil, false, ctx.Err()
}

// Of limits that are given, a zero one is the default, and none is negative.
func TestLimitsOfOptions(t *testing.T) {
	for _, opt := range []emporix.Option{
		emporix.WithRetries(emporix.Retries{}), emporix.WithRetries(emporix.Retries{MaxAttempts: 10}), emporix.WithTimeouts(emporix.Timeouts{}),
	} {
		_, err := emporix.NewClient("acme", "id", opt)
		assert.NoError(t, err)
	}
	for _, opt := range []emporix.Option{
		emporix.WithRetries(emporix.Retries{MaxAttempts: -1}), emporix.WithRetries(emporix.Retries{MaxAttempts: 11}), emporix.WithRetries(emporix.Retries{MaxRetryAfter: -1}),
		emporix.WithTimeouts(emporix.Timeouts{Attempt: -1}), emporix.WithTimeouts(emporix.Timeouts{Refresh: -1}), emporix.WithTimeouts(emporix.Timeouts{Store: -1}),
	} {
		_, err := emporix.NewClient("acme", "id", opt)
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	}
}

func TestNilPointersAreNoTransport(t *testing.T) {
	_, err := emporix.NewClient("acme", "id", emporix.WithTransport((*http.Transport)(nil)),
		emporix.WithHTTPClient(&http.Client{Transport: (*http.Transport)(nil)}), emporix.WithTokenStore((*typedNilStore)(nil)))
	assert.Equal(t, []string{"WithTransport", "WithHTTPClient", "WithTokenStore"}, fields(t, err))
}

// Mistakes come in the same order every time.
func TestMistakesAreInOrder(t *testing.T) {
	for range 20 {
		_, err := emporix.NewClient("acme", "id", emporix.WithSessionContext(emporix.SessionContext{Currency: "\n", SiteCode: "\n", Language: "\n", TargetLocation: "\n"}))
		assert.ErrorContains(t, err, "WithSessionContext Currency holds")
		client, err := emporix.NewClient("acme", "id")
		require.NoError(t, err)
		_, err = client.Auth.StartAnonymous(t.Context(), emporix.SessionContext{SiteCode: "\n", Language: "\n"})
		assert.ErrorContains(t, err, "SessionContext.SiteCode")
	}
}

// What the caller passes in is read once and never changed.
func TestOptionsAreCopied(t *testing.T) {
	fake := emporixtest.New(t)
	jar := &noJar{t}
	mine := &http.Client{Transport: fake.Transport(), Timeout: 3 * time.Second, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { t.Error("asked about a redirect"); return nil }}
	before := *mine
	client := fake.Client(t, emporix.WithHTTPClient(mine))
	fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Redirect: "https://evil.example"})
	_, err := client.Customers.Get(t.Context())
	require.ErrorIs(t, err, emporix.ErrBadResponse)
	assert.ErrorContains(t, err, "redirects are never followed")
	assert.Same(t, before.Jar, mine.Jar)
	assert.Equal(t, before.Transport, mine.Transport)
	assert.Equal(t, before.Timeout, mine.Timeout)
	mine.Transport, mine.Timeout = nil, 1 // too late to matter
	_, err = client.Customers.Get(t.Context())
	assert.NoError(t, err)
}

// noJar fails when it is asked: cookies of one visitor must not reach another.
type noJar struct{ t *testing.T }

func (j *noJar) SetCookies(*url.URL, []*http.Cookie)    { j.t.Error("cookies stored") }
func (j *noJar) Cookies(*url.URL) (none []*http.Cookie) { j.t.Error("cookies read"); return nil }

func TestAMiddlewareThatReturnsNothing(t *testing.T) {
	fake := emporixtest.New(t)
	client := fake.Client(t, emporix.WithMiddleware(func(http.RoundTripper) http.RoundTripper { return nil }))
	_, err := client.Customers.Get(t.Context())
	assert.ErrorContains(t, err, "WithMiddleware returned no transport")
	_, err = client.HTTPClient().Get(fake.URL())
	assert.Error(t, err)
}

func TestMiddlewareIsCalledInOrder(t *testing.T) {
	var order []string
	named := func(name string) emporix.Option {
		return emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
				order = append(order, name)
				return next.RoundTrip(r)
			})
		})
	}
	fake := emporixtest.New(t)
	_, err := fake.Client(t, named("inner"), named("outer")).Customers.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"outer", "inner", "outer", "inner"}, order)
}

func TestHeadersThatOptionsSet(t *testing.T) {
	var got http.Header
	fake := emporixtest.New(t)
	client := fake.Client(t, emporix.WithLanguage("de-CH, en;q=0.5"), emporix.WithUserAgent("shop/1.4"),
		emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			got = r.Header
			return fake.Transport().RoundTrip(r)
		})))
	_, err := client.Customers.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "de-CH, en;q=0.5", got.Get("Accept-Language"))
	assert.Equal(t, "emporix-go/"+emporix.Version+" shop/1.4", got.Get("User-Agent"))
	assert.Equal(t, "acme", got.Get("Emporix-Tenant"))
}

type typedNilStore struct{ emporix.TokenStore }

// A client without a transport means what net/http means by it, at each request:
// whoever mocks http.DefaultTransport mocks this client, too.
func TestAClientWithoutATransport(t *testing.T) {
	before := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = before })
	fake := emporixtest.New(t)
	for name, mine := range map[string]*http.Client{"the default": http.DefaultClient, "a zero one": {}} {
		client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(fake.URL()), emporix.WithHTTPClient(mine))
		require.NoError(t, err)
		seen := 0
		http.DefaultTransport = fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			seen++
			return fake.Transport().RoundTrip(r)
		})
		_, err = client.Customers.Get(t.Context())
		assert.NoError(t, err, name)
		assert.Equal(t, 2, seen, name)
		require.NoError(t, client.Close(context.Background()))
	}
}

// The timeout of a client is the limit of one attempt.
func TestTheTimeoutOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine := &http.Client{Timeout: 3 * time.Second, Transport: fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		client, err := emporix.NewClient("acme", "storefront", emporix.WithHTTPClient(mine), emporix.WithRetries(emporix.Retries{MaxAttempts: 1}))
		require.NoError(t, err)
		began := time.Now()
		_, err = client.Auth.StartAnonymous(t.Context(), emporix.SessionContext{})
		assert.ErrorIs(t, err, emporix.ErrUnavailable)
		assert.Equal(t, 3*time.Second, time.Since(began))
		require.NoError(t, client.Close(context.Background()))
	})
}

// A transport that is none of net/http's may record the URLs that it sees: the log
// says so, once, and where recording belongs.
func TestATransportThatSeesSecretsIsNamedOnce(t *testing.T) {
	type recording struct{ http.RoundTripper }
	for name, tt := range map[string]struct {
		option emporix.Option
		lines  int
	}{
		"the SDK's own":           {emporix.WithUserAgent("x"), 0},
		"net/http's":              {emporix.WithTransport(&http.Transport{}), 0},
		"net/http's default":      {emporix.WithHTTPClient(&http.Client{}), 0},
		"net/http's, in a client": {emporix.WithHTTPClient(&http.Client{Transport: http.DefaultTransport}), 0},
		"another":                 {emporix.WithTransport(recording{http.DefaultTransport}), 1},
		"another, in a client":    {emporix.WithHTTPClient(&http.Client{Transport: recording{http.DefaultTransport}}), 1},
		"middleware":              {emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper { return recording{next} }), 0},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			client, err := emporix.NewClient("acme", "storefront", tt.option, emporix.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			require.NoError(t, err)
			assert.Equal(t, tt.lines, strings.Count(log.String(), "\n"), log.String())
			if tt.lines > 0 {
				assert.Contains(t, log.String(), "level=WARN")
				assert.Contains(t, log.String(), "WithMiddleware")
				assert.Contains(t, log.String(), "recording")
			}
			require.NoError(t, client.Close(context.Background()))
		})
	}
}

func TestAMiddlewareSeesEveryAttemptWithoutABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below, seen := 0, 0
		fake := emporixtest.New(t)
		unreachable := false
		client := fake.Client(t,
			emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
				below++
				if unreachable {
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				}
				return fake.Transport().RoundTrip(r)
			})),
			emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
				return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
					seen++
					if r.Body != nil {
						body, err := io.ReadAll(r.Body)
						assert.NoError(t, err)
						assert.Empty(t, body, r.URL.Path)
					}
					return next.RoundTrip(r)
				})
			}))
		signUp := func() error {
			_, err := client.Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: "jo@example.com", Password: "correct horse"})
			return err
		}
		require.NoError(t, signUp())
		assert.Equal(t, 2, seen, "a token and the sign-up")
		unreachable = true
		assert.ErrorIs(t, signUp(), emporix.ErrUnavailable)
		assert.ErrorIs(t, fixture.Get(t.Context(), client), emporix.ErrUnavailable)
		assert.Equal(t, 2+3+3, seen)
		assert.Equal(t, seen, below)
	})
}

// http is for loopback and for one host that is named, and the log says so.
func TestInsecureHTTP(t *testing.T) {
	for base, ok := range map[string]bool{
		"http://emporix-fake:8787": true, "http://EMPORIX-FAKE": true, "https://emporix-fake": true, "http://127.0.0.1:1": true,
		"http://emporix-fake.example": false, "http://other": false, "http://emporix-fake@other": false,
	} {
		var log bytes.Buffer
		client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(base), emporix.WithInsecureHTTP("emporix-fake"),
			emporix.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if !ok {
			assert.Equal(t, []string{"WithBaseURL"}, fields(t, err), base)
			continue
		}
		require.NoError(t, err, base)
		warned := strings.HasPrefix(base, "http:") && !strings.Contains(base, "127.0.0.1")
		assert.Equal(t, warned, strings.Contains(log.String(), "requests are not encrypted"), "%s: %s", base, &log)
		require.NoError(t, client.Close(t.Context()))
	}
	for _, host := range []string{"A-Z.example", "a-z.example", "0-9_.example", strings.Repeat("x", 255)} {
		client, err := emporix.NewClient("acme", "storefront", emporix.WithInsecureHTTP(host))
		require.NoError(t, err, host)
		require.NoError(t, client.Close(t.Context()))
	}
	for _, host := range []string{"", "http://emporix-fake", "emporix-fake:8787", "*", "a b", "a/b", "a@b", "a[b", "a`b", "a{b", strings.Repeat("x", 256)} {
		_, err := emporix.NewClient("acme", "storefront", emporix.WithInsecureHTTP(host))
		assert.Equal(t, []string{"WithInsecureHTTP"}, fields(t, err), host)
	}
	_, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL("http://emporix-fake"))
	assert.ErrorContains(t, err, "WithInsecureHTTP", "the option that helps")

	t.Setenv(emporix.EnvTenant, "acme")
	t.Setenv(emporix.EnvClientID, "storefront")
	t.Setenv(emporix.EnvHost, "http://emporix-fake:8787")
	t.Setenv(emporix.EnvInsecureHTTP, "emporix-fake")
	client, err := emporix.NewClientFromEnv()
	require.NoError(t, err)
	require.NoError(t, client.Close(t.Context()))
	t.Setenv(emporix.EnvInsecureHTTP, "http://emporix-fake")
	_, err = emporix.NewClientFromEnv()
	assert.ElementsMatch(t, []string{emporix.EnvInsecureHTTP, emporix.EnvHost}, fields(t, err))
}

// A server that asks for a longer pause than WithRetries allows is not asked again.
func TestHowLongAPauseTheServerMayAskFor(t *testing.T) {
	for _, tt := range []struct {
		most  time.Duration
		asks  string
		calls int
	}{
		{0, "30", 2}, {0, "31", 1}, {time.Minute, "60", 2}, {time.Minute, "61", 1}, {time.Second, "1", 2}, {time.Second, "2", 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			fake := emporixtest.New(t)
			client := fake.Client(t, emporix.WithRetries(emporix.Retries{MaxRetryAfter: tt.most}))
			fake.Fail(t, emporixtest.Fault{Operation: "Credentials.RequestPasswordReset", Status: 429, RetryAfter: tt.asks})
			err := fixture.AnonymousCall(t.Context(), client.DefaultSession())
			assert.Equal(t, tt.calls == 2, err == nil, tt)
			fake.AssertCalls(t, "Credentials.RequestPasswordReset", tt.calls)
		})
	}
}

// A transport of the caller's that hears no context keeps no call beyond its own.
func TestATransportThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		fake := emporixtest.New(t)
		client := fake.Client(t, emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.Contains(r.URL.Path, "/anonymous/") {
				<-release
			}
			return fake.Transport().RoundTrip(r)
		})))
		for name, call := range map[string]func(ctx context.Context) error{
			"an operation": func(ctx context.Context) error { return fixture.AnonymousCall(ctx, client.DefaultSession()) },
			"a request to another service": func(ctx context.Context) error {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, client.Settings().BaseURL+"/cart/acme/carts", nil)
				require.NoError(t, err)
				_, err = client.HTTPClient().Do(r)
				return err
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			began := time.Now()
			require.ErrorIs(t, call(ctx), context.DeadlineExceeded, name)
			assert.LessOrEqual(t, time.Since(began), 1100*time.Millisecond, name)
			cancel()
		}
		close(release)
		synctest.Wait()
	})
}
