package redis_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/stores/redis"
)

// silent accepts connections and never answers.
func silent(t *testing.T) (address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var held []net.Conn
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range held {
			_ = conn.Close()
		}
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			held = append(held, conn)
			mu.Unlock()
		}
	}()
	return listener.Addr().String()
}

// Every operation on a server that accepts and never answers is over when its
// context is, whatever go-redis waits for: an answer, a connection of the pool, or
// the nodes of a Cluster.
func TestAServerThatNeverAnswers(t *testing.T) {
	address := silent(t)
	for name, client := range map[string]goredis.UniversalClient{
		"one server":      goredis.NewClient(&goredis.Options{Addr: address, ContextTimeoutEnabled: true}),
		"no timeouts":     goredis.NewClient(&goredis.Options{Addr: address, ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1, DialTimeout: time.Hour}),
		"a pool of one":   goredis.NewClient(&goredis.Options{Addr: address, ContextTimeoutEnabled: true, PoolSize: 1, PoolTimeout: time.Hour}),
		"a Cluster":       goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{address}, ContextTimeoutEnabled: true}),
		"a dead Sentinel": goredis.NewFailoverClient(&goredis.FailoverOptions{MasterName: "shop", SentinelAddrs: []string{address}, ContextTimeoutEnabled: true}),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, connected(t, client))
			for way, bound := range map[string]func() (context.Context, context.CancelFunc){
				"deadline": func() (context.Context, context.CancelFunc) {
					return context.WithTimeout(t.Context(), 100*time.Millisecond)
				},
				"cancelled": func() (context.Context, context.CancelFunc) {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(100*time.Millisecond, cancel)
					return ctx, cancel
				},
			} {
				var all sync.WaitGroup
				for operation, call := range calls(s) {
					all.Go(func() {
						ctx, cancel := bound()
						defer cancel()
						began := time.Now()
						err := call(ctx)
						assert.Error(t, err, operation)
						assert.Less(t, time.Since(began), time.Second, // the clients themselves wait 3 seconds and more
							"%s, %s", operation, way)
					})
				}
				all.Wait()
			}
		})
	}
}

// calls are all methods of s.
func calls(s *redis.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"load": func(ctx context.Context) error { _, _, err := s.Load(ctx, visitor); return err },
		"save": func(ctx context.Context) error { return s.Save(ctx, visitor, []byte("secret"), 1, time.Minute) },
		"save if": func(ctx context.Context) error {
			_, err := s.SaveIf(ctx, visitor, []byte("secret"), 1, 2, time.Minute)
			return err
		},
		"delete": func(ctx context.Context) error { return s.Delete(ctx, visitor) },
		"acquire": func(ctx context.Context) error {
			_, _, err := s.Acquire(ctx, visitor, "owner", time.Minute)
			return err
		},
		"remaining": func(ctx context.Context) error { _, err := s.Remaining(ctx, visitor, "owner"); return err },
		"release":   func(ctx context.Context) error { return s.Release(ctx, visitor, "owner") },
	}
}
