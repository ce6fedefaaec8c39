package emporix_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
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
