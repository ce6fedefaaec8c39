package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/transport"
)

// dump prints values in every way that people print them in.
func dump(values ...any) string {
	var out strings.Builder
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		// testify's diff walks through pointers and unexported fields.
		assert.Equal(&recorder{&out}, struct{ held any }{v}, struct{ held any }{1})
	}
	return out.String()
}

type recorder struct{ out *strings.Builder }

func (r *recorder) Errorf(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

func assertClean(t *testing.T, text string) {
	t.Helper()
	for _, canary := range canaries {
		at := strings.Index(text, canary)
		if at >= 0 {
			t.Errorf("leak: …%s…", text[max(0, at-200):min(len(text), at+60)])
		}
		assert.NotContains(t, text, fmt.Sprintf("%x", canary))
		assert.NotContains(t, text, strings.Trim(fmt.Sprint([]byte(canary)), "[]"))
	}
}

// The outer layers see placeholders, the server the real values.
func TestS02_SecretsAreBoundBehindEveryOtherLayer(t *testing.T) {
	var got *http.Request
	var gotBody string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got, gotBody = r, string(data)
		w.Header().Set("Location", "https://elsewhere.test/"+granted)
		_, _ = io.WriteString(w, `{"token":"`+granted+`"}`)
	}))
	t.Cleanup(server.Close)
	for _, op := range everyOperation() {
		t.Run(op.Name, func(t *testing.T) {
			var seen strings.Builder
			p := pipeline(t, server.URL, middleware(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				raw, err := httputil.DumpRequestOut(r.Clone(context.Background()), true)
				require.NoError(t, err)
				seen.Write(raw)
				seen.WriteString(dump(r, r.URL, r.Header, r.Context()))
				assert.Equal(t, "shown", r.URL.Query().Get("plain"), "what is no secret")
				assert.Equal(t, slices.Contains(callOf(op).Path, "id1"), strings.Contains(r.URL.Path, "id1"))
				resp, err := next.RoundTrip(r)
				require.NoError(t, err)
				seen.WriteString(dump(resp.Request, resp.Request.URL, resp.Request.Context(), resp.Request.Body))
				if len(op.Secrets) > 0 || op.Tokens != operation.NoTokens {
					raw, err = httputil.DumpResponse(resp, true)
					require.NoError(t, err)
					_, raw, _ = bytes.Cut(raw, []byte("\r\n\r\n"))
					seen.Write(raw)
				}
				return resp, nil
			}))
			answer, err := send(t.Context(), p, callOf(op))
			require.NoError(t, err)
			assert.JSONEq(t, `{"token":"`+granted+`"}`, string(answer.Body), "what the caller gets")
			assertClean(t, seen.String())

			assert.Equal(t, "Bearer "+bearer, got.Header.Get("Authorization"))
			assert.Equal(t, "shown", got.URL.Query().Get("plain"))
			assert.Equal(t, callOf(op).ContentType, got.Header.Get("Content-Type"))
			for name, value := range map[string]string{"User-Agent": "test", "Emporix-Tenant": "acme", "Accept": "application/json"} {
				assert.Equal(t, []string{value}, got.Header[name])
			}
			assert.NotContains(t, got.Header, "Accept-Language", "none is wanted")
			for _, s := range op.Secrets {
				place, name, _ := strings.Cut(s, ":")
				switch place {
				case "query":
					assert.Equal(t, query, got.URL.Query().Get(name))
				case "header":
					assert.Equal(t, header, got.Header.Get(name))
				case "path":
					assert.Contains(t, got.URL.Path, path)
				case "body":
					assert.Contains(t, gotBody, body)
				}
			}
		})
	}
}

// Secrets go to the URL they are for, and to no other.
func TestS02_TheBindingIsForOneURL(t *testing.T) {
	var reached int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	t.Cleanup(other.Close)
	for name, change := range map[string]func(*http.Request){
		"host":     func(r *http.Request) { r.URL.Host = strings.TrimPrefix(other.URL, "http://") },
		"scheme":   func(r *http.Request) { r.URL.Scheme = "https" },
		"path":     func(r *http.Request) { r.URL.Path += "/more" },
		"raw path": func(r *http.Request) { r.URL.RawPath, r.URL.Path = "/a%2Fb", "/a/b" },
		"query":    func(r *http.Request) { r.URL.RawQuery += "&more=1" },
		"method":   func(r *http.Request) { r.Method = "TRACE" },
		"opaque":   func(r *http.Request) { r.URL.Opaque = "/elsewhere" },
	} {
		t.Run(name, func(t *testing.T) {
			p := pipeline(t, other.URL+"/base", middleware(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				r = r.Clone(r.Context())
				change(r)
				return next.RoundTrip(r)
			}), func(cfg *transport.Config) {
				if name == "host" {
					cfg.BaseURL = &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
				}
			})
			_, err := send(t.Context(), p, callOf(operation.AuthRefresh))
			var failed *failure.Failure
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, failure.KindInvalid, failed.Kind)
			assertClean(t, dump(err))
		})
	}
	assert.Zero(t, reached)

	t.Run("Host header", func(t *testing.T) {
		p := pipeline(t, "https://api.test", base(func(r *http.Request) (*http.Response, error) {
			assert.Equal(t, "api.test", r.Host)
			return answer(200, ""), nil
		}), middleware(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Host = "elsewhere.test"
			r.Header.Set("Authorization", "Bearer another")
			return next.RoundTrip(r)
		}))
		_, err := send(t.Context(), p, callOf(operation.AuthRefresh))
		require.NoError(t, err)
	})
	t.Run("a request of its own", func(t *testing.T) {
		p := pipeline(t, other.URL, middleware(func(_ *http.Request, next http.RoundTripper) (*http.Response, error) {
			own, err := http.NewRequest("GET", other.URL, nil)
			require.NoError(t, err)
			return next.RoundTrip(own)
		}))
		_, err := send(t.Context(), p, callOf(operation.AuthRefresh))
		assert.ErrorContains(t, err, "a middleware sent a request of its own")
		assert.Zero(t, reached)
	})
}

func TestS03_RedirectsAreNeverFollowed(t *testing.T) {
	var reached int
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	t.Cleanup(target.Close)
	for _, status := range []int{300, 301, 302, 303, 305, 307, 308} {
		for name, location := range map[string]string{
			"other host": target.URL + "/x", "no URL": "http://%zz/" + query, "relative": "/customer/acme/me", "none": "",
		} {
			for _, op := range []*operation.Operation{operation.AuthRefresh, operation.CustomersGet, operation.AuthLogin} {
				p := pipeline(t, "http://api.test", base(func(*http.Request) (*http.Response, error) {
					return answer(status, "", "Location", location), nil
				}))
				got, err := send(t.Context(), p, callOf(op))
				require.NoError(t, err, "%d %s", status, name)
				assert.Equal(t, status, got.Status)
				assert.Equal(t, 1, got.Attempts)
				assert.NotContains(t, got.Header, "Location", "it may repeat the query")
			}
		}
	}
	for status, kept := range map[int]bool{201: true, 299: true, 300: false, 399: false, 400: true} { // elsewhere it is what a caller may want to know
		given := answer(status, "", "Location", target.URL)
		p := pipeline(t, "http://api.test", base(func(r *http.Request) (*http.Response, error) {
			assert.Equal(t, []string{"de"}, r.Header["Accept-Language"])
			return given, nil
		}), func(cfg *transport.Config) { cfg.Language = "de" })
		header := given.Header
		got, err := send(t.Context(), p, callOf(operation.CustomersGet))
		require.NoError(t, err)
		assert.Equal(t, kept, got.Header.Get("Location") != "", status)
		assert.Contains(t, header, "Location", "the transport's own stays as it is")
	}
	// A middleware that follows them itself gets no further.
	server := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	p := pipeline(t, server.URL, middleware(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err != nil || resp.StatusCode != http.StatusTemporaryRedirect {
			return resp, err
		}
		r = r.Clone(r.Context())
		r.URL, err = url.Parse(target.URL)
		require.NoError(t, err)
		return next.RoundTrip(r)
	}))
	_, err := send(t.Context(), p, callOf(operation.AuthRefresh))
	assert.Error(t, err)
	assert.Zero(t, reached)

	// One that a middleware makes up is a response like any other.
	p = pipeline(t, server.URL, middleware(func(*http.Request, http.RoundTripper) (*http.Response, error) {
		return answer(302, "", "Location", target.URL), nil
	}))
	got, err := send(t.Context(), p, callOf(operation.AuthRefresh))
	require.NoError(t, err)
	assert.Equal(t, 302, got.Status)
	assert.Zero(t, reached)
}

func TestS04_APathValueStaysOneSegment(t *testing.T) {
	for name, value := range map[string]string{
		"empty": "", "blank": "  ", "dot": ".", "dots": "..", "blank dots": " ..", "NUL": "a\x00b", "newline": "a\nb", "DEL": "a\x7f", "C1": "a\u0085b",
		"last of C0": "a\x1fb", "first of C1": "a\u0080b", "last of C1": "a\u009fb", "soft hyphen": "a\u00adb", "line separator": "a\u2028b", "paragraph separator": "a\u2029b",
		"right to left": "a\u202eb", "mark": "a\u200f", "byte order mark": "\ufeffa",
		"no UTF-8": "a\xff", "long": strings.Repeat("a", 257), "very long": strings.Repeat("a", 10_000),
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { panic("sent") }))
			_, err := send(t.Context(), p, call{Call: transport.Call{Op: operation.AddressesGet, Path: []string{value}}})
			var failed *failure.Failure
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, failure.KindInvalid, failed.Kind)
			assert.Equal(t, "addressId", failed.Field)
			assert.Less(t, len(err.Error()), 100)
			if len(value) > 3 {
				assert.NotContains(t, err.Error(), value)
			}
		})
	}
	for _, value := range []string{"a/b", "%2e%2e", "a?b", "a#b", "a;b", `a\b`, "a b", "…", "שלום", "é", "a%", "a,b", "a!b", "a~b", "a\u00a0b", strings.Repeat("a", 256)} {
		t.Run("sent: "+value[:min(len(value), 10)], func(t *testing.T) {
			var sent *url.URL
			p := pipeline(t, "https://api.test", base(func(r *http.Request) (*http.Response, error) {
				sent = r.URL
				return answer(200, ""), nil
			}))
			_, err := send(t.Context(), p, call{Call: transport.Call{Op: operation.AddressesGet, Path: []string{value}}})
			require.NoError(t, err)
			segments := strings.Split(sent.EscapedPath(), "/")
			require.Len(t, segments, 6)
			last, err := url.PathUnescape(segments[5])
			require.NoError(t, err)
			assert.Equal(t, value, last)
			assert.Empty(t, sent.RawQuery)
		})
	}
}

func FuzzS04_APathValueStaysOneSegment(f *testing.F) {
	for _, seed := range []string{"1", "", ".", "..", "a/b", "%2e%2e", "a?b#c", "\x00", "\xff", " .", "a\\..\\b"} {
		f.Add(seed)
	}
	u := &url.URL{Scheme: "https", Host: "api.test", Path: "/base"}
	var sent *url.URL
	p := transport.New(transport.Config{BaseURL: u, Tenant: "acme", MaxAttempts: 1, AttemptTimeout: 1 << 40, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = r.URL
		return answer(204, ""), nil
	})})
	f.Fuzz(func(t *testing.T, value string) {
		sent = nil
		_, err := send(t.Context(), p, call{Call: transport.Call{Op: operation.AddressesDelete, Path: []string{value}}})
		if err != nil {
			assert.Nil(t, sent)
			return
		}
		segments := strings.Split(sent.EscapedPath(), "/")
		require.Len(t, segments, 7, value)
		assert.Equal(t, "/base/customer/acme/me/addresses", strings.Join(segments[:6], "/"))
		last, err := url.PathUnescape(segments[6])
		require.NoError(t, err)
		assert.Equal(t, value, last)
		assert.NotContains(t, []string{"", ".", ".."}, strings.TrimSpace(last))
	})
}

// bomb is small on the wire. gzip takes several streams for one, so that it need
// not be compressed as a whole.
var bomb = sync.OnceValue(func() string { return strings.Repeat(zipped(1<<20), 32) })

func zipped(n int) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(bytes.Repeat([]byte(" "), n))
	_ = w.Close()
	return out.String()
}

func TestS05_AnswersAreReadUpToALimit(t *testing.T) {
	const mib = 1 << 20
	for name, tt := range map[string]struct {
		op      *operation.Operation
		status  int
		plain   int // size of the body
		headers []string
		zip     bool
		length  int // of the body as the caller gets it; -1 for an error
	}{
		"data at the limit":                        {operation.CustomersGet, 200, 8 * mib, nil, false, 8 * mib},
		"data above the limit":                     {operation.CustomersGet, 200, 8*mib + 1, nil, false, -1},
		"tokens at the limit":                      {operation.AuthLogin, 200, mib, nil, false, mib},
		"tokens above the limit":                   {operation.AuthLogin, 200, mib + 1, nil, false, -1},
		"a renewal":                                {operation.AuthRefresh, 200, mib + 1, nil, false, -1},
		"an anonymous session":                     {operation.AuthStartAnonymous, 200, mib + 1, nil, false, -1},
		"an employee's token":                      {operation.OAuthToken, 200, mib + 1, nil, false, -1},
		"an error keeps its status, and what fits": {operation.CustomersGet, 404, 10 * mib, nil, false, mib},
		"a 300 is no success":                      {operation.CustomersGet, 300, 2 * mib, nil, false, mib},
		"a gzip bomb":                              {operation.CustomersGet, 200, 32 * mib, nil, true, -1},
		"a gzip bomb of an error":                  {operation.CustomersGet, 404, 32 * mib, nil, true, mib},
		"gzip that fits":                           {operation.CustomersGet, 200, mib, nil, true, mib},
		"an unknown encoding":                      {operation.CustomersGet, 200, 10, []string{"Content-Encoding", "br"}, false, -1},
		"an error's, of an unknown":                {operation.CustomersGet, 404, 10, []string{"Content-Encoding", "br"}, false, 0},
		"an unknown one of nothing":                {operation.CustomersGet, 200, 0, []string{"Content-Encoding", "gzip"}, false, 0},
		"identity":                                 {operation.CustomersGet, 200, 10, []string{"Content-Encoding", "identity"}, false, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i+1 < len(tt.headers); i += 2 {
					w.Header().Set(tt.headers[i], tt.headers[i+1])
				}
				if tt.zip {
					w.Header().Set("Content-Encoding", "gzip")
				}
				w.WriteHeader(tt.status)
				switch {
				case tt.zip && tt.plain > mib:
					_, _ = io.WriteString(w, bomb())
					return
				case tt.zip:
					_, _ = io.WriteString(w, zipped(tt.plain))
					return
				}
				_, _ = io.WriteString(w, strings.Repeat(" ", tt.plain))
			}))
			t.Cleanup(server.Close)
			got, err := send(t.Context(), pipeline(t, server.URL, patient), callOf(tt.op))
			if tt.length >= 0 {
				require.NoError(t, err)
				assert.Equal(t, tt.status, got.Status)
				assert.Len(t, got.Body, tt.length)
				return
			}
			var failed *failure.Failure
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, failure.KindUnreadable, failed.Kind)
			assert.Equal(t, 1, failed.Attempts)
		})
	}
}

// net/http decompresses only what it asked for by itself.
func TestS05_CompressedAnswersAreReadUpToALimit(t *testing.T) {
	const mib = 1 << 20
	whole := zipped(mib)
	for name, tt := range map[string]struct {
		status int
		label  string
		body   string
		length int // -1 for an error
		kind   failure.Kind
	}{
		"that fits":             {200, "gzip", whole, mib, 0},
		"under its old name":    {200, "X-Gzip", whole, mib, 0},
		"of an error":           {404, "gzip", whole, mib, 0},
		"a bomb":                {200, "gzip", bomb(), -1, failure.KindUnreadable},
		"a bomb of an error":    {404, "gzip", bomb(), mib, 0},
		"empty":                 {200, "gzip", "", 0, 0},
		"not compressed at all": {200, "gzip", "{}        ", -1, failure.KindUnreadable},
		"of an error, neither":  {404, "gzip", "{}        ", 0, 0},
		"cut":                   {200, "gzip", whole[:len(whole)-9], -1, failure.KindLost},
	} {
		for _, asked := range []string{"by a middleware", "by nobody"} {
			t.Run(name+" "+asked, func(t *testing.T) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Encoding", tt.label)
					w.Header().Set("Content-Length", strconv.Itoa(len(tt.body)))
					w.WriteHeader(tt.status)
					_, _ = io.WriteString(w, tt.body)
				}))
				t.Cleanup(server.Close)
				network := transport.NewNetwork()
				network.DisableCompression = asked == "by nobody"
				t.Cleanup(network.CloseIdleConnections)
				p := pipeline(t, server.URL, patient, func(c *transport.Config) {
					c.Base = network
					c.Middleware = func(next http.RoundTripper) http.RoundTripper {
						return roundTripper(func(r *http.Request) (*http.Response, error) {
							if !network.DisableCompression {
								r.Header.Set("Accept-Encoding", "gzip")
							}
							resp, err := next.RoundTrip(r)
							if err == nil {
								assert.Empty(t, resp.Header.Get("Content-Encoding"), "a middleware would decompress it once more")
								assert.Empty(t, resp.Header.Get("Content-Length"), "it was the compressed one's")
							}
							return resp, err
						})
					}
				})
				got, err := send(t.Context(), p, callOf(operation.AddressesAdd))
				if tt.length >= 0 {
					require.NoError(t, err)
					assert.Equal(t, tt.status, got.Status)
					assert.Len(t, got.Body, tt.length)
					return
				}
				var failed *failure.Failure
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, tt.kind, failed.Kind)
			})
		}
	}
}

// What is over the limit is not even read.
func TestS05_ReadingStopsAtTheLimit(t *testing.T) {
	flood := &flood{left: 64 << 20}
	p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: flood, ContentLength: -1}, nil
	}), patient)
	_, err := send(t.Context(), p, callOf(operation.CustomersGet))
	require.ErrorContains(t, err, "larger than")
	assert.LessOrEqual(t, flood.read, 8<<20+1)
	assert.True(t, flood.closed)
}

type flood struct {
	left, read int
	closed     bool
}

func (f *flood) Read(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left, f.read = f.left-n, f.read+n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *flood) Close() error { f.closed = true; return nil }

// A transport sees the request with its secrets; its errors may hold all of it.
type talkative struct {
	Request *http.Request
	Header  http.Header
	cause   error
}

func (e *talkative) Error() string {
	return fmt.Sprintf("sending %s %s (%v, %q, %s): %v", e.Request.Method, e.Request.URL, e.Request.Header, e.Request.URL.RequestURI(), e.Request.URL.Query(), e.cause)
}
func (e *talkative) Unwrap() error { return e.cause }

func TestS06_ErrorsHoldNoRequest(t *testing.T) {
	for _, op := range everyOperation() {
		t.Run(op.Name, func(t *testing.T) {
			p := pipeline(t, "https://api.test/base", func(cfg *transport.Config) { cfg.MaxAttempts = 1 }, base(func(r *http.Request) (*http.Response, error) {
				return nil, &talkative{r, r.Header, &url.Error{Op: "Get", URL: r.URL.String(), Err: fmt.Errorf("%s: %w", r.URL, syscall.ECONNRESET)}}
			}))
			_, err := send(t.Context(), p, callOf(op))
			require.Error(t, err)
			assertClean(t, dump(err, errors.Unwrap(err), fmt.Errorf("wrapped: %w", err), errors.Join(err, err)))
			assert.NotContains(t, err.Error(), "api.test")
			assert.ErrorIs(t, err, syscall.ECONNRESET)
			var ue *url.Error
			assert.NotErrorAs(t, err, &ue)
		})
	}
}

// Whoever knows its type gets the original of a transport's error; nobody else does.
func TestS06_ErrorsAsStillWorks(t *testing.T) {
	boom := &talkativeOnce{errors.New("boom")}
	p := pipeline(t, "https://api.test", func(cfg *transport.Config) { cfg.MaxAttempts = 1 }, base(func(*http.Request) (*http.Response, error) { return nil, boom }))
	_, err := send(t.Context(), p, callOf(operation.CustomersGet))
	var got *talkativeOnce
	require.ErrorAs(t, err, &got)
	assert.Same(t, boom, got)
	assert.ErrorIs(t, err, boom)
	assert.ErrorContains(t, err, "boom")

	var withURL *url.Error
	err = transport.CleanError(&url.Error{Op: "Get", URL: "https://api.test/", Err: boom}, secret.New(bearer))
	require.ErrorAs(t, err, &got)
	assert.NotErrorAs(t, err, &withURL, "it may hold anything")
}

type talkativeOnce struct{ error }

// A server's message may repeat what was sent, in one of many spellings.
func TestS06_MessagesAreScrubbed(t *testing.T) {
	const password = `pä"ss<w>  &/+ word`
	call := callOf(operation.AuthLogin)
	call.Hidden = []secret.Secret{secret.New("pass"), secret.New(password), secret.New("abc")}
	p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(400, ""), nil }))
	got, err := send(t.Context(), p, call)
	require.NoError(t, err)
	for name, tt := range map[string]struct{ text, want string }{
		"as it is":           {"x " + password + " y", "x [redacted] y"},
		"one line":           {`x pä"ss<w> &/+ word y`, "x [redacted] y"},
		"in a query":         {"x " + url.QueryEscape(password), "x [redacted]"},
		"in a path":          {"x " + url.PathEscape(password), "x [redacted]"},
		"in JSON":            {`{"p":"pä\"ss\u003cw\u003e  \u0026/+ word"}`, `{"p":"[redacted]"}`},
		"quoted":             {fmt.Sprintf("%q", password), `"[redacted]"`},
		"in HTML":            {"pä&#34;ss&lt;w&gt;  &amp;/+ word", "[redacted]"},
		"the bearer":         {"token " + bearer + " is bad", "token [redacted] is bad"},
		"one within another": {"pass", "[redacted]"},
		"too short to hide":  {"abc", "abc"},
		"cut in its midst":   {strings.Repeat("x", 500) + bearer[:10], strings.Repeat("x", 500) + "[redacted]"},
		"no cut, no mask":    {"wrong pas", "wrong pas"},
		"perhaps cut":        {strings.Repeat("x", 496) + bearer[:4], strings.Repeat("x", 496) + "[redacted]"},
		"not yet cut":        {strings.Repeat("x", 495) + bearer[:4], strings.Repeat("x", 495) + bearer[:4]},
		"too little of it":   {strings.Repeat("x", 500) + bearer[:3], strings.Repeat("x", 500) + bearer[:3]},
		"nothing":            {"", ""},
		"as numbers":         {"p&#228;&#34;ss&#60;w&#62;&#32;&#32;&#38;&#47;&#43;&#32;word", "[redacted]"},
		"twice in HTML":      {"it is p&amp;#228;&amp;#34;ss&amp;#60;w&amp;#62;&amp;#32;&amp;#32;&amp;#38;&amp;#47;&amp;#43;&amp;#32;word", "[redacted]"},
		"in a form":          {"it is p%C3%A4\"ss%3cw%3E++%26%2f+ word", "[redacted]"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, got.Scrub(tt.text)) })
	}
}

// Whatever of its secrets an operation sends, a text of the server's does not show it.
func TestS06_EverySecretOfACallIsScrubbed(t *testing.T) {
	canary := map[string]string{"query": query, "path": path, "header": header, "body": body}
	for _, op := range everyOperation() {
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(400, ""), nil }))
		got, err := send(t.Context(), p, callOf(op))
		require.NoError(t, err)
		assert.Equal(t, "no [redacted]!", got.Scrub("no "+bearer+"!"), op.Name)
		for _, input := range op.Secrets {
			place, _, _ := strings.Cut(input, ":")
			assert.Equal(t, "no [redacted]!", got.Scrub("no "+canary[place]+"!"), "%s, %s", op.Name, input)
		}
	}
}

// Of secrets that are parts of one another, the longest goes first: no rest stays.
// A password is one in other letters, too; a token is not.
func TestS06_PartsAndOtherLetters(t *testing.T) {
	type refresh struct {
		Refresh string `url:"refreshToken"`
	}
	p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(400, ""), nil }))
	got, err := send(t.Context(), p, call{
		transport.Call{Op: operation.AuthRefresh, Query: refresh{"part-1"}, Hidden: []secret.Secret{secret.New("Hunter-22"), secret.New("Hunter-22-and")}},
		transport.Authorization{Bearer: secret.New("Bearer part-1-More")},
	})
	require.NoError(t, err)
	for text, want := range map[string]string{
		"no part-1 here": "no [redacted] here", "no part-1-More here": "no [redacted] here", "no PART-1-MORE here": "no PART-1-MORE here",
		"no Hunter-22-and more": "no [redacted] more", "no HUNTER-22 here": "no [redacted] here", "no hunter-22 or HUNTER-22-AND here": "no [redacted] or [redacted] here",
	} {
		assert.Equal(t, want, got.Scrub(text), text)
	}
}

// Escapes are undone, whatever mixture of them a server or a printer writes. Of a
// text that holds a secret then, nothing is kept.
func TestS06_EscapesAreUndone(t *testing.T) {
	long := "l\U0001f600ng-" + strings.Repeat("9x", 400)
	call := callOf(operation.AuthLogin)
	call.Hidden = []secret.Secret{secret.New("t\ta\nb\r\U0001f600-\u00e9\u65e5"), secret.New(long), secret.New("sp ace-9"), secret.New("a-1"), secret.New("hunter"), secret.New("bad-request"), secret.New("oken")}
	p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(400, ""), nil }))
	got, err := send(t.Context(), p, call)
	require.NoError(t, err)
	for _, text := range []string{
		`no \u0074\ta\nb\r\ud83d\ude00-\u00e9\u65e5!`,
		`no t\u0009\u0061\nb\u000d\U0001F600-\xc3\xa9\xe6\x97\xa5!`,
		`no t\x09a\012b\015\360\237\230\200-\303\251\346\227\245!`,
		`no t%09a\nb&#13;\uD83D\uDE00%2d&eacute;&#26085;!`,
		`no %74\u0009a%0ab%0D%F0%9F%98%80%2D%C3%A9%E6%97%A5!`,
		`no \"\\u0074\\ta\\nb\\r\\ud83d\\ude00-\\u00e9\\u65e5!`,
		`No T\u0009a\u000aB&#13;\ud83d\ude00-\u00c9\u65E5!`,
		`no s%70+ace-9!`,
		`letters alone: \x68unter`,
		long[:500], // cut within
	} {
		assert.Equal(t, "[redacted]", got.Scrub(text), text)
	}
	for _, text := range []string{`100 % of \d & more`, `C:\new\table\x4g`, `%zz \400 \u12`, `\ud83d\ud83d &lt;b&gt;`, "t\ta", `too short: a\x2d1`, `a part of a word: token \x41`, `Bad\x2drequest`} {
		assert.Equal(t, text, got.Scrub(text), "there is no secret in it")
	}
}

// Unicode writes many letters in two ways, and a server may turn one into the other.
func TestS06_OtherNormalForms(t *testing.T) {
	call := callOf(operation.AuthLogin)
	call.Hidden = []secret.Secret{
		secret.New("Zauberw\u00f6rter"), secret.New("cafe\u0301-9x"), secret.New("\u1ed9-\ud55c-kennwort"), secret.New("\u00e9\u00e8\u00ea\u00eb"),
	}
	p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(400, ""), nil }))
	got, err := send(t.Context(), p, call)
	require.NoError(t, err)
	for _, text := range []string{
		"not zauberwo\u0308rter!", "not caf\u00e9-9x", "not o\u0302\u0323-\u1112\u1161\u11ab-kennwort", "not \u00f4\u0323-\ud55c-kennwort",
		`not Zauberwo\u0308rter`, "not caf%C3%A9-9x",
	} {
		assert.Equal(t, "[redacted]", got.Scrub(text), text)
	}
	for _, text := range []string{"a\u0308", "zauberworter", "cafe-9x", "caf\u00e9-9", "the \u00e9t\u00e9"} {
		assert.Equal(t, text, got.Scrub(text))
	}
	assert.Equal(t, "a [redacted]", got.Scrub("a Zauberw\u00f6rter"))
}

// The headers of a response are no way around it: what repeats the bearer is masked,
// and in a response with tokens also what may be one.
func TestS06_HeadersAreScrubbed(t *testing.T) {
	for op, masked := range map[*operation.Operation]bool{operation.CustomersGet: false, operation.AuthLogin: true, operation.AuthRefresh: true} {
		given := http.Header{
			"X-Echo": {"one", "Bearer " + bearer, "three"}, "X-Plain": {"plain"}, "Set-Cookie": {"a=b"}, "X-Access-Token": {"t"}, "X-Jwt": {"j"}, "Authorisation": {"z"},
		}
		want := given.Clone()
		want["X-Echo"][1] = "Bearer [redacted]"
		if masked {
			for _, name := range []string{"Set-Cookie", "X-Access-Token", "X-Jwt", "Authorisation"} {
				want[name] = []string{"[redacted]"}
			}
		}
		var seen *http.Response
		before := given.Clone()
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) {
			resp := answer(200, "")
			resp.Header, resp.Trailer, resp.Status = given, given, "200 "+bearer
			return resp, nil
		}), middleware(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			seen = resp
			return resp, err
		}))
		got, err := send(t.Context(), p, callOf(op))
		require.NoError(t, err)
		assert.Equal(t, want, got.Header, op.Name)
		assert.Equal(t, want, seen.Header, op.Name)
		assert.Equal(t, want, seen.Trailer, op.Name)
		assert.Equal(t, "200 [redacted]", seen.Status)
		assert.Equal(t, before, given, "the transport's own stays as it is")
	}
}

// A password may be a word of the server's own sentence. It is cut out only where
// the server repeats a value.
func TestS06_OrdinaryWords(t *testing.T) {
	call := callOf(operation.AuthLogin)
	for _, word := range []string{"current", "customer", "currentPassword", "Wrong", "bad_request", "address-id", "long string"} {
		call.Hidden = append(call.Hidden, secret.New(word))
	}
	p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(400, ""), nil }))
	got, err := send(t.Context(), p, call)
	require.NoError(t, err)
	for text, want := range map[string]string{
		"The current one is wrong":             "",
		"current":                              "",
		"Wrong":                                "",
		"currently":                            "",
		"recurrent":                            "re[redacted]",
		"xcurrent yes":                         "x[redacted] yes",
		"currents":                             "[redacted]s",
		"current9":                             "",
		"Value: current":                       "Value: [redacted]",
		"Value : current, current":             "Value : [redacted], current",
		"current is current=current.":          "current is current=[redacted].",
		"Not 'current'":                        "Not '[redacted]'",
		"Not `current`, \u2018current\u2019":   "Not `[redacted]`, \u2018[redacted]\u2019",
		"Not 'current":                         "",
		"Not current'":                         "",
		"'current":                             "",
		`Not "current\"`:                       `Not "[redacted]\"`,
		"the 'customer' field":                 "",
		"'customer'":                           "",
		"the \u00abcustomer\u00bb":             "",
		"the 'currentPassword'":                "",
		"no 'bad_request'":                     "",
		"no 'long string'":                     "no '[redacted]'",
		"the address-id":                       "",
		`{"customer":1}`:                       "",
		`{"customer" : "customer"}`:            `{"customer" : "[redacted]"}`,
		`{\"current\":1}`:                      "",
		"value='customer'":                     "value='[redacted]'",
		strings.Repeat("x ", 250) + "customer": "",
		strings.Repeat("x ", 250) + "custo":    "",
	} {
		if want == "" {
			want = text
		}
		assert.Equal(t, want, got.Scrub(text))
	}
}

// What a transport says is cut, between characters.
func TestS06_ErrorsAreCut(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("x", 512):                  "",
		strings.Repeat("x", 513):                  strings.Repeat("x", 512) + "\u2026",
		strings.Repeat("x", 511) + "\u00e9":       strings.Repeat("x", 511) + "\u2026",
		strings.Repeat("x", 510) + "\u00e9\u00e9": strings.Repeat("x", 510) + "\u00e9\u2026",
	} {
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return nil, errors.New(text) }))
		_, err := send(t.Context(), p, callOf(operation.AddressesAdd))
		if want == "" {
			want = text
		}
		assert.EqualError(t, err, want)
	}
	require.NoError(t, transport.CleanError(nil, secret.New(bearer)))
	assert.EqualError(t, transport.CleanError(errors.New("no "+bearer+"."), secret.New("Bearer "+bearer)), "no [redacted].")
}

// What can not be sent is refused, and only that.
func TestS04_Limits(t *testing.T) {
	type query struct {
		Code  string `url:"code,omitempty"`
		Plain string `url:"plain"`
	}
	fits := func(n int) query { // a URL of n bytes
		return query{Plain: strings.Repeat("a", n-len("https://api.test/base/customer/acme/me/addresses/1?plain="))}
	}
	one := []string{"1"}
	get := operation.AddressesGet
	for name, tt := range map[string]struct {
		call  transport.Call
		field string // at fault; "" for none
		says  string
	}{
		"a URL at the limit":          {transport.Call{Op: get, Path: one, Query: fits(10 << 10)}, "", ""},
		"a URL above the limit":       {transport.Call{Op: get, Path: one, Query: fits(10<<10 + 1)}, "URL", "would have 10241 bytes; the API takes at most 10240"},
		"a long value of a query":     {transport.Call{Op: get, Path: one, Query: query{Plain: strings.Repeat("a", 16<<10)}}, "URL", "would have"},
		"a longer one":                {transport.Call{Op: get, Path: one, Query: query{Plain: strings.Repeat("a", 16<<10+1)}}, "plain", "has 16385 bytes; at most 16384 are allowed"},
		"a control character":         {transport.Call{Op: get, Path: one, Query: query{Plain: "a\nb"}}, "plain", "holds a control character"},
		"nothing in a query":          {transport.Call{Op: get, Path: one, Query: query{}}, "", ""},
		"no query":                    {transport.Call{Op: get, Path: one, Query: 7}, "?", "does not encode: int"},
		"a secret at the limit":       {transport.Call{Op: operation.CustomersConfirmSignUp, Path: []string{strings.Repeat("a", 4<<10)}}, "", ""},
		"a secret above the limit":    {transport.Call{Op: operation.CustomersConfirmSignUp, Path: []string{strings.Repeat("a", 4<<10+1)}}, "token", "has 4097 bytes; at most 4096 are allowed"},
		"an invisible character":      {transport.Call{Op: get, Path: []string{"a\ufeff"}}, "addressId", "holds the invisible character U+FEFF"},
		"values that are not wanted":  {transport.Call{Op: operation.CustomersGet, Path: one}, "?", "takes 0 path values, not 1"},
		"more values than are wanted": {transport.Call{Op: get, Path: []string{"1", "2"}}, "?", "takes 1 path values, not 2"},
	} {
		t.Run(name, func(t *testing.T) {
			sent := 0
			p := pipeline(t, "https://api.test/base", base(func(r *http.Request) (*http.Response, error) {
				sent++
				assert.LessOrEqual(t, len(r.URL.String()), 10<<10)
				return answer(200, ""), nil
			}))
			_, err := send(t.Context(), p, call{Call: tt.call})
			if tt.field == "" {
				require.NoError(t, err)
				assert.Equal(t, 1, sent)
				return
			}
			var failed *failure.Failure
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, failure.KindInvalid, failed.Kind)
			assert.Equal(t, strings.Trim(tt.field, "?"), failed.Field)
			assert.ErrorContains(t, err, tt.says)
			assert.Zero(t, sent)
		})
	}
}

// A session's ID comes from a server, and goes into a header.
func TestS04_LimitsOfASessionID(t *testing.T) {
	for id, says := range map[string]string{
		strings.Repeat("a", 256): "", strings.Repeat("a", 257): "has 257 bytes; at most 256 are allowed", "a\r\nX-One: 1": "holds a control character",
	} {
		sent := 0
		p := pipeline(t, "https://api.test", base(func(r *http.Request) (*http.Response, error) {
			sent++
			assert.Equal(t, []string{id}, r.Header["Session-Id"])
			return answer(200, ""), nil
		}))
		c := callOf(operation.AuthSocialLogin)
		c.SessionID = id
		_, err := send(t.Context(), p, c)
		if says == "" {
			require.NoError(t, err)
			assert.Equal(t, 1, sent)
			continue
		}
		var failed *failure.Failure
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, failure.KindInvalid, failed.Kind)
		require.ErrorContains(t, err, says)
		assert.Zero(t, sent)
	}
}

// Transports and middlewares of others may do what net/http never does.
func TestStrangeTransports(t *testing.T) {
	for name, tt := range map[string]struct {
		base roundTripper
		kind failure.Kind
	}{
		"nothing at all":   {func(*http.Request) (*http.Response, error) { return nil, nil }, failure.KindUnreadable},
		"answer and error": {func(*http.Request) (*http.Response, error) { return answer(200, "x"), io.ErrUnexpectedEOF }, failure.KindLost},
		"a failing body":   {func(*http.Request) (*http.Response, error) { r := answer(200, ""); r.Body = broken{}; return r, nil }, failure.KindLost},
		"a lying length": {func(*http.Request) (*http.Response, error) {
			r := answer(200, "x")
			r.ContentLength = 1 << 40
			return r, nil
		}, 99},
		"no body, no header":          {func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil }, 99},
		"a redirect without anything": {func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 302}, nil }, 99},
	} {
		t.Run(name, func(t *testing.T) {
			for _, op := range []*operation.Operation{operation.AuthLogin, operation.CustomersGet} {
				p := pipeline(t, "https://api.test", base(tt.base), func(cfg *transport.Config) { cfg.MaxAttempts = 1 })
				got, err := send(t.Context(), p, callOf(op))
				if tt.kind == 99 {
					require.NoError(t, err)
					got.Release()
					got.Release()
					continue
				}
				var failed *failure.Failure
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, tt.kind, failed.Kind)
			}
		})
	}
	for name, tt := range map[string]struct {
		do   func(*http.Request, http.RoundTripper) (*http.Response, error)
		want string
	}{
		"closes the body": {func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				err = resp.Body.Close()
			}
			return resp, err
		}, ""},
		"reads the body": {func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			return resp, err
		}, "real"},
		"wraps the body": {func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				resp.Body = struct{ io.ReadCloser }{resp.Body}
			}
			return resp, err
		}, "real"},
		"answers by itself": {func(*http.Request, http.RoundTripper) (*http.Response, error) { return answer(200, "own"), nil }, "own"},
		"fails by itself":   {func(*http.Request, http.RoundTripper) (*http.Response, error) { return answer(503, "own"), nil }, "own"},
	} {
		t.Run(name, func(t *testing.T) {
			p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(200, "real"), nil }), middleware(tt.do))
			got, err := send(t.Context(), p, callOf(operation.CustomersGet))
			require.NoError(t, err)
			assert.Equal(t, tt.want, string(got.Body))
			if got, err = send(t.Context(), p, callOf(operation.AuthLogin)); assert.NoError(t, err) && !strings.HasSuffix(name, "by itself") {
				assert.Equal(t, "real", string(got.Body), "hidden from the middleware")
			}
		})
	}
}

// Whatever a response comes to, the transport gets its connection back.
func TestBodiesAreClosed(t *testing.T) {
	for name, change := range map[string]func(*http.Response) error{
		"a response":          func(*http.Response) error { return nil },
		"of an error":         func(r *http.Response) error { r.StatusCode = 404; return nil },
		"beside an error":     func(*http.Response) error { return io.ErrUnexpectedEOF },
		"a connection":        func(r *http.Response) error { r.StatusCode = 101; return nil },
		"in another encoding": func(r *http.Response) error { r.Header.Set("Content-Encoding", "br"); return nil },
		"in another charset":  func(r *http.Response) error { r.Header.Set("Content-Type", "text/plain; charset=utf-16"); return nil },
	} {
		for _, own := range []bool{false, true} { // by a middleware
			if own && name == "beside an error" { // then it is http.Client's
				continue
			}
			body := &flood{left: 10}
			reply := func(*http.Request) (*http.Response, error) {
				resp := answer(200, "")
				resp.Body = body
				return resp, change(resp)
			}
			p := pipeline(t, "https://api.test", func(cfg *transport.Config) {
				if cfg.Base, cfg.MaxAttempts = roundTripper(reply), 1; own {
					cfg.Middleware = func(http.RoundTripper) http.RoundTripper { return roundTripper(reply) }
				}
			})
			_, err := send(t.Context(), p, callOf(operation.CustomersGet))
			assert.True(t, body.closed, "%s %v", name, err)
		}
	}
}

// A circuit breaker refuses before anything is sent, and its users ask for its error.
func TestAMiddlewareThatRefuses(t *testing.T) {
	open := errors.New("the circuit is open")
	for _, op := range everyOperation() {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			p := pipeline(t, "https://api.test", middleware(func(*http.Request, http.RoundTripper) (*http.Response, error) { asked++; return nil, open }))
			_, err := send(t.Context(), p, callOf(op))
			assert.Equal(t, map[bool]int{true: 1, false: 3}[op.Retry == operation.Once], asked)
			var failed *failure.Failure
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, failure.KindNotSent, failed.Kind)
			assert.Zero(t, failed.Attempts)
			assert.ErrorIs(t, err, open)
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
func (broken) Close() error             { return nil }
