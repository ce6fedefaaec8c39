package emporix_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

func acquire(t *testing.T, s emporix.LeaseTokenStore, key string, ttl time.Duration) (abandoned bool, err error) {
	t.Helper()
	acquired, abandoned, err := s.Acquire(t.Context(), key, "me", ttl)
	require.Equal(t, err == nil, acquired)
	return abandoned, err
}

// Leases are bounded: those in use are never dropped, those that are over make
// room.
func TestMemoryStoreBoundsItsLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rows = 64 * 20
		store := emporix.NewMemoryStore(rows)
		for round := range 3 {
			lent, key := 0, func(i int) string { return fmt.Sprint(round, " ", i) }
			for i := range 10 * rows {
				if abandoned, err := acquire(t, store, key(i), time.Minute); err != nil {
					require.False(t, abandoned)
					require.ErrorContains(t, err, "more rows are lent at once")
					continue
				}
				lent++
			}
			assert.Greater(t, lent, 2*rows, round)
			assert.LessOrEqual(t, lent, 4*rows, round)
			left := 0
			for i := range 10 * rows {
				remaining, err := store.Remaining(t.Context(), key(i), "me")
				require.NoError(t, err)
				if remaining > 0 {
					left++
				}
			}
			assert.Equal(t, lent, left)
			_, err := acquire(t, store, key(0), time.Minute)
			require.NoError(t, err, "its own may be extended")
			require.NoError(t, store.Release(t.Context(), key(0), "me"))
			_, err = acquire(t, store, key(0), time.Minute)
			require.NoError(t, err, "there is room again")
			time.Sleep(time.Minute)
		}
	})
}

// What was abandoned is told as long as the row is there, however much goes on.
func TestMemoryStoreRemembersAbandonedLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := emporix.NewMemoryStore(0)
		for i := range 1000 {
			save(t, store, fmt.Sprint("abandoned", i), "x", 1, 24*time.Hour)
			_, err := acquire(t, store, fmt.Sprint("abandoned", i), time.Second)
			require.NoError(t, err)
		}
		for i := range 10_000 {
			_, err := acquire(t, store, fmt.Sprint("other", i), time.Second)
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		for i := range 1000 {
			abandoned, err := acquire(t, store, fmt.Sprint("abandoned", i), time.Second)
			require.NoError(t, err)
			assert.True(t, abandoned)
		}
		time.Sleep(24 * time.Hour)
		abandoned, err := acquire(t, store, "abandoned0", time.Second)
		require.NoError(t, err)
		assert.False(t, abandoned, "the row is gone")
	})
}

// A lease is over at the moment that it names, and given back late it settles
// nothing.
func TestMemoryStoreEndsLeasesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := emporix.NewMemoryStore(0)
		save(t, store, "a", "x", 1, time.Hour)
		_, err := acquire(t, store, "a", time.Second)
		require.NoError(t, err)
		time.Sleep(time.Second - 1)
		acquired, _, err := store.Acquire(t.Context(), "a", "another", time.Second)
		require.NoError(t, err)
		assert.False(t, acquired)
		time.Sleep(time.Nanosecond)
		left, err := store.Remaining(t.Context(), "a", "me")
		require.NoError(t, err)
		assert.Zero(t, left)
		require.NoError(t, store.Release(t.Context(), "a", "me"))
		acquired, abandoned, err := store.Acquire(t.Context(), "a", "another", time.Second)
		require.NoError(t, err)
		assert.True(t, acquired)
		assert.True(t, abandoned)
	})
}

// A write settles what was before it, and nothing that comes later.
func TestMemoryStoreTellsOfALeaseAfterAWrittenOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := emporix.NewMemoryStore(0)
		for round, want := range []bool{false, false, true} {
			abandoned, err := acquire(t, store, "a", time.Second)
			require.NoError(t, err)
			assert.Equal(t, want, abandoned, round)
			if round == 0 {
				save(t, store, "a", "x", 1, time.Hour)
			}
			time.Sleep(time.Second)
		}
	})
}

// An operation whose context has ended fails with its cause, and tells nothing else.
func TestBuiltInStoresHearTheirContext(t *testing.T) {
	memory := emporix.NewMemoryStore(0)
	file, _ := fileStore(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for name, store := range map[string]emporix.ConditionalTokenStore{"memory": memory, "file": file} {
		save(t, store, "a", "one", 1, time.Hour)
		data, found, err := store.Load(ctx, "a")
		require.ErrorIs(t, err, cause, name)
		assert.Nil(t, data)
		assert.False(t, found, name)
		saved, err := store.SaveIf(ctx, "a", []byte("two"), 1, 2, time.Hour)
		require.ErrorIs(t, err, cause, name)
		assert.False(t, saved, name)
		require.ErrorIs(t, store.Save(ctx, "a", []byte("two"), 2, time.Hour), cause, name)
		require.ErrorIs(t, store.Delete(ctx, "a"), cause, name)
		assert.Equal(t, "one", load(t, store, "a"), name)
	}
	acquired, abandoned, err := memory.Acquire(ctx, "a", "me", time.Hour)
	require.ErrorIs(t, err, cause)
	assert.False(t, acquired || abandoned)
	_, err = acquire(t, memory, "a", time.Hour)
	require.NoError(t, err)
	require.ErrorIs(t, memory.Release(ctx, "a", "me"), cause)
	left, err := memory.Remaining(ctx, "a", "me")
	require.ErrorIs(t, err, cause)
	assert.Zero(t, left)
	left, err = memory.Remaining(t.Context(), "a", "me")
	require.NoError(t, err)
	assert.Positive(t, left)
}

type ownersOf struct {
	emporix.LeaseTokenStore
	owners map[string]bool
}

func (s *ownersOf) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	s.owners[owner] = true
	return s.LeaseTokenStore.Acquire(ctx, key, owner, ttl)
}

func TestOwnersOfLeasesAreShortAndPrintable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &ownersOf{emporix.NewMemoryStore(0), map[string]bool{}}
		fake := emporixtest.New(t)
		client := fake.Client(t, emporix.WithTokenStore(store))
		for range 10 {
			require.NoError(t, anonymousCall(t.Context(), client.DefaultSession()))
			_, err := client.Auth.Refresh(t.Context())
			require.NoError(t, err)
			synctest.Wait()
			time.Sleep(time.Minute)
		}
		assert.Greater(t, len(store.owners), 5)
		for owner := range store.owners {
			assert.Regexp(t, `^[!-~]{1,64}$`, owner)
		}
	})
}
