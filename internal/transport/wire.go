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
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/secret"
)

// wire is the innermost round tripper of ours: only behind it does a request
// hold its secrets, and only for the scheme, host and path they are for.
type wire struct {
	base    http.RoundTripper
	timeout time.Duration
	// direct is set where base is net/http's own transport.
	direct bool
	// secure is set where the base URL is https.
	secure bool
	// protocol is the major version of HTTP that the last answer came in.
	protocol atomic.Int32
	// traced is set when base has called net/http's hooks.
	traced atomic.Bool
}

// watch prepares what keeps net/http from sending by itself what may have been
// done. An empty body as a guard is only for HTTP/1, and for transports that do
// not say what they speak.
func (w *wire) watch(op *operation.Operation, cancel context.CancelFunc) (*attempt, bool) {
	protocol := w.protocol.Load()
	bare := op.Method == http.MethodGet && !op.Retry.Repeatable()
	hooks := w.direct || w.traced.Load()
	guard := bare && (protocol == 1 || !hooks || protocol == 0 && !w.secure)
	return &attempt{cancel: cancel, passive: op.Retry.Repeatable(), expect2: protocol == 2, bare: bare && !guard}, guard
}

// RoundTrip sends one attempt and reads its whole answer.
func (w *wire) RoundTrip(shown *http.Request) (*http.Response, error) {
	x := exchangeOf(shown.Context())
	if x == nil {
		return nil, &Failure{Kind: Invalid, Err: errors.New("a middleware sent a request of its own through the SDK's transport; give it a client of its own")}
	}
	if x.Context.Err() != nil { // before this attempt was sent
		return nil, context.Cause(x.Context)
	}
	if x.claimed.Swap(true) {
		return nil, &Failure{Kind: Lost, Err: errors.New("a middleware sent the request again; leave that to the SDK, which knows what may be repeated")}
	}
	ctx, cancel := context.WithTimeout(shown.Context(), w.timeout)
	defer cancel()
	x.attempts++
	x.maybeDone = x.maybeDone || x.sent
	x.sent = true // until something proves that it was not
	watch, guard := w.watch(x.op, cancel)
	req, err := x.bind(httptrace.WithClientTrace(ctx, watch.trace()), shown, guard)
	if err != nil {
		x.sent = false
		return nil, err
	}
	resp, err := w.base.RoundTrip(req)
	if watch.seen() {
		w.traced.Store(true)
	}
	switch {
	case err != nil:
		x.sent = wasLeft(err) || !watch.surelyUnsent(err, ctx.Err() != nil)
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		switch {
		case x.Context.Err() != nil:
		case watch.wasRepeated():
			err = errors.New("the server ended the HTTP/2 stream of the request without an answer")
		case ctx.Err() != nil:
			err = w.ended(shown.Context())
		}
		return nil, x.scrub.wireError(plain(err), req, x.op.Path)
	case resp == nil:
		return nil, &Failure{Kind: Unreadable, Err: errors.New("the transport returned neither an answer nor an error")}
	}
	w.protocol.Store(int32(resp.ProtoMajor)) // #nosec G115 -- 1 or 2
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if resp.Body != nil { // a connection, which never ends by itself
			_ = resp.Body.Close()
		}
		resp.Body = http.NoBody
	}
	body, err := readBody(resp, bodyLimit(x.op, resp.StatusCode))
	if err == nil && body.cut != nil && x.Context.Err() != nil {
		err = body.cut
		_ = body.Close()
	}
	if err != nil {
		if ctx.Err() != nil && x.Context.Err() == nil {
			err = fmt.Errorf("its body did not end: %w", w.ended(shown.Context()))
		}
		var unusable *Failure
		if errors.As(err, &unusable) {
			return nil, unusable
		}
		return nil, x.scrub.wireError(fmt.Errorf("it broke off: %w", err), req, x.op.Path)
	}
	resp.Request = shown // what the outer layers may see
	resp.Body = body
	resp.Header = declareUTF8(resp.Header)
	x.cut = body.cut != nil
	if answersSecrets(x.op) {
		x.hidden().answer = body
		resp.Body, resp.ContentLength = http.NoBody, 0
	}
	resp.Status, resp.Header, resp.Trailer = x.shown("", resp.Status), x.shownHeader(resp.Header), x.shownHeader(resp.Trailer)
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.Header["Location"] != nil {
		// It may repeat the query, and http.Client quotes it when it can't be parsed.
		resp.Header = resp.Header.Clone()
		resp.Header.Del("Location")
	}
	return resp, nil
}

// ended says what ended an attempt before the caller's context: the SDK's limit, or
// that of a middleware.
func (w *wire) ended(shown context.Context) error {
	if shown.Err() != nil {
		return fmt.Errorf("a middleware ended the request: %w", shown.Err())
	}
	return TimedOut(w.timeout)
}

// shownHeader is a header of the answer as the outer layers may see it. A server may
// repeat there what it was sent, such as the URL, or name a token that it issues.
func (x *exchange) shownHeader(h http.Header) http.Header {
	own := true
	for name, values := range h {
		for i, value := range values {
			shown := x.shown(name, value)
			if shown == value {
				continue
			}
			if own {
				h, own = h.Clone(), false
			}
			h[name][i] = shown
		}
	}
	return h
}

func (x *exchange) shown(name, value string) string {
	switch {
	case issuesTokens(x.op) && tokenHeader.MatchString(name):
		return secret.Mask
	case answersSecrets(x.op) || !x.bearer.IsZero() && strings.Contains(value, bare(x.bearer)):
		return x.scrub.clean(value)
	}
	return value
}

var tokenHeader = regexp.MustCompile(`(?i)token|authori[sz]ation|cookie|jwt|bearer|secret`)

// plain says what net/http leaves out for a transport that wraps its own.
func plain(err error) error {
	var record tls.RecordHeaderError
	if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" {
		return fmt.Errorf("the server speaks http, not https: %w", err)
	}
	return err
}

// answersSecrets tells whose answers middleware may not read: they hold tokens,
// or may repeat what was sent.
func answersSecrets(op *operation.Operation) bool { return issuesTokens(op) || len(op.Secrets) > 0 }

// bind returns the request as the server gets it.
func (x *exchange) bind(ctx context.Context, shown *http.Request, guard bool) (*http.Request, error) {
	b := x.hidden()
	base := b.pipeline.cfg.BaseURL
	if shown.URL.Scheme != base.Scheme || shown.URL.Host != base.Host || shown.URL.Opaque != "" || shown.Method != x.op.Method ||
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
	if !x.op.Retry.Repeatable() {
		// For net/http these permit to send any request again.
		delete(req.Header, "Idempotency-Key")
		delete(req.Header, "X-Idempotency-Key")
	}
	setBody(req, b.body, guard)
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

func issuesTokens(op *operation.Operation) bool { return op.Tokens != operation.NoTokens }

// memoryBody is a whole answer in pooled memory.
type memoryBody struct {
	buffer *bytes.Buffer
	reader bytes.Reader
	source io.LimitedReader
	cut    error // why the body of an error is not whole
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

// convert turns the body into UTF-8. What an error says in an encoding that is not
// known is left out.
func (b *memoryBody) convert(h http.Header, failed bool) error {
	text, err := toUTF8(b.buffer.Bytes(), h)
	switch {
	case err != nil && failed:
		b.buffer.Reset()
		b.cut = err
	case err != nil:
		return &Failure{Kind: Unreadable, Err: err}
	case len(text) != b.buffer.Len():
		b.buffer = bytes.NewBuffer(bytes.Clone(text))
	}
	return nil
}

const keepBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readBody reads a whole answer. Of an error it keeps what fits and what came: the
// status alone says enough.
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
	case err != nil && failed:
		body.cut, err = err, nil
	case err != nil:
	case encoded && failed:
		body.buffer.Reset()
		body.cut = errors.New("encoded")
	case encoded:
		err = &Failure{Kind: Unreadable, Err: errors.New("the answer is encoded in a way that was not asked for")}
	case n > limit && failed:
		body.buffer.Truncate(int(limit))
	case n > limit:
		err = &Failure{Kind: Unreadable, Err: fmt.Errorf("the answer is larger than %d bytes", limit)}
	}
	if err == nil {
		err = body.convert(resp.Header, resp.StatusCode >= 300)
	}
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	body.reader.Reset(body.buffer.Bytes())
	return body, nil
}
