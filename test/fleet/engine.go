package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// shopName is what the Sentinel calls the primary.
const shopName = "shop"

// engine is Redis, on the loopback interface.
type engine struct {
	name    string
	address string // of the Sentinel if there is one
	master  string // the primary's name then
	primary *exec.Cmd
	all     []*exec.Cmd
}

// running is a Redis that somebody else started.
func running(address string) *engine {
	return &engine{name: "Redis at " + address, address: address}
}

// start starts a redis-server, with failover also a replica and a Sentinel.
// Their files go to dir.
func start(ctx context.Context, dir string, failover bool) (*engine, error) {
	e := new(engine)
	primary, cmd, err := e.launch(ctx, dir)
	if err != nil {
		e.stop()
		return nil, err
	}
	e.name, e.address, e.primary = "a single redis-server", primary, cmd
	if !failover {
		return e, nil
	}
	host, port, _ := net.SplitHostPort(primary)
	replica, _, err := e.launch(ctx, dir, "--replicaof", host, port)
	if err != nil {
		e.stop()
		return nil, err
	}
	conf := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 1\nsentinel down-after-milliseconds %[1]s 500\nsentinel failover-timeout %[1]s 5000\n", shopName, host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	sentinel, _, err := e.launch(ctx, dir, conf, "--sentinel")
	if err == nil {
		err = e.ready(ctx, sentinel, replica)
	}
	if err != nil {
		e.stop()
		return nil, err
	}
	e.name, e.address, e.master = "redis-server with a replica and a Sentinel", sentinel, shopName
	return e, nil
}

// killPrimary ends the primary as a power cut would.
func (e *engine) killPrimary() { _ = e.primary.Process.Kill() }

// ready waits until the replica follows and the Sentinel knows it.
func (e *engine) ready(ctx context.Context, sentinel, replica string) error {
	asked := goredis.NewSentinelClient(&goredis.Options{Addr: sentinel})
	defer func() { _ = asked.Close() }()
	follower := goredis.NewClient(&goredis.Options{Addr: replica})
	defer func() { _ = follower.Close() }()
	for range 200 {
		known, err := asked.Replicas(ctx, shopName).Result()
		role, roleErr := follower.Info(ctx, "replication").Result()
		if err == nil && roleErr == nil && len(known) == 1 && strings.Contains(role, "master_link_status:up") {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("the Sentinel did not find the replica in 20 s")
}

// launch starts a redis-server on a free port of the loopback interface.
func (e *engine) launch(ctx context.Context, dir string, args ...string) (address string, cmd *exec.Cmd, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = listener.Addr().String()
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	_ = listener.Close()
	if len(args) == 0 || strings.HasPrefix(args[0], "--") { // else a configuration file, which comes first
		args = append([]string{"--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", "--dbfilename", port + ".rdb"}, args...)
	}
	args = append(args, "--port", port, "--bind", "127.0.0.1", "--dir", dir)
	cmd = exec.CommandContext(context.WithoutCancel(ctx), "redis-server", args...) // #nosec G204 -- arguments of our own
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("%w; is it installed?", err)
	}
	e.all = append(e.all, cmd)
	client := goredis.NewClient(&goredis.Options{Addr: address})
	defer func() { _ = client.Close() }()
	for range 100 {
		if client.Ping(ctx).Err() == nil {
			return address, cmd, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return "", nil, errors.New("redis-server did not answer in 5 s")
}

// stop ends whatever start started.
func (e *engine) stop() {
	for _, cmd := range e.all {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
