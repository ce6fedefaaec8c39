package emporix_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// A context may end for a cause of the caller's own. The error is the context's all
// the same, and names the cause.
func TestAContextThatEndsForACause(t *testing.T) {
	errClosedPage := errors.New("the visitor closed the page")
	for name, call := range map[string]func(context.Context, *emporix.Session) error{
		"a token": fixture.AnonymousCall,
		"a new guest": func(ctx context.Context, s *emporix.Session) error {
			_, err := s.Auth.StartAnonymous(ctx, emporix.SessionContext{})
			return err
		},
		"Login": func(ctx context.Context, s *emporix.Session) error {
			_, err := s.Auth.Login(ctx, fixture.Jo)
			return err
		},
		"Logout":     func(ctx context.Context, s *emporix.Session) error { return s.Auth.Logout(ctx) },
		"Refresh":    func(ctx context.Context, s *emporix.Session) error { _, err := s.Auth.Refresh(ctx); return err },
		"Info":       func(ctx context.Context, s *emporix.Session) error { _, err := s.Info(ctx); return err },
		"SaaSToken":  func(ctx context.Context, s *emporix.Session) error { _, err := s.SaaSToken(ctx); return err },
		"MoveTo":     func(ctx context.Context, s *emporix.Session) error { _, err := s.MoveTo(ctx, "other"); return err },
		"RenewIfDue": func(ctx context.Context, s *emporix.Session) error { return s.RenewIfDue(ctx) },
		"HTTPClient": func(ctx context.Context, s *emporix.Session) error {
			req, err := http.NewRequestWithContext(ctx, "GET", "https://fake.emporix.test/cart", http.NoBody)
			require.NoError(t, err)
			resp, err := s.HTTPClient().Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := slowStore{emporix.NewMemoryStore(0)}
				s := emporixtest.New(t).Client(t, emporix.WithTokenStore(store)).Session("visitor")

				canceled, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Millisecond, func() { cancel(errClosedPage) })
				err := call(canceled, s)
				assert.ErrorIs(t, err, context.Canceled)
				assert.ErrorIs(t, err, errClosedPage)

				late, end := context.WithTimeoutCause(t.Context(), time.Millisecond, errClosedPage)
				defer end()
				err = call(late, s)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorIs(t, err, errClosedPage)
				time.Sleep(time.Minute) // what goes on by itself
			})
		})
	}
}

// slowStore takes longer than its callers wait.
type slowStore struct{ emporix.TokenStore }

func (s slowStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	select {
	case <-time.After(time.Second):
		return s.TokenStore.Load(ctx, key)
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// While the caller's context lasts, no other context's end is the caller's.
func TestALimitThatIsNotTheCallers(t *testing.T) {
	quick := emporix.Timeouts{Store: 500 * time.Millisecond}
	for name, tt := range map[string]struct {
		store    emporix.TokenStore
		timeouts emporix.Timeouts
		kind     error
	}{
		"a store that is too slow":         {slowStore{emporix.NewMemoryStore(0)}, quick, emporix.ErrStoreUnavailable},
		"a lease that another process has": {othersLease{emporix.NewMemoryStore(0)}, quick, emporix.ErrUnavailable},
		// The store is as quick as it has to be, and a renewal has less time than that.
		"a renewal that is too slow": {slowStore{emporix.NewMemoryStore(0)}, emporix.Timeouts{Refresh: 500 * time.Millisecond}, emporix.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := emporixtest.New(t).Client(t, emporix.WithTokenStore(tt.store), emporix.WithTimeouts(tt.timeouts)).Session("visitor")
				_, refreshErr := s.Auth.Refresh(t.Context())
				_, moveErr := s.MoveTo(t.Context(), "other")
				failed := []error{refreshErr, moveErr}
				if _, slow := tt.store.(slowStore); slow { // what begins a session needs no lease
					_, getErr := s.Customers.Get(t.Context())
					_, startErr := s.Auth.StartAnonymous(t.Context(), emporix.SessionContext{})
					_, httpErr := s.HTTPClient().Get("https://fake.emporix.test/cart/")
					failed = append(failed, getErr, startErr, httpErr)
				}
				for _, err := range failed {
					assert.ErrorIs(t, err, tt.kind)
					assert.NotErrorIs(t, err, context.DeadlineExceeded)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// othersLease is a store whose rows another process renews, and never ends.
type othersLease struct{ emporix.LeaseTokenStore }

func (othersLease) Acquire(context.Context, string, string, time.Duration) (acquired, abandoned bool, err error) {
	return false, false, nil
}

// What was never sent has not been done.
func TestAContextThatHasEndedBefore(t *testing.T) {
	for name, call := range fixture.Writes {
		t.Run(name, func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
				fixture.LogIn(t, client.DefaultSession())
				require.NoError(t, fixture.AnonymousCall(t.Context(), client.DefaultSession()))
				sent := fake.Calls(t, name)
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				err := call(ended, client)
				assert.ErrorIs(t, err, context.Canceled)
				assert.NotErrorIs(t, err, emporix.ErrOutcomeUnknown)
				if name != "Auth.Refresh" && name != "Auth.Logout" { // which go on by themselves
					assert.Equal(t, sent, fake.Calls(t, name))
				}
			})
		})
	}
}

func TestAPanicInTheEmployeeTokenFunction(t *testing.T) {
	fake := emporixtest.New(t)
	client, err := emporix.NewClient("acme", "storefront", emporix.WithTransport(fake.Transport()), emporix.WithBaseURL(fake.URL()),
		emporix.WithEmployeeToken(func(context.Context) (emporix.Secret, error) { panic("CANARY") }))
	require.NoError(t, err)
	err = client.Customers.Activate(t.Context(), "1")
	assert.EqualError(t, err, "emporix: Customers.Activate: token (employee): invalid argument: WithEmployeeToken panicked")
}

// A function may ask for the token with this SDK: what became of that request says
// nothing about the call, which was not sent.
func TestAnEmployeeTokenWhoseAnswerIsLost(t *testing.T) {
	fake := emporixtest.New(t)
	fake.Fail(t, emporixtest.Fault{Operation: "OAuth.Token", Cut: emporixfake.CutAfter})
	other := fake.Client(t)
	client, err := emporix.NewClient("acme", "storefront", emporix.WithTransport(fake.Transport()), emporix.WithBaseURL(fake.URL()),
		emporix.WithEmployeeToken(func(context.Context) (emporix.Secret, error) {
			_, err := other.HTTPClient().PostForm(fake.URL()+"/oauth/token", url.Values{"grant_type": {"client_credentials"}})
			return emporix.Secret{}, err
		}))
	require.NoError(t, err)
	err = client.Customers.Activate(t.Context(), "1")
	assert.ErrorIs(t, err, emporix.ErrUnavailable)
	assert.NotErrorIs(t, err, emporix.ErrOutcomeUnknown)
	assert.NotContains(t, err.Error(), "may have been processed")
	fake.AssertCalls(t, "Customers.Activate", 0)
}

const plainJSON, mergePatch = "application/json", "application/merge-patch+json"

// requestTest is a call, what the server answers to it, and the request that it
// must make.
type requestTest struct {
	status int
	answer string
	call   fixture.Call
	want   fixture.Request
}

func sent(request, bearer, contentType, body string) fixture.Request {
	return fixture.Request{Request: request, Bearer: bearer, ContentType: contentType, Body: body}
}

func runRequests(t *testing.T, tests map[string]requestTest) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server, client := fixture.NewServer(t, "", fixture.WithStaff())
			server.Status, server.Body = tt.status, tt.answer
			var raw emporix.RawResponse
			require.NoError(t, tt.call(emporix.WithRawResponse(t.Context(), &raw), client))
			require.Len(t, server.Seen(), 1)
			assert.Equal(t, tt.status, raw.StatusCode(), "each call keeps its response on request")
			assert.NotEmpty(t, raw.Operation())
			got := server.Seen()[0]
			if tt.want.Body != "" {
				assert.JSONEq(t, tt.want.Body, got.Body)
				got.Body = tt.want.Body
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

// At the default level an operator sees what fails, and how much of it was left out,
// and not what visitors do.
func TestCallsThatFailAreLoggedAtWarn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		fake := fixture.Fake(t)
		client := fake.Client(t, emporix.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), emporix.WithRetries(emporix.Retries{MaxAttempts: 1}))
		fixture.LogIn(t, client.DefaultSession())
		lines := func(do func()) []string {
			log.Reset()
			do()
			var warned []string
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "level=WARN") {
					warned = append(warned, line)
				}
			}
			return warned
		}
		get := func() { _, _ = client.Customers.Get(t.Context()) }

		assert.Empty(t, lines(get), "what works is logged at debug")
		fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Status: 503, Times: 6})
		first := lines(get)
		require.Len(t, first, 1)
		for _, want := range []string{`msg="emporix: call failed"`, "operation=Customers.Get", "status=503", "attempts=1"} {
			assert.Contains(t, first[0], want)
		}
		assert.Empty(t, lines(func() { get(); get(); get() }), "within a second")
		time.Sleep(time.Second)
		next := lines(get)
		require.Len(t, next, 1)
		assert.Contains(t, next[0], "left_out=3")
		time.Sleep(time.Second)
		again := lines(get)
		require.Len(t, again, 1)
		assert.NotContains(t, again[0], "left_out")

		for name, tt := range map[string]struct {
			fault emporixtest.Fault
			call  func()
			warns bool
		}{
			"forbidden":   {emporixtest.Fault{Operation: "Customers.Get", Status: 403}, get, true},
			"limited":     {emporixtest.Fault{Operation: "Customers.Get", Status: 429}, get, true},
			"bad":         {emporixtest.Fault{Operation: "Customers.Get", Body: emporixfake.BodyHTML}, get, true},
			"not found":   {emporixtest.Fault{Operation: "Customers.Get", Status: 404}, get, false},
			"conflict":    {emporixtest.Fault{Operation: "Customers.Get", Status: 409}, get, false},
			"bad request": {emporixtest.Fault{Operation: "Customers.Get", Status: 400}, get, false},
			"wrong password": {emporixtest.Fault{Operation: "Customers.Get", Status: 404}, func() {
				_, _ = client.Session("v").Auth.Login(t.Context(), emporix.LoginRequest{Email: fixture.Jo.Email, Password: "wrong horse"})
				get()
			}, false},
			"gone": {emporixtest.Fault{Operation: "Customers.Get", Status: 404}, func() {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_, _ = client.Customers.Get(ctx)
				get()
			}, false},
		} {
			time.Sleep(time.Second)
			fake.Fail(t, tt.fault)
			assert.Equal(t, tt.warns, len(lines(tt.call)) == 1, "%s: %s", name, &log)
		}
	})
}
