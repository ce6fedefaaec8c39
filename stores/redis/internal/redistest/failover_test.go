package redistest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/stores/redis"
)

// The primary dies while visitors are at work; Sentinel promotes the replica.
// Operations wait or fail until then, and go on after it. No visitor meets the row of
// another, no generation is written twice, and what was acknowledged and is
// lost is counted: Redis does not promise that nothing is.
func TestFailover(t *testing.T) {
	e, fail := watched(t)
	t.Logf("over %s", e.name)
	const visitors, after = 8, 20
	s := redis.New(e.client)
	var failures, lost atomic.Int64
	var failed atomic.Bool
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
				current := known
				switch {
				case found && string(data) == row(known):
				case found && string(data) == row(latest): // written, but not acknowledged
					current = latest
				case found && known > 0 && string(data) == row(known-1), !found && known == 1:
					current = known - 1
					lost.Add(1)
				default:
					assert.False(t, found, "%q at %d or %d", data, known, latest)
					assert.Zero(t, known)
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

	for i := range visitors {
		data, found, err := s.Load(t.Context(), fmt.Sprintf("visitor %d", i))
		require.NoError(t, err)
		require.True(t, found)
		assert.Contains(t, string(data), fmt.Sprintf("visitor %d,", i))
	}
}
