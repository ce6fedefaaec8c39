package redis_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/stores/redis"
)

// trips counts commands, however many a pipeline has.
type trips struct{ n atomic.Int64 }

func (c *trips) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *trips) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		c.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

// refresh does what an uncontended refresh does to the store.
func refresh(tb testing.TB, s *redis.Store, data []byte, generation uint64) {
	tb.Helper()
	acquired, _, err := s.Acquire(tb.Context(), visitor, "owner", time.Minute)
	require.NoError(tb, err)
	require.True(tb, acquired)
	_, _, err = s.Load(tb.Context(), visitor)
	require.NoError(tb, err)
	left, err := s.Remaining(tb.Context(), visitor, "owner")
	require.NoError(tb, err)
	require.Positive(tb, left)
	saved, err := s.SaveIf(tb.Context(), visitor, data, generation, generation+1, time.Hour)
	require.NoError(tb, err)
	require.True(tb, saved)
	require.NoError(tb, s.Release(tb.Context(), visitor, "owner"))
}

// Every operation is one round trip; an uncontended refresh has five.
func TestRoundTrips(t *testing.T) {
	e := single(t)
	s := newStore(t, e.client)
	refresh(t, s, []byte("x"), 0) // the server learns the scripts
	require.NoError(t, s.Delete(t.Context(), visitor))
	require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, time.Hour))

	var counted trips
	e.client.AddHook(&counted)
	refresh(t, s, []byte("y"), 1)
	assert.Equal(t, int64(5), counted.n.Swap(0))
	for operation, err := range operations(t.Context(), s) {
		require.NoError(t, err, operation)
	}
	assert.Equal(t, int64(7), counted.n.Load())
}

// BenchmarkStore measures the store against one bare GET of the same row.
func BenchmarkStore(b *testing.B) {
	e := single(b)
	b.Logf("over %s", e.name)
	s := newStore(b, e.client)
	data := bytes.Repeat([]byte("x"), 600)
	require.NoError(b, s.Save(b.Context(), visitor, data, 1, time.Hour))
	require.NoError(b, e.client.Set(b.Context(), "bare", data, 0).Err())
	var generation uint64 = 1
	counted := &trips{}
	e.client.AddHook(counted)

	benchmarks := []struct {
		name string
		do   func(*testing.B) error
	}{
		{"bare GET", func(b *testing.B) error { return e.client.Get(b.Context(), "bare").Err() }},
		{"Load", func(b *testing.B) error { _, _, err := s.Load(b.Context(), visitor); return err }},
		{"Save", func(b *testing.B) error { return s.Save(b.Context(), visitor, data, generation, time.Hour) }},
		{"Acquire", func(b *testing.B) error {
			_, _, err := s.Acquire(b.Context(), visitor, "owner", time.Minute)
			return err
		}},
		{"Remaining", func(b *testing.B) error { _, err := s.Remaining(b.Context(), visitor, "owner"); return err }},
		{"refresh", func(b *testing.B) error { refresh(b, s, data, generation); generation++; return nil }},
	}
	for _, benchmark := range benchmarks {
		b.Run(benchmark.name, func(b *testing.B) {
			b.ReportAllocs()
			before := counted.n.Load()
			for b.Loop() {
				if err := benchmark.do(b); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(counted.n.Load()-before)/float64(b.N), "trips/op")
		})
	}
	b.Run("Load, many at once", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, _, err := s.Load(b.Context(), visitor); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
