package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emporix-community/emporix-go/internal/operation"
)

// wire is the innermost round tripper of ours: only behind it does a request
// hold its secrets, and only for the scheme, host and path they are for.
type wire struct {
	base    http.RoundTripper
	timeout time.Duration
	// protocol is the major version of HTTP that the last answer came in.
	protocol atomic.Int32
}

// RoundTrip sends one attempt and reads its whole answer.
func (w *wire) RoundTrip(shown *http.Request) (*http.Response, error) {
	x := exchangeOf(shown.Context())
	if x == nil {
		return nil, &Failure{Kind: Invalid, Err: errors.New("a middleware sent a request of its own through the SDK's transport; give it a client of its own")}
	}
	if x.claimed.Swap(true) {
		return nil, &Failure{Kind: Lost, Err: errors.New("a middleware sent the request again; leave that to the SDK, which knows what may be repeated")}
	}
	ctx, cancel := context.WithTimeout(shown.Context(), w.timeout)
	defer cancel()
	x.attempts++
	x.maybeDone = x.maybeDone || x.sent
	x.sent = true // until something proves that it was not
	var progress *connecting
	if x.op.Retry != operation.Safe {
		progress = new(connecting)
		ctx = httptrace.WithClientTrace(ctx, progress.trace())
	}
	req, err := x.bind(ctx, shown, w.protocol.Load())
	if err != nil {
		x.sent = false
		return nil, err
	}
	resp, err := w.base.RoundTrip(req)
	switch {
	case err != nil:
		x.sent = wasLeft(err) || !progress.neverConnected() && !surelyUnsent(err)
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		if ctx.Err() != nil && x.Context.Err() == nil {
			err = TimedOut(w.timeout)
		}
		return nil, x.scrub.wireError(plain(err), req, x.op.Path)
	case resp == nil:
		return nil, &Failure{Kind: Unreadable, Err: errors.New("the transport returned neither an answer nor an error")}
	}
	w.protocol.Store(int32(resp.ProtoMajor)) // #nosec G115 -- 1 or 2
	body, err := readBody(resp, bodyLimit(x.op, resp.StatusCode))
	if err != nil {
		if ctx.Err() != nil && x.Context.Err() == nil {
			err = fmt.Errorf("its body did not end: %w", TimedOut(w.timeout))
		}
		var unusable *Failure
		if errors.As(err, &unusable) {
			return nil, unusable
		}
		return nil, x.scrub.wireError(fmt.Errorf("it broke off: %w", err), req, x.op.Path)
	}
	resp.Request = shown // what the outer layers may see
	resp.Body = body
	if answersSecrets(x.op) {
		x.hidden().answer = body
		resp.Body, resp.ContentLength = http.NoBody, 0
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.Header["Location"] != nil {
		// It may repeat the query, and http.Client quotes it when it can't be parsed.
		resp.Header = resp.Header.Clone()
		resp.Header.Del("Location")
	}
	return resp, nil
}

// plain says what net/http leaves out for a transport that wraps its own, and
// leaves out its advice to programmers.
func plain(err error) error {
	var record tls.RecordHeaderError
	if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" {
		return fmt.Errorf("the server speaks http, not https: %w", err)
	}
	if _, rest, found := strings.Cut(err.Error(), "http2: Transport: cannot retry err ["); found {
		if cause, _, found := strings.Cut(rest, "] after Request.Body was written"); found {
			return errors.New(cause)
		}
	}
	if err.Error() == cannotRewind {
		return errors.New("the connection was closed before the request was sent")
	}
	return err
}

// answersSecrets tells whose answers middleware may not read: they hold tokens,
// or may repeat what was sent.
func answersSecrets(op *operation.Operation) bool { return issuesTokens(op) || len(op.Secrets) > 0 }

// bind returns the request as the server gets it.
func (x *exchange) bind(ctx context.Context, shown *http.Request, protocol int32) (*http.Request, error) {
	b := x.hidden()
	base := b.pipeline.cfg.BaseURL
	if shown.URL.Scheme != base.Scheme || shown.URL.Host != base.Host || shown.Method != x.op.Method ||
		shown.URL.EscapedPath() != b.shownPath || shown.URL.RawQuery != b.shownQuery {
		return nil, &Failure{Kind: Invalid, Err: errors.New("a middleware changed the request's method or URL; its credentials are for the original one only")}
	}
	req := shown.WithContext(ctx)
	u := *shown.URL
	u.RawQuery = b.query
	setPath(&u, b.path)
	req.URL, req.Host = &u, base.Host
	req.Header = make(http.Header, len(b.pipeline.headers)+len(shown.Header)+1)
	for name, values := range b.pipeline.headers {
		req.Header[name] = values
	}
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
	if !repeatable {
		// For net/http these permit to send any request again.
		delete(req.Header, "Idempotency-Key")
		delete(req.Header, "X-Idempotency-Key")
	}
	setBody(req, b.body, repeatable, protocol)
	return req, nil
}

// Answers are read up to these sizes, counted after decompression.
const (
	smallBody = 1 << 20
	largeBody = 8 << 20
)

func bodyLimit(op *operation.Operation, status int) int64 {
	if issuesTokens(op) || status >= 300 {
		return smallBody
	}
	return largeBody
}

func issuesTokens(op *operation.Operation) bool {
	return op.LogsIn || op.Retry == operation.Once || op == operation.AuthAnonymous || op == operation.OAuthToken
}

// memoryBody is a whole answer in pooled memory.
type memoryBody struct {
	buffer *bytes.Buffer
	reader bytes.Reader
	source io.LimitedReader
}

func (b *memoryBody) bytes() []byte {
	if b.buffer == nil { // closed by a middleware
		return nil
	}
	return b.buffer.Bytes()
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

// readBody reads a whole answer. Of an error it keeps what fits: the status alone
// says enough.
func readBody(resp *http.Response, limit int64) (*memoryBody, error) {
	switch ahead := resp.Body.(type) {
	case *memoryBody:
		return ahead, nil
	case unreadBody:
		return nil, ahead.err
	}
	if resp.Body == nil { // from a transport that is not net/http's
		resp.Body = http.NoBody
	}
	defer func() { _ = resp.Body.Close() }()
	body := &memoryBody{buffer: buffers.Get().(*bytes.Buffer)}
	if n := resp.ContentLength; n > 0 && n <= limit {
		body.buffer.Grow(int(n) + bytes.MinRead)
	}
	body.source = io.LimitedReader{R: resp.Body, N: limit + 1}
	n, err := body.buffer.ReadFrom(&body.source)
	body.source.R = nil
	encoding := resp.Header.Get("Content-Encoding")
	encoded := n > 0 && !resp.Uncompressed && encoding != "" && !strings.EqualFold(encoding, "identity")
	switch failed := resp.StatusCode >= 300; {
	case err != nil:
	case encoded && failed:
		body.buffer.Reset()
	case encoded:
		err = &Failure{Kind: Unreadable, Err: errors.New("the answer is encoded in a way that was not asked for")}
	case n > limit && failed:
		body.buffer.Truncate(int(limit))
	case n > limit:
		err = &Failure{Kind: Unreadable, Err: fmt.Errorf("the answer is larger than %d bytes", limit)}
	}
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	body.reader.Reset(body.buffer.Bytes())
	return body, nil
}
