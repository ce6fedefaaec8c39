package redis_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// nextSDK is the store as an SDK uses it whose rows have the next version: it
// reads both, and writes its own, where it keeps more and calls things otherwise.
type nextSDK struct{ emporix.LeaseTokenStore }

var (
	current = []byte(`{"v":1,`)
	next    = []byte(`{"v":2,"more":["of","it"],`)
)

func (s nextSDK) Load(ctx context.Context, key string) ([]byte, bool, error) {
	data, found, err := s.LeaseTokenStore.Load(ctx, key)
	return bytes.Replace(data, next, current, 1), found, err
}

func (s nextSDK) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	return s.LeaseTokenStore.SaveIf(ctx, key, bytes.Replace(data, current, next, 1), expected, generation, ttl)
}

// Replicas of two versions share one Redis. A visitor of the older one is taken
// over by the newer one; a visitor of the newer one is unavailable at the older
// one, and loses nothing: neither there nor when the roll-out goes on or is taken
// back.
func TestARollOut(t *testing.T) {
	e := single(t)
	store := newStore(t, e.client)
	fake := emporixtest.New(t)
	fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "Secret-123", FirstName: "Jo"})
	login := emporix.LoginRequest{Email: "jo@example.com", Password: "Secret-123"}
	older := fake.Client(t, emporix.WithTokenStore(store))
	newer := fake.Client(t, emporix.WithTokenStore(nextSDK{store}))
	is := func(s *emporix.Session) {
		t.Helper()
		me, err := s.Customers.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "Jo", me.FirstName)
	}
	unavailable := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, emporix.ErrStoreUnavailable)
		require.NotErrorIs(t, err, emporix.ErrStoreCorrupt)
		require.ErrorContains(t, err, "newer version of the SDK")
	}

	t.Run("old to new", func(t *testing.T) {
		_, err := older.Session("jo").Auth.Login(t.Context(), login)
		require.NoError(t, err)
		is(newer.Session("jo"))
		is(older.Session("jo"))
		_, err = newer.Session("jo").Auth.Refresh(t.Context())
		require.NoError(t, err)
		_, err = older.Session("jo").Customers.Get(t.Context())
		unavailable(err)
		is(newer.Session("jo"))
	})
	t.Run("new to old", func(t *testing.T) {
		_, err := newer.Session("ann").Auth.Login(t.Context(), login)
		require.NoError(t, err)
		for range 2 {
			ann := older.Session("ann")
			_, err := ann.Customers.Get(t.Context())
			unavailable(err)
			_, err = ann.Auth.Refresh(t.Context())
			unavailable(err)
			_, err = ann.Auth.Login(t.Context(), login)
			unavailable(err)
			unavailable(ann.Auth.Logout(t.Context()))
			_, err = ann.Info(t.Context())
			unavailable(err)
		}
		is(newer.Session("ann"))
		require.NoError(t, newer.Session("ann").Auth.Logout(t.Context()))
		_, err = older.Session("ann").Customers.Get(t.Context())
		unavailable(err) // until the tombstone ends
	})
	t.Run("new visitors of both", func(t *testing.T) {
		_, err := older.Session("max").Auth.Login(t.Context(), login)
		require.NoError(t, err)
		_, err = newer.Session("zoe").Auth.Login(t.Context(), login)
		require.NoError(t, err)
		is(newer.Session("max"))
		is(older.Session("max"))
		is(newer.Session("zoe"))
	})
}
