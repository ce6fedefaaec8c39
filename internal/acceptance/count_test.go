package acceptance_test

import (
	"context"
	"io"
	"maps"
	"net/http"
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

// What a page view costs: the store is a round trip away, and the API bills
// its calls.

// countingStore counts the operations on visitors' rows.
type countingStore struct {
	emporix.LeaseTokenStore
	mu  sync.Mutex
	ops map[string]int
}

func (s *countingStore) count(op string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops[op]++
}

// counted returns the operations since the last time.
func (s *countingStore) counted() map[string]int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	ops := maps.Clone(s.ops)
	clear(s.ops)
	return ops
}

func (s *countingStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	s.count("load")
	return s.LeaseTokenStore.Load(ctx, key)
}

func (s *countingStore) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	s.count("save")
	return s.LeaseTokenStore.Save(ctx, key, data, generation, ttl)
}

func (s *countingStore) Delete(ctx context.Context, key string) error {
	s.count("delete")
	return s.LeaseTokenStore.Delete(ctx, key)
}

func (s *countingStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	s.count("save if")
	return s.LeaseTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func (s *countingStore) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (bool, bool, error) {
	s.count("acquire")
	return s.LeaseTokenStore.Acquire(ctx, key, owner, ttl)
}

func (s *countingStore) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	s.count("remaining")
	return s.LeaseTokenStore.Remaining(ctx, key, owner)
}

func (s *countingStore) Release(ctx context.Context, key, owner string) error {
	s.count("release")
	return s.LeaseTokenStore.Release(ctx, key, owner)
}

// tokenOperations are those that the API bills and no page asked for.
var tokenOperations = []string{"Auth.StartAnonymous", "Auth.RefreshAnonymous", "Auth.Refresh", "Auth.Validate", "OAuth.Token"}

func tokenCalls(t *testing.T, fake *emporixtest.Fake) (n int) {
	for _, op := range tokenOperations {
		n += fake.Calls(t, op)
	}
	return n
}

// counting runs a test with two replicas over one counting store. Visitor
// "guest" has an anonymous session, and "jo" is logged in.
func counting(t *testing.T, test func(t *testing.T, fake *emporixtest.Fake, store *countingStore, replicas [2]*emporix.Client)) {
	t.Helper()
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, _ *emporix.Client, _ *fixture.Watcher) {
		store := &countingStore{LeaseTokenStore: emporix.NewMemoryStore(0), ops: map[string]int{}}
		replicas := [2]*emporix.Client{
			fake.Client(t, emporix.WithTokenStore(store)), fake.Client(t, emporix.WithTokenStore(store)),
		}
		require.NoError(t, view(t, replicas[0].Session("guest"), fake))
		fixture.LogIn(t, replicas[0].Session("jo"))
		store.counted()
		test(t, fake, store, replicas)
	})
}

// view is what a shop asks for one page view: something of another service,
// with whatever bearer the visitor has.
func view(t *testing.T, session *emporix.Session, fake *emporixtest.Fake) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fake.URL()+"/product/acme/products", nil)
	require.NoError(t, err)
	resp, err := session.HTTPClient().Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

func TestCounts_AStoreReadPerSessionValue(t *testing.T) {
	counting(t, func(t *testing.T, fake *emporixtest.Fake, store *countingStore, replicas [2]*emporix.Client) {
		for _, client := range replicas {
			for _, key := range []string{"guest", "jo"} {
				for range 10 { // requests of a browser: a value each
					session := client.Session(key)
					require.NoError(t, view(t, session, fake))
					assert.Equal(t, map[string]int{"load": 1}, store.counted(), "the value's first look")
					for range 20 {
						require.NoError(t, view(t, session, fake))
						_, err := session.Info(t.Context())
						require.NoError(t, err)
					}
					assert.Empty(t, store.counted(), "it is fresh")
					time.Sleep(time.Second)
				}
			}
		}
	})
}

func TestCounts_AGuestsPageViewIsNoTokenCall(t *testing.T) {
	counting(t, func(t *testing.T, fake *emporixtest.Fake, _ *countingStore, replicas [2]*emporix.Client) {
		before := tokenCalls(t, fake)
		for i := range 1000 {
			require.NoError(t, view(t, replicas[i%2].Session("guest"), fake))
			time.Sleep(3 * time.Second) // 50 minutes of an hour
		}
		assert.Equal(t, before, tokenCalls(t, fake))
		for i := range 1000 {
			require.NoError(t, view(t, replicas[i%2].Session("guest"), fake))
			time.Sleep(3 * time.Second)
		}
		assert.Equal(t, before+1, tokenCalls(t, fake), "one refresh in the second hour, whoever asks")
	})
}

func TestCounts_ARefreshIsFiveStoreOperations(t *testing.T) {
	five := map[string]int{"acquire": 1, "load": 1, "remaining": 1, "save if": 1, "release": 1}
	counting(t, func(t *testing.T, fake *emporixtest.Fake, store *countingStore, replicas [2]*emporix.Client) {
		guest, jo := replicas[0].Session("guest"), replicas[1].Session("jo")
		for _, session := range []*emporix.Session{guest, jo} {
			_, err := session.Info(t.Context())
			require.NoError(t, err)
		}
		require.NoError(t, view(t, replicas[1].DefaultSession(), fake)) // its utility session, and its own
		store.counted()

		time.Sleep(58 * time.Minute) // early: nobody waits
		require.NoError(t, view(t, guest, fake))
		assert.Equal(t, five, store.counted())
		fake.AssertCalls(t, "Auth.RefreshAnonymous", 1)
		require.NoError(t, view(t, guest, fake))
		assert.Equal(t, map[string]int{"load": 1}, store.counted(), "it looks at what came of it")

		time.Sleep(2 * time.Hour) // late: the page waits, and looks
		require.NoError(t, view(t, guest, fake))
		five["load"]++
		assert.Equal(t, five, store.counted())

		time.Sleep(11 * time.Hour) // the customer's, half of the refresh token's life
		five["load"]--
		require.NoError(t, view(t, jo, fake))
		assert.Equal(t, five, store.counted())
		fake.AssertCalls(t, "Auth.Refresh", 1)
	})
}

// A replica that meets the renewal of another costs no token call.
func TestCounts_OnlyOneReplicaRefreshes(t *testing.T) {
	counting(t, func(t *testing.T, fake *emporixtest.Fake, store *countingStore, replicas [2]*emporix.Client) {
		time.Sleep(2 * time.Hour)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Delay: 2 * time.Second})
		before := tokenCalls(t, fake)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() { assert.NoError(t, view(t, replicas[i%2].Session("guest"), fake)) })
		}
		all.Wait()
		assert.Equal(t, before+1, tokenCalls(t, fake))
		assert.Equal(t, 1, store.counted()["save if"])
	})
}
