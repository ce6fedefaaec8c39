package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/transport"
	"github.com/emporix-community/emporix-go/internal/transport/testdata/golang.org/x/net/http2"
)

// secured is a connection that negotiated a protocol.
type secured struct {
	net.Conn
	protocol string
}

func (s *secured) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: s.protocol}
}

func (s *secured) Close() error { return nil }

// reset is how net/http says with which code a stream ended: it fills in what has
// the shape of its own error.
type reset struct{ code uint64 }

func (reset) Error() string { return "stream error: RST_STREAM" }

func (r reset) As(target any) bool {
	v := reflect.ValueOf(target).Elem()
	if v.Kind() != reflect.Struct || v.NumField() != 3 || v.Type().Field(1).Name != "Code" {
		return false
	}
	v.Field(1).SetUint(r.code)
	return true
}

// What happened to the connection decides whether a request may have arrived.
func TestWhatTheHooksProve(t *testing.T) {
	h2, other, h1 := &secured{protocol: "h2"}, &secured{protocol: "h2"}, &secured{protocol: "http/1.1"}
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	broken := errors.New("broken")
	type step func(*httptrace.ClientTrace)
	ask := func(h *httptrace.ClientTrace) { h.GetConn("api.test:443") }
	got := func(conn net.Conn) step {
		return func(h *httptrace.ClientTrace) { h.GotConn(httptrace.GotConnInfo{Conn: conn}) }
	}
	wrote := func(h *httptrace.ClientTrace) { h.WroteHeaders() }
	begin := func(h *httptrace.ClientTrace) { h.ConnectStart("tcp", "192.0.2.1:443") }
	refused := func(h *httptrace.ClientTrace) { h.ConnectDone("tcp", "192.0.2.1:443", syscall.ECONNREFUSED) }
	distrusted := func(h *httptrace.ClientTrace) { h.TLSHandshakeDone(tls.ConnectionState{}, broken) }
	for name, tt := range map[string]struct {
		steps []step
		err   error
		kind  failure.Kind
	}{
		"no hook at all":                       {nil, broken, failure.KindLost},
		"no hook at all, a dial":               {nil, dial, failure.KindNotSent},
		"no connection":                        {[]step{ask}, broken, failure.KindNotSent},
		"no connection, a dial":                {[]step{ask, begin, refused}, dial, failure.KindNotSent},
		"no connection, and another transport": {[]step{ask, begin, refused}, broken, failure.KindLost},
		"no connection, of two addresses":      {[]step{ask, begin, begin, refused}, broken, failure.KindNotSent},
		"no connection, after TLS":             {[]step{ask, func(h *httptrace.ClientTrace) { h.TLSHandshakeStart() }, distrusted}, fmt.Errorf("tls: %w", broken), failure.KindNotSent},
		"HTTP/1, before the headers":           {[]step{ask, got(h1)}, broken, failure.KindLost},
		"HTTP/1, after the headers":            {[]step{ask, got(h1), wrote}, broken, failure.KindLost},
		"HTTP/1, twice, and then a dial":       {[]step{ask, got(h1), wrote, ask}, dial, failure.KindLost},
		"HTTP/2, before the headers":           {[]step{ask, got(h2)}, broken, failure.KindNotSent},
		"HTTP/2, after the headers":            {[]step{ask, got(h2), wrote}, broken, failure.KindLost},
		"HTTP/2, and then a dial":              {[]step{ask, got(h2), wrote, ask}, dial, failure.KindLost},
		"HTTP/2, again before the headers":     {[]step{ask, got(h2), ask, got(other)}, broken, failure.KindNotSent},
		"HTTP/2, again on the same":            {[]step{ask, got(h2), wrote, ask, got(h2)}, context.Canceled, failure.KindNotSent},
		"HTTP/2, again on another":             {[]step{ask, got(h2), wrote, ask, got(other)}, context.Canceled, failure.KindLost},
		"HTTP/2, again without being asked":    {[]step{got(h2), wrote, got(other)}, broken, failure.KindLost},
		"HTTP/2, and again over HTTP/1":        {[]step{ask, got(h2), wrote, ask, got(h1)}, context.Canceled, failure.KindLost},
		"HTTP/2, a stream that is refused":     {[]step{ask, got(h2), wrote}, fmt.Errorf("h2: %w", reset{7}), failure.KindNotSent},
		"HTTP/2, another end of a stream":      {[]step{ask, got(h2), wrote}, reset{1}, failure.KindLost},
		"x/net, a stream that is refused":      {[]step{ask, got(h2), wrote}, fmt.Errorf("h2: %w", http2.StreamError{Code: 7}), failure.KindNotSent},
		"x/net, another end of a stream":       {[]step{ask, got(h2), wrote}, http2.StreamError{Code: 1}, failure.KindLost},
		"x/net, an error without a code":       {[]step{ask, got(h2), wrote}, http2.ConnectionError(7), failure.KindLost},
		"no hook at all, a refused stream":     {nil, reset{7}, failure.KindNotSent},
		"no hook at all, a read":               {nil, &net.OpError{Op: "read", Err: syscall.ECONNREFUSED}, failure.KindLost},
		"HTTP/1, a second one after the first": {[]step{ask, got(h1), wrote, ask, got(h1), wrote}, broken, failure.KindLost},
	} {
		t.Run(name, func(t *testing.T) {
			for _, op := range []*operation.Operation{operation.AuthRefresh, operation.AddressesAdd, operation.AuthSocialLogin} {
				p := pipeline(t, "https://api.test", base(func(r *http.Request) (*http.Response, error) {
					for _, step := range tt.steps {
						step(httptrace.ContextClientTrace(r.Context()))
					}
					return nil, tt.err
				}), func(cfg *transport.Config) { cfg.MaxAttempts = 1 })
				_, err := send(t.Context(), p, callOf(op))
				var failed *failure.Failure
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, tt.kind, failed.Kind, "%s: %v", op.Name, err)
				assert.NotErrorIs(t, err, context.Canceled, "the caller's context did not end")
			}
		})
	}
	t.Run("HTTP/2, before the headers, and the caller leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := pipeline(t, "https://api.test", base(func(r *http.Request) (*http.Response, error) {
			ask(httptrace.ContextClientTrace(r.Context()))
			got(h2)(httptrace.ContextClientTrace(r.Context()))
			cancel() // another goroutine may be about to write
			return nil, ctx.Err()
		}))
		_, err := send(ctx, p, callOf(operation.AddressesAdd))
		var failed *failure.Failure
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, failure.KindLost, failed.Kind)
	})
}
