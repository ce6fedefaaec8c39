package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/transport"
)

// An error names the ID that support asks for, if the header's value looks like one.
func TestTheIDForSupport(t *testing.T) {
	for name, tt := range map[string]struct {
		headers []string
		want    string
	}{
		"none":                 {nil, ""},
		"a correlation":        {[]string{"X-Correlation-Id", "c-1"}, "c-1"},
		"a request":            {[]string{"X-Request-Id", "r:1"}, "r:1"},
		"a trace":              {[]string{"X-B3-Traceid", "80f198ee56343ba864fe8b2a57d3eff7"}, "80f198ee56343ba864fe8b2a57d3eff7"},
		"the first of them":    {[]string{"X-Request-Id", "r", "X-B3-Traceid", "t", "X-Correlation-Id", "c"}, "c"},
		"the first that is so": {[]string{"X-Correlation-Id", "no ID", "X-Request-Id", "r"}, "r"},
		"empty":                {[]string{"X-Correlation-Id", "", "X-Request-Id", "r"}, "r"},
		"long":                 {[]string{"X-Request-Id", strings.Repeat("x", 128)}, strings.Repeat("x", 128)},
		"longer":               {[]string{"X-Request-Id", strings.Repeat("x", 129)}, ""},
		"every character":      {[]string{"X-Request-Id", "azAZ09-_.:"}, "azAZ09-_.:"},
		"a sentence":           {[]string{"X-Request-Id", "a b"}, ""},
		"markup":               {[]string{"X-Request-Id", "<b>"}, ""},
		"a secret":             {[]string{"X-Request-Id", bearer}, ""},
	} {
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(404, "", tt.headers...), nil }))
		got, err := send(t.Context(), p, callOf(operation.CustomersGet))
		require.NoError(t, err)
		assert.Equal(t, tt.want, got.Failure(operation.CustomersGet).RequestID, name)
	}
}

// A server that speaks http is told from one whose TLS is broken in another way.
func TestAServerWithoutTLS(t *testing.T) {
	for begins, http1 := range map[string]bool{"HTTP/": true, "SSH-2": false, "\x15\x03\x01\x00\x02": false} {
		record := tls.RecordHeaderError{Msg: "tls: first record does not look like a TLS handshake"}
		copy(record.RecordHeader[:], begins)
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("proxy: %w", record) }))
		_, err := send(t.Context(), p, callOf(operation.CustomersGet))
		require.ErrorAs(t, err, new(tls.RecordHeaderError))
		assert.Equal(t, http1, strings.Contains(err.Error(), "the server speaks http, not https"), begins)
	}
}

// An empty body keeps HTTP/1 from sending a request again. HTTP/2 would announce it.
func TestWhereAnEmptyBodyIsAGuard(t *testing.T) {
	for _, c := range []struct {
		scheme         string
		direct, traced bool
		spoke          int // HTTP's version in the response before; 0: there was none
		guard          bool
	}{
		{"http", true, false, 0, true}, {"https", true, false, 0, false},
		{"http", true, false, 1, true}, {"https", true, false, 1, true},
		{"http", true, false, 2, false}, {"https", true, false, 2, false},
		{"http", false, false, 0, true}, {"https", false, false, 0, true}, {"https", false, false, 1, true}, {"https", false, false, 2, true},
		{"https", false, true, 1, true}, {"https", false, true, 2, false}, {"http", false, true, 2, false},
	} {
		guarded := false
		p := pipeline(t, c.scheme+"://api.test", func(cfg *transport.Config) { cfg.Direct = c.direct }, base(func(r *http.Request) (*http.Response, error) {
			guarded = r.Body != nil
			if hooks := httptrace.ContextClientTrace(r.Context()); c.traced {
				here, _ := net.Pipe()
				hooks.GotConn(httptrace.GotConnInfo{Conn: here})
			}
			resp := answer(200, "{}")
			resp.ProtoMajor = c.spoke
			return resp, nil
		}))
		if c.spoke != 0 {
			_, err := send(t.Context(), p, callOf(operation.AuthRefresh))
			require.NoError(t, err)
		}
		got, err := send(t.Context(), p, callOf(operation.AuthRefresh))
		require.NoError(t, err)
		assert.Equal(t, c.guard, guarded, c)
		got.Release()
		assert.Nil(t, got.Body)
	}
}

// Beside other values a secret is hidden too, and each of many values is looked at.
func TestAQueryOfManyValues(t *testing.T) {
	type many struct {
		Refresh string   `url:"refreshToken"`
		A       string   `url:"a"`
		B       string   `url:"b"`
		C       string   `url:"c"`
		List    []string `url:"list"`
	}
	var shown []string
	p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(200, "{}"), nil }), func(cfg *transport.Config) {
		cfg.Middleware = func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				shown = append(shown, r.URL.String())
				return next.RoundTrip(r)
			})
		}
	})
	for range 20 { // their order is another one each time
		c := callOf(operation.AuthRefresh)
		c.Query = many{Refresh: query, A: "1", B: "2", C: "3", List: []string{"4", "5"}}
		_, err := send(t.Context(), p, c)
		require.NoError(t, err)
	}
	for _, u := range shown {
		assert.NotContains(t, u, "CANARY")
		assert.Contains(t, u, transport.Placeholder)
	}
	c := callOf(operation.AuthRefresh)
	c.Query = many{Refresh: query, List: []string{"", "a\nb"}}
	_, err := send(t.Context(), p, c)
	require.ErrorContains(t, err, "control character")
}

// Three octal digits are a byte, or nothing.
func TestOctalEscapesOfASecret(t *testing.T) {
	p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(200, "{}"), nil }))
	got, err := send(t.Context(), p, callOf(operation.CustomersGet))
	require.NoError(t, err)
	for text, hidden := range map[string]bool{`bearer-C\101NARY-1`: true, `bearer-C\501NARY-1`: false, `bearer-C\377NARY-1`: false} {
		assert.Equal(t, hidden, got.Scrub(text) != text, text)
	}
}

// A time that is up, but is not the caller's, is no end of the caller's context; what
// else the error is stays.
func TestATimeThatIsNotTheCallers(t *testing.T) {
	for _, ended := range []error{context.DeadlineExceeded, context.Canceled} {
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return nil, errors.Join(ended, syscall.EPIPE) }))
		_, err := send(t.Context(), p, callOf(operation.CustomersSignUp))
		require.ErrorIs(t, err, syscall.EPIPE)
		require.NotErrorIs(t, err, ended)
	}
}

// The end of the caller's own time is told once.
func TestTheCallersTimeIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline(t, "https://api.test", base(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := send(ctx, p, callOf(operation.CustomersSignUp))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 1, strings.Count(err.Error(), context.DeadlineExceeded.Error()), err)
	})
}
