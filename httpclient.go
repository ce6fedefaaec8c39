package emporix

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emporix-community/emporix-go/internal/bounded"
	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/transport"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// hostBinding is the one place that tokens are sent to.
type hostBinding struct {
	scheme, host      string
	tenant, userAgent string
}

// HTTPClient returns an http.Client for other Emporix services, such as carts
// and prices, that acts for this session: with the customer's bearer, else the
// anonymous one, obtained and renewed like everything else. After a 401 that is
// the gateway's fault about the access token, or that is empty, the bearer is
// renewed and the request sent once more, if its body can be read again (GetBody).
// An empty one ends no session. Any other 401, such as "no API product match", is
// the service's response and changes nothing. The SDK repeats nothing else; net/http
// may, when a kept connection dies. Redirects are returned as they are, but for a
// Location that is no URL, which is left out.
//
// The wait for the response's headers is bounded by Timeouts.Attempt, which starts
// again with each piece of the request's body that is read. Without a response the
// error is a *TransportError: ErrUnavailable, or ErrOutcomeUnknown for a request that
// may change something and may have arrived. Reading the response's body is bounded by
// the request's context only, because its size is unknown: give each request the
// context of the visitor's request. Timeouts.Attempt also bounds how long
// the SDK reads the body of a 401. A 401 whose body has not ended by then is returned
// as it is, and nothing is renewed. All of this also holds when a transport or a middleware ignores
// its context.
//
// Requests to any other scheme, host or port than the base URL's are refused
// with ErrInvalidRequest. A request that brings an Authorization header of its
// own keeps it.
func (s *Session) HTTPClient() *http.Client {
	c := s.made().core()
	return &http.Client{
		Transport:     &visitorTransport{session: s, next: c.otherServices},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// HTTPClient returns the http.Client of the default session; see Session.HTTPClient.
func (c *Client) HTTPClient() *http.Client { return c.DefaultSession().HTTPClient() }

// visitorTransport chooses the bearer. The layers after it see the request
// without one; bearerBinding puts it in.
type visitorTransport struct {
	session *Session
	next    http.RoundTripper
}

type (
	bearerKey struct{}
	sentKey   struct{} // *sending
)

// sending is one request, and how far it got, as net/http's hooks tell.
type sending struct {
	method, url string
	passed      atomic.Bool // through the middleware

	asked, connected, written atomic.Bool
	connects                  transport.Connects
}

// admit refuses what a middleware has made of the request: another one, or a second one.
func (s *sending) admit(shown *http.Request) error {
	if method(shown.Method) != s.method || shown.URL == nil || shown.URL.String() != s.url {
		return &ArgumentError{Field: "WithMiddleware", Reason: "changed the request's method or URL; its credentials are for the original one only"}
	}
	if s.passed.Swap(true) {
		return &ArgumentError{Field: "WithMiddleware", Reason: "sent the request again; make a new request through the http.Client instead"}
	}
	return nil
}

func method(m string) string {
	if m == "" {
		return http.MethodGet
	}
	return m
}

func (s *sending) trace() *httptrace.ClientTrace {
	trace := &httptrace.ClientTrace{
		GetConn:      func(string) { s.asked.Store(true) },
		GotConn:      func(httptrace.GotConnInfo) { s.connected.Store(true) },
		WroteHeaders: func() { s.written.Store(true) },
	}
	s.connects.Watch(trace)
	return trace
}

// surelyNot reports whether no try of a request that failed with err has arrived. Besides
// the last try, which err is about, net/http, a middleware or the transport may have made
// earlier ones. A request whose context has ended may still be under way.
func (s *sending) surelyNot(ctx context.Context, err error) bool {
	noConnection := s.asked.Load() && !s.connected.Load() && ctx.Err() == nil && s.connects.Explain(err) // such as TLS that failed
	return !s.written.Load() && (noConnection || transport.IsDial(err))
}

const requestBody = "the request's body"

// RoundTrip sends a request for the session.
func (t *visitorTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.roundTrip(req)
	if err != nil && req.Body != nil {
		_ = bounded.NewBody(req.Context(), &t.session.core().calls, requestBody, req.Body).Close()
	}
	if resp != nil && resp.StatusCode/100 == 3 && resp.Header.Get("Location") != "" {
		if _, noURL := req.URL.Parse(resp.Header.Get("Location")); noURL != nil { // http.Client would drop the response
			resp.Header = resp.Header.Clone()
			resp.Header.Del("Location")
		}
	}
	return resp, err
}

func (t *visitorTransport) roundTrip(req *http.Request) (*http.Response, error) {
	s, ctx := t.session, req.Context()
	c := s.core()
	if s.invalid != nil {
		return nil, s.invalid
	}
	if err := c.baseHost.accepts(req); err != nil {
		return nil, err
	}
	if c.sessions.Closed() {
		return nil, &callError{op: "Session.HTTPClient", err: ErrClosed}
	}
	req = req.Clone(ctx)
	if req.Header == nil { // http.Client makes one, other users of the transport may not
		req.Header = http.Header{}
	}
	c.baseHost.decorate(req.Header)
	if req.Header.Get("Authorization") != "" {
		return t.send(req, 1)
	}
	token, err := s.visitor.Token(ctx, lifecycle.WantAny)
	if err != nil {
		return nil, failedCall(ctx, "Session.HTTPClient", unsent(err))
	}
	resp, err := t.send(withBearer(req, token.Bearer), 1)
	if err != nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	rejection := t.rejectionOf(ctx, resp)
	if rejection == failure.NotTheBearer {
		return resp, nil
	}
	renewed, ok, err := c.renewRejected(ctx, &s.visitor, lifecycle.WantAny, token, rejection)
	if err != nil {
		_ = resp.Body.Close()
		return nil, failedCall(ctx, "Session.HTTPClient", unsent(err))
	}
	if !ok {
		return resp, nil
	}
	again, ok := t.rewound(req)
	if !ok { // the next request has the new token
		return resp, nil
	}
	_ = resp.Body.Close()
	return t.send(withBearer(again, renewed.Bearer), 2)
}

// send waits for the headers no longer than one attempt may take, counted from the
// last piece of the request's body: a slow upload is no failure. attempts counts the
// requests, with this one.
func (t *visitorTransport) send(req *http.Request, attempts int) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	limit := t.session.core().attemptTimeout
	wait := &patience{limit: limit, timer: time.AfterFunc(limit, cancel)}
	sent := &sending{method: method(req.Method), url: req.URL.String()}
	resp, err := t.next.RoundTrip(wait.during(req.WithContext(context.WithValue(ctx, sentKey{}, sent))))
	inTime := wait.end()
	switch {
	case !inTime && req.Context().Err() == nil:
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, unanswered(req, attempts, false, transport.TimedOut(limit))
	case err != nil:
		cancel()
		if isSaid(err) && !sent.written.Load() {
			return nil, err
		}
		return nil, unanswered(req, attempts, sent.surelyNot(req.Context(), err), err)
	case resp == nil:
		cancel()
		return nil, unanswered(req, attempts, false, errors.New("the transport returned neither a response nor an error"))
	case resp.Body == nil: // from a transport that is not net/http's
		cancel()
		resp.Body = http.NoBody
	case resp.StatusCode != http.StatusSwitchingProtocols: // whose body is also written to
		resp.Body = &endingBody{resp.Body, cancel}
	}
	return resp, err
}

// patience is a time limit that starts again with each piece of a request's body.
type patience struct {
	limit time.Duration

	mu    sync.Mutex
	timer *time.Timer
	ended bool
}

func (p *patience) again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended && p.timer.Stop() {
		p.timer.Reset(p.limit)
	}
}

// end stops the limit, and reports whether it was kept. The body may still be read.
func (p *patience) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	return p.timer.Stop()
}

// during returns the request with a body that starts the limit again when it is read.
func (p *patience) during(req *http.Request) *http.Request {
	if req.Body == nil || req.Body == http.NoBody {
		return req
	}
	req.Body = &heardBody{req.Body, p}
	if again := req.GetBody; again != nil {
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil || body == nil {
				return body, err
			}
			return &heardBody{body, p}, nil
		}
	}
	return req
}

type heardBody struct {
	io.ReadCloser
	wait *patience
}

// Read reads on.
func (b *heardBody) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	if n > 0 {
		b.wait.again()
	}
	return n, err
}

// isSaid reports whether err is one of the SDK's own errors, perhaps returned by a
// middleware. The caller gets it unchanged, unless the request has been sent.
func isSaid(err error) bool {
	var known sentinel.Error
	var argument *ArgumentError
	return errors.As(err, &known) || errors.As(err, &argument)
}

// unanswered is the error of a request without a response.
func unanswered(req *http.Request, attempts int, unsent bool, err error) error {
	ended := req.Context().Err()
	f := &failure.Failure{Op: otherWrite, Kind: failure.KindNotSent, Attempts: attempts, Ended: ended != nil, Err: err}
	if onlyReads(req.Method) {
		f.Op = otherRead
	}
	if !unsent {
		f.Kind = failure.KindLost
	}
	switch {
	case ended == nil:
		f.Err = transport.NotTheCallers(err)
	case !errors.Is(err, ended):
		f.Err = fmt.Errorf("%w: %w", ended, err)
	}
	return publicError(f)
}

// Requests to other services, which the table does not know.
var (
	otherRead  = &operation.Operation{Name: "Session.HTTPClient", Retry: operation.Safe}
	otherWrite = &operation.Operation{Name: "Session.HTTPClient", Retry: operation.Unsent}
)

// onlyReads reports whether a method changes nothing; the empty one is GET.
func onlyReads(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}

// endingBody releases its context when it ends.
type endingBody struct {
	io.ReadCloser
	end context.CancelFunc
}

// Read reads on, and lets go at the end.
func (b *endingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end()
	}
	return n, err
}

// Close ends the body early.
func (b *endingBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

func withBearer(req *http.Request, bearer Secret) *http.Request {
	return req.WithContext(context.WithValue(req.Context(), bearerKey{}, bearer))
}

// rewound returns the request with its body at the start, if that can be had.
func (t *visitorTransport) rewound(req *http.Request) (*http.Request, bool) {
	again := req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return again, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	type result struct {
		body io.ReadCloser
		err  error
	}
	got, err := bounded.Do(req.Context(), &t.session.core().calls, requestBody, func() (r result) {
		r.body, r.err = req.GetBody()
		return r
	}, func(late result) {
		if late.body != nil {
			_ = late.body.Close()
		}
	})
	again.Body = got.body
	return again, err == nil && got.err == nil
}

// rejectionOf looks at a 401, no longer than an attempt may take, and leaves the
// body as it was.
func (t *visitorTransport) rejectionOf(ctx context.Context, resp *http.Response) failure.Rejection {
	const enough = 64 << 10
	if resp.Body == nil { // from a transport that is not net/http's
		resp.Body = http.NoBody
	}
	c := t.session.core()
	looking, cancel := context.WithTimeout(ctx, c.attemptTimeout)
	defer cancel()
	rest := bounded.NewBody(looking, &c.calls, "the transport's response body", resp.Body)
	head, err := io.ReadAll(io.LimitReader(rest, enough))
	rest.Within(ctx)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), rest}
	if err != nil || len(head) == enough {
		return failure.NotTheBearer
	}
	return failure.Rejects(resp.StatusCode, wire.DecodeProblem(unzipped(resp.Header, head, enough), resp.Header.Get("Content-Type")), false)
}

// unzipped decompresses a body that the caller asked to be compressed. A body that
// can't be decompressed is returned as it is.
func unzipped(h http.Header, body []byte, limit int64) []byte {
	switch strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding"))) {
	case "gzip", "x-gzip":
	default:
		return body
	}
	if len(body) == 0 {
		return body
	}
	zipped, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	text, err := io.ReadAll(io.LimitReader(zipped, limit))
	if err != nil || int64(len(text)) == limit {
		return body
	}
	return text
}

func (b hostBinding) accepts(req *http.Request) error {
	if req.URL == nil || req.URL.Opaque != "" || req.URL.Scheme != b.scheme || !b.isHost(req.URL.Host) || req.Host != "" && !b.isHost(req.Host) {
		return &ArgumentError{Field: "URL", Reason: fmt.Sprintf("is not on %s://%s, the only place that this session's tokens are sent to", b.scheme, b.host)}
	}
	return nil
}

// isHost compares hosts with their ports; the scheme's own need not be written.
func (b hostBinding) isHost(host string) bool {
	port := ":443"
	if b.scheme == "http" {
		port = ":80"
	}
	return strings.EqualFold(strings.TrimSuffix(host, port), strings.TrimSuffix(b.host, port))
}

func (b hostBinding) decorate(h http.Header) {
	if h.Get("Emporix-Tenant") == "" {
		h.Set("Emporix-Tenant", b.tenant)
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", b.userAgent)
	}
}

// bearerBinding is the innermost layer: it adds the bearer, for the bound host only.
type bearerBinding struct {
	to   hostBinding
	base http.RoundTripper
}

// RoundTrip sends the request with the bearer that its context holds.
func (b *bearerBinding) RoundTrip(shown *http.Request) (*http.Response, error) {
	ctx := shown.Context()
	bearer, ok := ctx.Value(bearerKey{}).(Secret)
	if err := b.to.accepts(shown); err != nil {
		return nil, err
	}
	sent, watched := ctx.Value(sentKey{}).(*sending)
	if watched {
		if err := sent.admit(shown); err != nil {
			return nil, err
		}
	}
	if watched = watched && !onlyReads(shown.Method); watched {
		ctx = httptrace.WithClientTrace(ctx, sent.trace())
	}
	req := shown.WithContext(ctx)
	if ok {
		req.Header = shown.Header.Clone()
		req.Header.Set("Authorization", bearer.Reveal())
	}
	resp, err := b.base.RoundTrip(req)
	if watched && err == nil { // a transport that calls no hooks has sent it as well
		sent.written.Store(true)
	}
	if !ok { // the caller's own credentials
		return resp, err
	}
	if resp != nil {
		resp.Request = shown
		resp.Status = transport.TextWithoutBearer(resp.Status, bearer)
		resp.Header, resp.Trailer = transport.WithoutBearer(resp.Header, bearer), transport.WithoutBearer(resp.Trailer, bearer)
		if resp.Body != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			resp.Body = &trailedBody{resp.Body, resp, bearer}
		}
	}
	return resp, transport.CleanError(err, bearer)
}

// trailedBody takes the bearer out of trailers, which come after the body.
type trailedBody struct {
	io.ReadCloser
	resp   *http.Response
	bearer Secret
}

// Read reads on.
func (b *trailedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		for name, values := range transport.WithoutBearer(b.resp.Trailer, b.bearer) {
			b.resp.Trailer[name] = values
		}
	}
	return n, err
}
