package bff_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

// carts answers for the cart service, and keeps the requests.
type carts struct {
	next  http.RoundTripper
	seen  []*http.Request
	body  string
	serve http.HandlerFunc
	late  http.Header // trailers
}

// trailing is a body after which trailers come.
type trailing struct {
	io.ReadCloser
	resp *http.Response
	late http.Header
}

func (t trailing) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil {
		t.resp.Trailer = t.late
	}
	return n, err
}

func (c *carts) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Path, "/cart") {
		return c.next.RoundTrip(r)
	}
	if r.Body != nil {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		c.body = string(data)
	}
	c.seen = append(c.seen, r)
	w := httptest.NewRecorder()
	c.serve(w, r)
	resp := w.Result()
	resp.Request = r
	resp.Body = trailing{resp.Body, resp, c.late}
	return resp, nil
}

func newCartShop(t *testing.T) (*shop, *carts) {
	t.Helper()
	c := &carts{serve: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "api=1")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("ETag", `"1"`)
		_, _ = io.WriteString(w, `{"id":"c1"}`)
	}}
	s := newShop(t, setup{})
	c.next = s.fake.Transport()
	s.open(setup{client: []emporix.Option{emporix.WithTransport(c)}})
	return s, c
}

func TestTheTokenProxy(t *testing.T) {
	s, carts := newCartShop(t)
	b := s.browser()
	b.login()
	b.header.Set("Authorization", "Bearer mine")
	b.header.Set("Emporix-Tenant", "other")
	b.header.Set("X-Forwarded-For", "1.2.3.4")
	b.header.Set("Connection", "Upgrade")
	b.header.Set("Upgrade", "websocket")
	b.header.Set("If-Match", `"0"`)
	out := b.do("POST", `/api/cart/acme/carts?siteCode=main {"a":1}`)
	require.Equal(t, 200, out.StatusCode, out.Header.Get("X-Error"))
	assert.JSONEq(t, `{"id":"c1"}`, out.body)
	assert.Nil(t, out.set)
	assert.Empty(t, out.Header["Set-Cookie"])
	assert.Empty(t, out.Header["Access-Control-Allow-Origin"])
	assert.Equal(t, "no-store", out.Header.Get("Cache-Control"))
	assert.Equal(t, "nosniff", out.Header.Get("X-Content-Type-Options"))
	assert.Equal(t, `"1"`, out.Header.Get("ETag"))

	require.Len(t, carts.seen, 1)
	got := carts.seen[0]
	assert.Equal(t, s.fake.URL()+"/cart/acme/carts?siteCode=main", got.URL.String())
	assert.Equal(t, `{"a":1}`, carts.body)
	assert.True(t, strings.HasPrefix(got.Header.Get("Authorization"), "Bearer "))
	assert.NotEqual(t, "Bearer mine", got.Header.Get("Authorization"))
	assert.Equal(t, "acme", got.Header.Get("Emporix-Tenant"))
	assert.Equal(t, `"0"`, got.Header.Get("If-Match"))
	for _, name := range []string{"Cookie", "X-Forwarded-For", "Sec-Fetch-Site", "Upgrade", "Connection"} {
		assert.Empty(t, got.Header.Values(name), name)
	}
	s.fake.AssertNoSecrets(t, []byte(out.body), []byte(b.cookie))

	guest := s.browser()
	guest.ok("GET", "/api/cart/acme/carts/c1")
	assert.NotEqual(t, got.Header.Get("Authorization"), carts.seen[1].Header.Get("Authorization"), "each visitor has a bearer of their own")
}

func TestTheTokenProxyRefuses(t *testing.T) {
	s, carts := newCartShop(t)
	b := s.browser()
	b.login()
	for _, target := range []string{
		"/api/cart/acme/carts/c1/items", "/api/cart/other/carts/c1", "/api/price/acme/x", "/api/customer/acme/refreshauthtoken?refreshToken=x",
		"/api/cart/acme/carts/%2e%2e", "/api/cart/acme/carts/..%2f..%2fcustomer", "/api/cart/acme/everything/%2e%2e/x", "/api/cart/acme/everything/a%5c..%5cb",
		"/api/cart/acme/everything/%252e%252e", "/api/cart/acme/everything//x", "/api/cart/acme/carts/a%00b", "/api/cart/acme/carts/a;b", "/api/cart/acme/carts/", "/api/",
	} {
		out := b.do("GET", target)
		assert.Contains(t, []int{404, 301, 307}, out.StatusCode, target) // the outer mux cleans a path
	}
	assert.Equal(t, 404, b.do("DELETE", "/api/cart/acme/carts/c1").StatusCode)
	foreign := s.browser()
	foreign.cookie = b.cookie
	foreign.header.Set("Sec-Fetch-Site", "cross-site")
	assert.Equal(t, 403, foreign.do("POST", "/api/cart/acme/carts {}").StatusCode)
	assert.Empty(t, carts.seen)

	assert.Equal(t, 502, func() int {
		carts.serve = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example", http.StatusFound)
		}
		out := b.do("GET", "/api/cart/acme/carts/c1")
		assert.Empty(t, out.Header.Get("Location"))
		return out.StatusCode
	}())
	assert.Equal(t, 413, b.do("POST", "/api/cart/acme/carts "+strings.Repeat("x", 1<<20+1)).StatusCode, "a body that is too long")
	s.store.fail(errDown, errDown)
	assert.Equal(t, 503, b.do("GET", "/api/cart/acme/carts/c1").StatusCode)
}

// No list of headers lets the browser's own credentials through.
func TestTheTokenProxyPassesNoCredentialsOn(t *testing.T) {
	s, carts := newCartShop(t)
	proxy, err := s.b.Proxy(bff.ProxyRules{Prefix: "/api", Allow: []string{"GET /cart/{tenant}/carts/{id}"}, Headers: []string{
		"x-shop", "authorization", "Cookie", "Proxy-Authorization", "Emporix-Tenant", "Host",
	}})
	require.NoError(t, err)
	s.handler = s.b.Handler(proxy)
	b := s.browser()
	b.header["X-Shop"] = []string{"1"}
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Emporix-Tenant", "Host"} {
		b.header.Set(name, "mine")
	}
	b.ok("GET", "/api/cart/acme/carts/c1")
	b.ok("GET", "/api/cart/acme/carts/c1") // with a cookie
	require.Len(t, carts.seen, 2)
	for _, got := range carts.seen {
		assert.Equal(t, "1", got.Header.Get("X-Shop"))
		for name, values := range got.Header {
			assert.NotContains(t, values, "mine", name)
		}
		assert.Empty(t, got.Header.Values("Cookie"))
	}
}

// What the API says to caches and servers in front of it is not for ours.
func TestTheTokenProxyTamesAnswers(t *testing.T) {
	s, carts := newCartShop(t)
	carts.serve = func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{
			"CDN-Cache-Control", "Surrogate-Control", "X-Accel-Redirect", "X-Accel-Expires", "X-Sendfile", "Access-Control-Max-Age",
			"Access-Control-Allow-Private-Network", "Cross-Origin-Resource-Policy", "Timing-Allow-Origin", "Clear-Site-Data",
		} {
			w.Header().Set(name, "x")
		}
		w.Header().Set("X-Count", "7")
	}
	carts.late = http.Header{"Set-Cookie": {"api=1"}}
	b := s.browser()
	b.login()
	out := b.do("GET", "/api/cart/acme/carts/c1")
	require.Equal(t, 200, out.StatusCode)
	for name := range out.Header {
		assert.Contains(t, []string{"Cache-Control", "Content-Security-Policy", "Cross-Origin-Resource-Policy", "X-Content-Type-Options", "X-Count"}, name)
	}
	assert.Equal(t, "same-origin", out.Header.Get("Cross-Origin-Resource-Policy"), "no page of another site embeds it")
	assert.Equal(t, "7", out.Header.Get("X-Count"))
	assert.Empty(t, out.Trailer, "headers that come after the body")
}

// A path that the list names by half is not found: no redirect leads out of the prefix.
func TestTheTokenProxyRedirectsNobody(t *testing.T) {
	s, carts := newCartShop(t)
	proxy, err := s.b.Proxy(bff.ProxyRules{Prefix: "/api", Allow: []string{"GET /cart/{tenant}/carts/"}})
	require.NoError(t, err)
	s.handler = s.b.Handler(proxy) // under no mux that would clean paths
	b := s.browser()
	for _, target := range []string{
		"/api/cart/acme/carts", "/apicart/acme/carts/c1", "/api/cart/acme/carts/x/../c1", "/api/cart/acme//carts/c1", "/api//evil.example/cart/acme/carts/",
		"/api/cart/acme/carts/%c0%ae%c0%ae", "/api/cart/acme/carts/..%20", "/api/cart/acme/carts/...",
	} {
		out := b.do("GET", target)
		assert.Equal(t, 404, out.StatusCode, target)
		assert.Empty(t, out.Header.Get("Location"), target)
	}
	assert.Empty(t, carts.seen)
	assert.Equal(t, 200, b.do("GET", "/api/cart/acme/carts/c1").StatusCode)
}

func TestTheTokenProxyKeepsEarlyHintsToItself(t *testing.T) {
	s, carts := newCartShop(t)
	carts.serve = func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "kept", r.Context().Value(marked{}), "what the request came with is there")
		if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
			_ = trace.Got1xxResponse(http.StatusEarlyHints, textproto.MIMEHeader{"Set-Cookie": {"api=1"}, "Link": {"</x>"}})
		}
		_, _ = io.WriteString(w, "{}")
	}
	inner := s.handler
	var statuses []int
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Frame-Options", "DENY") // as a shop's own middleware does
		inner.ServeHTTP(&noted{w, &statuses}, r.WithContext(context.WithValue(r.Context(), marked{}, "kept")))
	})
	b := s.browser()
	b.login()
	statuses = nil
	out := b.do("GET", "/api/cart/acme/carts/c1")
	assert.Equal(t, []int{200}, statuses)
	assert.Equal(t, "DENY", out.Header.Get("X-Frame-Options"))
}

type marked struct{}

// noted keeps the statuses that are written.
type noted struct {
	http.ResponseWriter
	statuses *[]int
}

func (n *noted) WriteHeader(status int) {
	*n.statuses = append(*n.statuses, status)
	n.ResponseWriter.WriteHeader(status)
}
