package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/transport"
)

// A kept connection that dies is where net/http repeats requests on its own, so
// every call here meets one.
func TestACutConnectionDoublesNothingThatMatters(t *testing.T) {
	for _, op := range everyOperation() {
		for name, cut := range stages {
			t.Run(op.Name+" cut "+name, func(t *testing.T) {
				t.Parallel()
				server := newDouble(t)
				p := pipeline(t, server.url)
				warm, err := send(t.Context(), p, callOf(op))
				require.NoError(t, err)
				warm.Release()
				server.arm(cut)

				answer, err := send(t.Context(), p, callOf(op))
				if op.Retry == operation.Safe || op.Retry == operation.Repeatable {
					require.NoError(t, err)
					assert.Equal(t, 200, answer.Status)
					assert.Equal(t, 2, server.count())
					return
				}
				var failed *failure.Failure
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, failure.KindLost, failed.Kind, err)
				assert.Equal(t, 1, failed.Attempts)
				assert.Equal(t, 1, server.count(), "requests on the wire")
			})
		}
	}
}

// A header that lets net/http repeat a POST does not reach it.
func TestAnIdempotencyKeyDoublesNothing(t *testing.T) {
	for _, op := range []*operation.Operation{operation.CustomersSignUp, operation.AuthSocialLogin, operation.AuthRefresh} {
		server := newDouble(t)
		p := pipeline(t, server.url, middleware(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Header.Set("Idempotency-Key", "1")
			r.Header["X-Idempotency-Key"] = []string{"1"}
			return next.RoundTrip(r)
		}))
		_, err := send(t.Context(), p, callOf(op))
		require.NoError(t, err)
		server.arm(afterBody)
		_, err = send(t.Context(), p, callOf(op))
		require.Error(t, err)
		assert.Equal(t, 1, server.count(), op.Name)
	}
}

// The guard against a second request must not be visible on the wire: a GET and a
// DELETE say nothing of a body, and a POST without one says that it is empty.
func TestOnceLooksLikeAnyOtherGet(t *testing.T) {
	for _, op := range everyOperation() {
		call := callOf(op)
		if call.Body != nil {
			continue
		}
		for _, secure := range []bool{false, true} {
			server := newDouble(t)
			change := func(*transport.Config) {}
			if secure {
				server = newSecureDouble(t)
				network := trusting(certified())
				t.Cleanup(network.CloseIdleConnections)
				change = func(cfg *transport.Config) { cfg.Base, cfg.Direct = network, true }
			}
			p := pipeline(t, server.url, change)
			for range 2 {
				answer, err := send(t.Context(), p, callOf(op))
				require.NoError(t, err)
				answer.Release()
			}
			for _, raw := range server.raw {
				assert.NotContains(t, raw, "Transfer-Encoding", op.Name)
				assert.Equal(t, op.Method == http.MethodPost, strings.Contains(raw, "Content-Length: 0\r\n"), op.Name)
				assert.Equal(t, op.Method == http.MethodPost, strings.Contains(raw, "Content-Length"), op.Name)
				assert.True(t, strings.HasSuffix(raw, "\r\n\r\n"), op.Name)
			}
			assert.Len(t, server.raw, 2)
		}
	}
	server := newDouble(t)
	p := pipeline(t, server.url)
	_, err := send(t.Context(), p, callOf(operation.AuthRefresh))
	require.NoError(t, err)
	assert.Equal(t, "GET /customer/acme/refreshauthtoken?plain=shown&refreshToken=query+CANARY%2F2%2B%3F HTTP/1.1", strings.Split(server.raw[0], "\r\n")[0])
}

func TestADeadHost(t *testing.T) {
	const dead = "http://127.0.0.1:1" // a port that was free a moment ago may be another process's now
	for _, op := range everyOperation() {
		t.Run(op.Name, func(t *testing.T) {
			t.Parallel()
			_, err := send(t.Context(), pipeline(t, dead), callOf(op))
			var failed *failure.Failure
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, failure.KindNotSent, failed.Kind)
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
			want := 3
			if op.Retry == operation.Once {
				want = 1
			}
			assert.Equal(t, want, failed.Attempts)
		})
	}
}

// transport of a test: what to answer, by attempt.
func middleware(do func(*http.Request, http.RoundTripper) (*http.Response, error)) func(*transport.Config) {
	return func(cfg *transport.Config) {
		cfg.Middleware = func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) { return do(r, next) })
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func base(f roundTripper) func(*transport.Config) {
	return func(cfg *transport.Config) { cfg.Base = f }
}

func answer(status int, text string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text))}
}

func TestStatusesThatAreTriedAgain(t *testing.T) {
	always := []int{http.StatusTooManyRequests}
	safe := []int{408, 429, 502, 503, 504}
	for class, op := range map[operation.Class]*operation.Operation{
		operation.Safe: operation.CustomersGet, operation.Repeatable: operation.AddressesDelete,
		operation.Unsent: operation.CustomersSignUp, operation.Once: operation.AuthRefresh,
	} {
		for _, status := range []int{200, 204, 301, 400, 401, 403, 404, 408, 409, 418, 429, 500, 501, 502, 503, 504, 505, 599, 999} {
			synctest.Test(t, func(t *testing.T) {
				var seen int
				p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) {
					seen++
					return answer(status, ""), nil
				}))
				got, err := send(t.Context(), p, callOf(op))
				require.NoError(t, err)
				assert.Equal(t, status, got.Status)
				want := 1
				switch class {
				case operation.Safe, operation.Repeatable:
					for _, s := range safe {
						if s == status {
							want = 3
						}
					}
				case operation.Unsent:
					if status == always[0] {
						want = 3
					}
				}
				assert.Equal(t, want, seen, "%s %d", op.Name, status)
				assert.Equal(t, want, got.Attempts)
			})
		}
	}
}

func TestRetryAfter(t *testing.T) {
	date := func(d time.Duration) func() string {
		return func() string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	}
	text := func(s string) func() string { return func() string { return s } }
	const jitter = 300 * time.Millisecond // of both waits together
	tests := map[string]struct {
		values   []func() string
		attempts int
		least    time.Duration
		most     time.Duration
		asked    time.Duration
	}{
		"seconds":          {[]func() string{text("3")}, 3, 6 * time.Second, 6 * time.Second, 3 * time.Second},
		"date":             {[]func() string{date(5 * time.Second)}, 3, 8 * time.Second, 10 * time.Second, 5 * time.Second},
		"at the limit":     {[]func() string{text("30")}, 3, time.Minute, time.Minute, 30 * time.Second},
		"above the limit":  {[]func() string{text("31")}, 1, 0, 0, 31 * time.Second},
		"a day":            {[]func() string{text("86400")}, 1, 0, 0, 24 * time.Hour},
		"a far date":       {[]func() string{text("Fri, 31 Dec 2999 23:59:59 GMT")}, 1, 0, 0, 365 * 24 * time.Hour},
		"overflows int64":  {[]func() string{text("9300000000")}, 1, 0, 0, 365 * 24 * time.Hour},
		"overflows uint64": {[]func() string{text("99999999999999999999999")}, 1, 0, 0, 365 * 24 * time.Hour},
		"negative":         {[]func() string{text("-1")}, 3, 0, jitter, 0},
		"zero":             {[]func() string{text("0")}, 3, 0, jitter, 0},
		"junk":             {[]func() string{text("soon")}, 3, 0, jitter, 0},
		"fraction":         {[]func() string{text("1.5")}, 3, 0, jitter, 0},
		"empty":            {[]func() string{text("")}, 3, 0, jitter, 0},
		"a past date":      {[]func() string{date(-time.Hour)}, 3, 0, jitter, 0},
		"two":              {[]func() string{text("86400"), text("1")}, 3, 0, jitter, 0},
		"none":             {nil, 3, 0, jitter, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) {
					var headers []string
					for _, value := range tt.values {
						headers = append(headers, "Retry-After", value())
					}
					return answer(429, "", headers...), nil
				}))
				began := time.Now()
				got, err := send(t.Context(), p, callOf(operation.CustomersGet))
				took := time.Since(began)
				require.NoError(t, err)
				assert.Equal(t, tt.attempts, got.Attempts)
				assert.GreaterOrEqual(t, took, tt.least)
				assert.LessOrEqual(t, took, tt.most)
				assert.InDelta(t, tt.asked, got.RetryAfter, float64(time.Second))
				assert.Equal(t, tt.asked == 0, got.RetryAfter == 0)
			})
		})
	}
}

// A date is measured by the clock of the server that wrote it.
func TestRetryAfterByTheServersClock(t *testing.T) {
	for _, ahead := range []time.Duration{-25 * time.Hour, -time.Hour, -5 * time.Second, 0, 5 * time.Second, time.Hour, 365 * 24 * time.Hour} {
		for _, layout := range []string{http.TimeFormat, time.RFC850, time.ANSIC} {
			t.Run(fmt.Sprint(ahead, layout), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) {
						theirs := time.Now().Add(ahead).UTC()
						return answer(503, "", "Date", theirs.Format(http.TimeFormat), "Retry-After", strings.ReplaceAll(theirs.Add(20*time.Second).Format(layout), "UTC", "GMT")), nil
					}))
					began := time.Now()
					got, err := send(t.Context(), p, callOf(operation.CustomersGet))
					require.NoError(t, err)
					assert.Equal(t, 3, got.Attempts)
					assert.Equal(t, 20*time.Second, got.RetryAfter)
					assert.Equal(t, 40*time.Second, time.Since(began))
				})
			})
		}
	}
	synctest.Test(t, func(t *testing.T) { // a date that can't be read is none
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) {
			return answer(503, "", "Date", "yesterday", "Retry-After", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat)), nil
		}))
		got, err := send(t.Context(), p, callOf(operation.CustomersGet))
		require.NoError(t, err)
		assert.Equal(t, 20*time.Second, got.RetryAfter)
	})
}

// A caller whose deadline leaves no time for another try is told at once, and
// told why.
func TestTheDeadlineIsNotSleptOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }))
		busy := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(503, "", "Retry-After", "7"), nil }))
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := send(ctx, refused, callOf(operation.CustomersGet))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.NotContains(t, err.Error(), "%!")
		got, err := send(ctx, busy, callOf(operation.CustomersGet))
		require.NoError(t, err)
		assert.True(t, got.LateDeadline)
		assert.Equal(t, 7*time.Second, got.RetryAfter)
		assert.Zero(t, time.Since(began))
		assert.NoError(t, ctx.Err())
	})
}

// Another try is due only if its wait, at its longest, ends before the deadline.
func TestATryThatTheDeadlineLeavesTimeFor(t *testing.T) {
	for name, tt := range map[string]struct {
		asked    string // Retry-After
		deadline time.Duration
		attempts int
	}{
		"the longest wait":     {"", 100 * time.Millisecond, 1},
		"a little longer":      {"", 100*time.Millisecond + 1, 2},
		"what the server asks": {"7", 7 * time.Second, 1},
		"longer than that":     {"7", 7*time.Second + 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline(t, "https://api.test", func(cfg *transport.Config) { cfg.MaxAttempts = 2 },
					base(func(*http.Request) (*http.Response, error) { return answer(503, "", "Retry-After", tt.asked), nil }))
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				got, err := send(ctx, p, callOf(operation.CustomersGet))
				require.NoError(t, err)
				assert.Equal(t, tt.attempts, got.Attempts)
				assert.Equal(t, tt.attempts == 1, got.LateDeadline)
			})
		})
	}
}

// The waits are anything below a ceiling that doubles, after answers and errors.
func TestWaits(t *testing.T) {
	for name, fails := range map[string]func() (*http.Response, error){
		"answers": func() (*http.Response, error) { return answer(503, ""), nil },
		"errors":  func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
	} {
		synctest.Test(t, func(t *testing.T) {
			var longest, shortest [3]time.Duration
			for i := range 100 {
				var at []time.Time
				p := pipeline(t, "https://api.test", func(cfg *transport.Config) { cfg.MaxAttempts = 4 }, base(func(*http.Request) (*http.Response, error) {
					at = append(at, time.Now())
					return fails()
				}))
				_, _ = send(t.Context(), p, callOf(operation.CustomersGet))
				require.Len(t, at, 4)
				for n := range longest {
					wait := at[n+1].Sub(at[n])
					longest[n] = max(longest[n], wait)
					if i == 0 || wait < shortest[n] {
						shortest[n] = wait
					}
				}
			}
			for n, ceiling := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
				assert.LessOrEqual(t, longest[n], ceiling, "%s %d", name, n)
				assert.Greater(t, longest[n], ceiling*3/4, "%s %d", name, n)
				assert.Less(t, shortest[n], ceiling/4, "%s %d", name, n)
			}
		})
	}
}

func TestACancelledWaitEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return answer(503, "", "Retry-After", "20"), nil }))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		_, err := send(ctx, p, callOf(operation.CustomersGet))
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, time.Second, time.Since(began))
		var failed *failure.Failure
		require.ErrorAs(t, err, &failed)
		assert.True(t, failed.Ended)
		assert.Equal(t, failure.KindLost, failed.Kind)
	})
}

// One visitor's cancelled call, or failed one, costs the others no connection.
func TestIdleConnectionsOfOthersSurvive(t *testing.T) {
	const others = 20
	var dials atomic.Int32
	var gate sync.WaitGroup
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/customer/acme/me/addresses" {
			gate.Done()
			gate.Wait() // all at once, so that each has a connection
			return
		}
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(503)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dials.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	p := pipeline(t, server.URL)
	all := func() {
		gate.Add(others)
		var done sync.WaitGroup
		for range others {
			done.Go(func() {
				_, err := send(t.Context(), p, callOf(operation.AddressesList))
				assert.NoError(t, err)
			})
		}
		done.Wait()
	}
	all()
	require.EqualValues(t, others, dials.Load())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	_, err := send(ctx, p, callOf(operation.CustomersGet)) // cancelled while it waits for its second try
	require.ErrorIs(t, err, context.Canceled)
	answer, err := send(t.Context(), p, callOf(operation.CustomersSignUp)) // failed for good
	require.NoError(t, err)
	assert.Equal(t, 503, answer.Status)
	all()
	assert.EqualValues(t, others, dials.Load(), "connections")
}

// In an outage retries stop: a full budget is for a hundred of them, or for fifty
// that end in a timeout, however long all went well before.
func TestTheBudgetEndsRetriesInAnOutage(t *testing.T) {
	for name, tt := range map[string]struct {
		fails   func() (*http.Response, error)
		retries int
	}{
		"answers":  {func() (*http.Response, error) { return answer(503, ""), nil }, 100},
		"errors":   {func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, 100},
		"timeouts": {func() (*http.Response, error) { return nil, transport.TimedOut(time.Second) }, 50},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const offered = 1000
				reached, well := 0, true
				p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) {
					if well {
						return answer(200, ""), nil
					}
					reached++
					return tt.fails()
				}))
				for range offered {
					_, err := send(t.Context(), p, callOf(operation.CustomersGet))
					require.NoError(t, err)
				}
				well = false
				for range offered {
					_, _ = send(t.Context(), p, callOf(operation.CustomersGet))
				}
				assert.Equal(t, offered+tt.retries, reached)
			})
		})
	}
}

// After the outage, five answered calls earn one retry again. A response that the
// server is in trouble earns nothing.
func TestTheBudgetRecovers(t *testing.T) {
	for answered, tries := range map[int]int{200: 3, 404: 3, 499: 3, 408: 1, 429: 1, 500: 1, 501: 1} {
		synctest.Test(t, func(t *testing.T) {
			status, reached := 503, 0
			p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) {
				reached++
				return answer(status, ""), nil
			}))
			send := func(n int) {
				for range n {
					_, err := send(t.Context(), p, callOf(operation.CustomersGet))
					require.NoError(t, err)
				}
			}
			send(1000)
			status = answered
			send(10)
			status, reached = 503, 0
			send(1)
			assert.Equal(t, tries, reached, answered)
			send(1)
			assert.Equal(t, tries+1, reached, "the retries that were earned are spent")
		})
	}
}

// A transport's timeout is one for the caller of the SDK too.
func TestATimeoutIsOne(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"the attempt's":  {transport.TimedOut(time.Second), true},
		"the dialer's":   {&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, true},
		"a deadline":     {fmt.Errorf("dial: %w, %w", context.DeadlineExceeded, syscall.ECONNRESET), true},
		"cancelled":      {fmt.Errorf("dial: %w, %w", context.Canceled, syscall.ECONNRESET), false},
		"something else": {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, false},
	} {
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return nil, tt.err }), func(cfg *transport.Config) { cfg.MaxAttempts = 1 })
		_, err := send(t.Context(), p, callOf(operation.CustomersGet))
		var asked interface{ Timeout() bool }
		require.ErrorAs(t, err, &asked, name)
		assert.Equal(t, tt.want, asked.Timeout(), name)
		assert.NotErrorIs(t, err, context.DeadlineExceeded, name)
		assert.NotErrorIs(t, err, context.Canceled, "%s: it is not the caller's end", name)
		assert.Equal(t, errors.Is(tt.err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNRESET), name)
	}
}

// A middleware that repeats a request would undo all of this.
func TestAMiddlewareCannotSendTwice(t *testing.T) {
	for _, op := range everyOperation() {
		var seen int
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { seen++; return nil, io.ErrUnexpectedEOF }),
			middleware(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				if resp, err := next.RoundTrip(r); err == nil {
					return resp, nil
				}
				return next.RoundTrip(r)
			}))
		_, err := send(t.Context(), p, callOf(op))
		var failed *failure.Failure
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, failure.KindLost, failed.Kind)
		assert.Equal(t, 1, seen, op.Name)
	}
}

// A first try that never got a connection does not turn a 404 into a success.
func TestNoConnectionIsNoAmbiguousTry(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	broken := newDouble(t) // speaks no TLS: cuts the handshake
	broken.arm(atFirstByte)
	network := transport.NewNetwork()
	t.Cleanup(network.CloseIdleConnections)
	tries := 0
	p := pipeline(t, plain.URL, base(func(r *http.Request) (*http.Response, error) {
		if tries++; tries == 1 {
			r = r.Clone(r.Context())
			r.URL.Scheme, r.URL.Host = "https", strings.TrimPrefix(broken.url, "http://")
		}
		return network.RoundTrip(r)
	}))
	got, err := send(t.Context(), p, callOf(operation.AddressesDelete))
	require.NoError(t, err)
	assert.Equal(t, 404, got.Status)
	assert.Equal(t, 2, got.Attempts)
	assert.False(t, got.MaybeDone)
}

func TestAmbiguousTries(t *testing.T) {
	for name, tt := range map[string]struct {
		first func() (*http.Response, error)
		maybe bool
	}{
		"lost":     {func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, true},
		"502":      {func() (*http.Response, error) { return answer(502, ""), nil }, true},
		"503":      {func() (*http.Response, error) { return answer(503, ""), nil }, true},
		"429":      {func() (*http.Response, error) { return answer(429, ""), nil }, false},
		"no route": {func() (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) {
				if tries++; tries == 1 {
					return tt.first()
				}
				return answer(404, ""), nil
			}))
			got, err := send(t.Context(), p, callOf(operation.AddressesDelete))
			require.NoError(t, err)
			assert.Equal(t, tt.maybe, got.MaybeDone)
		})
	}
}

// What another try can't mend is not tried again.
func TestCertificatesAreNotTriedAgain(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for name, tt := range map[string]struct{ url, text string }{
		"unknown authority": {secure.URL, "certificate"},
		"no TLS at all":     {strings.Replace(plain.URL, "http:", "https:", 1), "the server speaks http, not https"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := send(t.Context(), pipeline(t, tt.url), callOf(operation.CustomersGet))
			var failed *failure.Failure
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, 1, failed.Attempts)
			assert.ErrorContains(t, err, tt.text)
		})
	}
}

func TestFinalErrors(t *testing.T) {
	for _, final := range []error{
		&tls.CertificateVerificationError{Err: io.EOF}, x509.UnknownAuthorityError{}, x509.HostnameError{Certificate: &x509.Certificate{}},
		x509.CertificateInvalidError{}, url.EscapeError("%zz"), tls.RecordHeaderError{Msg: "no TLS"},
	} {
		p := pipeline(t, "https://api.test", base(func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("at the wire: %w", final) }))
		_, err := send(t.Context(), p, callOf(operation.CustomersGet))
		var failed *failure.Failure
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, 1, failed.Attempts, "%T", final)
	}
}

// An attempt ends in time, whatever the server draws out.
func TestAnAttemptEndsInTime(t *testing.T) {
	for name, trickle := range map[string]func(http.ResponseWriter){
		"no response": func(http.ResponseWriter) {},
		"headers only": func(w http.ResponseWriter) {
			_ = http.NewResponseController(w).Flush()
		},
		"byte by byte": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for {
					trickle(w)
					select {
					case <-tick.C:
					case <-r.Context().Done():
						return
					}
				}
			}))
			t.Cleanup(server.Close)
			p := pipeline(t, server.URL, func(cfg *transport.Config) { cfg.AttemptTimeout, cfg.MaxAttempts = 60*time.Millisecond, 2 })
			_, err := send(t.Context(), p, callOf(operation.CustomersGet))
			assert.NotErrorIs(t, err, context.DeadlineExceeded)
			assert.ErrorContains(t, err, "timed out after 60ms")
			var failed *failure.Failure
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, 2, failed.Attempts)
		})
	}
}

// The limit that a middleware sets is not called the SDK's, nor the caller's.
func TestALimitOfAMiddleware(t *testing.T) {
	for _, headers := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := pipeline(t, "https://api.test", base(func(r *http.Request) (*http.Response, error) {
				if headers {
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: hangingBody{r.Context()}}, nil
				}
				<-r.Context().Done()
				return nil, r.Context().Err()
			}), middleware(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				ctx, cancel := context.WithTimeout(r.Context(), time.Second)
				defer cancel()
				return next.RoundTrip(r.WithContext(ctx))
			}))
			_, err := send(t.Context(), p, callOf(operation.AuthLogin))
			assert.NotErrorIs(t, err, context.DeadlineExceeded)
			assert.ErrorContains(t, err, "a middleware ended the request")
			assert.NotContains(t, err.Error(), "5s")
		})
	}
}

type hangingBody struct{ ctx context.Context }

func (b hangingBody) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

func (hangingBody) Close() error { return nil }

// brokenConn takes no byte any more once it is broken.
type brokenConn struct {
	net.Conn
	broken *atomic.Bool
}

func (c brokenConn) Write(p []byte) (int, error) {
	if c.broken.CompareAndSwap(true, false) {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

// A body that the caller did not wait for is the caller's end, and no timeout of
// the SDK's; also an error's body.
func TestACallerWhoLeavesInTheMidstOfABody(t *testing.T) {
	for _, status := range []int{200, 404} {
		synctest.Test(t, func(t *testing.T) {
			p := pipeline(t, "https://api.test", base(func(r *http.Request) (*http.Response, error) {
				resp := answer(status, "")
				resp.Body = io.NopCloser(untilDone{r.Context()})
				return resp, nil
			}))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := send(ctx, p, callOf(operation.CustomersGet))
			assert.ErrorIs(t, err, context.Canceled)
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "timed out")
		})
	}
}

type untilDone struct{ context.Context }

func (u untilDone) Read([]byte) (int, error) { <-u.Done(); return 0, u.Err() }

// Of a request that a dead connection took nothing of, the user notices nothing.
func TestAConnectionThatTakesNothing(t *testing.T) {
	for _, op := range []*operation.Operation{operation.CustomersGet, operation.CustomersSignUp, operation.CustomersUpdate, operation.AuthSocialLogin} {
		server := newDouble(t)
		var broken atomic.Bool
		network := transport.NewNetwork()
		t.Cleanup(network.CloseIdleConnections)
		dial := network.DialContext
		network.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return brokenConn{conn, &broken}, err
		}
		p := pipeline(t, server.url, base(network.RoundTrip))
		warm, err := send(t.Context(), p, callOf(op))
		require.NoError(t, err)
		warm.Release()
		server.arm()
		broken.Store(true)
		_, err = send(t.Context(), p, callOf(op))
		require.NoError(t, err, op.Name)
		assert.Equal(t, 1, server.count(), op.Name)
	}
}
