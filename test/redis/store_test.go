package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/stores/redis"
	"github.com/emporix-community/emporix-go/stores/storetest"
)

const visitor = `sid:{7}* "%00" visitor`

// What every engine keeps to.
func TestEngines(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, e engine, s *redis.Store){
		"conformance":           conforms,
		"nothing is left":       nothingIsLeft,
		"long lives":            longLives,
		"scripts are forgotten": scriptsAreForgotten,
		"a foreign value":       foreignValue,
		"a damaged row":         damagedRow,
		"a newer layout":        newerLayout,
		"visitors are spread":   visitorsAreSpread,
		"written, extended":     writtenThenExtended,
	}
	for name, newEngine := range map[string]func(testing.TB) engine{
		"miniredis": func(t testing.TB) engine { t.Helper(); e, _ := simulated(t); return e },
		"single":    single,
		"cluster":   cluster,
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			t.Logf("over %s", e.name)
			for name, test := range tests {
				t.Run(name, func(t *testing.T) {
					for _, node := range e.nodes {
						require.NoError(t, node.FlushAll(t.Context()).Err())
					}
					test(t, e, newStore(t, e.client))
				})
			}
		})
	}
}

func newStore(t testing.TB, client goredis.UniversalClient, opts ...redis.Option) *redis.Store {
	t.Helper()
	s, err := redis.New(client, opts...)
	require.NoError(t, err)
	return s
}

// names are the keys in all servers of e.
func names(t *testing.T, e engine) (all []string) {
	t.Helper()
	for _, node := range e.nodes {
		found, err := node.Keys(t.Context(), "*").Result()
		require.NoError(t, err)
		all = append(all, found...)
	}
	return all
}

func load(t *testing.T, s *redis.Store, key string) string {
	t.Helper()
	data, _, err := s.Load(t.Context(), key)
	require.NoError(t, err)
	return string(data)
}

func acquire(t *testing.T, s *redis.Store, key, owner string, ttl time.Duration) (acquired, abandoned bool) {
	t.Helper()
	acquired, abandoned, err := s.Acquire(t.Context(), key, owner, ttl)
	require.NoError(t, err)
	return acquired, abandoned
}

func saveIf(t *testing.T, s *redis.Store, key, data string, expected, generation uint64, ttl time.Duration) bool {
	t.Helper()
	saved, err := s.SaveIf(t.Context(), key, []byte(data), expected, generation, ttl)
	require.NoError(t, err)
	return saved
}

// A visitor is one hash that goes with what it holds, whichever ends last.
func nothingIsLeft(t *testing.T, e engine, s *redis.Store) {
	const short, long = 200 * time.Millisecond, 400 * time.Millisecond
	tests := map[string]struct {
		do      func(t *testing.T, key string)
		after   time.Duration
		hashes  int // after the do
		between func(t *testing.T, key string)
	}{
		"a row": {
			do:    func(t *testing.T, key string) { require.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, long)) },
			after: long, hashes: 1,
		},
		"a lease without a row": {
			do: func(t *testing.T, key string) {
				acquire(t, s, key, "a", long)
				assert.Empty(t, load(t, s, key))
			},
			after: long, hashes: 1,
		},
		"a lease that outlives its row": {
			do: func(t *testing.T, key string) {
				assert.True(t, saveIf(t, s, key, "x", 0, 1, short))
				acquire(t, s, key, "a", 2*long)
			},
			after: 2 * long, hashes: 1,
			between: func(t *testing.T, key string) {
				assert.Empty(t, load(t, s, key), "the row is over")
				assert.False(t, saveIf(t, s, key, "y", 1, 2, short), "there is no generation 1")
				left, err := s.Remaining(t.Context(), key, "a")
				require.NoError(t, err)
				assert.Positive(t, left)
				assert.True(t, saveIf(t, s, key, "y", 0, 1, time.Millisecond), "there is no row")
			},
		},
		"a row that outlives its lease": {
			do: func(t *testing.T, key string) {
				acquire(t, s, key, "a", short)
				assert.True(t, saveIf(t, s, key, "x", 0, 1, 2*long))
			},
			after: 2 * long, hashes: 1,
			between: func(t *testing.T, key string) {
				assert.Equal(t, "x", load(t, s, key))
				acquired, abandoned := acquire(t, s, key, "b", short)
				assert.True(t, acquired)
				assert.False(t, abandoned, "it has been written")
			},
		},
		"a row that is deleted under a lease": {
			do: func(t *testing.T, key string) {
				require.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, time.Hour))
				acquire(t, s, key, "a", long)
				require.NoError(t, s.Delete(t.Context(), key))
				assert.Empty(t, load(t, s, key))
				acquired, _ := acquire(t, s, key, "b", long)
				assert.False(t, acquired)
			},
			after: long, hashes: 1,
		},
		"a row that is deleted": {
			do: func(t *testing.T, key string) {
				require.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, time.Hour))
				require.NoError(t, s.Delete(t.Context(), key))
			},
		},
		"a lease that is given back": {
			do: func(t *testing.T, key string) {
				acquire(t, s, key, "a", time.Hour)
				require.NoError(t, s.Release(t.Context(), key, "a"))
			},
		},
		"a lease that is given back after its row": {
			do: func(t *testing.T, key string) {
				acquire(t, s, key, "a", time.Hour)
				require.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, time.Hour))
				require.NoError(t, s.Delete(t.Context(), key))
				require.NoError(t, s.Release(t.Context(), key, "a"))
			},
		},
		"a row whose longer lease is given back": {
			do: func(t *testing.T, key string) {
				require.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, long))
				acquire(t, s, key, "a", time.Hour)
				require.NoError(t, s.Release(t.Context(), key, "a"))
			},
			after: long, hashes: 1,
		},
		"a row that ended before it began": {
			do: func(t *testing.T, key string) {
				require.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, time.Hour))
				require.NoError(t, s.Save(t.Context(), key, []byte("y"), 2, 0))
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.do(t, visitor)
			found := names(t, e)
			require.Len(t, found, test.hashes)
			for _, name := range found {
				assert.True(t, strings.HasPrefix(name, redis.DefaultPrefix+"{"))
				assert.NotContains(t, name, "visitor")
				left, err := e.client.PTTL(t.Context(), name).Result()
				require.NoError(t, err)
				assert.Positive(t, left)
				assert.LessOrEqual(t, left, test.after+time.Millisecond, "rounded up")
			}
			if test.between != nil {
				e.advance(test.after / 2)
				test.between(t, visitor)
				e.advance(test.after / 2)
			} else {
				e.advance(test.after)
			}
			e.advance(30 * time.Millisecond)
			assert.Eventually(t, func() bool { return len(names(t, e)) == 0 }, 5*time.Second, 10*time.Millisecond)
		})
	}
}

// Two prefixes are two stores.
func TestPrefix(t *testing.T) {
	e := single(t)
	one, other := newStore(t, e.client, redis.WithPrefix("one:")), newStore(t, e.client, redis.WithPrefix("{other}:"))
	require.NoError(t, one.Save(t.Context(), visitor, []byte("x"), 1, time.Minute))
	assert.Empty(t, load(t, other, visitor))
	require.NoError(t, other.Save(t.Context(), visitor, []byte("y"), 1, time.Minute))
	assert.Equal(t, "x", load(t, one, visitor))
	assert.Len(t, names(t, e), 2)
}

// Whoever wrote, extended and went has left nothing half done.
func writtenThenExtended(t *testing.T, e engine, s *redis.Store) {
	require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, time.Hour))
	acquire(t, s, visitor, "a", time.Hour)
	assert.True(t, saveIf(t, s, visitor, "y", 1, 2, time.Hour))
	acquire(t, s, visitor, "a", 50*time.Millisecond)
	e.advance(60 * time.Millisecond)
	acquired, abandoned := acquire(t, s, visitor, "b", time.Minute)
	assert.True(t, acquired)
	assert.False(t, abandoned)
}

// Lifetimes of centuries are numbers that Lua would write with an exponent.
func longLives(t *testing.T, _ engine, s *redis.Store) {
	require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1<<64-1, 1<<63-1))
	assert.Equal(t, "x", load(t, s, visitor))
	assert.False(t, saveIf(t, s, visitor, "y", 1<<64-2, 1, time.Minute), "one less is another generation")
	acquired, _ := acquire(t, s, visitor, "a", time.Minute)
	assert.True(t, acquired)
	assert.True(t, saveIf(t, s, visitor, "y", 1<<64-1, 1, time.Minute))
}

// A row never ends early, not even by a part of Redis's milliseconds.
func TestShortLife(t *testing.T) {
	e, _ := simulated(t)
	s := newStore(t, e.client)
	require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, 1500*time.Microsecond))
	require.NoError(t, s.Save(t.Context(), "another", []byte("x"), 1, 1500*time.Nanosecond))
	e.advance(time.Microsecond)
	assert.Equal(t, "x", load(t, s, "another"))
	e.advance(1498 * time.Microsecond)
	assert.Empty(t, load(t, s, "another"))
	assert.Equal(t, "x", load(t, s, visitor))
	e.advance(time.Microsecond)
	assert.Empty(t, load(t, s, visitor))
}

// A server that restarted or took over has not seen the scripts.
func scriptsAreForgotten(t *testing.T, e engine, s *redis.Store) {
	require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, time.Minute))
	for _, node := range e.nodes {
		require.NoError(t, node.ScriptFlush(t.Context()).Err())
	}
	assert.Equal(t, "x", load(t, s, visitor))
}

// go-redis sends a script again when its answer is lost. Whoever took an
// abandoned lease over must still hear of it, and whoever saved that it has.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	e := single(t)
	var lose atomic.Bool
	address := e.nodes[0].Options().Addr
	client := connected(t, goredis.NewClient(&goredis.Options{
		Addr: address, ContextTimeoutEnabled: true,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return &deaf{Conn: conn, lose: &lose}, err
		},
	}))
	s := newStore(t, client)
	require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, time.Hour))
	acquired, abandoned := acquire(t, s, visitor, "a", 50*time.Millisecond)
	assert.True(t, acquired)
	assert.False(t, abandoned)
	e.advance(60 * time.Millisecond)

	lose.Store(true)
	acquired, abandoned = acquire(t, s, visitor, "b", time.Minute)
	assert.True(t, acquired)
	assert.True(t, abandoned)
	assert.False(t, lose.Load(), "an answer was lost")

	lose.Store(true)
	assert.True(t, saveIf(t, s, visitor, "y", 1, 2, time.Hour))
	assert.False(t, lose.Load(), "an answer was lost")
	assert.False(t, saveIf(t, s, visitor, "y", 1, 2, time.Hour), "the same by another")
	assert.Equal(t, "y", load(t, s, visitor))
	lose.Store(true)
	assert.True(t, saveIf(t, s, "another", "x", 0, 1, time.Hour))
	assert.False(t, saveIf(t, s, "another", "x", 0, 1, time.Hour), "the same by another")
	lose.Store(true)
	assert.False(t, saveIf(t, s, "another", "x", 2, 3, time.Hour), "it never could")

	storetest.Run(t, func(*testing.T) storetest.Store { return s }, storetest.WithLostAnswers(func() { lose.Store(true) }))
}

// deaf breaks at the next answer if it is to lose one.
type deaf struct {
	net.Conn
	lose   *atomic.Bool
	broken atomic.Bool
}

func (d *deaf) Read(p []byte) (int, error) {
	if d.broken.Load() {
		return 0, io.EOF
	}
	n, err := d.Conn.Read(p)
	if n > 0 && d.lose.CompareAndSwap(true, false) {
		d.broken.Store(true)
		return 0, io.EOF
	}
	return n, err
}

// operations calls every method of s.
func operations(ctx context.Context, s *redis.Store) map[string]error {
	errs := map[string]error{}
	_, _, errs["load"] = s.Load(ctx, visitor)
	errs["save"] = s.Save(ctx, visitor, []byte("secret data"), 1, time.Minute)
	_, errs["save if"] = s.SaveIf(ctx, visitor, []byte("secret data"), 1, 2, time.Minute)
	errs["delete"] = s.Delete(ctx, visitor)
	_, _, errs["acquire"] = s.Acquire(ctx, visitor, "owner", time.Minute)
	_, errs["remaining"] = s.Remaining(ctx, visitor, "owner")
	errs["release"] = s.Release(ctx, visitor, "owner")
	return errs
}

// Whatever the server says comes out as an error that go-redis knows, and never
// as an absent row.
func TestTroubledServer(t *testing.T) {
	_, server := simulated(t)
	client := connected(t, goredis.NewClient(&goredis.Options{Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true}))
	s := newStore(t, client)
	for _, answer := range []string{
		"READONLY You can't write against a read only replica.",
		"LOADING Redis is loading the dataset in memory",
		"CLUSTERDOWN The cluster is down",
		"OOM command not allowed when used memory > 'maxmemory'.",
		"NOPERM this user has no permissions to run the 'evalsha' command",
		"ERR unknown command 'evalsha'",
	} {
		server.SetError(answer)
		for operation, err := range operations(t.Context(), s) {
			var said goredis.Error
			require.ErrorAs(t, err, &said, "%s: %s", operation, answer)
			assert.Equal(t, answer, said.Error())
		}
	}
	server.SetError("")
	for operation, err := range operations(t.Context(), s) {
		require.NoError(t, err, operation)
	}

	cause := errors.New("the visitor left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for operation, err := range operations(ctx, s) {
		require.ErrorIs(t, err, cause, operation)
	}

	server.Close()
	for operation, err := range operations(t.Context(), s) {
		var said *net.OpError
		require.ErrorAs(t, err, &said, operation)
		assert.Contains(t, err.Error(), "emporix: redis store: ")
		assert.NotContains(t, err.Error(), "visitor")
		assert.NotContains(t, err.Error(), "secret")
	}
}

// Something else under a visitor's name is an error, and stays.
func foreignValue(t *testing.T, e engine, s *redis.Store) {
	require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, time.Minute))
	name := names(t, e)[0]
	require.NoError(t, e.client.Set(t.Context(), name, "something else", 0).Err())
	for operation, err := range operations(t.Context(), s) {
		require.ErrorContains(t, err, "WRONGTYPE", operation)
		assert.NotContains(t, err.Error(), "secret")
	}
	assert.Equal(t, "something else", e.client.Get(t.Context(), name).Val())
}

// What may not write says so, also where there would be nothing to write: a
// replica that was the primary would answer from a past that is over, and a
// primary cut off from its replicas would confirm leases that they lend anew.
func TestServersThatMayNotWrite(t *testing.T) {
	t.Parallel()
	if !installed(t) {
		t.Log("miniredis has no replicas: nothing is tested here")
		return
	}
	for name, forbid := range map[string]func(server *goredis.Client) error{
		"READONLY": func(server *goredis.Client) error {
			return server.Do(t.Context(), "REPLICAOF", "127.0.0.1", freePort(t)).Err()
		},
		"NOREPLICAS": func(server *goredis.Client) error {
			return server.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := single(t)
			s := newStore(t, e.client)
			require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, time.Minute))
			acquire(t, s, visitor, "a", time.Minute)
			require.NoError(t, forbid(e.nodes[0]))

			errs := map[string]error{}
			for _, owner := range []string{"a", "b"} {
				_, _, errs["acquire by "+owner] = s.Acquire(t.Context(), visitor, owner, time.Minute)
				_, errs["remaining of "+owner] = s.Remaining(t.Context(), visitor, owner)
				errs["release by "+owner] = s.Release(t.Context(), visitor, owner)
			}
			for generation := range uint64(3) {
				_, errs[fmt.Sprint("save if ", generation)] = s.SaveIf(t.Context(), visitor, []byte("y"), generation, 3, time.Minute)
				_, errs[fmt.Sprint("save if ", generation, ", no row")] = s.SaveIf(t.Context(), "nobody", []byte("y"), generation, 3, time.Minute)
			}
			errs["save"] = s.Save(t.Context(), visitor, []byte("y"), 2, time.Minute)
			errs["delete"] = s.Delete(t.Context(), visitor)
			for operation, err := range errs {
				require.ErrorContains(t, err, name, operation)
			}
			assert.Equal(t, "x", load(t, s, visitor))
		})
	}
}

// A row whose fields somebody has damaged is an error, and not an absent one; it
// can be deleted.
func damagedRow(t *testing.T, e engine, s *redis.Store) {
	for _, damage := range []func(name string) error{
		func(name string) error { return e.client.HSet(t.Context(), name, "e", "soon").Err() },
		func(name string) error { return e.client.HDel(t.Context(), name, "e").Err() },
		func(name string) error { return e.client.HSet(t.Context(), name, "l", "soon", "e", "").Err() },
	} {
		require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, time.Minute))
		require.NoError(t, damage(names(t, e)[0]))
		_, found, err := s.Load(t.Context(), visitor)
		require.ErrorContains(t, err, "emporix: redis store: load: ")
		assert.False(t, found)
		require.NoError(t, s.Delete(t.Context(), visitor))
		assert.Empty(t, load(t, s, visitor))
		assert.Empty(t, names(t, e))
	}
}

// What a newer version of the store wrote is an error that says so, for a lease
// without a row too, and stays as it is.
func newerLayout(t *testing.T, e engine, s *redis.Store) {
	for what, write := range map[string]func(){
		"a row":   func() { require.NoError(t, s.Save(t.Context(), visitor, []byte("secret"), 1, time.Minute)) },
		"a lease": func() { acquire(t, s, visitor, "owner", time.Minute) },
	} {
		write()
		name := names(t, e)[0]
		assert.Equal(t, "1", e.client.HGet(t.Context(), name, "v").Val(), what)
		for _, version := range []string{"2", "10", "1.1", "next"} {
			require.NoError(t, e.client.HSet(t.Context(), name, "v", version, "z", "of the newer one").Err())
			before := e.client.HGetAll(t.Context(), name).Val()
			for operation, err := range operations(t.Context(), s) {
				require.ErrorContains(t, err, "newer version", operation)
				require.ErrorContains(t, err, "nothing is lost", operation)
				assert.NotContains(t, err.Error(), "secret")
			}
			assert.Equal(t, before, e.client.HGetAll(t.Context(), name).Val(), what)
		}
		require.NoError(t, e.client.Del(t.Context(), name).Err())
	}
}

// A full server that may evict nothing refuses to write, and says so; leases can
// still be given back.
func TestFullServer(t *testing.T) {
	e := single(t)
	if e.name == "miniredis" {
		t.Log("miniredis has no limit: nothing is tested here")
		return
	}
	s := newStore(t, e.client)
	require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, time.Minute))
	acquire(t, s, visitor, "a", time.Minute)
	require.NoError(t, e.client.ConfigSet(t.Context(), "maxmemory", "1").Err())

	_, err := s.SaveIf(t.Context(), visitor, []byte("y"), 1, 2, time.Minute)
	require.ErrorContains(t, err, "OOM")
	_, _, err = s.Acquire(t.Context(), "another", "a", time.Minute)
	require.ErrorContains(t, err, "OOM")
	assert.Equal(t, "x", load(t, s, visitor))
	require.NoError(t, s.Release(t.Context(), visitor, "a"))
	require.NoError(t, s.Delete(t.Context(), visitor))
	assert.Empty(t, load(t, s, visitor))
}

// The rights that the README names are enough.
func TestFewRights(t *testing.T) {
	e := single(t)
	if e.name == "miniredis" {
		t.Log("miniredis has no rights: nothing is tested here")
		return
	}
	require.NoError(t, e.client.Do(t.Context(), "ACL", "SETUSER", "shop", "on", ">word", "~"+redis.DefaultPrefix+"*",
		"+@connection", "+evalsha", "+eval", "+time", "+hmget", "+hset", "+hdel", "+del", "+pexpireat").Err())
	opts := options(e.nodes[0].Options().Addr)
	opts.Username, opts.Password = "shop", "word"
	client := connected(t, goredis.NewClient(opts))
	for range 2 {
		for operation, err := range operations(t.Context(), newStore(t, client)) {
			require.NoError(t, err, operation)
		}
	}
	for operation, err := range operations(t.Context(), newStore(t, client, redis.WithPrefix("other:"))) {
		require.ErrorContains(t, err, "NOPERM", operation)
	}
}

// The visitors of a Cluster are spread over its nodes.
func visitorsAreSpread(t *testing.T, e engine, s *redis.Store) {
	for i := range 64 {
		key := visitor + string(rune('a'+i))
		require.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, time.Minute))
		acquired, _ := acquire(t, s, key, "a", time.Minute)
		require.True(t, acquired)
	}
	for _, node := range e.nodes {
		size, err := node.DBSize(t.Context()).Result()
		require.NoError(t, err)
		assert.Positive(t, size)
	}
}
