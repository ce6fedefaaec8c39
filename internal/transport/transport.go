// Package transport carries one call of the operation table to the server and
// back: encode, retry, send with late-bound secrets, read within limits. It
// knows nothing about sessions; whoever calls it brings the bearer.
//
// The way of a request, outermost first:
//
//	Pipeline.Send   builds the request with placeholders where secrets go (encode.go)
//	retryablehttp   sends it again where the operation's retry class allows (retry.go)
//	middleware      the user's; sees placeholders only
//	wire            binds the secrets, sets the attempt's deadline, reads the answer (wire.go)
//	base            the network; replay.go keeps it from sending by itself what may be done
package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/secret"
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
	var chain http.RoundTripper = &wire{base: cfg.Base, timeout: cfg.AttemptTimeout, direct: cfg.Direct, secure: cfg.BaseURL.Scheme == "https"}
	if cfg.Middleware != nil {
		chain = cfg.Middleware(chain)
	}
	p.client = retryablehttp.Client{
		HTTPClient: &http.Client{
			// sealed has no CloseIdleConnections: retryablehttp calls it after a
			// failure, and would close the connections of all visitors.
			Transport:     sealed{chain},
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

type sealed struct{ next http.RoundTripper }

func (s sealed) RoundTrip(r *http.Request) (*http.Response, error) { return s.next.RoundTrip(r) }

// Call is one use of an operation.
type Call struct {
	Op          *operation.Operation
	Path        []string // values of the placeholders after {tenant}, in order
	Query       any      // a struct for go-querystring, or nil
	Header      [2]string
	Body        []byte
	ContentType string
	Bearer      secret.Secret   // value of the Authorization header; zero for none
	Hidden      []secret.Secret // values in the body that a server's message must not echo
	MaybeDone   bool            // an earlier use of the same call may have been processed
}

// Answer is a whole response.
type Answer struct {
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

// Release gives the body's memory back.
func (a *Answer) Release() {
	if a.body != nil {
		a.Body = nil
		_ = a.body.Close()
	}
}

// Scrub removes the call's secrets from a text that the server sent.
func (a *Answer) Scrub(text string) string { return a.scrub.clean(text) }

// FailureKind says what a call without a usable answer came to.
type FailureKind uint8

const (
	// Invalid: refused before anything was sent.
	Invalid FailureKind = iota
	// NotSent: the request surely never reached the server.
	NotSent
	// Lost: the request may have been processed; there is no answer.
	Lost
	// Unreadable: there is an answer, and it can't be used.
	Unreadable
)

// Failure is a call without a usable answer. Its cause holds no URL and no secret.
type Failure struct {
	Kind     FailureKind
	Attempts int
	Field    string // Invalid: the argument at fault
	Ended    bool   // the caller's context ended
	Err      error
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Send carries the call to the server and returns its answer, of any status.
// All errors are *Failure.
func (p *Pipeline) Send(ctx context.Context, call Call) (*Answer, error) {
	own := &hidden{pipeline: p}
	x := &exchange{Context: ctx, op: call.Op, bearer: call.Bearer, maybeDone: call.MaybeDone, hidden: func() *hidden { return own }}
	x.scrub.secrets = x.secrets[:0]
	x.scrub.add(call.Bearer)
	x.scrub.chosen = call.Hidden
	req, err := p.encode(x, own, call)
	if err != nil {
		return nil, err
	}
	own.request.Request = req
	// Beside an error there is no response: redirects are not followed.
	resp, err := p.client.Do(&own.request) //nolint:bodyclose // Answer.Release closes it
	if err != nil {
		return nil, x.failure(err)
	}
	body, ok := resp.Body.(*memoryBody)
	if !ok { // hidden, or a middleware answered by itself or wrapped the body
		body, err = readBody(resp, bodyLimit(call.Op, resp.StatusCode))
		if err != nil {
			return nil, x.failure(err)
		}
		if kept := own.answer; kept != nil && len(body.bytes()) == 0 {
			_ = body.Close()
			body = kept
		}
		if body.cut != nil {
			x.cut = true
		}
	}
	p.budget.succeed(resp.StatusCode)
	own.result = Answer{
		Status: resp.StatusCode, Header: resp.Header, Body: body.bytes(), Attempts: x.attempts,
		MaybeDone: x.maybeDone, LateDeadline: x.lateDeadline, RetryAfter: x.retryAfter, scrub: x.scrub, body: body, Cut: x.cut,
	}
	return &own.result, nil
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
	// hidden is a function because middleware can reach the exchange: it is the
	// request's context, and people dump contexts.
	hidden func() *hidden

	claimed      atomic.Bool // this attempt has been sent
	attempts     int
	sent         bool // this attempt's request may have reached the server
	maybeDone    bool // an earlier attempt may have been processed
	cut          bool // the body of this attempt's error is not whole
	lateDeadline bool
	retryAfter   time.Duration
	wait         time.Duration
}

// hidden is what only the two ends of the chain may see.
type hidden struct {
	binding
	pipeline *Pipeline   // leads to the transport's connections and their buffers
	answer   *memoryBody // instead of the response's body, where that holds secrets

	request retryablehttp.Request // here, and not each on the heap by itself
	result  Answer
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

// failure classifies an error of the chain.
func (x *exchange) failure(err error) *Failure {
	var known *Failure
	if errors.As(err, &known) {
		return &Failure{Kind: known.Kind, Attempts: x.attempts, Err: known.Err}
	}
	var ue *url.Error
	for errors.As(err, &ue) { // its text holds the URL
		err = ue.Err
	}
	kind := NotSent
	if x.sent || x.maybeDone {
		kind = Lost
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
	return &Failure{Kind: kind, Attempts: x.attempts, Ended: ctxErr != nil, Err: x.scrub.error(err)}
}
