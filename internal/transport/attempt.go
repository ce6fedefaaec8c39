package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/secret"
)

// sender is the SDK's innermost round tripper. It puts the secrets into a request, if
// scheme, host and path are those that the secrets are for.
type sender struct {
	base    http.RoundTripper
	timeout time.Duration
	// direct is set where base is net/http's own transport.
	direct bool
	// secure is set where the base URL is https.
	secure bool
	// protocol is the major version of HTTP of the last response.
	protocol atomic.Int32
	// traced is set when base has called net/http's hooks.
	traced atomic.Bool
}

// watch returns the hooks that keep net/http from sending a request again by itself, and
// whether the request also needs an empty body as a guard. That is for HTTP/1, and for
// transports whose protocol is not known.
func (s *sender) watch(op *operation.Operation, cancel context.CancelFunc) (*attempt, bool) {
	protocol := s.protocol.Load()
	bare := op.Method == http.MethodGet && !op.Retry.Repeatable()
	hooks := s.direct || s.traced.Load()
	guard := bare && (protocol == 1 || !hooks || protocol == 0 && !s.secure)
	a := &attempt{cancel: cancel, passive: op.Retry.Repeatable(), expect2: protocol == 2, bare: bare && !guard}
	if !s.direct && op.Retry != operation.Safe { // of a read it does not matter whether it arrived
		a.connects = new(Connects)
	}
	return a, guard
}

// RoundTrip sends one attempt and reads its whole response.
func (s *sender) RoundTrip(shown *http.Request) (*http.Response, error) {
	x := exchangeOf(shown.Context())
	if x == nil {
		return nil, &unusable{failure.KindInvalid, errors.New("a middleware sent a request of its own through the SDK's transport; give it a client of its own")}
	}
	if x.Context.Err() != nil { // before this attempt was sent
		return nil, context.Cause(x.Context)
	}
	if x.claimed.Swap(true) {
		return nil, &unusable{failure.KindLost, errors.New("a middleware sent the request again; leave that to the SDK, which knows what may be repeated")}
	}
	ctx, cancel := context.WithTimeout(shown.Context(), s.timeout)
	defer cancel()
	x.attempts++
	x.maybeDone = x.maybeDone || x.sent
	x.sent = true // until something proves that it was not
	watch, guard := s.watch(x.op, cancel)
	req, err := x.bind(httptrace.WithClientTrace(ctx, watch.trace()), shown, guard)
	if err != nil {
		return nil, err
	}
	resp, err := s.base.RoundTrip(req)
	if watch.seen() {
		s.traced.Store(true)
	}
	if err != nil {
		closeBody(resp)
		x.sent = wasLeft(err) || !watch.surelyUnsent(err, ctx.Err() != nil)
		switch {
		case x.Context.Err() != nil:
		case watch.wasRepeated():
			err = errors.New("the server ended the HTTP/2 stream of the request without a response")
		case ctx.Err() != nil:
			err = s.ended(shown.Context())
		}
		return nil, x.scrub.wireError(explain(err), req, x.op.Path)
	}
	if resp == nil {
		return nil, &unusable{failure.KindUnreadable, errors.New("the transport returned neither a response nor an error")}
	}
	s.protocol.Store(int32(resp.ProtoMajor)) // #nosec G115 -- 1 or 2
	body, err := x.read(resp)
	if err != nil {
		if ctx.Err() != nil && x.Context.Err() == nil {
			err = fmt.Errorf("its body did not end: %w", s.ended(shown.Context()))
		}
		var ours *unusable
		if errors.As(err, &ours) {
			return nil, ours
		}
		return nil, x.scrub.wireError(fmt.Errorf("it broke off: %w", err), req, x.op.Path)
	}
	x.cut = body.cut != nil
	x.show(resp, body)
	resp.Request = shown
	return resp, nil
}

// read reads the whole body of a response.
func (x *exchange) read(resp *http.Response) (*memoryBody, error) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		closeBody(resp) // a connection, which never ends by itself
		resp.Body = http.NoBody
	}
	body, err := readBody(resp, bodyLimit(x.op, resp.StatusCode))
	if err == nil && body.cut != nil && x.Context.Err() != nil {
		err = body.cut
		_ = body.Close()
	}
	return body, err
}

// show leaves in a response what the outer layers may see.
func (x *exchange) show(resp *http.Response, body *memoryBody) {
	resp.Body = body
	resp.Header = declareUTF8(resp.Header)
	if hasSecretResponse(x.op) {
		x.private().secretBody = body
		resp.Body, resp.ContentLength = http.NoBody, 0
	}
	resp.Status, resp.Header, resp.Trailer = x.shown("", resp.Status), x.shownHeader(resp.Header), x.shownHeader(resp.Trailer)
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.Header["Location"] != nil {
		// It may repeat the query, and http.Client quotes it when it can't be parsed.
		resp.Header = resp.Header.Clone()
		resp.Header.Del("Location")
	}
}

func closeBody(resp *http.Response) {
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
}

// ended says what ended an attempt before the caller's context: the SDK's limit, or
// that of a middleware.
func (s *sender) ended(shown context.Context) error {
	if shown.Err() != nil {
		return fmt.Errorf("a middleware ended the request: %w", shown.Err())
	}
	return TimedOut(s.timeout)
}

// shownHeader is a header of the response as the outer layers may see it. A server may
// repeat there what it was sent, such as the URL, or name a token that it issues.
func (x *exchange) shownHeader(h http.Header) http.Header { return mapHeader(h, x.shown) }

func (x *exchange) shown(name, value string) string {
	switch {
	case issuesTokens(x.op) && tokenHeader.MatchString(name):
		return secret.Mask
	case hasSecretResponse(x.op) || !x.bearer.IsZero() && strings.Contains(value, bare(x.bearer)):
		return x.scrub.clean(value)
	}
	return value
}

var tokenHeader = regexp.MustCompile(`(?i)token|authori[sz]ation|cookie|jwt|bearer|secret`)

// explain says what net/http leaves out for a transport that wraps its own.
func explain(err error) error {
	var record tls.RecordHeaderError
	if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" {
		return fmt.Errorf("the server speaks http, not https: %w", err)
	}
	return err
}

// hasSecretResponse tells whose responses middleware may not read: they hold tokens,
// or may repeat what was sent.
func hasSecretResponse(op *operation.Operation) bool { return issuesTokens(op) || len(op.Secrets) > 0 }

// bind returns the request as the server gets it.
func (x *exchange) bind(ctx context.Context, shown *http.Request, guard bool) (*http.Request, error) {
	b := x.private()
	base := b.pipeline.cfg.BaseURL
	if shown.URL.Scheme != base.Scheme || shown.URL.Host != base.Host || shown.URL.Opaque != "" || shown.Method != x.op.Method ||
		shown.URL.EscapedPath() != b.shownPath || shown.URL.RawQuery != b.shownQuery {
		return nil, &unusable{failure.KindInvalid, errors.New("a middleware changed the request's method or URL; its credentials are for the original one only")}
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
	if b.sessionID != "" {
		req.Header[sessionHeader] = []string{b.sessionID}
	}
	if !x.op.Retry.Repeatable() {
		// For net/http these permit to send any request again.
		delete(req.Header, "Idempotency-Key")
		delete(req.Header, "X-Idempotency-Key")
	}
	setBody(req, b.body, guard)
	return req, nil
}
