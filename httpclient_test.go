package emporix_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// cartShop is a fake Emporix with another service beside it, at /cart/.
type cartShop struct {
	fake   *emporixtest.Fake
	client *emporix.Client
	mu     sync.Mutex
	seen   []cartRequest
	answer func(n int, w http.ResponseWriter, r *http.Request) // n counts from 1
}

type cartRequest struct{ bearer, tenant, agent, body, uri string }

func newCartShop(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request), opts ...emporix.Option) *cartShop {
	t.Helper()
	shop := &cartShop{fake: emporixtest.New(t), answer: answer}
	shop.client = shop.fake.Client(t, append([]emporix.Option{emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.Path, "/cart/") {
			return shop.fake.Transport().RoundTrip(r)
		}
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
			_ = r.Body.Close()
		}
		shop.mu.Lock()
		shop.seen = append(shop.seen, cartRequest{r.Header.Get("Authorization"), r.Header.Get("Emporix-Tenant"), r.Header.Get("User-Agent"), string(body), r.URL.RequestURI()})
		n := len(shop.seen)
		shop.mu.Unlock()
		w := httptest.NewRecorder()
		shop.answer(n, w, r)
		return w.Result(), nil
	}))}, opts...)...)
	return shop
}

func (s *cartShop) url(path string) string { return s.fake.URL() + path }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func fine(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "cart") }

// rejectFirst rejects the first request's bearer as the gateway does.
func rejectFirst(n int, w http.ResponseWriter, r *http.Request) {
	if n == 1 {
		w.WriteHeader(401)
		_, _ = io.WriteString(w, `{"fault":{"faultstring":"Invalid Access Token","detail":{"errorcode":"oauth.v2.InvalidAccessToken"}}}`)
		return
	}
	fine(n, w, r)
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(data)
}

func TestHTTPClientActsForTheSession(t *testing.T) {
	shop := newCartShop(t, fine)
	shop.fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "correct horse"})
	visitor := shop.client.Session("v")
	resp, err := visitor.HTTPClient().Get(shop.url("/cart/acme/carts?siteCode=main"))
	require.NoError(t, err)
	assert.Equal(t, "cart", text(t, resp))
	assert.Empty(t, resp.Request.Header.Get("Authorization"), "of the request that the caller gets back")
	_, err = visitor.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
	require.NoError(t, err)
	resp, err = visitor.HTTPClient().Get(shop.url("/cart/acme/carts"))
	require.NoError(t, err)
	text(t, resp)
	shop.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
	require.Len(t, shop.seen, 2)
	assert.Regexp(t, "^Bearer .{28}$", shop.seen[0].bearer)
	assert.NotEqual(t, shop.seen[0].bearer, shop.seen[1].bearer)
	assert.Equal(t, "acme", shop.seen[0].tenant)
	assert.Regexp(t, "^emporix-go/", shop.seen[0].agent)
	assert.Equal(t, "/cart/acme/carts?siteCode=main", shop.seen[0].uri)
}

func TestS03_HTTPClientKeepsTokensOnTheHost(t *testing.T) {
	var reached int
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	t.Cleanup(elsewhere.Close)
	shop := newCartShop(t, fine)
	for name, url := range map[string]string{
		"another host": elsewhere.URL + "/x", "a subdomain": "https://x.fake.emporix.test/", "a suffix": "https://fake.emporix.test.evil.example/",
		"http": "http://fake.emporix.test/cart/", "another port": "https://fake.emporix.test:444/cart/", "userinfo as host": "https://fake.emporix.test@evil.example/",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := shop.client.HTTPClient().Get(url)
			require.ErrorIs(t, err, emporix.ErrInvalidRequest)
			var argument *emporix.ArgumentError
			require.ErrorAs(t, err, &argument)
			assert.ErrorContains(t, err, "https://fake.emporix.test, the only place")
		})
	}
	t.Run("a Host header", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", shop.url("/cart/"), nil)
		require.NoError(t, err)
		req.Host = "evil.example"
		_, err = shop.client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	})
	t.Run("another URL under a good Host header", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://evil.example/cart/", nil)
		require.NoError(t, err)
		req.Host = "fake.emporix.test"
		_, err = shop.client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	})
	t.Run("another host as the request's target", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", shop.url("/cart/"), nil)
		require.NoError(t, err)
		req.URL.Opaque = "//evil.example/cart/" // a proxy goes where it says
		_, err = shop.client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	})
	assert.Zero(t, reached)
	assert.Empty(t, shop.seen)
	shop.fake.AssertCalls(t, "Auth.StartAnonymous", 0)
}

// A middleware that changes the host loses the bearer with it.
func TestS03_HTTPClientBindsBehindMiddleware(t *testing.T) {
	var shown []string
	divert := false
	shop := newCartShop(t, fine, emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			shown = append(shown, fmt.Sprintf("%+v %+v %+v", r, r.Header, r.Context()))
			if divert && strings.HasPrefix(r.URL.Path, "/cart/") {
				r = r.Clone(r.Context())
				r.URL.Host = "evil.example"
			}
			return next.RoundTrip(r)
		})
	}))
	resp, err := shop.client.HTTPClient().Get(shop.url("/cart/"))
	require.NoError(t, err)
	text(t, resp)
	divert = true
	_, err = shop.client.HTTPClient().Get(shop.url("/cart/"))
	assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	require.Len(t, shop.seen, 1)
	shop.fake.AssertNoSecrets(t, []byte(strings.Join(shown, "\n")))
}

// A service may repeat the Authorization header of a request in its answer: neither
// middleware nor the caller gets to see it there.
func TestS02_HTTPClientShowsNoEchoedBearer(t *testing.T) {
	const bearer = "anonymous-token-of-the-test"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/cart/") {
			_, _ = io.WriteString(w, `{"access_token":"`+bearer+`","expires_in":3600,"refresh_token":"refresh-token-of-the-test"}`)
			return
		}
		own := r.Header.Get("Authorization")
		w.Header().Set("X-Request", "Authorization: "+own)
		w.Header().Set("X-Other", "other")
		w.Header().Set("Trailer", "X-Declared")
		_, _ = io.WriteString(w, "cart")
		w.Header().Set("X-Declared", own)
		w.Header().Set(http.TrailerPrefix+"X-Undeclared", own)
	}))
	t.Cleanup(server.Close)
	var resp, inner *http.Response
	client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(server.URL),
		emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err == nil && strings.HasPrefix(r.URL.Path, "/cart/") {
				resp.Status = "200 " + r.Header.Get("Authorization")
			}
			return resp, err
		})),
		emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				inner = resp
				return resp, err
			})
		}))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
	for own, shown := range map[string]bool{"": false, "Bearer own": true} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/cart/acme/carts", nil)
		require.NoError(t, err)
		if own != "" {
			req.Header.Set("Authorization", own)
		}
		resp, err = client.HTTPClient().Do(req)
		require.NoError(t, err)
		assert.Equal(t, "cart", text(t, resp))
		for _, r := range []*http.Response{resp, inner} {
			all := fmt.Sprint(r.Status, r.Header, r.Trailer)
			assert.NotContains(t, all, bearer)
			assert.Equal(t, shown, strings.Contains(all, "Bearer own"), "the caller's own is the caller's: %s", all)
			assert.Equal(t, "other", r.Header.Get("X-Other"))
			assert.Contains(t, r.Header.Get("X-Request"), "Authorization: ")
			assert.NotEmpty(t, r.Trailer.Get("X-Declared"))
			assert.NotEmpty(t, r.Trailer.Get("X-Undeclared"))
		}
	}
}

func TestS03_HTTPClientFollowsNoRedirect(t *testing.T) {
	var reached int
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		shop := newCartShop(t, func(_ int, w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) })
		resp, err := shop.client.HTTPClient().Get(shop.url("/cart/"))
		require.NoError(t, err)
		assert.Equal(t, status, resp.StatusCode)
		assert.Equal(t, elsewhere.URL, resp.Header.Get("Location"), "the caller decides")
		text(t, resp)
		// A caller's client that follows redirects gets no further either.
		_, err = (&http.Client{Transport: shop.client.HTTPClient().Transport}).Get(shop.url("/cart/"))
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	}
	assert.Zero(t, reached)
}

// A lost answer tells of both requests.
func TestHTTPClientCountsItsRequests(t *testing.T) {
	shop := newCartShop(t, rejectFirst, emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil && strings.HasPrefix(r.URL.Path, "/cart/") && resp.StatusCode == 200 {
				return nil, io.ErrUnexpectedEOF
			}
			return resp, err
		})
	}))
	_, err := shop.client.HTTPClient().Post(shop.url("/cart/"), "application/json", strings.NewReader("{}"))
	var lost *emporix.TransportError
	require.ErrorAs(t, err, &lost)
	assert.Equal(t, 2, lost.Attempts)
	require.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
}

// http.Client drops a redirect whose Location it can't read, and what the request did
// would not be known.
func TestHTTPClientKeepsARedirectToNoURL(t *testing.T) {
	for status, kept := range map[int]string{302: "", 303: "", 308: "", 201: "https://[::1/x"} {
		shop := newCartShop(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://[::1/x")
			w.WriteHeader(status)
		})
		resp, err := shop.client.HTTPClient().Post(shop.url("/cart/"), "application/json", strings.NewReader("{}"))
		require.NoError(t, err)
		text(t, resp)
		assert.Equal(t, status, resp.StatusCode)
		assert.Equal(t, kept, resp.Header.Get("Location"))
	}
}

func TestHTTPClientRenewsARejectedBearer(t *testing.T) {
	body := func() io.Reader { return strings.NewReader("two apples") }
	for name, tt := range map[string]struct {
		answer  func(int, http.ResponseWriter, *http.Request)
		body    io.Reader
		status  int
		sent    int
		renewed bool
	}{
		"a gateway's fault":        {rejectFirst, nil, 200, 2, true},
		"with a body to send":      {rejectFirst, body(), 200, 2, true},
		"whose body can't be sent": {rejectFirst, io.MultiReader(body()), 401, 1, true},
		"an empty 401": {func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				w.WriteHeader(401)
				return
			}
			fine(n, w, r)
		}, body(), 200, 2, true},
		"again and again": {func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, body(), 401, 2, true},
		"a 401 with a message": {func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			_, _ = io.WriteString(w, `{"status":401,"message":"not your cart"}`)
		}, body(), 401, 1, false},
		"a 401 with a long page": {func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			_, _ = io.WriteString(w, strings.Repeat("<p>", 100_000))
		}, body(), 401, 1, false},
		"a 403": {func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, body(), 403, 1, false},
		"a 503": {func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, body(), 503, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			shop := newCartShop(t, tt.answer)
			resp, err := shop.client.HTTPClient().Post(shop.url("/cart/acme/carts"), "text/plain", tt.body)
			require.NoError(t, err)
			got := text(t, resp)
			assert.Equal(t, tt.status, resp.StatusCode)
			require.Len(t, shop.seen, tt.sent)
			if tt.status == 401 && tt.sent == 1 && !tt.renewed {
				assert.NotEmpty(t, got, "the caller reads the whole answer")
			}
			if name == "a 401 with a long page" {
				assert.Len(t, got, 300_000)
			}
			if tt.sent == 2 {
				assert.NotEqual(t, shop.seen[0].bearer, shop.seen[1].bearer)
				assert.Equal(t, shop.seen[0].body, shop.seen[1].body)
			}
			renewals := 0
			if tt.renewed {
				renewals = 1
			}
			shop.fake.AssertCalls(t, "Auth.RefreshAnonymous", renewals)
			shop.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
		})
	}
}

// A 401 is looked into as far as 64 KiB: a body that may go on is left as it is.
func TestHTTPClientLooksIntoShortAnswersOnly(t *testing.T) {
	for size, calls := range map[int]int{64<<10 - 1: 2, 64 << 10: 1} {
		shop := newCartShop(t, func(n int, w http.ResponseWriter, r *http.Request) {
			rejectFirst(n, w, r)
			_, _ = io.WriteString(w, strings.Repeat(" ", size-len(gateway)))
		})
		resp, err := shop.client.HTTPClient().Get(shop.url("/cart/"))
		require.NoError(t, err)
		text(t, resp)
		assert.Len(t, shop.seen, calls, size)
	}
}

// cartBody is a transport's answer of which is known what became of it.
type cartBody struct {
	io.Reader
	context context.Context
	closed  bool
}

func (b *cartBody) Close() error { b.closed = true; return nil }

// What belongs to an answer is given back: with the end of its body, or when the
// caller closes it, or when the request is sent once more. Of a connection that
// the caller writes to, nothing is.
func TestHTTPClientLetsGoOfAnswers(t *testing.T) {
	var got []*cartBody
	status := 0
	fake := emporixtest.New(t)
	transport := emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.Path, "/cart/") {
			return fake.Transport().RoundTrip(r)
		}
		body := &cartBody{strings.NewReader("cart"), r.Context(), false}
		got = append(got, body)
		switch status {
		case 0:
			return nil, io.ErrUnexpectedEOF
		case 204:
			return &http.Response{StatusCode: status, Header: http.Header{}}, nil
		case 401:
			body.Reader = strings.NewReader(gateway)
		}
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: body}, nil
	}))
	client := fake.Client(t, transport)
	send := func(want int) *http.Response {
		got, status = nil, want
		resp, err := client.HTTPClient().Get(fake.URL() + "/cart/")
		require.Equal(t, want == 0, err != nil, err)
		return resp
	}

	resp := send(200)
	require.NoError(t, got[0].context.Err())
	_, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.Error(t, got[0].context.Err(), "its body has ended")
	assert.False(t, got[0].closed)
	require.NoError(t, resp.Body.Close())
	assert.True(t, got[0].closed)

	require.NoError(t, send(200).Body.Close())
	assert.True(t, got[0].closed)
	require.Error(t, got[0].context.Err())

	send(0)
	require.Error(t, got[0].context.Err(), "there is no answer")
	send(204)
	require.Error(t, got[0].context.Err(), "there is no body")

	resp = send(401)
	require.Len(t, got, 2)
	assert.True(t, got[0].closed)
	require.Error(t, got[0].context.Err())
	assert.False(t, got[1].closed)
	require.NoError(t, resp.Body.Close())

	other := fake.Client(t, transport)
	require.NoError(t, anonymousCall(t.Context(), other.DefaultSession()))
	fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Status: 503, Times: 9})
	got, status = nil, 401
	_, err = other.HTTPClient().Get(fake.URL() + "/cart/")
	require.Error(t, err, "the bearer can't be renewed")
	assert.True(t, got[0].closed)

	body := &cartBody{Reader: strings.NewReader("x")}
	_, err = client.HTTPClient().Post("https://evil.example", "text/plain", body)
	require.Error(t, err)
	assert.True(t, body.closed, "what is not sent")

	resp = send(101)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, got[0].context.Err())
}

// A caller that takes compressed answers gets them as they are, and the fault in one
// is found all the same.
func TestHTTPClientRenewsAfterACompressedFault(t *testing.T) {
	fault := `{"fault":{"faultstring":"Invalid Access Token","detail":{"errorcode":"oauth.v2.InvalidAccessToken"}}}`
	product := `{"fault":{"faultstring":"Invalid ApiKey for given resource","detail":{"errorcode":"oauth.v2.InvalidApiKeyForGivenResource"}}}`
	for name, tt := range map[string]struct {
		encoding, text string
		zip            bool
		want           int
	}{
		"a fault":         {"gzip", fault, true, 200},
		"another name":    {"X-Gzip", fault, true, 200},
		"another subject": {"gzip", product, true, 401},
		"not compressed":  {"gzip", fault, false, 200},
		"unknown":         {"br", "\x0b\x02\x80", false, 401},
		"a bomb":          {"gzip", fault + strings.Repeat(" ", 1<<20), true, 401},
	} {
		t.Run(name, func(t *testing.T) {
			body := tt.text
			if tt.zip {
				var zipped strings.Builder
				z := gzip.NewWriter(&zipped)
				_, _ = io.WriteString(z, tt.text)
				require.NoError(t, z.Close())
				body = zipped.String()
			}
			shop := newCartShop(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n > 1 {
					fine(n, w, r)
					return
				}
				w.Header().Set("Content-Encoding", tt.encoding)
				w.WriteHeader(401)
				_, _ = io.WriteString(w, body)
			})
			req, err := http.NewRequestWithContext(t.Context(), "GET", shop.url("/cart/acme/carts"), nil)
			require.NoError(t, err)
			req.Header.Set("Accept-Encoding", "gzip, br")
			resp, err := shop.client.HTTPClient().Do(req)
			require.NoError(t, err)
			assert.Equal(t, tt.want, resp.StatusCode)
			want := body
			if tt.want == 200 {
				want = "cart"
			}
			assert.Equal(t, want, text(t, resp), "as the service sent it")
		})
	}
}

// net/http sends a request with an idempotency key again when a kept connection
// dies, and so may a transport or a middleware of the user's. That the last try found
// no server says nothing about the first.
func TestHTTPClientWritesThatWereTriedTwice(t *testing.T) {
	for name, header := range map[string]http.Header{
		"net/http":       {"Idempotency-Key": {"1"}},
		"its own bearer": {"Idempotency-Key": {"1"}, "Authorization": {"Bearer own"}},
		"the transport":  {},
	} {
		t.Run(name, func(t *testing.T) {
			written := make(chan string, 8)
			server := httptest.NewUnstartedServer(nil)
			server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Method != "POST" {
					_, _ = io.WriteString(w, anonymousTokens)
					return
				}
				written <- string(body)
				_ = server.Listener.Close() // the next one finds nobody
				panic(http.ErrAbortHandler)
			})
			server.Start()
			defer server.Close()
			twice := &http.Transport{}
			base := roundTripper(twice.RoundTrip)
			if len(header) == 0 {
				base = func(r *http.Request) (*http.Response, error) {
					resp, err := twice.RoundTrip(r)
					if err != nil {
						twice.CloseIdleConnections()
						again := r.Clone(r.Context())
						again.Body, _ = r.GetBody()
						resp, err = twice.RoundTrip(again)
					}
					return resp, err
				}
			}
			client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(server.URL), emporix.WithTransport(base))
			require.NoError(t, err)
			defer func() { assert.NoError(t, client.Close(t.Context())) }()
			resp, err := client.HTTPClient().Get(server.URL + "/cart")
			require.NoError(t, err)
			text(t, resp)
			req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/cart", strings.NewReader("{}"))
			require.NoError(t, err)
			req.Header = header.Clone()
			_, err = client.HTTPClient().Do(req)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			assert.Len(t, written, 1)
			require.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
			assert.NotErrorIs(t, err, emporix.ErrUnavailable)
		})
	}
}

// A transport may go another way when net/http finds no server. What is lost there may
// have arrived.
func TestWritesOfATransportThatFallsBack(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	writes := 0
	client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL("http://"+listener.Addr().String()),
		emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
				return resp, nil
			}
			if r.Method == http.MethodPost {
				writes++
				return nil, errors.New("the other way broke off")
			}
			return reply(200, anonymousTokens), nil
		})))
	require.NoError(t, err)
	defer func() { assert.NoError(t, client.Close(t.Context())) }()
	_, err = client.Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: "jo@example.com", Password: "correct horse"})
	assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
	assert.Equal(t, 1, writes)
	_, err = client.HTTPClient().Post("http://"+listener.Addr().String()+"/cart", "application/json", strings.NewReader("{}"))
	assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
}

func TestHTTPClientKeepsTheCallersAuthorization(t *testing.T) {
	shop := newCartShop(t, rejectFirst)
	req, err := http.NewRequestWithContext(t.Context(), "GET", shop.url("/cart/"), nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer my own")
	req.Header.Set("Emporix-Tenant", "other")
	req.Header.Set("User-Agent", "mine")
	resp, err := shop.client.HTTPClient().Do(req)
	require.NoError(t, err)
	text(t, resp)
	assert.Equal(t, 401, resp.StatusCode, "a bearer of the caller's is not renewed")
	assert.Equal(t, []cartRequest{{"Bearer my own", "other", "mine", "", "/cart/"}}, shop.seen)
	shop.fake.AssertCalls(t, "Auth.StartAnonymous", 0)
	assert.Equal(t, "Bearer my own", req.Header.Get("Authorization"))
}

func TestHTTPClientErrors(t *testing.T) {
	t.Run("a session that ended", func(t *testing.T) {
		shop := newCartShop(t, fine)
		_, err := shop.client.Session("").HTTPClient().Get(shop.url("/cart/"))
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	})
	t.Run("a closed client", func(t *testing.T) {
		shop := newCartShop(t, fine)
		require.NoError(t, shop.client.Close(t.Context()))
		_, err := shop.client.HTTPClient().Get(shop.url("/cart/"))
		assert.ErrorIs(t, err, emporix.ErrClosed)
		req, err := http.NewRequestWithContext(t.Context(), "GET", shop.url("/cart/"), nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer my own")
		_, err = shop.client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, emporix.ErrClosed)
		assert.Empty(t, shop.seen)
	})
	t.Run("no header", func(t *testing.T) {
		shop := newCartShop(t, fine)
		req, err := http.NewRequestWithContext(t.Context(), "GET", shop.url("/cart/"), nil)
		require.NoError(t, err)
		req.Header = nil
		resp, err := shop.client.HTTPClient().Transport.RoundTrip(req)
		require.NoError(t, err)
		text(t, resp)
		assert.NotEmpty(t, shop.seen[0].bearer)
	})
	t.Run("no token to be had", func(t *testing.T) {
		shop := newCartShop(t, fine)
		shop.fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Status: 400})
		_, err := shop.client.HTTPClient().Get(shop.url("/cart/"))
		var auth *emporix.AuthError
		require.ErrorAs(t, err, &auth)
		assert.Empty(t, shop.seen)
	})
	t.Run("a cancelled context", func(t *testing.T) {
		shop := newCartShop(t, fine)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", shop.url("/cart/"), nil)
		require.NoError(t, err)
		_, err = shop.client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, context.Canceled)
	})
	t.Run("a transport that prints the bearer", func(t *testing.T) {
		var bearer string
		boom := errors.New("boom")
		fake := emporixtest.New(t)
		client := fake.Client(t, emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.HasPrefix(r.URL.Path, "/cart/") {
				return fake.Transport().RoundTrip(r)
			}
			bearer = r.Header.Get("Authorization")
			return nil, fmt.Errorf("sending %v: %w", r.Header, boom)
		})))
		_, err := client.HTTPClient().Get(fake.URL() + "/cart/")
		require.ErrorIs(t, err, boom)
		assert.ErrorContains(t, err, "[redacted]")
		assert.NotEmpty(t, bearer)
		fake.AssertNoSecrets(t, []byte(fmt.Sprintf("%v %+v %#v", err, err, err)))
	})
	t.Run("no answer at all", func(t *testing.T) {
		client := loggedIn(t, func(*http.Request) (*http.Response, error) { return nil, nil })
		_, err := client.HTTPClient().Get("https://api.emporix.io/cart/")
		assert.Error(t, err)
	})
	t.Run("a body that can't be had again", func(t *testing.T) {
		shop := newCartShop(t, rejectFirst)
		req, err := http.NewRequestWithContext(t.Context(), "POST", shop.url("/cart/"), strings.NewReader("x"))
		require.NoError(t, err)
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), io.ErrUnexpectedEOF }
		resp, err := shop.client.HTTPClient().Do(req)
		require.NoError(t, err)
		assert.Equal(t, 401, resp.StatusCode)
		assert.Equal(t, gateway, text(t, resp)) //nolint:testifylint // byte for byte
		assert.Len(t, shop.seen, 1)
	})
	t.Run("an answer without a body", func(t *testing.T) {
		fake := emporixtest.New(t)
		client := fake.Client(t, emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.HasPrefix(r.URL.Path, "/cart/") {
				return fake.Transport().RoundTrip(r)
			}
			return &http.Response{StatusCode: 401}, nil
		})))
		resp, err := client.HTTPClient().Get(fake.URL() + "/cart/")
		require.NoError(t, err)
		assert.Equal(t, 401, resp.StatusCode)
		text(t, resp)
	})
}

// slowBody gives a piece at a time, and then perhaps nothing more, ever.
type slowBody struct {
	ctx    context.Context
	pieces int
	stuck  bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.pieces == 0 && !b.stuck {
		return 0, io.EOF
	}
	wait := 3 * time.Second
	if b.pieces == 0 {
		wait = 1000 * time.Hour
	}
	select {
	case <-time.After(wait):
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
	b.pieces--
	return copy(p, "x"), nil
}

func (b *slowBody) Close() error { return nil }

// Somebody's telephone sends a form for longer than an answer may take. The wait for
// the answer begins with the last piece.
func TestHTTPClientWaitsForABodyThatComes(t *testing.T) {
	for name, tt := range map[string]struct {
		stuck bool
		after time.Duration // how long the server takes with the whole body
		fails time.Duration // 0: it does not
	}{
		"slow":                {false, 9 * time.Second, 0},
		"slow, and no answer": {false, time.Hour, 70 * time.Second},
		"it stops":            {true, 0, 70 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := emporixtest.New(t)
				client := fake.Client(t, emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
					if !strings.HasPrefix(r.URL.Path, "/cart/") {
						return fake.Transport().RoundTrip(r)
					}
					body, err := io.ReadAll(r.Body)
					if err != nil {
						return nil, err
					}
					select {
					case <-time.After(tt.after):
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
					return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(fmt.Sprint(len(body))))}, nil
				})))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began := time.Now()
				req, err := http.NewRequestWithContext(ctx, "POST", fake.URL()+"/cart/", &slowBody{ctx, 20, tt.stuck})
				require.NoError(t, err)
				resp, err := client.HTTPClient().Do(req)
				if tt.fails == 0 {
					require.NoError(t, err)
					assert.Equal(t, "20", text(t, resp))
					return
				}
				require.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
				assert.InDelta(t, tt.fails, time.Since(began), float64(100*time.Millisecond))
			})
		})
	}
}

// Without a response, the error says whether the request may have been processed.
func TestHTTPClientWithoutAResponse(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for name, tt := range map[string]struct {
		failure     error
		read, write []string
	}{
		"no connection":          {refused, []string{"unavailable"}, []string{"unavailable"}},
		"reset":                  {reset, []string{"unavailable"}, []string{"outcome unknown"}},
		"closed":                 {io.EOF, []string{"unavailable"}, []string{"outcome unknown"}},
		"a limit of its own":     {context.DeadlineExceeded, []string{"unavailable"}, []string{"outcome unknown"}},
		"no error either":        {nil, []string{"unavailable"}, []string{"outcome unknown"}},
		"a middleware's refusal": {fmt.Errorf("too much to do: %w", emporix.ErrRateLimited), []string{"rate limited"}, []string{"rate limited"}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := emporixtest.New(t)
			client := fake.Client(t, emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
				if strings.HasPrefix(r.URL.Path, "/cart/") {
					return nil, tt.failure
				}
				return fake.Transport().RoundTrip(r)
			})))
			for method, want := range map[string][]string{"GET": tt.read, "HEAD": tt.read, "POST": tt.write, "DELETE": tt.write, "PATCH": tt.write} {
				req, err := http.NewRequestWithContext(t.Context(), method, fake.URL()+"/cart/1", nil)
				require.NoError(t, err)
				_, err = client.HTTPClient().Do(req)
				assert.ElementsMatch(t, want, is(err), "%s: %v", method, err)
				if tt.failure != nil && !errors.Is(tt.failure, context.DeadlineExceeded) {
					assert.ErrorIs(t, err, tt.failure, method)
				}
			}
		})
	}
	t.Run("TLS fails", func(t *testing.T) {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		defer server.Close()
		client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(server.URL))
		require.NoError(t, err)
		defer func() { assert.NoError(t, client.Close(t.Context())) }()
		req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/cart/1", strings.NewReader("{}"))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer my own")
		_, err = client.HTTPClient().Do(req)
		assert.ElementsMatch(t, []string{"unavailable"}, is(err), err)
	})
	t.Run("the caller's context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fake := emporixtest.New(t)
			client := fake.Client(t, emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
				if strings.HasPrefix(r.URL.Path, "/cart/") {
					return hanging(false)(r)
				}
				return fake.Transport().RoundTrip(r)
			})))
			for method, want := range map[string][]string{"GET": {"deadline"}, "POST": {"deadline", "outcome unknown"}} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				req, err := http.NewRequestWithContext(ctx, method, fake.URL()+"/cart/1", nil)
				require.NoError(t, err)
				_, err = client.HTTPClient().Do(req)
				cancel()
				assert.ElementsMatch(t, want, is(err), "%s: %v", method, err)
			}
		})
	})
}

// A middleware can't make another request of one, and can't send one twice, whoever's
// credentials it has.
func TestHTTPClientRefusesWhatAMiddlewareMakesOfARequest(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(r *http.Request) (again bool)
		sent   int
		fine   bool
	}{
		"nothing":         {func(*http.Request) bool { return false }, 1, true},
		"a header":        {func(r *http.Request) bool { r.Header.Set("Traceparent", "00-1"); return false }, 1, true},
		"a copied URL":    {func(r *http.Request) bool { u := *r.URL; r.URL = &u; return false }, 1, true},
		"GET as it is":    {func(r *http.Request) bool { r.Method = strings.TrimPrefix(r.Method, "GET"); return false }, 1, true},
		"the method":      {func(r *http.Request) bool { r.Method = "DELETE"; return false }, 0, false},
		"the path":        {func(r *http.Request) bool { r.URL.Path = "/other/service"; return false }, 0, false},
		"the query":       {func(r *http.Request) bool { r.URL.RawQuery += "&x=1"; return false }, 0, false},
		"the Host header": {func(r *http.Request) bool { r.Host = "evil.example"; return false }, 0, false},
		"no URL":          {func(r *http.Request) bool { r.URL = nil; return false }, 0, false},
		"twice":           {func(*http.Request) bool { return true }, 1, false},
	} {
		for _, method := range []string{"GET", "POST"} {
			for _, own := range []string{"", "Bearer my own"} {
				shop := newCartShop(t, fine, emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
					return roundTripper(func(r *http.Request) (*http.Response, error) {
						if !strings.HasPrefix(r.URL.Path, "/cart/") {
							return next.RoundTrip(r)
						}
						r = r.Clone(r.Context())
						if tt.change(r) {
							if resp, err := next.RoundTrip(r); err == nil {
								_ = resp.Body.Close()
							}
						}
						return next.RoundTrip(r)
					})
				}))
				req, err := http.NewRequestWithContext(t.Context(), method, shop.url("/cart/acme/carts?siteCode=main"), nil)
				require.NoError(t, err)
				if own != "" {
					req.Header.Set("Authorization", own)
				}
				resp, err := shop.client.HTTPClient().Do(req)
				if tt.fine {
					require.NoError(t, err, "%s %s", name, method)
					assert.Equal(t, "cart", text(t, resp))
				} else {
					require.ErrorIs(t, err, emporix.ErrInvalidRequest, "%s %s", name, method)
					assert.Equal(t, name == "twice" && method == "POST", errors.Is(err, emporix.ErrOutcomeUnknown), "%s %s", name, method)
				}
				assert.Len(t, shop.seen, tt.sent, "%s %s", name, method)
			}
		}
	}
}

// What a middleware says after the request was answered does not undo the request.
func TestHTTPClientWhoseMiddlewareFailsAfterwards(t *testing.T) {
	for _, known := range []error{emporix.ErrUnavailable, emporix.ErrRateLimited, &emporix.ArgumentError{Field: "audit", Reason: "is empty"}} {
		shop := newCartShop(t, fine, emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if strings.HasPrefix(r.URL.Path, "/cart/") {
					return nil, fmt.Errorf("audit: %w", known)
				}
				return resp, err
			})
		}))
		_, err := shop.client.HTTPClient().Post(shop.url("/cart/1"), "application/json", strings.NewReader("{}"))
		assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
		assert.ErrorIs(t, err, known)
		_, err = shop.client.HTTPClient().Get(shop.url("/cart/1"))
		assert.NotErrorIs(t, err, emporix.ErrOutcomeUnknown)
		assert.Len(t, shop.seen, 2)
	}
}

// hanging answers when the request ends, or with headers at once and the body
// a minute later.
func hanging(headers bool) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		if !headers {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		read, write := io.Pipe()
		go func() {
			select {
			case <-r.Context().Done():
				_ = write.CloseWithError(r.Context().Err())
			case <-time.After(time.Minute):
				_, _ = io.WriteString(write, "cart")
				_ = write.Close()
			}
		}()
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: read}, nil
	}
}

func TestHTTPClientWaitsForHeadersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		headers := false
		client := fake.Client(t, emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/cart/") {
				return hanging(headers)(r)
			}
			return fake.Transport().RoundTrip(r)
		})))
		began := time.Now()
		_, err := client.HTTPClient().Get(fake.URL() + "/cart/1")
		assert.ErrorIs(t, err, emporix.ErrUnavailable)
		assert.NotErrorIs(t, err, context.DeadlineExceeded)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		assert.True(t, timeout.Timeout())
		assert.Equal(t, 10*time.Second, time.Since(began))
		var lost *emporix.TransportError
		require.ErrorAs(t, err, &lost)
		assert.Equal(t, 1, lost.Attempts)
		for method, reads := range map[string]bool{"": true, "GET": true, "HEAD": true, "OPTIONS": true, "POST": false, "PUT": false, "DELETE": false} {
			_, err = client.HTTPClient().Do((&http.Request{Method: method, URL: &url.URL{Scheme: "https", Host: "fake.emporix.test", Path: "/cart/1"}}).WithContext(t.Context()))
			assert.Equal(t, reads, errors.Is(err, emporix.ErrUnavailable), method)
			assert.Equal(t, !reads, errors.Is(err, emporix.ErrOutcomeUnknown), method)
		}

		headers = true
		began = time.Now()
		resp, err := client.HTTPClient().Get(fake.URL() + "/cart/1")
		require.NoError(t, err)
		assert.Zero(t, time.Since(began), "it is there with its headers")
		assert.Equal(t, "cart", text(t, resp), "a slow body is not cut")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", fake.URL()+"/cart/1", nil)
		require.NoError(t, err)
		resp, err = client.HTTPClient().Do(req)
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		assert.ErrorIs(t, err, context.DeadlineExceeded, "but the caller's context bounds it")
		resp, err = client.HTTPClient().Get(fake.URL() + "/cart/1")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close()) // and Close ends it; synctest waits for the server's goroutine
	})
}

// A body that does not hear its context is left when that ends.
func TestHTTPClientLeavesABodyThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		client := loggedIn(t, func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(read)}, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", "https://api.emporix.io/cart/1", nil)
		require.NoError(t, err)
		resp, err := client.HTTPClient().Do(req)
		require.NoError(t, err)
		began := time.Now()
		_, err = io.ReadAll(resp.Body)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began))
		require.NoError(t, write.Close())
	})
}

// A scheme's own port is the same place, written or not.
func TestHTTPClientTakesTheDefaultPort(t *testing.T) {
	for base, at := range map[string]map[string]bool{
		"https://api.emporix.io":     {"https://api.emporix.io:443": true, "https://API.emporix.io": true, "https://api.emporix.io:444": false, "https://api.emporix.io:80": false, "http://api.emporix.io:443": false},
		"https://api.emporix.io:443": {"https://api.emporix.io:443": true, "https://api.emporix.io": true, "https://api.emporix.io:8443": false},
		"http://localhost":           {"http://localhost:80": true, "http://localhost:443": false},
	} {
		client := loggedIn(t, func(*http.Request) (*http.Response, error) { return reply(200, "cart"), nil }, emporix.WithBaseURL(base))
		for url, fine := range at {
			resp, err := client.HTTPClient().Get(url + "/cart/1")
			if assert.Equal(t, fine, err == nil, "%s at %s", url, base); fine {
				assert.Equal(t, "cart", text(t, resp))
			}
		}
	}
}

// closedBody tells when it is closed.
type closedBody struct {
	io.Reader
	closed atomic.Bool
}

func (b *closedBody) Close() error { b.closed.Store(true); return nil }

// A body that GetBody brings when nobody waits for it any more is closed.
func TestHTTPClientClosesABodyThatComesLate(t *testing.T) {
	for _, comes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			shop := newCartShop(t, rejectFirst)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, shop.url("/cart/acme/carts"), strings.NewReader("body"))
			require.NoError(t, err)
			late := &closedBody{Reader: strings.NewReader("body")}
			req.GetBody = func() (io.ReadCloser, error) {
				time.Sleep(time.Minute)
				if !comes {
					return nil, io.ErrUnexpectedEOF
				}
				return late, nil
			}
			began := time.Now()
			resp, err := shop.client.Session("v").HTTPClient().Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			assert.Less(t, time.Since(began), 2*time.Second)
			time.Sleep(2 * time.Minute)
			assert.Equal(t, comes, late.closed.Load())
			assert.Len(t, shop.seen, 1)
		})
	}
}

// slowText is a body of which a part comes every three seconds.
func slowText() io.ReadCloser {
	return io.NopCloser(&slowReader{rest: "slowly"})
}

type slowReader struct{ rest string }

func (s *slowReader) Read(p []byte) (int, error) {
	if s.rest == "" {
		return 0, io.EOF
	}
	time.Sleep(3 * time.Second)
	n := copy(p[:1], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// A body may come slowly, also the one that net/http asks for to send it once more.
func TestHTTPClientSendsASlowBodyOnceMore(t *testing.T) {
	for _, comes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			fake := emporixtest.New(t)
			sent := ""
			client := fake.Client(t, emporix.WithTimeouts(emporix.Timeouts{Attempt: 5 * time.Second}), emporix.WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.GetBody == nil {
					return fake.Transport().RoundTrip(r)
				}
				_ = r.Body.Close()
				again, err := r.GetBody()
				if err != nil {
					return nil, err
				}
				data, err := io.ReadAll(again)
				sent = string(data)
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}, err
			})))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fake.URL()+"/cart/acme/carts", slowText())
			require.NoError(t, err)
			req.GetBody = func() (io.ReadCloser, error) {
				if comes {
					return slowText(), nil
				}
				return slowText(), io.ErrUnexpectedEOF
			}
			resp, err := client.Session("v").HTTPClient().Do(req)
			if !comes {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				return
			}
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, "slowly", sent)
		})
	}
}
