package emporix_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// A context may end for a cause of the caller's own. The error is the context's all
// the same, and names the cause.
func TestAContextThatEndsForACause(t *testing.T) {
	errClosedPage := errors.New("the visitor closed the page")
	for name, call := range map[string]func(context.Context, *emporix.Session) error{
		"a token": anonymousCall,
		"a new guest": func(ctx context.Context, s *emporix.Session) error {
			_, err := s.Auth.StartAnonymous(ctx, emporix.SessionContext{})
			return err
		},
		"Login":      func(ctx context.Context, s *emporix.Session) error { _, err := s.Auth.Login(ctx, jo); return err },
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
	for name, call := range writes {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
				logIn(t, client.DefaultSession())
				require.NoError(t, anonymousCall(t.Context(), client.DefaultSession()))
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

// The caller leaves while the server is told: the session is gone, and the error
// says so.
func TestALogoutWhoseCallerLeaves(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		logIn(t, client.DefaultSession())
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Logout", Delay: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := client.Auth.Logout(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
		assert.ErrorContains(t, err, "emporix: Auth.Logout: the session is removed, but the server did not confirm it: the answer was lost")
		assert.Equal(t, emporix.SessionNone, info(t, client.DefaultSession()).Kind)
	})
}

// A token answer that is not as documented is logged. A log handler that does not
// return keeps no caller.
func TestALogHandlerThatBlocksOnAnOddAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const guest, odd = `{"access_token":"guest","expires_in":3599}`, `{"access_token":"jo","expires_in":3599,"saas_token":5}`
		mock := httpmock.NewMockTransport()
		mock.RegisterResponder("GET", "=~anonymous/login", httpmock.NewStringResponder(200, guest))
		mock.RegisterResponder("POST", "=~/login", httpmock.NewStringResponder(200, odd))
		mock.RegisterResponder("GET", "=~optin", httpmock.NewStringResponder(200, odd))
		back := make(chan struct{})
		client, err := emporix.NewClient("acme", "storefront", emporix.WithTransport(mock), emporix.WithLogger(slog.New(stuckAtWarnings{slog.DiscardHandler, back})))
		require.NoError(t, err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = client.Session("a").Auth.Login(ctx, jo)
		assert.NoError(t, err, "the login itself was done")
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = client.Session("b").Customers.ConfirmSignUp(ctx, "token")
		assert.NoError(t, err)

		assert.ErrorContains(t, client.Close(t.Context()), "2 calls of the log handler")
		close(back)
	})
}

// A log handler of a user's may block already when it is asked for its level.
func TestALogHandlerThatBlocksWhenItIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		client := loggedIn(t, always(200, `{"id":"1"}`), emporix.WithLogger(slog.New(stuckWhenAsked{slog.DiscardHandler, back})))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.NoError(t, get(ctx, client))
		close(back)
	})
}

type stuckWhenAsked struct {
	slog.Handler
	back chan struct{}
}

func (h stuckWhenAsked) Enabled(ctx context.Context, _ slog.Level) bool {
	if _, limited := ctx.Deadline(); limited {
		<-h.back
	}
	return false
}

type stuckAtWarnings struct {
	slog.Handler
	back chan struct{}
}

func (stuckAtWarnings) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (h stuckAtWarnings) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "emporix: odd token answer" {
		<-h.back
	}
	return nil
}
