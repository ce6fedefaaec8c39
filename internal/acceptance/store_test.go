package acceptance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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

// failingStore is a store that takes no writes, or is not there at all.
type failingStore struct {
	emporix.ConditionalTokenStore
	mu            sync.Mutex
	reads, writes error
}

func (s *failingStore) set(reads, writes error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads, s.writes = reads, writes
}

func (s *failingStore) state() (reads, writes error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads, s.writes
}

func (s *failingStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if err, _ := s.state(); err != nil {
		return nil, false, err
	}
	return s.ConditionalTokenStore.Load(ctx, key)
}

func (s *failingStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if _, err := s.state(); err != nil {
		return false, err
	}
	return s.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func TestLife_L05_TheStoreFails(t *testing.T) {
	down := errors.New("the store is down")
	synctest.Test(t, func(t *testing.T) {
		fake := fixture.Fake(t, emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
		store, seen := &failingStore{ConditionalTokenStore: emporix.NewMemoryStore(0)}, new(fixture.Watcher)
		client := fake.Client(t, emporix.WithTokenStore(store), emporix.WithObserver(seen.Observe))
		other := fake.Client(t, emporix.WithTokenStore(store))
		fixture.LogIn(t, client.Session("jo"))
		session := fixture.Info(t, client.Session("jo")).SessionID

		store.set(down, nil)
		require.ErrorIs(t, fixture.CustomerCall(t.Context(), client.Session("jo")), emporix.ErrStoreUnavailable)
		store.set(nil, nil)
		require.NoError(t, fixture.CustomerCall(t.Context(), client.Session("jo")))

		time.Sleep(13 * time.Hour)
		store.set(nil, down)
		refreshed, err := client.Session("jo").Auth.Refresh(t.Context())
		require.NoError(t, err, "the caller gets the response")
		assert.Equal(t, session, refreshed.SessionID)
		assert.Contains(t, seen.Kinds(), emporix.EventStoreWriteFailed)
		require.NoError(t, fixture.CustomerCall(t.Context(), client.Session("jo")))
		store.set(nil, nil)
		time.Sleep(10 * time.Second)
		assert.Equal(t, refreshed, fixture.Info(t, other.Session("jo")), "it was written later")
		_, err = other.Session("jo").Auth.Refresh(t.Context())
		require.NoError(t, err)
	})
}

// A renewal that the store did not take for longer than the background goes on writing
// it is written when the store is back and the visitor comes again: another process
// must not send the refresh token that was spent.
func TestLife_L05_AWriteAfterALongOutage(t *testing.T) {
	down := errors.New("read-only: a failover is under way")
	sessions := map[string]func(*emporix.Client) func() *emporix.Session{
		"a value for each request": func(c *emporix.Client) func() *emporix.Session {
			return func() *emporix.Session { return c.Session("jo") }
		},
		"one value": func(c *emporix.Client) func() *emporix.Session {
			s := c.Session("jo")
			return func() *emporix.Session { return s }
		},
	}
	for _, outage := range []time.Duration{30 * time.Second, 2 * time.Minute, 3 * time.Hour} {
		for name, values := range sessions {
			t.Run(fmt.Sprint(outage, ", ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fake := emporixtest.New(t)
					fake.AddCustomer(t, emporixtest.Customer{Email: fixture.Jo.Email, Password: fixture.Jo.Password})
					store := &failingStore{ConditionalTokenStore: emporix.NewMemoryStore(0)}
					one, two := fake.Client(t, emporix.WithTokenStore(store)), fake.Client(t, emporix.WithTokenStore(store))
					session := values(one)
					fixture.LogIn(t, session())
					time.Sleep(8 * time.Hour)
					store.set(nil, down)
					renewed, err := session().Auth.Refresh(t.Context())
					require.NoError(t, err)
					time.Sleep(outage)
					require.NoError(t, fixture.CustomerCall(t.Context(), session()))
					store.set(nil, nil)
					for range 2 {
						time.Sleep(time.Minute)
						require.NoError(t, fixture.CustomerCall(t.Context(), session()))
					}
					synctest.Wait()
					assert.Equal(t, renewed, fixture.Info(t, two.Session("jo")))
					for range 48 {
						time.Sleep(time.Hour)
						require.NoError(t, fixture.CustomerCall(t.Context(), two.Session("jo")))
					}
					assert.True(t, fixture.Info(t, two.Session("jo")).CanRefresh)
					for _, e := range fake.Journal() {
						if e.Operation == "Auth.Refresh" {
							assert.Less(t, e.Status, 400, "a refresh token that was spent was sent: %s", e)
						}
					}
				})
			})
		}
	}
}

// What the store has not taken is written by Close, or named by it.
func TestLife_L05_CloseWritesWhatIsPending(t *testing.T) {
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprint("back ", back), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := emporixtest.New(t)
				fake.AddCustomer(t, emporixtest.Customer{Email: fixture.Jo.Email, Password: fixture.Jo.Password})
				store := &failingStore{ConditionalTokenStore: emporix.NewMemoryStore(0)}
				one, two := fake.Client(t, emporix.WithTokenStore(store)), fake.Client(t, emporix.WithTokenStore(store))
				store.set(nil, errors.New("the store is down"))
				for i := range 40 {
					fixture.LogIn(t, one.Session(fmt.Sprint("jo", i)))
				}
				time.Sleep(2 * time.Minute)
				if back {
					store.set(nil, nil)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				err := one.Close(ctx)
				if !back {
					require.ErrorIs(t, err, emporix.ErrStoreUnavailable)
					require.ErrorContains(t, err, "sessions that the token store did not take: 40")
					return
				}
				require.NoError(t, err)
				for i := range 40 {
					assert.Equal(t, emporix.SessionCustomer, fixture.Info(t, two.Session(fmt.Sprint("jo", i))).Kind)
				}
			})
		})
	}
}

// indiscreetStore quotes keys and rows in its errors, as some drivers do.
type indiscreetStore struct{ emporix.ConditionalTokenStore }

func (s indiscreetStore) SaveIf(_ context.Context, key string, data []byte, _, _ uint64, _ time.Duration) (bool, error) {
	return false, fmt.Errorf("SET %q %s: connection refused", key, data)
}

func TestS06_StoreErrorsNameNoVisitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		var log bytes.Buffer
		var told []string
		client := fake.Client(t, emporix.WithTokenStore(indiscreetStore{emporix.NewMemoryStore(0)}),
			emporix.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
			emporix.WithObserver(func(e emporix.Event) {
				if e.Err != nil {
					told = append(told, e.Err.Error())
				}
			}))
		_, err := client.Session("the-visitors-cookie").Customers.Get(t.Context())
		require.NoError(t, err, "the caller gets its response")
		closed := client.Close(t.Context())
		require.ErrorIs(t, closed, emporix.ErrStoreUnavailable)

		require.NotEmpty(t, told)
		told = append(told, closed.Error())
		assert.Contains(t, log.String(), "connection refused")
		for _, text := range append(told, log.String()) {
			assert.NotContains(t, text, "the-visitors-cookie")
			fake.AssertNoSecrets(t, []byte(text))
		}
	})
}

func TestS03_ASharedStoreTakesNoTokenToAnotherHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		production, staging := emporixtest.New(t), emporixtest.New(t)
		production.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "correct horse"})
		store := emporix.NewMemoryStore(0)
		client := production.Client(t, emporix.WithTokenStore(store))
		_, err := client.Auth.Login(t.Context(), fixture.Jo)
		require.NoError(t, err)

		elsewhere := staging.Client(t, emporix.WithTokenStore(store), emporix.WithBaseURL("https://staging.emporix.test"))
		_, err = elsewhere.Addresses.List(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotLoggedIn)
		assert.Empty(t, staging.Journal())
	})
}

// Clients that share a store find each other's rows only if everything agrees
// that a token depends on.
func TestRowsInASharedStoreAreScoped(t *testing.T) {
	rows := map[string]string{}
	for name, args := range map[string][3]string{
		"first": {"acme", "storefront", "https://api.emporix.io"}, "another tenant": {"acme2", "storefront", "https://api.emporix.io"},
		"another client": {"acme", "kiosk", "https://api.emporix.io"}, "another host": {"acme", "storefront", "https://stage.emporix.io"},
		"another path": {"acme", "storefront", "https://api.emporix.io/v2"},
	} {
		client, err := emporix.NewClient(args[0], args[1], emporix.WithBaseURL(args[2]))
		require.NoError(t, err)
		scope := client.Settings().VisitorRowPrefix
		assert.Empty(t, rows[scope], "%s has the rows of another", name)
		rows[scope] = name
	}
	same, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL("https://API.emporix.io/"))
	require.NoError(t, err)
	assert.Equal(t, "first", rows[same.Settings().VisitorRowPrefix], "however the host is written")
	assert.Equal(t, "acme.b1bacfc9/visitor/", same.Settings().VisitorRowPrefix, "what another release has written is found again")
}

// A row of a replica whose clock is ahead, with a refresh token of the longest life,
// is renewed by one whose clock is right, and can still be read.
func TestARowOfAClockThatIsAhead(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := emporixtest.New(t)
				store := emporix.NewMemoryStore(0)
				client := fake.Client(t, emporix.WithTokenStore(store))
				long := map[string]json.RawMessage{"refresh_token_expires_in": json.RawMessage("99999999"), "expires_in": json.RawMessage("99999999")}
				fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Set: long},
					emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Drop: []string{"refresh_token", "refresh_token_expires_in"}})
				_, err := client.Session("v").Auth.StartAnonymous(t.Context(), emporix.SessionContext{})
				require.NoError(t, err)
				key := client.Settings().VisitorRowPrefix + "v"
				data, found, err := store.Load(t.Context(), key)
				require.NoError(t, err)
				require.True(t, found)
				var row map[string]any
				require.NoError(t, json.Unmarshal(data, &row))
				row["i"] = int64(row["i"].(float64)) + ahead.Milliseconds()
				row["g"] = 1
				data, err = json.Marshal(row)
				require.NoError(t, err)
				require.NoError(t, store.Save(t.Context(), key, data, 1, time.Hour))
				_, err = client.Session("v").Auth.Refresh(t.Context())
				require.NoError(t, err)
				info, err := fake.Client(t, emporix.WithTokenStore(store)).Session("v").Info(t.Context())
				require.NoError(t, err)
				assert.True(t, info.CanRefresh)
				assert.NoError(t, fixture.AnonymousCall(t.Context(), client.Session("v")))
			})
		})
	}
}

// hangingStore leaves one write of a visitor's first row hanging, and takes no other
// writes from then on.
type hangingStore struct {
	emporix.ConditionalTokenStore
	mu          sync.Mutex
	hangs, down bool
	release     chan struct{}
}

func (s *hangingStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	hang, down := s.hangs && expected == 0, s.down
	if hang {
		s.hangs, s.down = false, true
	}
	s.mu.Unlock()
	switch {
	case !strings.Contains(key, "visitor/"):
	case hang:
		<-s.release
		ctx = context.WithoutCancel(ctx)
	case down:
		return false, errors.New("down")
	}
	return s.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

// A write that hangs in the store, and is applied after the customer has logged out,
// logs nobody in.
func TestLife_L12_AWriteThatHangsBringsNobodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fixture.Fake(t)
		store := &hangingStore{ConditionalTokenStore: emporix.NewMemoryStore(0), down: true, release: make(chan struct{})}
		client := fake.Client(t, emporix.WithTokenStore(store))
		_, err := client.Session("jo").Auth.StartAnonymous(t.Context(), emporix.SessionContext{}) // so that the login's write expects no row
		require.NoError(t, err)
		store.mu.Lock()
		store.hangs = true
		store.mu.Unlock()
		_, err = client.Session("jo").Auth.Login(t.Context(), fixture.Jo)
		require.NoError(t, err)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Logout", Status: 503, Times: -1})
		require.ErrorContains(t, client.Session("jo").Auth.Logout(t.Context()), "the session is removed")
		close(store.release)
		time.Sleep(30 * time.Minute)
		info, err := client.Session("jo").Info(t.Context())
		require.NoError(t, err)
		assert.Equal(t, emporix.SessionNone, info.Kind)
		_, err = client.Session("jo").Auth.Validate(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotLoggedIn)
	})
}
