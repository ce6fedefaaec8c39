package emporix_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// The life of tokens, as a user of the package sees it: over the fake, in
// virtual time.

var jo = emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"}

// watcher keeps what an observer is told.
type watcher struct {
	mu     sync.Mutex
	events []emporix.Event
}

func (w *watcher) observe(e emporix.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// kinds returns the events so far, and forgets them.
func (w *watcher) kinds() (kinds []emporix.EventKind) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		kinds = append(kinds, e.Kind)
	}
	w.events = nil
	return kinds
}

// inVirtualTime runs a test against a fake of its own, with Jo as a customer.
func inVirtualTime(t *testing.T, test func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher), opts ...emporixtest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t, opts...)
		fake.AddCustomer(t, emporixtest.Customer{Email: jo.Email, Password: jo.Password, FirstName: "Jo"})
		seen := new(watcher)
		test(t, fake, fake.Client(t, emporix.WithObserver(seen.observe)), seen)
	})
}

func info(t *testing.T, s *emporix.Session) emporix.SessionInfo {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	return info
}

func logIn(t *testing.T, s *emporix.Session) *emporix.LoginResult {
	t.Helper()
	result, err := s.Auth.Login(t.Context(), jo)
	require.NoError(t, err)
	return result
}

// anonymousCall and customerCall are any calls that need such a bearer.
func anonymousCall(ctx context.Context, s *emporix.Session) error {
	return s.Credentials.RequestPasswordReset(ctx, "nobody@example.com")
}

func customerCall(ctx context.Context, s *emporix.Session) error {
	_, err := s.Addresses.List(ctx)
	return err
}

// noUnauthorized says that the server has rejected nothing.
func noUnauthorized(t *testing.T, fake *emporixtest.Fake) {
	t.Helper()
	for _, e := range fake.Journal() {
		require.NotEqual(t, 401, e.Status, e.String())
	}
}
