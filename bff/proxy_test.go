package bff_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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

// A query is the API's to read: net/http/httputil drops the parameters that net/url
// can't read, and a filter that is missing finds everything.
func TestTheTokenProxyPassesQueriesAsTheyAre(t *testing.T) {
	s, carts := newCartShop(t)
	b := s.browser()
	for _, query := range []string{"siteCode=main&q=id:(a;b)", "q=100%&page=2", "b=1&a=2", "q"} {
		b.ok("GET", "/api/cart/acme/carts/c1?"+query)
		assert.Equal(t, query, carts.seen[len(carts.seen)-1].URL.RawQuery)
	}
}

// A request gets no response: the visitor reads that nothing is lost only where
// nothing was done.
func TestTheTokenProxyWithoutAnAnswer(t *testing.T) {
	var failure error
	s := newShop(t, setup{})
	next := s.fake.Transport()
	s.open(setup{client: []emporix.Option{emporix.WithTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Path, "/cart") {
			return nil, failure
		}
		return next.RoundTrip(r)
	}))}})
	b := s.browser()
	b.login()
	for name, tt := range map[string]struct {
		failure     error
		read, write int
	}{
		"no connection":  {&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, 503, 503},
		"reset":          {&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, 503, 502},
		"closed":         {io.EOF, 503, 502},
		"too late":       {context.DeadlineExceeded, 503, 502},
		"nothing at all": {nil, 503, 502},
		"of the SDK":     {emporix.ErrClosed, 503, 503},
	} {
		t.Run(name, func(t *testing.T) {
			failure = tt.failure
			out := b.do("GET", "/api/cart/acme/carts/c1")
			assert.Equal(t, tt.read, out.StatusCode, out.body)
			assert.Equal(t, "5", out.Header.Get("Retry-After"))
			out = b.do("POST", "/api/cart/acme/carts {}")
			assert.Equal(t, tt.write, out.StatusCode, out.body)
			assert.Equal(t, tt.write == 503, strings.Contains(out.body, "Nothing is lost"), out.body)
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheTokenProxyRefuses(t *testing.T) {
	s, carts := newCartShop(t)
	b := s.browser()
	b.login()
	for _, target := range []string{
		"/api/cart/acme/carts/c1/items", "/api/cart/other/carts/c1", "/api/price/acme/x", "/api/customer/acme/refreshauthtoken?refreshToken=x",
		"/api/cart/acme/carts/%2e%2e", "/api/cart/acme/carts/..%2f..%2fcustomer", "/api/cart/acme/everything/%2e%2e/x", "/api/cart/acme/everything/a%5c..%5cb",
		"/api/cart/acme/everything/%252e%252e", "/api/cart/acme/everything//x", "/api/cart/acme/carts/a%00b", "/api/cart/acme/carts/a%1fb", "/api/cart/acme/carts/a%7fb", "/api/cart/acme/carts/a;b", "/api/cart/acme/carts/", "/api/",
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
	for status, want := range map[int]int{299: 299, 300: 502, 399: 502, 304: 304, 400: 400} {
		carts.serve = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
		assert.Equal(t, want, b.do("GET", "/api/cart/acme/carts/a%20b").StatusCode, status)
	}
	assert.Equal(t, 413, b.do("POST", "/api/cart/acme/carts "+strings.Repeat("x", 1<<20+1)).StatusCode, "a body that is too long")
	carts.serve = func(w http.ResponseWriter, _ *http.Request) {}
	assert.Equal(t, 200, b.do("POST", "/api/cart/acme/carts "+strings.Repeat("x", 1<<20)).StatusCode)
	proxy, err := s.b.Proxy(bff.ProxyRules{Prefix: "/api", Allow: []string{"POST /cart/{tenant}/carts"}, MaxBody: 1})
	require.NoError(t, err)
	all := s.handler
	s.handler = s.b.Handler(proxy)
	for body, status := range map[string]int{"x": 200, "xx": 413} {
		assert.Equal(t, status, b.do("POST", "/api/cart/acme/carts "+body).StatusCode)
	}
	s.handler = all
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

// hostileResponse are headers that would speak for the API's host, or to what
// stands between the shop and the browser.
var hostileResponse = []string{
	"NEL", "Report-To", "Reporting-Endpoints", "Set-Login", "Sec-Session-Registration", "Content-Security-Policy", "Content-Security-Policy-Report-Only",
	"Referrer-Policy", "X-Reproxy-Url", "X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Buffering", "X-Accel-Charset", "X-Accel-Limit-Rate", "X-Sendfile",
	"X-Lighttpd-Send-File", "X-Lighttpd-Send-Tempfile", "Clear-Site-Data", "Set-Cookie", "Set-Cookie2", "Alt-Svc", "Alt-Used", "Link", "Refresh", "Location",
	"Content-Location", "Trailer", "Strict-Transport-Security", "Public-Key-Pins", "Expect-CT", "Permissions-Policy", "Feature-Policy", "Document-Policy",
	"Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy", "Origin-Agent-Cluster", "Origin-Trial", "Accept-CH", "Critical-CH",
	"Service-Worker-Allowed", "SourceMap", "X-SourceMap", "Speculation-Rules", "Supports-Loading-Mode", "No-Vary-Search", "Observe-Browsing-Topics",
	"Activate-Storage-Access", "Attribution-Reporting-Register-Source", "Login-Status", "Sec-Session-Challenge", "Timing-Allow-Origin", "Access-Control-Allow-Origin",
	"Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "WWW-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Authorization", "Server",
	"Via", "Age", "Expires", "Pragma", "Cache-Control", "CDN-Cache-Control", "Surrogate-Control", "Surrogate-Key", "X-Frame-Options", "X-Permitted-Cross-Domain-Policies",
	"X-DNS-Prefetch-Control", "X-Robots-Tag", "X-Powered-By", "Keep-Alive", "Connection", "Upgrade", "Large-Allocation", "Use-As-Dictionary", "Emporix-Tenant", "X-Unknown",
}

// Of a response only what the list names reaches the browser.
func TestTheTokenProxyPassesAnswersByAList(t *testing.T) {
	s, carts := newCartShop(t)
	b := s.browser()
	b.login()
	proxy, err := s.b.Proxy(bff.ProxyRules{Prefix: "/api", Allow: []string{"GET /cart/{tenant}/carts/{id}"}, ResponseHeaders: []string{
		"x-own", "Set-Cookie", "cache-control", "CDN-Cache-Control", "Content-Security-Policy", "Trailer", "connection", "Proxy-Authenticate",
	}})
	require.NoError(t, err)
	s.handler = s.b.Handler(proxy)
	carts.serve = func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range append(hostileResponse, bff.PassedResponseHeaders()...) {
			w.Header().Set(name, "hostile")
		}
		w.Header()["x-own"] = []string{"1"} // not canonical, as a test double may write it
		w.Header()["Trailer:Set-Cookie"] = []string{"api=1"}
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "{}")
	}
	out := b.do("GET", "/api/cart/acme/carts/c1")
	require.Equal(t, 200, out.StatusCode)
	passed := map[string]bool{"X-Own": true}
	for _, name := range bff.PassedResponseHeaders() {
		passed[name] = true
		assert.NotEmpty(t, out.Header.Get(name), name)
	}
	own := map[string]string{
		"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; sandbox",
		"Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
	}
	for name, values := range out.Header {
		if value, found := own[name]; found {
			assert.Equal(t, []string{value}, values, name)
			continue
		}
		assert.True(t, passed[name], "%s: %s", name, values)
	}
	assert.Equal(t, "1", out.Header.Get("X-Own"))
}

// Of a browser's headers only what the list names reaches the API.
func TestTheTokenProxyPassesRequestsByAList(t *testing.T) {
	s, carts := newCartShop(t)
	names := []string{
		"Authorization", "Proxy-Authorization", "Proxy-Connection", "Cookie2", "Emporix-Tenant", "Legal-Entity-Id", "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host",
		"X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Real-Ip", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url", "Te", "Trailer", "Keep-Alive",
		"Transfer-Encoding", "Upgrade", "Expect", "Origin", "Referer", "User-Agent", "Dnt", "Cache-Control", "Pragma", "Accept-Encoding", "Sec-Fetch-Mode", "Sec-Ch-Ua",
		"Upgrade-Insecure-Requests", "Save-Data", "Priority", "Traceparent", "Baggage", "X-B3-Traceid", "True-Client-Ip", "Cf-Connecting-Ip", "X-Api-Key", "X-Unknown",
	}
	proxy, err := s.b.Proxy(bff.ProxyRules{Prefix: "/api", Allow: []string{"GET /cart/{tenant}/carts/{id}"}, Headers: append([]string{"x-shop", "X-Nominated"}, names[:24]...)})
	require.NoError(t, err)
	s.handler = s.b.Handler(proxy)
	b := s.browser()
	for _, name := range names {
		b.header.Set(name, "hostile")
	}
	for _, name := range bff.PassedRequestHeaders() {
		b.header.Set(name, "passed")
	}
	b.header.Set("Connection", "X-Nominated")
	b.header.Set("X-Nominated", "hostile")
	b.header.Set("X-Shop", "passed")
	require.Equal(t, 200, b.do("GET", "/api/cart/acme/carts/c1").StatusCode)
	require.Len(t, carts.seen, 1)
	got := carts.seen[0]
	for _, name := range append(bff.PassedRequestHeaders(), "X-Shop") {
		assert.Equal(t, []string{"passed"}, got.Header[name], name)
	}
	for name, values := range got.Header {
		switch name {
		case "Authorization", "Emporix-Tenant", "User-Agent", "X-Shop":
			assert.NotContains(t, values, "hostile", name)
		default:
			assert.Contains(t, bff.PassedRequestHeaders(), name)
		}
	}
}

// A browser announces trailers; the API hears of none.
func TestTheTokenProxyPassesNoTrailersOn(t *testing.T) {
	s := newShop(t, setup{})
	heard := make(chan *http.Request, 1)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		heard <- r
		w.Header().Set("Trailer", "Set-Cookie, X-Late")
		_, _ = io.WriteString(w, "{}")
		w.Header().Set("Set-Cookie", "api=1")
		w.Header().Set("X-Late", "1")
		w.Header().Set(http.TrailerPrefix+"X-Later", "1")
	}))
	t.Cleanup(api.Close)
	s.open(setup{client: []emporix.Option{emporix.WithTransport(toAPI{s.fake.Transport(), api})}})
	shop := httptest.NewServer(s.handler)
	t.Cleanup(shop.Close)
	r, err := http.NewRequestWithContext(t.Context(), "POST", shop.URL+"/api/cart/acme/carts", io.NopCloser(strings.NewReader("{}")))
	require.NoError(t, err)
	r.Trailer = http.Header{"X-Sum": {"1"}, "Authorization": {"Bearer mine"}}
	resp, err := shop.Client().Do(r)
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
	assert.Empty(t, resp.Trailer)
	assert.Empty(t, resp.Header.Get("Trailer"))
	got := <-heard
	assert.Empty(t, got.Trailer)
	assert.Empty(t, got.Header.Get("Trailer"))
}

// toAPI sends calls of the cart service over a socket.
type toAPI struct {
	next http.RoundTripper
	api  *httptest.Server
}

func (a toAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Path, "/cart") {
		return a.next.RoundTrip(r)
	}
	there := r.Clone(r.Context())
	there.URL.Scheme, there.URL.Host, there.Host = "http", a.api.Listener.Addr().String(), ""
	return a.api.Client().Transport.RoundTrip(there)
}

// A download that goes on after the file has changed begins anew, and conditions
// are the API's to judge.
func TestTheTokenProxyKeepsWhatBelongsTogether(t *testing.T) {
	s := newShop(t, setup{})
	var mu sync.Mutex
	tag, content := `"1"`, "first version"
	stored := ""
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			stored = r.Header.Get("Content-Encoding") + " " + r.Header.Get("Content-Range") + " " + string(body)
			return
		}
		w.Header().Set("ETag", tag)
		w.Header().Set("Vary", "Accept-Language")
		w.Header().Set("Content-Language", "en")
		http.ServeContent(w, r, "invoice.pdf", time.Time{}, strings.NewReader(content))
	}))
	t.Cleanup(api.Close)
	s.open(setup{client: []emporix.Option{emporix.WithTransport(toAPI{s.fake.Transport(), api})}})
	shop := httptest.NewServer(s.handler)
	t.Cleanup(shop.Close)
	get := func(header ...string) (int, http.Header, string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", shop.URL+"/api/cart/acme/carts/c1", nil)
		require.NoError(t, err)
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		resp, err := shop.Client().Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, resp.Header, string(body)
	}
	status, h, body := get("Range", "bytes=0-4")
	assert.Equal(t, 206, status)
	assert.Equal(t, "first", body)
	assert.Equal(t, []string{"bytes 0-4/13", "bytes", `"1"`, "Accept-Language", "en"},
		[]string{h.Get("Content-Range"), h.Get("Accept-Ranges"), h.Get("ETag"), h.Get("Vary"), h.Get("Content-Language")})
	status, _, body = get("Range", "bytes=5-", "If-Range", `"1"`)
	assert.Equal(t, 206, status)
	assert.Equal(t, " version", body)
	mu.Lock()
	tag, content = `"2"`, "SECOND VERSION"
	mu.Unlock()
	status, _, body = get("Range", "bytes=5-", "If-Range", `"1"`)
	assert.Equal(t, 200, status)
	assert.Equal(t, "SECOND VERSION", body)
	status, _, body = get("Range", "bytes=5-", "If-Range", `"1"`, "Connection", "If-Range")
	assert.Equal(t, 200, status, "one without the other is no request of the browser's")
	assert.Equal(t, "SECOND VERSION", body)
	for _, row := range []struct {
		name, value string
		want        int
	}{
		{"If-None-Match", `"2"`, 304}, {"If-None-Match", `"1"`, 200}, {"If-Match", `"1"`, 412}, {"If-Match", `"2"`, 200},
	} {
		status, h, _ = get(row.name, row.value)
		assert.Equal(t, row.want, status, "%s: %s", row.name, row.value)
		if status == 304 {
			assert.Equal(t, `"2"`, h.Get("ETag"))
		}
	}

	r, err := http.NewRequestWithContext(t.Context(), "POST", shop.URL+"/api/cart/acme/carts", strings.NewReader("packed"))
	require.NoError(t, err)
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set("Content-Range", "bytes 0-5/10")
	resp, err := shop.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, "gzip bytes 0-5/10 packed", stored, "a body goes with what says how to read it")
}

func TestTheTokenProxyRefusesNamesThatAreNone(t *testing.T) {
	s := newShop(t, setup{})
	for _, name := range []string{"", "X Shop", "X-Shop:", "Größe", "X-Shop\r\n"} {
		for _, rules := range []bff.ProxyRules{{Headers: []string{name}}, {ResponseHeaders: []string{name}}} {
			rules.Allow = []string{"GET /cart/{tenant}/carts"}
			_, err := s.b.Proxy(rules)
			require.ErrorIs(t, err, emporix.ErrInvalidRequest, "%q", name)
			assert.ErrorContains(t, err, "is no name of a header")
		}
	}
}

// The README names the headers that pass.
func TestTheREADMENamesTheHeadersThatPass(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(text), "| from the browser to the API | from the API to the browser |\n|---|---|\n| ")
	row, _, _ := strings.Cut(table, " |\n")
	there, back, _ := strings.Cut(row, " | ")
	assert.Equal(t, "`"+strings.Join(bff.PassedRequestHeaders(), "`, `")+"`", there)
	assert.Equal(t, "`"+strings.Join(bff.PassedResponseHeaders(), "`, `")+"`", back)
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
