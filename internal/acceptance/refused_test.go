package acceptance_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// process is a client of its own over a store that others use, too.
type process struct {
	*emporix.Client
	mu     sync.Mutex
	events map[emporix.EventKind]int
}

func (p *process) count(kind emporix.EventKind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.events[kind]
}

// processes returns clients over one store, for a server that takes a refresh token
// once and whose response to that takes a while.
func processes(t *testing.T, n int, took time.Duration, plain bool) (fake *emporixtest.Fake, all []*process) {
	t.Helper()
	fake = emporixtest.New(t, emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) {
		a.CustomerRefreshRotates, a.AnonymousRefreshRotates = true, true
		a.ReuseKillsFamily, a.RotationGrace = false, 0
	}), emporixtest.WithLifetimes(emporixtest.Lifetimes{
		Anonymous: time.Hour, AnonymousRefresh: 24 * time.Hour, Customer: time.Hour, CustomerRefresh: 24 * time.Hour,
	}))
	fake.AddCustomer(t, emporixtest.Customer{Email: fixture.Jo.Email, Password: fixture.Jo.Password})
	rows := emporix.NewMemoryStore(0)
	slow := fixture.RoundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := fake.Transport().RoundTrip(req)
		if strings.Contains(req.URL.Path, "refresh") && err == nil && resp.StatusCode == http.StatusOK {
			time.Sleep(took)
		}
		return resp, err
	})
	for range n {
		p := &process{events: map[emporix.EventKind]int{}}
		var store emporix.TokenStore = struct{ emporix.ConditionalTokenStore }{rows}
		if plain {
			store = struct{ emporix.TokenStore }{rows}
		}
		p.Client = fake.Client(t, emporix.WithTransport(slow), emporix.WithTokenStore(store), emporix.WithObserver(func(e emporix.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.events[e.Kind]++
		}))
		all = append(all, p)
	}
	return fake, all
}

// everywhere runs 20 calls of one visitor, over all processes at once.
func everywhere(all []*process, call func(context.Context, *emporix.Session) error) (failed int) {
	errs := make(chan error, 20)
	for i := range cap(errs) {
		go func() { errs <- call(context.Background(), all[i%len(all)].Session("jo")) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			failed++
		}
	}
	return failed
}

func TestASharedStoreWithoutLeasesTellsNoFalseEnd(t *testing.T) {
	calls := map[string]func(context.Context, *emporix.Session) error{
		"customer": func(ctx context.Context, s *emporix.Session) error {
			_, err := s.Customers.Get(ctx)
			return err
		},
		"guest": func(ctx context.Context, s *emporix.Session) error {
			return s.Credentials.RequestPasswordReset(ctx, fixture.Jo.Email)
		},
	}
	for who, call := range calls {
		for _, n := range []int{2, 4} {
			for _, took := range []time.Duration{10 * time.Millisecond, time.Second, 8 * time.Second} {
				for _, plain := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%d processes/%v/plain=%v", who, n, took, plain), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							_, all := processes(t, n, took, plain)
							s := all[0].Session("jo")
							require.NoError(t, call(t.Context(), anonymously(t, s, who)))
							before, err := s.Info(t.Context())
							require.NoError(t, err)
							for range 5 {
								time.Sleep(61 * time.Minute)
								assert.Zero(t, everywhere(all, call), "calls that failed")
							}
							time.Sleep(time.Minute)
							for _, p := range all {
								assert.Zero(t, p.count(emporix.EventSessionExpired))
								assert.Zero(t, p.count(emporix.EventSessionReplaced))
								now, err := p.Session("jo").Info(t.Context())
								require.NoError(t, err)
								assert.Equal(t, before.SessionID, now.SessionID)
							}
						})
					})
				}
			}
		}
	}
}

// A session that the server has ended is told by every process, at the latest when
// no other can be writing any more: an attempt (10 s) and a write (5 s) later.
func TestASharedStoreWithoutLeasesTellsARealEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, all := processes(t, 2, time.Second, false)
		anonymously(t, all[0].Session("jo"), "customer")
		time.Sleep(61 * time.Minute)
		require.Positive(t, fake.Server().RevokeRefresh(""))
		var calls sync.WaitGroup
		for _, p := range all {
			calls.Go(func() {
				began := time.Now()
				err := p.Session("jo").Customers.Update(t.Context(), emporix.CustomerPatch{FirstName: emporix.Set("Joanna")})
				assert.ErrorIs(t, err, emporix.ErrSessionExpired)
				assert.LessOrEqual(t, time.Since(began), 16*time.Second)
			})
		}
		calls.Wait()
		synctest.Wait()
		told := 0
		for _, p := range all {
			told += p.count(emporix.EventSessionExpired)
		}
		assert.Equal(t, 1, told)
	})
}

// anonymously returns the session, as a customer's if it is to be one.
func anonymously(t *testing.T, s *emporix.Session, who string) *emporix.Session {
	t.Helper()
	if who == "customer" {
		_, err := s.Auth.Login(t.Context(), fixture.Jo)
		require.NoError(t, err)
	}
	return s
}
