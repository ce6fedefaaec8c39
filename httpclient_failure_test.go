package emporix_test

import (
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
					_, _ = io.WriteString(w, fixture.AnonymousTokens)
					return
				}
				written <- string(body)
				_ = server.Listener.Close() // the next one finds no server
				panic(http.ErrAbortHandler)
			})
			server.Start()
			defer server.Close()
			twice := &http.Transport{}
			base := fixture.RoundTripper(twice.RoundTrip)
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
			fixture.Text(t, resp)
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
		emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
				return resp, nil
			}
			if r.Method == http.MethodPost {
				writes++
				return nil, errors.New("the other way broke off")
			}
			return fixture.Reply(200, fixture.AnonymousTokens), nil
		})))
	require.NoError(t, err)
	defer func() { assert.NoError(t, client.Close(t.Context())) }()
	_, err = client.Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: "jo@example.com", Password: "correct horse"})
	assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
	assert.Equal(t, 1, writes)
	_, err = client.HTTPClient().Post("http://"+listener.Addr().String()+"/cart", "application/json", strings.NewReader("{}"))
	assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
}

func TestHTTPClientErrors(t *testing.T) {
	t.Run("a session that ended", func(t *testing.T) {
		shop := fixture.NewCartShop(t, fine)
		_, err := shop.Client.Session("").HTTPClient().Get(shop.URL("/cart/"))
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	})
	t.Run("a closed client", func(t *testing.T) {
		shop := fixture.NewCartShop(t, fine)
		require.NoError(t, shop.Client.Close(t.Context()))
		_, err := shop.Client.HTTPClient().Get(shop.URL("/cart/"))
		assert.ErrorIs(t, err, emporix.ErrClosed)
		req, err := http.NewRequestWithContext(t.Context(), "GET", shop.URL("/cart/"), nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer my own")
		_, err = shop.Client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, emporix.ErrClosed)
		assert.Empty(t, shop.Seen)
	})
	t.Run("no header", func(t *testing.T) {
		shop := fixture.NewCartShop(t, fine)
		req, err := http.NewRequestWithContext(t.Context(), "GET", shop.URL("/cart/"), nil)
		require.NoError(t, err)
		req.Header = nil
		resp, err := shop.Client.HTTPClient().Transport.RoundTrip(req)
		require.NoError(t, err)
		fixture.Text(t, resp)
		assert.NotEmpty(t, shop.Seen[0].Authorization)
	})
	t.Run("no token to be had", func(t *testing.T) {
		shop := fixture.NewCartShop(t, fine)
		shop.Fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Status: 400})
		_, err := shop.Client.HTTPClient().Get(shop.URL("/cart/"))
		var auth *emporix.AuthError
		require.ErrorAs(t, err, &auth)
		assert.Empty(t, shop.Seen)
	})
	t.Run("a cancelled context", func(t *testing.T) {
		shop := fixture.NewCartShop(t, fine)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", shop.URL("/cart/"), nil)
		require.NoError(t, err)
		_, err = shop.Client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, context.Canceled)
	})
	t.Run("a transport that prints the bearer", func(t *testing.T) {
		var bearer string
		boom := errors.New("boom")
		fake := emporixtest.New(t)
		client := fake.Client(t, emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
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
	t.Run("no response at all", func(t *testing.T) {
		client := fixture.LoggedIn(t, func(*http.Request) (*http.Response, error) { return nil, nil })
		_, err := client.HTTPClient().Get("https://api.emporix.io/cart/")
		assert.Error(t, err)
	})
	t.Run("a body that can't be had again", func(t *testing.T) {
		shop := fixture.NewCartShop(t, rejectFirst)
		req, err := http.NewRequestWithContext(t.Context(), "POST", shop.URL("/cart/"), strings.NewReader("x"))
		require.NoError(t, err)
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), io.ErrUnexpectedEOF }
		resp, err := shop.Client.HTTPClient().Do(req)
		require.NoError(t, err)
		assert.Equal(t, 401, resp.StatusCode)
		assert.Equal(t, fixture.GatewayFault, fixture.Text(t, resp)) //nolint:testifylint // byte for byte
		assert.Len(t, shop.Seen, 1)
	})
	t.Run("a response without a body", func(t *testing.T) {
		fake := emporixtest.New(t)
		client := fake.Client(t, emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.HasPrefix(r.URL.Path, "/cart/") {
				return fake.Transport().RoundTrip(r)
			}
			return &http.Response{StatusCode: 401}, nil
		})))
		resp, err := client.HTTPClient().Get(fake.URL() + "/cart/")
		require.NoError(t, err)
		assert.Equal(t, 401, resp.StatusCode)
		fixture.Text(t, resp)
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

// A telephone sends a form for longer than a response may take. The wait for
// the response begins with the last piece.
func TestHTTPClientWaitsForABodyThatComes(t *testing.T) {
	for name, tt := range map[string]struct {
		stuck bool
		after time.Duration // how long the server takes with the whole body
		fails time.Duration // 0: it does not
	}{
		"slow":                  {false, 9 * time.Second, 0},
		"slow, and no response": {false, time.Hour, 70 * time.Second},
		"it stops":              {true, 0, 70 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := emporixtest.New(t)
				client := fake.Client(t, emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
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
					assert.Equal(t, "20", fixture.Text(t, resp))
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
			client := fake.Client(t, emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
				if strings.HasPrefix(r.URL.Path, "/cart/") {
					return nil, tt.failure
				}
				return fake.Transport().RoundTrip(r)
			})))
			for method, want := range map[string][]string{"GET": tt.read, "HEAD": tt.read, "POST": tt.write, "DELETE": tt.write, "PATCH": tt.write} {
				req, err := http.NewRequestWithContext(t.Context(), method, fake.URL()+"/cart/1", nil)
				require.NoError(t, err)
				_, err = client.HTTPClient().Do(req)
				assert.ElementsMatch(t, want, fixture.Sentinels(err), "%s: %v", method, err)
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
		assert.ElementsMatch(t, []string{"unavailable"}, fixture.Sentinels(err), err)
	})
	t.Run("the caller's context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fake := emporixtest.New(t)
			client := fake.Client(t, emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
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
				assert.ElementsMatch(t, want, fixture.Sentinels(err), "%s: %v", method, err)
			}
		})
	})
}

// What a middleware says after the request was answered does not undo the request.
func TestHTTPClientWhoseMiddlewareFailsAfterwards(t *testing.T) {
	for _, known := range []error{emporix.ErrUnavailable, emporix.ErrRateLimited, &emporix.ArgumentError{Field: "audit", Reason: "is empty"}} {
		shop := fixture.NewCartShop(t, fine, emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if strings.HasPrefix(r.URL.Path, "/cart/") {
					return nil, fmt.Errorf("audit: %w", known)
				}
				return resp, err
			})
		}))
		_, err := shop.Client.HTTPClient().Post(shop.URL("/cart/1"), "application/json", strings.NewReader("{}"))
		assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
		assert.ErrorIs(t, err, known)
		_, err = shop.Client.HTTPClient().Get(shop.URL("/cart/1"))
		assert.NotErrorIs(t, err, emporix.ErrOutcomeUnknown)
		assert.Len(t, shop.Seen, 2)
	}
}

// hanging answers when the request ends, or with headers at once and the body
// a minute later.
func hanging(headers bool) fixture.RoundTripper {
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
		client := fake.Client(t, emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
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
		assert.Equal(t, "cart", fixture.Text(t, resp), "a slow body is not cut")
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
		client := fixture.LoggedIn(t, func(*http.Request) (*http.Response, error) {
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

// A middleware can't make another request of one, and can't send one twice, also where
// the caller has set the Authorization header.
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
				shop := fixture.NewCartShop(t, fine, emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
					return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
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
				req, err := http.NewRequestWithContext(t.Context(), method, shop.URL("/cart/acme/carts?siteCode=main"), nil)
				require.NoError(t, err)
				if own != "" {
					req.Header.Set("Authorization", own)
				}
				resp, err := shop.Client.HTTPClient().Do(req)
				if tt.fine {
					require.NoError(t, err, "%s %s", name, method)
					assert.Equal(t, "cart", fixture.Text(t, resp))
				} else {
					require.ErrorIs(t, err, emporix.ErrInvalidRequest, "%s %s", name, method)
					assert.Equal(t, name == "twice" && method == "POST", errors.Is(err, emporix.ErrOutcomeUnknown), "%s %s", name, method)
				}
				assert.Len(t, shop.Seen, tt.sent, "%s %s", name, method)
			}
		}
	}
}
