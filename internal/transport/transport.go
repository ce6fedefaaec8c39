// Package transport carries one call of the operation table to the server and
// back: encode, retry, send with late-bound secrets, read within limits. It
// knows nothing about sessions; its callers bring the bearer.
//
// The way of a request, outermost first:
//
//	Prepare         checks and encodes the call, once (encode.go)
//	Send            builds the request with placeholders where secrets go
//	retryablehttp   sends it again where the operation's retry class allows (retry.go)
//	middleware      the user's; sees placeholders only
//	sender          binds the secrets, sets the attempt's deadline, reads the response (attempt.go)
//	base            the network; replay.go keeps it from sending by itself what may be done
package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// Config is what a Pipeline needs.
type Config struct {
	BaseURL        *url.URL // scheme, host and perhaps a path prefix without a trailing slash
	Tenant         string
	UserAgent      string
	Language       string // Accept-Language, "" for none
	Base           http.RoundTripper
	Direct         bool                                      // Base ends in net/http's own transport and nothing else
	Middleware     func(http.RoundTripper) http.RoundTripper // may be nil
	MaxAttempts    int
	MaxRetryAfter  time.Duration // a longer Retry-After ends the call at once
	AttemptTimeout time.Duration
}

// Pipeline sends calls. It is safe for concurrent use.
type Pipeline struct {
	cfg     Config
	headers http.Header // constant; values are shared and never changed
	routes  map[*operation.Operation]route
	client  retryablehttp.Client
	budget  *budget
}

// New returns a pipeline for all operations.
func New(cfg Config) *Pipeline {
	p := &Pipeline{cfg: cfg, budget: newBudget(), headers: http.Header{
		"User-Agent":      {cfg.UserAgent},
		"Emporix-Tenant":  {cfg.Tenant},
		"Accept":          {"application/json"},
		"Accept-Language": {cfg.Language},
	}}
	if cfg.Language == "" {
		delete(p.headers, "Accept-Language")
	}
	p.routes = map[*operation.Operation]route{operation.OAuthToken: p.route(operation.OAuthToken)}
	for _, op := range operation.All() {
		p.routes[op] = p.route(op)
	}
	var chain http.RoundTripper = &sender{base: cfg.Base, timeout: cfg.AttemptTimeout, direct: cfg.Direct, secure: cfg.BaseURL.Scheme == "https"}
	if cfg.Middleware != nil {
		chain = cfg.Middleware(chain)
	}
	p.client = retryablehttp.Client{
		HTTPClient: &http.Client{
			// keepIdle has no CloseIdleConnections: retryablehttp calls it after a
			// failure, and would close the connections of all visitors.
			Transport:     keepIdle{chain},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Logger:       nil, // its log lines hold URLs
		RetryMax:     cfg.MaxAttempts - 1,
		CheckRetry:   checkRetry,
		Backoff:      backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return p
}

type keepIdle struct{ next http.RoundTripper }

func (s keepIdle) RoundTrip(r *http.Request) (*http.Response, error) { return s.next.RoundTrip(r) }

// Authorization is what a call is sent with besides what it says itself.
type Authorization struct {
	Bearer    secret.Secret // value of the Authorization header; zero for none
	SessionID string        // of the visitor's session, for an operation that takes it; "" for none
}

// Response is a whole response of the server.
type Response struct {
	Status   int
	Header   http.Header
	Body     []byte // valid until Release
	Attempts int
	// MaybeDone is set when an earlier try may have been processed.
	MaybeDone bool
	// LateDeadline is set when another try was due, but the caller's deadline
	// leaves no time for it.
	LateDeadline bool
	// Cut is set when the body of an error broke off.
	Cut        bool
	RetryAfter time.Duration
	scrub      scrubber
	body       *memoryBody
}

// Failure is what a response comes to that is no success.
func (r *Response) Failure(op *operation.Operation) *failure.Failure {
	p := wire.DecodeProblem(r.Body, r.Header.Get("Content-Type"))
	p.Code, p.Message, p.MoreInfo = r.Scrub(p.Code), r.Scrub(p.Message), r.Scrub(p.MoreInfo)
	for i, d := range p.Details {
		p.Details[i] = wire.Detail{Field: r.Scrub(d.Field), Type: r.Scrub(d.Type), Message: r.Scrub(d.Message), MoreInfo: r.Scrub(d.MoreInfo)}
	}
	if r.Cut { // what is missing may say otherwise
		p.Empty, p.Other = false, true
	}
	f := &failure.Failure{
		Op: op, Kind: failure.KindAnswered, Status: r.Status, Problem: p, RequestID: r.Scrub(requestID(r.Header)),
		Attempts: r.Attempts, MaybeDone: r.MaybeDone, LateDeadline: r.LateDeadline, RetryAfter: r.RetryAfter,
	}
	return f.Judged()
}

// requestID returns the ID that support asks for, if it looks like one.
func requestID(h http.Header) string {
	for _, name := range []string{"X-Correlation-Id", "X-Request-Id", "X-B3-Traceid"} {
		id := h.Get(name)
		if id != "" && len(id) <= 128 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") == "" {
			return id
		}
	}
	return ""
}

// Release gives the body's memory back.
func (r *Response) Release() {
	if r.body != nil {
		r.Body = nil
		_ = r.body.Close()
	}
}

// Scrub removes the call's secrets from a text that the server sent.
func (r *Response) Scrub(text string) string { return r.scrub.clean(text) }

// Send carries the call to the server and returns its response, of any status.
// Its error is a *failure.Failure.
func (p *Pipeline) Send(ctx context.Context, call Prepared, auth Authorization) (*Response, error) {
	own := &private{encoded: call.encoded, sessionID: auth.SessionID, pipeline: p}
	x := &exchange{Context: ctx, op: call.Op, bearer: auth.Bearer, before: call.Attempts, maybeDone: call.MaybeDone, private: func() *private { return own }}
	x.scrub.secrets = append(x.secrets[:0], call.secrets...)
	x.scrub.add(auth.Bearer)
	x.scrub.addText(auth.SessionID)
	x.scrub.chosen = call.bodySecrets
	req, err := p.request(x, call, auth.SessionID)
	if err != nil {
		return nil, invalidCall(call.Op, err)
	}
	own.request.Request = req
	// Beside an error there is no response: redirects are not followed.
	resp, err := p.client.Do(&own.request) //nolint:bodyclose // Response.Release closes it
	if err != nil {
		return nil, x.failure(err)
	}
	body, err := own.bodyOf(resp, call.Op)
	if err != nil {
		return nil, x.failure(err)
	}
	x.cut = x.cut || body.cut != nil
	p.budget.succeed(resp.StatusCode)
	own.result = Response{
		Status: resp.StatusCode, Header: resp.Header, Body: body.bytes(), Attempts: x.before + x.attempts,
		MaybeDone: x.maybeDone, LateDeadline: x.lateDeadline, RetryAfter: x.retryAfter, scrub: x.scrub, body: body, Cut: x.cut,
	}
	return &own.result, nil
}

// bodyOf is the whole body of a response.
func (h *private) bodyOf(resp *http.Response, op *operation.Operation) (*memoryBody, error) {
	if body, whole := resp.Body.(*memoryBody); whole {
		return body, nil
	}
	// It is hidden, or a middleware answered by itself or wrapped the body.
	body, err := readBody(resp, bodyLimit(op, resp.StatusCode))
	if err == nil && h.secretBody != nil && len(body.bytes()) == 0 {
		_ = body.Close()
		return h.secretBody, nil
	}
	return body, err
}

// exchange is one call under way. It is the request's context, so that every
// layer finds it without a search.
type exchange struct {
	context.Context
	op     *operation.Operation
	bearer secret.Secret
	scrub  scrubber
	// secrets is where the scrubber's list begins: most calls have one or two.
	secrets [2]secret.Secret
	// private is a function because middleware can reach the exchange: it is the
	// request's context, and people dump contexts.
	private func() *private

	claimed      atomic.Bool // this attempt has been sent
	before       int         // requests that an earlier use of the call sent
	attempts     int
	sent         bool // this attempt's request may have reached the server
	maybeDone    bool // an earlier attempt may have been processed
	cut          bool // the body of this attempt's error is not whole
	lateDeadline bool
	retryAfter   time.Duration
	wait         time.Duration
}

// private is what only the two ends of the chain may see.
type private struct {
	encoded
	sessionID  string
	pipeline   *Pipeline   // leads to the transport's connections and their buffers
	secretBody *memoryBody // instead of the response's body, where that holds secrets

	request retryablehttp.Request // here, and not each on the heap by itself
	result  Response
}

type exchangeKey struct{}

// Value returns the exchange itself, or what the caller's context holds.
func (x *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return x
	}
	return x.Context.Value(key)
}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// unusable is an error of this package's own layers. Middleware may wrap it.
type unusable struct {
	kind failure.Kind
	err  error
}

func (e *unusable) Error() string { return e.err.Error() }

// failure classifies an error of the chain.
func (x *exchange) failure(err error) *failure.Failure {
	f := &failure.Failure{Op: x.op, Attempts: x.before + x.attempts}
	var ours *unusable
	if errors.As(err, &ours) {
		f.Kind, f.Err = ours.kind, ours.err
		return f.Judged()
	}
	var ue *url.Error
	for errors.As(err, &ue) { // its text holds the URL
		err = ue.Err
	}
	f.Kind = failure.KindNotSent
	if x.sent || x.maybeDone {
		f.Kind = failure.KindLost
	}
	if x.lateDeadline {
		err = fmt.Errorf("%w; the deadline leaves no time for another try: %w", err, context.DeadlineExceeded)
	}
	ctxErr := x.Context.Err()
	switch {
	case ctxErr == nil && !x.lateDeadline:
		err = NotTheCallers(err)
	case ctxErr != nil && !errors.Is(err, ctxErr):
		err = fmt.Errorf("%w: %w", ctxErr, err)
	}
	f.Ended, f.Err = ctxErr != nil, x.scrub.error(err)
	return f.Judged()
}
