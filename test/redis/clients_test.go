package redis_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/stores/redis"
)

// A client that would break a promise of the store is refused at once.
func TestClients(t *testing.T) {
	const nowhere = "127.0.0.1:1"
	for name, tt := range map[string]struct {
		client goredis.UniversalClient
		says   string
	}{
		"nil":                 {nil, "is nil"},
		"a nil client":        {(*goredis.Client)(nil), "is nil"},
		"a nil Ring":          {(*goredis.Ring)(nil), "a Ring"},
		"somebody's nil":      {(*wrapped)(nil), "is nil"},
		"a nil Cluster":       {(*goredis.ClusterClient)(nil), "is nil"},
		"one server, patient": {connected(t, goredis.NewClient(&goredis.Options{Addr: nowhere})), "ContextTimeoutEnabled"},
		"Sentinel, patient":   {connected(t, goredis.NewFailoverClient(&goredis.FailoverOptions{MasterName: "shop", SentinelAddrs: []string{nowhere}})), "ContextTimeoutEnabled"},
		"Cluster, patient":    {connected(t, goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{nowhere}})), "ContextTimeoutEnabled"},
		"Ring":                {connected(t, goredis.NewRing(&goredis.RingOptions{Addrs: map[string]string{"a": nowhere}, ContextTimeoutEnabled: true})), "a Ring"},
		"one server":          {connected(t, goredis.NewClient(&goredis.Options{Addr: nowhere, ContextTimeoutEnabled: true})), ""},
		"Sentinel": {connected(t, goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: "shop", SentinelAddrs: []string{nowhere}, ContextTimeoutEnabled: true,
		})), ""},
		"Cluster":     {connected(t, goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{nowhere}, ContextTimeoutEnabled: true})), ""},
		"somebody's":  {struct{ goredis.UniversalClient }{}, ""},
		"a universal": {connected(t, goredis.NewUniversalClient(&goredis.UniversalOptions{Addrs: []string{nowhere}, ContextTimeoutEnabled: true})), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := redis.New(tt.client)
			if tt.says == "" {
				require.NoError(t, err)
				assert.NotNil(t, s)
				return
			}
			require.ErrorContains(t, err, "emporix: redis store: ")
			require.ErrorContains(t, err, tt.says)
			assert.Nil(t, s)
		})
	}
}

type wrapped struct{ goredis.UniversalClient }

func TestOptions(t *testing.T) {
	_, err := redis.New(&wrapped{}, nil)
	require.ErrorContains(t, err, "an option is nil")
}

type panicking struct{ goredis.Hook }

func (panicking) ProcessHook(goredis.ProcessHook) goredis.ProcessHook {
	return func(_ context.Context, cmd goredis.Cmder) error { panic(cmd) }
}
func (panicking) DialHook(next goredis.DialHook) goredis.DialHook { return next }
func (panicking) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

// A panic in a hook is an error of the operation, and shows nothing.
func TestAPanicInAHook(t *testing.T) {
	e, _ := simulated(t)
	s := newStore(t, e.client)
	e.client.AddHook(panicking{})
	for operation, err := range operations(t.Context(), s) {
		require.ErrorContains(t, err, "a panic in the Redis client", operation)
		assert.NotContains(t, err.Error(), "secret data")
	}
}

// Go's FIPS mode is chosen when a program starts, so another one is started.
func TestFIPS(t *testing.T) {
	if address := os.Getenv("REDIS_TEST_FIPS"); address != "" {
		for operation, err := range operations(t.Context(), newStore(t, connected(t, goredis.NewClient(options(address))))) {
			require.NoError(t, err, operation)
		}
		return
	}
	address := single(t).nodes[0].Options().Addr
	program := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPS$") // #nosec G204 G702 -- this test
	program.Env = append(os.Environ(), "GODEBUG=fips140=only", "REDIS_TEST_FIPS="+address)
	out, err := program.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// Both protocols of Redis carry the same.
func TestTheOlderProtocol(t *testing.T) {
	t.Parallel()
	e := single(t)
	opts := options(e.nodes[0].Options().Addr)
	opts.Protocol = 2
	conforms(t, e, newStore(t, connected(t, goredis.NewClient(opts))))
}

// An operation on a server that hangs ends with its context.
func TestAServerThatHangs(t *testing.T) {
	e := single(t)
	if e.name == "miniredis" {
		t.Log("miniredis does not hang: nothing is tested here")
		return
	}
	s := newStore(t, e.client)
	require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, time.Hour))
	require.NoError(t, e.client.Do(t.Context(), "CLIENT", "PAUSE", "60000", "ALL").Err())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := s.Load(ctx, visitor)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
