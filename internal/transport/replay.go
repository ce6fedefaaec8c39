package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// net/http sends some requests again by itself:
//
//   - over HTTP/1, a GET without a body, when a connection that was used before
//     ends without a response. A body that can't be rewound prevents it, and an
//     empty one changes nothing on the wire.
//   - over HTTP/2, any request whose stream ends with REFUSED_STREAM or above the
//     last stream of a GOAWAY, which were not processed, or with PROTOCOL_ERROR,
//     which may have been. An empty body would be announced there, which gateways
//     refuse for a GET. The context of the attempt ends instead, before anything of
//     the second request is written.
//
// setBody gives a request its body. guard reports whether the request needs the
// first kind of protection.
func setBody(req *http.Request, data []byte, guard bool) {
	req.Body, req.GetBody = nil, nil
	switch {
	case data != nil:
		req.ContentLength = int64(len(data))
		req.Body = io.NopCloser(bytes.NewReader(data))
		// HTTP/1 rewinds only where not one byte was written.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	case guard:
		req.Body = io.NopCloser(strings.NewReader(""))
	}
}

// attempt watches one attempt through the hooks of net/http, and ends it before
// net/http sends the request a second time.
type attempt struct {
	cancel  context.CancelFunc
	passive bool // net/http may send the request again
	expect2 bool // the last response came over HTTP/2
	bare    bool // a GET without a body: HTTP/1 would repeat it on a used connection
	// connects is nil where there is no other transport than net/http's, and for reads.
	connects *Connects

	mu       sync.Mutex
	asked    bool     // for a connection
	conn     net.Conn // the last one obtained
	http2    bool     // what it speaks
	wrote    bool     // headers, to conn
	repeated bool     // net/http was about to send the request again
	refused  bool     // and had been told that the first was not processed
}

func (a *attempt) trace() *httptrace.ClientTrace {
	trace := &httptrace.ClientTrace{GetConn: a.getConn, GotConn: a.gotConn, WroteHeaders: a.wroteHeaders}
	if a.connects != nil {
		a.connects.Watch(trace)
	}
	return trace
}

func (a *attempt) getConn(string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = true
	if !a.http2 {
		a.wrote = false // HTTP/1 asks for a second connection only if nothing reached the first
	}
}

func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wrote && !a.passive {
		a.repeated = true
		// net/http uses no connection again that had a PROTOCOL_ERROR or a GOAWAY, so
		// this was REFUSED_STREAM.
		a.refused = same(a.conn, info.Conn)
		a.cancel()
		return
	}
	a.conn, a.http2 = info.Conn, speaks2(info.Conn, a.expect2)
	if a.bare && info.Reused && !a.http2 {
		_ = info.Conn.Close() // on a fresh one HTTP/1 repeats nothing
	}
}

func (a *attempt) wroteHeaders() {
	a.mu.Lock()
	a.wrote = true
	a.mu.Unlock()
}

// seen reports whether net/http's hooks work: not every transport calls them.
func (a *attempt) seen() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conn != nil
}

// surelyUnsent reports whether the request of an attempt that failed with err was
// surely not processed. It looks at types and at what happened, and at no text: a
// text may be the server's.
func (a *attempt) surelyUnsent(err error, ended bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.repeated:
		return a.refused
	case refusedStream(err):
		return true
	case a.wrote:
		return false
	case a.conn != nil:
		return a.http2 && !ended // an HTTP/2 connection that ended before its first use
	case a.asked:
		return a.connects == nil || a.connects.Explain(err)
	}
	return IsDial(err)
}

// Connects remembers why net/http could not connect. A transport may then have sent
// the request in another way, which calls no hooks.
type Connects struct {
	mu     sync.Mutex
	trying int // attempts to connect that have not ended
	failed []error
}

// Watch adds hooks to a trace.
func (c *Connects) Watch(trace *httptrace.ClientTrace) {
	trace.ConnectStart = func(_, _ string) { c.count(1, nil) }
	trace.ConnectDone = func(_, _ string, err error) { c.count(-1, err) }
	trace.TLSHandshakeStart = func() { c.count(1, nil) }
	trace.TLSHandshakeDone = func(_ tls.ConnectionState, err error) { c.count(-1, err) }
}

func (c *Connects) count(more int, failed error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trying += more
	if failed != nil {
		c.failed = append(c.failed, failed)
	}
}

// Explain reports whether a request failed with err because net/http could not
// connect, or had not by then.
func (c *Connects) Explain(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.failed) == 0 || c.trying > 0 || IsDial(err) || slices.ContainsFunc(c.failed, func(why error) bool { return errors.Is(err, why) })
}

// IsDial reports whether there was no connection.
func IsDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func (a *attempt) wasRepeated() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.repeated
}

func same(a, b net.Conn) bool {
	return a != nil && reflect.TypeOf(a).Comparable() && a == b
}

// speaks2 reports whether a connection speaks HTTP/2. It returns otherwise for a
// connection that does not tell.
func speaks2(conn net.Conn, otherwise bool) bool {
	if secured, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return secured.ConnectionState().NegotiatedProtocol == "h2"
	}
	return otherwise
}

// streamError has the shape of the stream errors of net/http, which fill it in
// (errors.As), and of golang.org/x/net/http2.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "HTTP/2 stream error" }

// refusedStream reports the one code that says that nothing was processed (RFC
// 9113, section 8.7).
func refusedStream(err error) bool {
	const refused = 0x7
	var stream streamError
	if errors.As(err, &stream) {
		return stream.Code == refused
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if code, ok := streamCode(reflect.ValueOf(err)); ok {
			return code == refused
		}
	}
	return false
}

// streamCode reads the stream error of golang.org/x/net/http2, which has no As
// method of its own and which the core does not import.
func streamCode(v reflect.Value) (uint64, bool) {
	if v.Kind() != reflect.Struct || v.Type().Name() != "StreamError" || !strings.HasSuffix(v.Type().PkgPath(), "golang.org/x/net/http2") {
		return 0, false
	}
	code := v.FieldByName("Code")
	if !code.IsValid() || !code.CanUint() {
		return 0, false
	}
	return code.Uint(), true
}
