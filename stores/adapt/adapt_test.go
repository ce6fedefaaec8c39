package adapt_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/stores/adapt"
	"github.com/emporix-community/emporix-go/stores/sealed"
	"github.com/emporix-community/emporix-go/stores/storetest"
)

// backend keeps the bytes that it is given, counts in whole seconds, and cuts
// what is left over, like the real ones.
type backend struct {
	mu   sync.Mutex
	rows map[string]kept
	err  error
	seen []context.Context //nolint:containedctx // to look at
}

type kept struct {
	data  []byte
	until int64 // unix seconds; 0 has no end
}

func (b *backend) get(key string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	row, found := b.rows[key]
	if b.err != nil || !found || row.until != 0 && row.until <= time.Now().Unix() {
		return nil, b.err
	}
	return row.data, nil
}

func (b *backend) set(key string, data []byte, until int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rows == nil {
		b.rows = map[string]kept{}
	}
	b.rows[key] = kept{data, until}
	return b.err
}

func (b *backend) drop(key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.rows, key)
	return b.err
}

func (b *backend) see(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, ctx)
}

// scsStore is a store of scs that knows no context.
type scsStore struct{ b *backend }

func (s scsStore) Find(token string) ([]byte, bool, error) {
	data, err := s.b.get(token)
	return data, data != nil, err
}

func (s scsStore) Commit(token string, data []byte, expiry time.Time) error {
	return s.b.set(token, data, expiry.Unix())
}
func (s scsStore) Delete(token string) error { return s.b.drop(token) }

// scsContextStore is one that knows nothing else, as some do.
type scsContextStore struct{ b *backend }

func (scsContextStore) Find(string) ([]byte, bool, error)      { panic("missing context arg") }
func (scsContextStore) Commit(string, []byte, time.Time) error { panic("missing context arg") }
func (scsContextStore) Delete(string) error                    { panic("missing context arg") }

func (s scsContextStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	s.b.see(ctx)
	return scsStore(s).Find(token)
}

func (s scsContextStore) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	s.b.see(ctx)
	return scsStore(s).Commit(token, data, expiry)
}

func (s scsContextStore) DeleteCtx(ctx context.Context, token string) error {
	s.b.see(ctx)
	return scsStore(s).Delete(token)
}

// fiberStorage is a storage for Fiber 2.
type fiberStorage struct{ b *backend }

func (f fiberStorage) Get(key string) ([]byte, error) { return f.b.get(key) }

func (f fiberStorage) Set(key string, data []byte, ttl time.Duration) error {
	if ttl == 0 {
		return f.b.set(key, data, 0)
	}
	return f.b.set(key, data, time.Now().Unix()+int64(ttl.Seconds()))
}
func (f fiberStorage) Delete(key string) error { return f.b.drop(key) }

// fiberContextStorage is one for Fiber 3.
type fiberContextStorage struct{ fiberStorage }

func (f fiberContextStorage) GetWithContext(ctx context.Context, key string) ([]byte, error) {
	f.b.see(ctx)
	return f.Get(key)
}

func (f fiberContextStorage) SetWithContext(ctx context.Context, key string, data []byte, ttl time.Duration) error {
	f.b.see(ctx)
	return f.Set(key, data, ttl)
}

func (f fiberContextStorage) DeleteWithContext(ctx context.Context, key string) error {
	f.b.see(ctx)
	return f.Delete(key)
}

var adapters = map[string]func(*backend) emporix.TokenStore{
	"scs":                func(b *backend) emporix.TokenStore { return adapt.SCS(scsStore{b}) },
	"scs with context":   func(b *backend) emporix.TokenStore { return adapt.SCS(scsContextStore{b}) },
	"fiber 2":            func(b *backend) emporix.TokenStore { return adapt.Fiber(fiberStorage{b}) },
	"fiber with context": func(b *backend) emporix.TokenStore { return adapt.Fiber(fiberContextStorage{fiberStorage{b}}) },
}

func TestAdaptersAreStores(t *testing.T) {
	for name, make := range adapters {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(*testing.T) storetest.Store { return make(&backend{}) }, storetest.WithVirtualTime())
			_, conditional := make(&backend{}).(emporix.ConditionalTokenStore)
			assert.False(t, conditional)
		})
	}
}

type mark struct{}

func TestContextsAreHandedOn(t *testing.T) {
	ctx := context.WithValue(t.Context(), mark{}, "mine")
	for _, name := range []string{"scs with context", "fiber with context"} {
		b := &backend{}
		store := adapters[name](b)
		require.NoError(t, store.Save(ctx, "a", []byte("x"), 1, time.Hour))
		_, _, err := store.Load(ctx, "a")
		require.NoError(t, err)
		require.NoError(t, store.Delete(ctx, "a"))
		require.Len(t, b.seen, 3)
		for _, seen := range b.seen {
			assert.Equal(t, "mine", seen.Value(mark{}), name)
		}
	}
}

// A row has an end, and never one that is early, whatever the backend rounds.
func TestRowsEndInTime(t *testing.T) {
	for name, make := range adapters {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(999 * time.Millisecond) // the worst moment to cut seconds
			for _, ttl := range []time.Duration{0, -time.Hour, 1, time.Millisecond, 999 * time.Millisecond, time.Second, 1001 * time.Millisecond, time.Hour} {
				b := &backend{}
				store := make(b)
				require.NoError(t, store.Save(t.Context(), "a", []byte("x"), 1, ttl))
				time.Sleep(max(ttl-1, 0))
				_, found, err := store.Load(t.Context(), "a")
				require.NoError(t, err)
				if ttl > 0 {
					assert.True(t, found, "%s: %v", name, ttl)
				}
				time.Sleep(2 * time.Second)
				_, found, err = store.Load(t.Context(), "a")
				require.NoError(t, err)
				assert.False(t, found, "%s: %v", name, ttl)
			}
		})
	}
}

func TestTheShortestAndTheLongestLives(t *testing.T) {
	for name, make := range adapters {
		synctest.Test(t, func(t *testing.T) {
			for ttl, seconds := range map[time.Duration]int64{-time.Hour: 1, 0: 1, 1: 2, time.Second: 2, time.Second + 1: 3, 1<<63 - 1: 100*365*24*60*60 + 1} {
				b := &backend{}
				store := make(b)
				require.NoError(t, store.Save(t.Context(), "a", []byte("x"), 1, ttl))
				assert.Equal(t, seconds, b.rows["a"].until-time.Now().Unix(), "%s: %v", name, ttl)
				_, found, err := store.Load(t.Context(), "a")
				require.NoError(t, err)
				assert.True(t, found, name)
			}
		})
	}
}

func TestErrorsOfTheBackendComeThrough(t *testing.T) {
	for name, make := range adapters {
		down := errors.New("connection refused")
		store := make(&backend{err: down})
		_, found, err := store.Load(t.Context(), "a")
		require.ErrorIs(t, err, down, name)
		assert.False(t, found)
		require.ErrorIs(t, store.Save(t.Context(), "a", []byte("x"), 1, time.Hour), down)
		require.ErrorIs(t, store.Delete(t.Context(), "a"), down)
	}
}

func TestNilStoresAreRefused(t *testing.T) {
	for _, store := range []emporix.TokenStore{adapt.SCS(nil), adapt.Fiber(nil), adapt.SCS((*scsStore)(nil)), adapt.Fiber((*fiberStorage)(nil))} {
		_, err := emporix.NewClient("acme", "id", emporix.WithTokenStore(store))
		require.ErrorContains(t, err, "WithTokenStore")
	}
}

// An adapted store is sealed like any other; then its keys fit into the tables
// that scs documents.
func TestAnAdaptedStoreCarriesASession(t *testing.T) {
	for name, make := range adapters {
		t.Run(name, func(t *testing.T) {
			fake := emporixtest.New(t)
			fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "Secret-123", FirstName: "Jo"})
			b := &backend{}
			store, err := sealed.New(make(b), sealed.Keys{
				Ring:  []sealed.Key{{ID: "a", Secret: emporix.NewSecret("thirty-two bytes or more of noise")}},
				Index: emporix.NewSecret("and other thirty-two bytes or more"),
			})
			require.NoError(t, err)
			_, err = fake.Client(t, emporix.WithTokenStore(store)).Session("jo").Auth.Login(t.Context(),
				emporix.LoginRequest{Email: "jo@example.com", Password: "Secret-123"})
			require.NoError(t, err)
			me, err := fake.Client(t, emporix.WithTokenStore(store)).Session("jo").Customers.Get(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "Jo", me.FirstName)
			require.Len(t, b.rows, 1)
			for key := range b.rows {
				assert.Len(t, key, 43)
			}
		})
	}
}
