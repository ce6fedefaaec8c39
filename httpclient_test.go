package emporix_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

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

func TestHTTPClientActsForTheSession(t *testing.T) {
	shop := fixture.NewCartShop(t, fine)
	visitor := shop.Client.Session("v")
	resp, err := visitor.HTTPClient().Get(shop.URL("/cart/acme/carts?siteCode=main"))
	require.NoError(t, err)
	assert.Equal(t, "cart", fixture.Text(t, resp))
	assert.Empty(t, resp.Request.Header.Get("Authorization"), "of the request that the caller gets back")
	_, err = visitor.Auth.Login(t.Context(), fixture.Jo)
	require.NoError(t, err)
	resp, err = visitor.HTTPClient().Get(shop.URL("/cart/acme/carts"))
	require.NoError(t, err)
	fixture.Text(t, resp)
	shop.Fake.AssertCalls(t, "Auth.StartAnonymous", 1)
	require.Len(t, shop.Seen, 2)
	assert.Regexp(t, "^Bearer .{28}$", shop.Seen[0].Authorization)
	assert.NotEqual(t, shop.Seen[0].Authorization, shop.Seen[1].Authorization)
	assert.Equal(t, "acme", shop.Seen[0].Tenant)
	assert.Regexp(t, "^emporix-go/", shop.Seen[0].Agent)
	assert.Equal(t, "/cart/acme/carts?siteCode=main", shop.Seen[0].URI)
}

func TestS03_HTTPClientKeepsTokensOnTheHost(t *testing.T) {
	var reached int
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	t.Cleanup(elsewhere.Close)
	shop := fixture.NewCartShop(t, fine)
	for name, url := range map[string]string{
		"another host": elsewhere.URL + "/x", "a subdomain": "https://x.fake.emporix.test/", "a suffix": "https://fake.emporix.test.evil.example/",
		"http": "http://fake.emporix.test/cart/", "another port": "https://fake.emporix.test:444/cart/", "userinfo as host": "https://fake.emporix.test@evil.example/",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := shop.Client.HTTPClient().Get(url)
			require.ErrorIs(t, err, emporix.ErrInvalidRequest)
			var argument *emporix.ArgumentError
			require.ErrorAs(t, err, &argument)
			assert.ErrorContains(t, err, "https://fake.emporix.test, the only place")
		})
	}
	t.Run("a Host header", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", shop.URL("/cart/"), nil)
		require.NoError(t, err)
		req.Host = "evil.example"
		_, err = shop.Client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	})
	t.Run("another URL under a good Host header", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://evil.example/cart/", nil)
		require.NoError(t, err)
		req.Host = "fake.emporix.test"
		_, err = shop.Client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	})
	t.Run("another host as the request's target", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", shop.URL("/cart/"), nil)
		require.NoError(t, err)
		req.URL.Opaque = "//evil.example/cart/" // a proxy goes where it says
		_, err = shop.Client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	})
	assert.Zero(t, reached)
	assert.Empty(t, shop.Seen)
	shop.Fake.AssertCalls(t, "Auth.StartAnonymous", 0)
}

// A middleware that changes the host loses the bearer with it.
func TestS03_HTTPClientBindsBehindMiddleware(t *testing.T) {
	var shown []string
	divert := false
	shop := fixture.NewCartShop(t, fine, emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			shown = append(shown, fmt.Sprintf("%+v %+v %+v", r, r.Header, r.Context()))
			if divert && strings.HasPrefix(r.URL.Path, "/cart/") {
				r = r.Clone(r.Context())
				r.URL.Host = "evil.example"
			}
			return next.RoundTrip(r)
		})
	}))
	resp, err := shop.Client.HTTPClient().Get(shop.URL("/cart/"))
	require.NoError(t, err)
	fixture.Text(t, resp)
	divert = true
	_, err = shop.Client.HTTPClient().Get(shop.URL("/cart/"))
	assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	require.Len(t, shop.Seen, 1)
	shop.Fake.AssertNoSecrets(t, []byte(strings.Join(shown, "\n")))
}

// A service may repeat the Authorization header of a request in its response: neither
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
		emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err == nil && strings.HasPrefix(r.URL.Path, "/cart/") {
				resp.Status = "200 " + r.Header.Get("Authorization")
			}
			return resp, err
		})),
		emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
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
		assert.Equal(t, "cart", fixture.Text(t, resp))
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
		shop := fixture.NewCartShop(t, func(_ int, w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) })
		resp, err := shop.Client.HTTPClient().Get(shop.URL("/cart/"))
		require.NoError(t, err)
		assert.Equal(t, status, resp.StatusCode)
		assert.Equal(t, elsewhere.URL, resp.Header.Get("Location"), "the caller decides")
		fixture.Text(t, resp)
		// A caller's client that follows redirects gets no further either.
		_, err = (&http.Client{Transport: shop.Client.HTTPClient().Transport}).Get(shop.URL("/cart/"))
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	}
	assert.Zero(t, reached)
}

// A lost response tells of both requests.
func TestHTTPClientCountsItsRequests(t *testing.T) {
	shop := fixture.NewCartShop(t, rejectFirst, emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil && strings.HasPrefix(r.URL.Path, "/cart/") && resp.StatusCode == 200 {
				return nil, io.ErrUnexpectedEOF
			}
			return resp, err
		})
	}))
	_, err := shop.Client.HTTPClient().Post(shop.URL("/cart/"), "application/json", strings.NewReader("{}"))
	var lost *emporix.TransportError
	require.ErrorAs(t, err, &lost)
	assert.Equal(t, 2, lost.Attempts)
	require.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
}

// http.Client drops a redirect whose Location it can't read, and what the request did
// would not be known.
func TestHTTPClientKeepsARedirectToNoURL(t *testing.T) {
	for status, kept := range map[int]string{302: "", 303: "", 308: "", 201: "https://[::1/x"} {
		shop := fixture.NewCartShop(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://[::1/x")
			w.WriteHeader(status)
		})
		resp, err := shop.Client.HTTPClient().Post(shop.URL("/cart/"), "application/json", strings.NewReader("{}"))
		require.NoError(t, err)
		fixture.Text(t, resp)
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
			shop := fixture.NewCartShop(t, tt.answer)
			resp, err := shop.Client.HTTPClient().Post(shop.URL("/cart/acme/carts"), "text/plain", tt.body)
			require.NoError(t, err)
			got := fixture.Text(t, resp)
			assert.Equal(t, tt.status, resp.StatusCode)
			require.Len(t, shop.Seen, tt.sent)
			if tt.status == 401 && tt.sent == 1 && !tt.renewed {
				assert.NotEmpty(t, got, "the caller reads the whole answer")
			}
			if name == "a 401 with a long page" {
				assert.Len(t, got, 300_000)
			}
			if tt.sent == 2 {
				assert.NotEqual(t, shop.Seen[0].Authorization, shop.Seen[1].Authorization)
				assert.Equal(t, shop.Seen[0].Body, shop.Seen[1].Body)
			}
			renewals := 0
			if tt.renewed {
				renewals = 1
			}
			shop.Fake.AssertCalls(t, "Auth.RefreshAnonymous", renewals)
			shop.Fake.AssertCalls(t, "Auth.StartAnonymous", 1)
		})
	}
}

// A 401 is looked into as far as 64 KiB: a body that may go on is left as it is.
func TestHTTPClientLooksIntoShortAnswersOnly(t *testing.T) {
	for size, calls := range map[int]int{64<<10 - 1: 2, 64 << 10: 1} {
		shop := fixture.NewCartShop(t, func(n int, w http.ResponseWriter, r *http.Request) {
			rejectFirst(n, w, r)
			_, _ = io.WriteString(w, strings.Repeat(" ", size-len(fixture.GatewayFault)))
		})
		resp, err := shop.Client.HTTPClient().Get(shop.URL("/cart/"))
		require.NoError(t, err)
		fixture.Text(t, resp)
		assert.Len(t, shop.Seen, calls, size)
	}
}

// cartBody is a transport's answer of which is known what became of it.
type cartBody struct {
	io.Reader
	context context.Context
	closed  bool
}

func (b *cartBody) Close() error { b.closed = true; return nil }

// What belongs to a response is given back: with the end of its body, or when the
// caller closes it, or when the request is sent once more. Of a connection that
// the caller writes to, nothing is.
func TestHTTPClientLetsGoOfAnswers(t *testing.T) {
	var got []*cartBody
	status := 0
	fake := emporixtest.New(t)
	transport := emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
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
			body.Reader = strings.NewReader(fixture.GatewayFault)
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
	require.Error(t, got[0].context.Err(), "there is no response")
	send(204)
	require.Error(t, got[0].context.Err(), "there is no body")

	resp = send(401)
	require.Len(t, got, 2)
	assert.True(t, got[0].closed)
	require.Error(t, got[0].context.Err())
	assert.False(t, got[1].closed)
	require.NoError(t, resp.Body.Close())

	other := fake.Client(t, transport)
	require.NoError(t, fixture.AnonymousCall(t.Context(), other.DefaultSession()))
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
			shop := fixture.NewCartShop(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n > 1 {
					fine(n, w, r)
					return
				}
				w.Header().Set("Content-Encoding", tt.encoding)
				w.WriteHeader(401)
				_, _ = io.WriteString(w, body)
			})
			req, err := http.NewRequestWithContext(t.Context(), "GET", shop.URL("/cart/acme/carts"), nil)
			require.NoError(t, err)
			req.Header.Set("Accept-Encoding", "gzip, br")
			resp, err := shop.Client.HTTPClient().Do(req)
			require.NoError(t, err)
			assert.Equal(t, tt.want, resp.StatusCode)
			want := body
			if tt.want == 200 {
				want = "cart"
			}
			assert.Equal(t, want, fixture.Text(t, resp), "as the service sent it")
		})
	}
}

func TestHTTPClientKeepsTheCallersAuthorization(t *testing.T) {
	shop := fixture.NewCartShop(t, rejectFirst)
	req, err := http.NewRequestWithContext(t.Context(), "GET", shop.URL("/cart/"), nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer my own")
	req.Header.Set("Emporix-Tenant", "other")
	req.Header.Set("User-Agent", "mine")
	resp, err := shop.Client.HTTPClient().Do(req)
	require.NoError(t, err)
	fixture.Text(t, resp)
	assert.Equal(t, 401, resp.StatusCode, "a bearer of the caller's is not renewed")
	assert.Equal(t, []fixture.CartRequest{{Authorization: "Bearer my own", Tenant: "other", Agent: "mine", URI: "/cart/"}}, shop.Seen)
	shop.Fake.AssertCalls(t, "Auth.StartAnonymous", 0)
	assert.Equal(t, "Bearer my own", req.Header.Get("Authorization"))
}

// A scheme's own port is the same place, written or not.
func TestHTTPClientTakesTheDefaultPort(t *testing.T) {
	for base, at := range map[string]map[string]bool{
		"https://api.emporix.io":     {"https://api.emporix.io:443": true, "https://API.emporix.io": true, "https://api.emporix.io:444": false, "https://api.emporix.io:80": false, "http://api.emporix.io:443": false},
		"https://api.emporix.io:443": {"https://api.emporix.io:443": true, "https://api.emporix.io": true, "https://api.emporix.io:8443": false},
		"http://localhost":           {"http://localhost:80": true, "http://localhost:443": false},
	} {
		client := fixture.LoggedIn(t, func(*http.Request) (*http.Response, error) { return fixture.Reply(200, "cart"), nil }, emporix.WithBaseURL(base))
		for url, fine := range at {
			resp, err := client.HTTPClient().Get(url + "/cart/1")
			if assert.Equal(t, fine, err == nil, "%s at %s", url, base); fine {
				assert.Equal(t, "cart", fixture.Text(t, resp))
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

// A body that GetBody brings when no caller waits for it any more is closed.
func TestHTTPClientClosesABodyThatComesLate(t *testing.T) {
	for _, comes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			shop := fixture.NewCartShop(t, rejectFirst)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, shop.URL("/cart/acme/carts"), strings.NewReader("body"))
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
			resp, err := shop.Client.Session("v").HTTPClient().Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			assert.Less(t, time.Since(began), 2*time.Second)
			time.Sleep(2 * time.Minute)
			assert.Equal(t, comes, late.closed.Load())
			assert.Len(t, shop.Seen, 1)
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
			client := fake.Client(t, emporix.WithTimeouts(emporix.Timeouts{Attempt: 5 * time.Second}), emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
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
