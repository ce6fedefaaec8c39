package redis_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The primary dies while visitors are at work; Sentinel promotes the replica.
// Operations wait or fail until then, and go on after it. No visitor meets the
// row of another or one that nobody wrote, and what the replica had is there.
// What was acknowledged and is lost is counted: Redis does not promise that
// nothing is.
func TestFailover(t *testing.T) {
	t.Parallel()
	e, fail := watched(t)
	t.Logf("over %s", e.name)
	const visitors, after = 8, 20
	s := newStore(t, e.client)
	var failures, lost atomic.Int64
	var failed atomic.Bool
	require.NoError(t, s.Save(t.Context(), "settled", []byte("x"), 1, time.Hour))
	if len(e.nodes) > 1 {
		require.Equal(t, int64(1), e.nodes[0].Wait(t.Context(), 1, 10*time.Second).Val(), "the replica has it")
	}
	working := make(chan struct{}, visitors)
	var all sync.WaitGroup
	for i := range visitors {
		all.Go(func() {
			key := fmt.Sprintf("visitor %d", i)
			row := func(generation uint64) string { return fmt.Sprintf("%s, generation %d", key, generation) }
			var known, latest uint64 // acknowledged, and tried
			more := after
			for end := time.Now().Add(time.Minute); more > 0; {
				if !assert.Less(t, time.Now(), end, "%s can't go on after the failover", key) {
					return
				}
				acquired, _, err := s.Acquire(t.Context(), key, "worker", time.Minute)
				if err != nil {
					failures.Add(1)
					continue
				}
				assert.True(t, acquired, "nobody else wants it")
				data, found, err := s.Load(t.Context(), key)
				if err != nil {
					failures.Add(1)
					continue
				}
				var current uint64
				if found {
					_, err := fmt.Sscanf(string(data), key+", generation %d", &current)
					if !assert.NoError(t, err, "%q is not the row of %s", data, key) {
						return
					}
				}
				assert.LessOrEqual(t, current, latest, "nobody has written that")
				if current < known {
					lost.Add(int64(known - current))
				}
				known, latest = current, current+1
				saved, err := s.SaveIf(t.Context(), key, []byte(row(latest)), known, latest, time.Hour)
				if err != nil {
					failures.Add(1)
					continue
				}
				if saved { // or its answer was lost, and the next Load shows it
					known = latest
				}
				if err := s.Release(t.Context(), key, "worker"); err != nil {
					failures.Add(1)
				}
				if failed.Load() {
					more--
				} else if known == after {
					working <- struct{}{}
				}
			}
		})
	}
	for range visitors {
		<-working
	}
	fail()
	failed.Store(true)
	all.Wait()
	t.Logf("%d operations failed meanwhile, %d acknowledged writes were lost", failures.Load(), lost.Load())

	assert.Equal(t, "x", load(t, s, "settled"))
	for i := range visitors {
		data, found, err := s.Load(t.Context(), fmt.Sprintf("visitor %d", i))
		require.NoError(t, err)
		require.True(t, found)
		assert.Contains(t, string(data), fmt.Sprintf("visitor %d,", i))
	}
}
