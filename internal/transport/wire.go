package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/emporix-community/emporix-go/internal/operation"
)

// wire is the innermost round tripper of ours: only behind it does a request
// hold its secrets, and only for the scheme, host and path they are for.
type wire struct {
	base    http.RoundTripper
	timeout time.Duration
}

// RoundTrip sends one attempt and reads its whole answer.
func (w *wire) RoundTrip(shown *http.Request) (*http.Response, error) {
	x := exchangeOf(shown.Context())
	if x == nil {
		return nil, &Failure{Kind: Invalid, Err: errors.New("a middleware sent a request of its own through the SDK's transport; give it a client of its own")}
	}
	ctx, cancel := context.WithTimeout(shown.Context(), w.timeout)
	defer cancel()
	x.attempts++
	x.maybeDone = x.maybeDone || x.sent
	x.sent = true // until something proves that it was not
	progress := connecting{}
	if x.op.Retry == operation.Once || x.op.Retry == operation.Unsent {
		ctx = httptrace.WithClientTrace(ctx, progress.trace())
	}
	req, err := x.bind(ctx, shown)
	if err != nil {
		x.sent = false
		return nil, err
	}
	resp, err := w.base.RoundTrip(req)
	switch {
	case err != nil:
		x.sent = !progress.neverConnected() && !surelyUnsent(err)
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		if ctx.Err() != nil && x.Context.Err() == nil {
			err = fmt.Errorf("no answer within %s: %w", w.timeout, context.DeadlineExceeded)
		}
		return nil, x.scrub.error(err)
	case resp == nil:
		return nil, &Failure{Kind: Unreadable, Err: errors.New("the transport returned neither an answer nor an error")}
	}
	body, err := readBody(resp, bodyLimit(x.op, resp.StatusCode))
	if err != nil {
		if ctx.Err() != nil && x.Context.Err() == nil {
			err = fmt.Errorf("the answer's body did not end within %s: %w", w.timeout, context.DeadlineExceeded)
		}
		return nil, x.scrub.error(err)
	}
	resp.Body = body
	resp.Request = shown // what the outer layers may see
	return resp, nil
}

// bind returns the request as the server gets it.
func (x *exchange) bind(ctx context.Context, shown *http.Request) (*http.Request, error) {
	b, base := &x.bound, x.pipeline.cfg.BaseURL
	if shown.URL.Scheme != base.Scheme || shown.URL.Host != base.Host || shown.Method != x.op.Method ||
		shown.URL.EscapedPath() != b.shownPath || shown.URL.RawQuery != b.shownQuery {
		return nil, &Failure{Kind: Invalid, Err: errors.New("a middleware changed the request's method or URL; its credentials are for the original one only")}
	}
	req := shown.WithContext(ctx)
	u := *shown.URL
	u.RawQuery, u.RawPath = b.query, ""
	setPath(&u, b.path)
	req.URL, req.Host = &u, base.Host
	req.Header = make(http.Header, len(shown.Header)+1)
	for name, values := range shown.Header {
		req.Header[name] = values
	}
	delete(req.Header, "Authorization")
	if !x.bearer.IsZero() {
		req.Header["Authorization"] = []string{x.bearer.Reveal()}
	}
	if b.headerName != "" {
		req.Header[b.headerName] = []string{b.header}
	}
	repeatable := x.op.Retry == operation.Safe || x.op.Retry == operation.Repeatable
	switch {
	case b.body != nil:
		data := b.body
		req.ContentLength = int64(len(data))
		req.Body = io.NopCloser(bytes.NewReader(data))
		if x.op.Retry != operation.Once {
			// net/http uses it only where not one byte was written.
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
		}
	case !repeatable && x.op.Method == http.MethodGet:
		// net/http sends a GET again by itself when a kept connection dies, also
		// after the server has processed it. It can't with a body that it does not
		// know how to rewind; an empty one changes nothing on the wire.
		req.Body, req.GetBody = io.NopCloser(strings.NewReader("")), nil
	default:
		req.Body, req.GetBody = nil, nil
	}
	return req, nil
}

// connecting watches whether an attempt got as far as a connection.
type connecting struct {
	mu              sync.Mutex
	asked, obtained bool
}

func (c *connecting) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { c.set(&c.asked) },
		GotConn: func(httptrace.GotConnInfo) { c.set(&c.obtained) },
	}
}

func (c *connecting) set(what *bool) {
	c.mu.Lock()
	*what = true
	c.mu.Unlock()
}

func (c *connecting) neverConnected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked && !c.obtained
}

// surelyUnsent reports errors that say so by themselves.
func surelyUnsent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	return strings.Contains(err.Error(), "REFUSED_STREAM")
}

// Answers are read up to these sizes, counted after decompression.
const (
	smallBody = 1 << 20
	largeBody = 8 << 20
)

func bodyLimit(op *operation.Operation, status int) int64 {
	tokens := op.LogsIn || op.Retry == operation.Once || op == operation.AuthAnonymous || op == operation.OAuthToken
	if tokens || status >= 300 {
		return smallBody
	}
	return largeBody
}

// memoryBody is a whole answer in pooled memory.
type memoryBody struct {
	buffer *bytes.Buffer
	reader bytes.Reader
}

func (b *memoryBody) Read(p []byte) (int, error) { return b.reader.Read(p) }

// Close gives the memory back.
func (b *memoryBody) Close() error {
	if b.buffer != nil && b.buffer.Cap() <= keepBuffer {
		b.buffer.Reset()
		buffers.Put(b.buffer)
	}
	b.buffer = nil
	b.reader.Reset(nil)
	return nil
}

const keepBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func readBody(resp *http.Response, limit int64) (*memoryBody, error) {
	defer func() { _ = resp.Body.Close() }()
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") && !resp.Uncompressed {
		return nil, &Failure{Kind: Unreadable, Err: errors.New("the answer is encoded in a way that was not asked for")}
	}
	body := &memoryBody{buffer: buffers.Get().(*bytes.Buffer)}
	if n := resp.ContentLength; n > 0 && n <= limit {
		body.buffer.Grow(int(n) + bytes.MinRead)
	}
	n, err := body.buffer.ReadFrom(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		_ = body.Close()
		return nil, err
	case n > limit:
		_ = body.Close()
		return nil, &Failure{Kind: Unreadable, Err: fmt.Errorf("the answer is larger than %d bytes", limit)}
	}
	body.reader.Reset(body.buffer.Bytes())
	return body, nil
}
