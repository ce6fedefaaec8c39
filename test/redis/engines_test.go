package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis tells of every server that a test stops
	m.Run()
}

// engine is what a store is tested over.
type engine struct {
	name    string
	client  goredis.UniversalClient
	nodes   []*goredis.Client   // each server that holds rows
	advance func(time.Duration) // of the engine's clock
	virtual bool                // the clock moves only so
}

// simulated returns miniredis, whose clock is virtual.
func simulated(t testing.TB) (engine, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	var mu sync.Mutex
	now := time.Now()
	server.SetTime(now)
	client := connected(t, goredis.NewClient(options(server.Addr())))
	return engine{
		name:    "miniredis",
		client:  client,
		nodes:   []*goredis.Client{client},
		virtual: true,
		advance: func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(d)
			server.SetTime(now)
			server.FastForward(d)
		},
	}, server
}

// installed reports whether there are real servers to test with.
func installed(t testing.TB) bool {
	t.Helper()
	for _, program := range []string{"redis-server", "redis-cli"} {
		if _, err := exec.LookPath(program); err != nil {
			require.Empty(t, os.Getenv("EMPORIX_REQUIRE_ENGINES"), "%s is not on the PATH, and EMPORIX_REQUIRE_ENGINES is set", program)
			t.Logf("%s is not on the PATH: miniredis stands in for a real server", program)
			return false
		}
	}
	return true
}

// single returns one server.
func single(t testing.TB) engine {
	t.Helper()
	if !installed(t) {
		e, _ := simulated(t)
		return e
	}
	client := connected(t, goredis.NewClient(options(start(t).address)))
	return engine{name: "one server", client: client, nodes: []*goredis.Client{client}, advance: time.Sleep}
}

// cluster returns three servers that share the visitors.
func cluster(t testing.TB) engine {
	t.Helper()
	if !installed(t) {
		e, server := simulated(t)
		e.client = connected(t, goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{server.Addr()}, ContextTimeoutEnabled: true}))
		return e
	}
	e := engine{name: "a Cluster of three", advance: time.Sleep}
	var addresses []string
	for range 3 {
		s := start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", strconv.Itoa(freePort(t)))
		addresses = append(addresses, s.address)
		e.nodes = append(e.nodes, connected(t, goredis.NewClient(options(s.address))))
	}
	create := append([]string{"--cluster", "create"}, addresses...)
	out, err := exec.CommandContext(t.Context(), "redis-cli", append(create, "--cluster-replicas", "0", "--cluster-yes")...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, node := range e.nodes {
		require.Eventually(t, func() bool {
			info, err := node.ClusterInfo(t.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok")
		}, 20*time.Second, 20*time.Millisecond)
	}
	e.client = connected(t, goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addresses, ContextTimeoutEnabled: true}))
	return e
}

// watched returns a primary with a replica that Sentinel promotes when fail
// kills the primary.
func watched(t testing.TB) (e engine, fail func()) {
	t.Helper()
	if !installed(t) {
		e, server := simulated(t)
		return e, func() { // an outage, at least
			server.Close()
			require.NoError(t, server.Restart())
		}
	}
	primary := start(t)
	_, port, err := net.SplitHostPort(primary.address)
	require.NoError(t, err)
	replica := start(t, "--replicaof", "127.0.0.1", port, "--repl-diskless-sync-delay", "0")
	second := connected(t, goredis.NewClient(options(replica.address)))
	require.Eventually(t, func() bool {
		info, err := second.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	}, 20*time.Second, 20*time.Millisecond)

	first := connected(t, goredis.NewClient(options(primary.address)))
	require.Eventually(t, func() bool { // until then, the primary only keeps for it what is written
		info, err := first.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "state=online")
	}, 20*time.Second, 20*time.Millisecond)

	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(conf, []byte("sentinel monitor shop 127.0.0.1 "+port+" 1\n"+
		"sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 5000\n"), 0o600))
	sentinel := launch(t, func(port int) []string {
		return []string{conf, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--sentinel"}
	})
	asked := goredis.NewSentinelClient(options(sentinel.address))
	t.Cleanup(func() { _ = asked.Close() })
	require.Eventually(t, func() bool {
		known, err := asked.Replicas(t.Context(), "shop").Result()
		return err == nil && len(known) == 1 && known[0]["master-link-status"] == "ok"
	}, 30*time.Second, 50*time.Millisecond, "Sentinel doesn't see the replica")

	client := connected(t, goredis.NewFailoverClient(&goredis.FailoverOptions{
		MasterName: "shop", SentinelAddrs: []string{sentinel.address}, ContextTimeoutEnabled: true,
	}))
	return engine{name: "primary, replica and Sentinel", client: client, nodes: []*goredis.Client{first, second}, advance: time.Sleep}, primary.kill
}

func options(address string) *goredis.Options {
	return &goredis.Options{Addr: address, ContextTimeoutEnabled: true}
}

func connected[C goredis.UniversalClient](t testing.TB, client C) C {
	t.Helper()
	t.Cleanup(func() { _ = client.Close() })
	return client
}

type server struct {
	address string
	kill    func()
}

// start runs a redis-server that writes nothing to disk but what it must.
func start(t testing.TB, args ...string) server {
	t.Helper()
	dir := t.TempDir()
	return launch(t, func(port int) []string {
		return append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"}, args...)
	})
}

// launch runs a redis-server on a free port, and waits until it answers.
// Another process may take the port first; then it tries the next one.
func launch(t testing.TB, args func(port int) []string) server {
	t.Helper()
	for range 5 {
		port := freePort(t)
		var out bytes.Buffer
		// It must outlive t.Context, which ends before the clean-up.
		process := exec.CommandContext(context.Background(), "redis-server", args(port)...) // #nosec G204 -- a test's own
		process.Stdout, process.Stderr = &out, &out
		require.NoError(t, process.Start())
		ended := make(chan struct{})
		go func() { _ = process.Wait(); close(ended) }()
		s := server{address: fmt.Sprintf("127.0.0.1:%d", port), kill: func() { _ = process.Process.Kill(); <-ended }}
		t.Cleanup(s.kill)
		if answers(t, s.address, ended) {
			return s
		}
		s.kill()
		t.Logf("redis-server did not start:\n%s", &out)
	}
	require.FailNow(t, "redis-server does not start")
	return server{}
}

func answers(t testing.TB, address string, ended <-chan struct{}) bool {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: address, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	for range 500 {
		if client.Ping(t.Context()).Err() == nil {
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}
