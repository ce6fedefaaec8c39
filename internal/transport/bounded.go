package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"

	"github.com/emporix-community/emporix-go/internal/bounded"
)

// What Close calls the code of others that requests pass through.
const (
	baseName   = "the transport"
	bodyName   = "the transport's response body"
	middleName = "a middleware or trace"
)

// errLeft is the end of a request that the base transport did not end. Its request
// may still be sent.
type errLeft struct{ cause error }

func (e *errLeft) Error() string { return e.cause.Error() }

func (e *errLeft) Unwrap() error { return e.cause }

func wasLeft(err error) bool {
	var left *errLeft
	return errors.As(err, &left)
}

// Bounded returns a base transport whose requests end with their context, also if
// base does not hear it. prompt says that base does: it is then asked directly,
// unless hooks of a user's are in its way. whole says that answers are read here,
// for the pipeline; else their bodies end with the context, too, and so do requests
// with a body of a user's.
func Bounded(base http.RoundTripper, prompt, whole bool, calls *bounded.Calls) http.RoundTripper {
	b := &boundedBase{base: base, prompt: prompt, whole: whole}
	b.pool = bounded.Pool[*http.Request, roundTrip]{Calls: calls, What: baseName, Do: b.send, Late: roundTrip.close}
	return b
}

type boundedBase struct {
	base          http.RoundTripper
	prompt, whole bool
	pool          bounded.Pool[*http.Request, roundTrip]
}

type roundTrip struct {
	resp *http.Response
	err  error
}

func (r roundTrip) close() {
	if r.resp != nil && r.resp.Body != nil {
		_ = r.resp.Body.Close()
	}
}

// RoundTrip sends the request.
func (b *boundedBase) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	foreign := !b.whole && req.Body != nil && req.Body != http.NoBody
	if b.prompt && !foreign && passageOf(ctx) == nil {
		return b.base.RoundTrip(req)
	}
	got, err := b.pool.Call(ctx, req)
	if err != nil {
		return nil, &errLeft{err}
	}
	if !b.whole && !b.prompt && bodyToCome(got.resp) {
		got.resp.Body = bounded.NewBody(ctx, b.pool.Calls, bodyName, got.resp.Body)
	}
	return got.resp, got.err
}

func (b *boundedBase) send(req *http.Request) (r roundTrip) {
	r.resp, r.err = b.base.RoundTrip(req) //nolint:bodyclose // the caller does
	if b.whole && r.err == nil && r.resp != nil {
		readAhead(req.Context(), r.resp)
	}
	return r
}

// bodyToCome reports whether the response has a body that is still to be read. That
// of 101 is a connection, and its reader's.
func bodyToCome(resp *http.Response) bool {
	if resp == nil || resp.Body == nil || resp.Body == http.NoBody || resp.StatusCode == http.StatusSwitchingProtocols {
		return false
	}
	_, read := resp.Body.(*memoryBody)
	return !read
}

// readAhead reads the whole body, for readBody.
func readAhead(ctx context.Context, resp *http.Response) {
	x := exchangeOf(ctx)
	if x == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	body, err := readBody(resp, bodyLimit(x.op, resp.StatusCode))
	if err != nil {
		resp.Body = unreadBody{err}
		return
	}
	resp.Body = body
}

// unreadBody is a body that could not be read.
type unreadBody struct{ err error }

func (b unreadBody) Read([]byte) (int, error) { return 0, b.err }

// Close has nothing to do.
func (unreadBody) Close() error { return nil }

// Passage returns middleware whose requests end with their context, also if a
// middleware does not hear it, or a hook that a caller put into the context. Once a
// request has been left, nothing of it passes on: what the middleware does later
// reaches neither the server nor the SDK.
func Passage(middleware func(http.RoundTripper) http.RoundTripper, calls *bounded.Calls) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		p := &entrance{calls: calls, always: middleware != nil, next: &exit{next}}
		if middleware != nil {
			p.next = middleware(p.next)
		}
		return p
	}
}

type entrance struct {
	calls  *bounded.Calls
	always bool
	next   http.RoundTripper
}

// RoundTrip sends the request through the middleware.
func (e *entrance) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if !e.always && httptrace.ContextClientTrace(ctx) == nil {
		return e.next.RoundTrip(req)
	}
	p := &passage{empty: make(chan struct{})}
	req = req.WithContext(context.WithValue(ctx, passageKey{}, p))
	if ctx.Done() == nil {
		return e.next.RoundTrip(req)
	}
	got, err := bounded.Do(ctx, e.calls, middleName, func() (r roundTrip) {
		r.resp, r.err = e.next.RoundTrip(req) //nolint:bodyclose // the caller does
		return r
	}, roundTrip.close)
	if err != nil {
		p.close()
		return nil, err
	}
	if e.always && bodyToCome(got.resp) {
		got.resp.Body = bounded.NewBody(ctx, e.calls, middleName, got.resp.Body)
	}
	return got.resp, got.err
}

// exit is between the middleware and the SDK's innermost layers.
type exit struct{ next http.RoundTripper }

var errLeftBefore = errors.New("a middleware sent the request after its context had ended")

// RoundTrip lets the request pass unless it has been left.
func (e *exit) RoundTrip(req *http.Request) (*http.Response, error) {
	p := passageOf(req.Context())
	if p == nil {
		return e.next.RoundTrip(req)
	}
	ctx, cancel := context.WithCancel(req.Context())
	if !p.enter(cancel) {
		cancel()
		return nil, errLeftBefore
	}
	defer p.leave()
	resp, err := e.next.RoundTrip(req.WithContext(ctx))
	switch {
	case err != nil || resp == nil:
		cancel()
	case bodyToCome(resp):
		resp.Body = &cancelingBody{resp.Body, cancel}
	case resp.StatusCode != http.StatusSwitchingProtocols: // whose connection goes on
		cancel()
	}
	return resp, err
}

// passage is one request on its way through the middleware.
type passage struct {
	mu     sync.Mutex
	closed bool
	inside int
	cancel context.CancelFunc
	empty  chan struct{} // closed when nothing is inside after it was closed
}

type passageKey struct{}

func passageOf(ctx context.Context) *passage {
	p, _ := ctx.Value(passageKey{}).(*passage)
	return p
}

func (p *passage) enter(cancel context.CancelFunc) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.inside++
	p.cancel = cancel
	return true
}

func (p *passage) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inside--; p.closed && p.inside == 0 {
		close(p.empty)
	}
}

// close lets nothing pass any more, and waits for what is inside: the SDK's own
// layers, which end with their context.
func (p *passage) close() {
	p.mu.Lock()
	p.closed = true
	if p.inside == 0 {
		p.mu.Unlock()
		return
	}
	p.cancel()
	p.mu.Unlock()
	<-p.empty
}

// cancelingBody releases its context when it is closed.
type cancelingBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body.
func (b *cancelingBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}
