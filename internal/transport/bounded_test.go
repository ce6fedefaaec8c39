package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/bounded"
	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/transport"
)

// soon is how much later than its context a request may end.
const soon = 20 * time.Millisecond

// slowBody is a body whose Read takes an hour, whatever any context says.
type slowBody struct{ closed atomic.Bool }

func (*slowBody) Read([]byte) (int, error) { time.Sleep(time.Hour); return 0, io.EOF }
func (b *slowBody) Close() error           { b.closed.Store(true); return nil }

func request(ctx context.Context, t *testing.T, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.test/", body)
	require.NoError(t, err)
	return req
}

// A request ends with its context, also where the base does not hear it.
func TestBounded_ABaseThatDoesNotHear(t *testing.T) {
	for name, tt := range map[string]struct {
		prompt, whole bool
		hooked        bool // a user's hooks are in the way
		body          io.Reader
		left          bool
	}{
		"a user's":                     {left: true},
		"ours":                         {prompt: true},
		"ours, an empty body":          {prompt: true, body: http.NoBody},
		"ours, a user's body":          {prompt: true, body: strings.NewReader("x"), left: true},
		"ours, the pipeline's body":    {prompt: true, whole: true, body: strings.NewReader("x")},
		"ours, behind a user's hooks":  {prompt: true, whole: true, hooked: true, left: true},
		"a user's, the pipeline's":     {whole: true, left: true},
		"a user's, behind other hooks": {hooked: true, left: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls bounded.Calls
				body := &slowBody{}
				base := transport.Bounded(roundTripper(func(*http.Request) (*http.Response, error) {
					time.Sleep(time.Hour)
					return &http.Response{StatusCode: 200, Body: body}, nil
				}), tt.prompt, tt.whole, &calls)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if tt.hooked {
					ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{})
					base = transport.Passage(nil, &calls)(base)
				}
				began := time.Now()
				resp, err := base.RoundTrip(request(ctx, t, tt.body))
				if !tt.left {
					require.NoError(t, err)
					assert.Same(t, body, resp.Body)
					assert.Equal(t, time.Hour, time.Since(began))
					return
				}
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorContains(t, err, context.DeadlineExceeded.Error())
				assert.LessOrEqual(t, time.Since(began), time.Second+2*soon)
				assert.Contains(t, calls.String(), "1 call of the transport")
				time.Sleep(time.Hour)
				assert.Empty(t, calls.String())
				assert.True(t, body.closed.Load(), "of the response that came too late")
			})
		})
	}
}

// So do the bodies of answers that others read. A connection (101) is its reader's.
func TestBounded_Bodies(t *testing.T) {
	own := func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) { return next.RoundTrip(r) })
	}
	ways := map[string]func(http.RoundTripper, *bounded.Calls) http.RoundTripper{
		"a user's": func(base http.RoundTripper, calls *bounded.Calls) http.RoundTripper {
			return transport.Bounded(base, false, false, calls)
		},
		"a middleware": func(base http.RoundTripper, calls *bounded.Calls) http.RoundTripper {
			return transport.Passage(own, calls)(base)
		},
		"ours": func(base http.RoundTripper, calls *bounded.Calls) http.RoundTripper {
			return transport.Bounded(base, true, false, calls)
		},
		"the pipeline's": func(base http.RoundTripper, calls *bounded.Calls) http.RoundTripper {
			return transport.Bounded(base, false, true, calls)
		},
	}
	for name, way := range ways {
		for what, tt := range map[string]struct {
			resp   *http.Response
			err    error
			toCome bool
		}{
			"a body":       {resp: &http.Response{StatusCode: 200, Body: &slowBody{}}, toCome: true},
			"none":         {resp: &http.Response{StatusCode: 204, Body: http.NoBody}},
			"nothing":      {resp: &http.Response{StatusCode: 204}},
			"a connection": {resp: &http.Response{StatusCode: 101, Body: &slowBody{}}},
			"no response":  {},
			"an error":     {err: io.ErrUnexpectedEOF},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var calls bounded.Calls
					var inside context.Context
					given := tt.resp
					base := way(roundTripper(func(r *http.Request) (*http.Response, error) {
						inside = r.Context() //nolint:fatcontext // to look at afterwards
						if given == nil {
							return nil, tt.err
						}
						answer := *given
						return &answer, nil
					}), &calls)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					resp, err := base.RoundTrip(request(ctx, t, nil))
					require.ErrorIs(t, err, tt.err)
					passed := name == "a middleware"
					assert.Equal(t, passed && !tt.toCome && what != "a connection", inside.Err() != nil, "the request's own context has ended")
					if given == nil {
						assert.Nil(t, resp)
						return
					}
					if !tt.toCome || name == "ours" || name == "the pipeline's" {
						assert.Equal(t, given.Body, resp.Body, "it is left alone")
						return
					}
					began := time.Now()
					_, err = io.ReadAll(resp.Body)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					assert.LessOrEqual(t, time.Since(began), time.Second+soon)
					assert.NotEmpty(t, calls.String())
					require.NoError(t, resp.Body.Close())
					assert.True(t, given.Body.(*slowBody).closed.Load())
					time.Sleep(time.Hour)
					assert.Empty(t, calls.String())
				})
			})
		}
	}
}

// What a middleware does after its request was left reaches nothing.
func TestPassage(t *testing.T) {
	for name, tt := range map[string]struct {
		before, after time.Duration // what the middleware takes
		base          time.Duration // what the base takes to end after its context
		detached      bool          // the middleware sends without the end of the context
		endless       bool          // the caller's context has no end
		back          time.Duration
		reached       int32
		err           error
	}{
		"in time":                {back: 0, reached: 1},
		"before":                 {before: time.Hour, back: time.Second + soon, err: context.DeadlineExceeded},
		"after":                  {after: time.Hour, back: time.Second + soon, reached: 1, err: context.DeadlineExceeded},
		"a base that hears":      {base: soon / 2, back: time.Second + soon/2, reached: 1, err: io.ErrUnexpectedEOF},
		"a base that hears late": {base: 3 * soon, back: time.Second + 3*soon, reached: 1, err: context.DeadlineExceeded},
		"detached":               {base: soon, detached: true, back: time.Second + 2*soon, reached: 1, err: context.DeadlineExceeded},
		"no end":                 {before: time.Hour, endless: true, back: time.Hour, reached: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls bounded.Calls
				var reached atomic.Int32
				var late error
				body := &slowBody{}
				p := transport.Passage(func(next http.RoundTripper) http.RoundTripper {
					return roundTripper(func(r *http.Request) (*http.Response, error) {
						time.Sleep(tt.before)
						if tt.detached {
							r = r.WithContext(context.WithoutCancel(r.Context()))
						}
						resp, err := next.RoundTrip(r)
						late = err
						time.Sleep(tt.after)
						return resp, err
					})
				}, &calls)(roundTripper(func(r *http.Request) (*http.Response, error) {
					reached.Add(1)
					if tt.base > 0 {
						<-r.Context().Done()
						time.Sleep(tt.base)
						return nil, io.ErrUnexpectedEOF
					}
					return &http.Response{StatusCode: 200, Body: body}, nil
				}))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if tt.endless {
					ctx = context.Background()
				}
				began := time.Now()
				_, err := p.RoundTrip(request(ctx, t, nil))
				require.ErrorIs(t, err, tt.err)
				assert.Equal(t, tt.back, time.Since(began))
				if tt.before+tt.after > 0 && !tt.endless {
					assert.Equal(t, "1 call of a middleware or trace", calls.String())
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				assert.Empty(t, calls.String())
				assert.Equal(t, tt.reached, reached.Load())
				assert.Equal(t, tt.after > 0, body.closed.Load(), "of a response that came too late")
				if name == "before" {
					assert.ErrorContains(t, late, "after its context had ended")
				}
			})
		})
	}
}

// Without middleware nothing is in the way, unless a caller brings hooks.
func TestPassage_OnlyWhereThereIsOne(t *testing.T) {
	for name, hooks := range map[string]*httptrace.ClientTrace{"none": nil, "a caller's hooks": {}} {
		synctest.Test(t, func(t *testing.T) {
			p := transport.Passage(nil, new(bounded.Calls))(roundTripper(func(*http.Request) (*http.Response, error) {
				time.Sleep(time.Minute)
				return nil, io.ErrUnexpectedEOF
			}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if hooks != nil {
				ctx = httptrace.WithClientTrace(ctx, hooks)
			}
			_, err := p.RoundTrip(request(ctx, t, nil))
			assert.Equal(t, hooks != nil, errors.Is(err, context.DeadlineExceeded), name)
		})
	}
}

// The pipeline reads the responses of a base that does not hear within its limits, and
// can't say of what it left that nothing was sent.
func TestBounded_InAPipeline(t *testing.T) {
	for name, tt := range map[string]struct {
		resp   func(r *http.Request) *http.Response
		kind   failure.Kind
		status int
		says   string
	}{
		"a body that does not end": {func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 200, Body: &slowBody{}}
		}, failure.KindLost, 0, "timed out after 5s"},
		"a body that is too large": {func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 200, Body: &flood{left: 9 << 20}}
		}, failure.KindUnreadable, 0, "larger than"},
		"an error's that breaks off": {func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 404, Body: broken{}}
		}, 0, 404, ""},
		"a response": {func(*http.Request) *http.Response { return answer(200, "all") }, 0, 200, ""},
		"a connection": {func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 101, Body: &slowBody{}}
		}, 0, 101, ""},
		"a connection that is closed": {func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 101, Body: &flood{left: 10}}
		}, 0, 101, ""},
		"no response at all": {func(r *http.Request) *http.Response {
			httptrace.ContextClientTrace(r.Context()).GetConn("api.test:443") // and none is obtained
			time.Sleep(time.Hour)
			return nil
		}, failure.KindLost, 0, "timed out after 5s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls bounded.Calls
				p := pipeline(t, "https://api.test", func(cfg *transport.Config) {
					cfg.Base, cfg.MaxAttempts = transport.Bounded(roundTripper(func(r *http.Request) (*http.Response, error) { return tt.resp(r), nil }), false, true, &calls), 1
				})
				got, err := send(t.Context(), p, callOf(operation.CustomersGet))
				if tt.status != 0 {
					require.NoError(t, err)
					assert.Equal(t, tt.status, got.Status)
					assert.Equal(t, tt.status == 404, got.Cut)
					assert.Equal(t, map[int]string{200: "all"}[tt.status], string(got.Body))
				} else {
					var failed *failure.Failure
					require.ErrorAs(t, err, &failed)
					assert.Equal(t, tt.kind, failed.Kind, err)
					assert.ErrorContains(t, err, tt.says)
					assert.False(t, failed.Ended)
				}
				time.Sleep(2 * time.Hour)
				assert.Empty(t, calls.String())
			})
		})
	}
}
