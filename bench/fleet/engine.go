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

// engine is the Redis that the replicas share.
type engine struct {
	name    string
	address string // of the Sentinel if there is one
	master  string // shopName then
	primary *exec.Cmd
	all     []*exec.Cmd
}

func startEngine(ctx context.Context, s settings, dir string) (*engine, error) {
	e := &engine{name: "Redis at " + s.redis, address: s.redis}
	if s.redis != "" {
		return e, nil
	}
	primary, cmd, err := e.launch(ctx, dir, "redis-server")
	if err != nil {
		return nil, err
	}
	e.name, e.address, e.primary = "a single redis-server", primary, cmd
	if !s.failover {
		return e, nil
	}
	host, port, _ := net.SplitHostPort(primary)
	replica, _, err := e.launch(ctx, dir, "redis-server", "--replicaof", host, port)
	if err != nil {
		e.stop()
		return nil, err
	}
	conf := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 1\nsentinel down-after-milliseconds %[1]s 500\nsentinel failover-timeout %[1]s 5000\n", shopName, host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	sentinel, _, err := e.launch(ctx, dir, "redis-sentinel", conf)
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

// launch starts a server on a free port of the loopback interface.
func (e *engine) launch(ctx context.Context, dir, program string, args ...string) (address string, cmd *exec.Cmd, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = listener.Addr().String()
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	_ = listener.Close()
	all := []string{"--port", port, "--bind", "127.0.0.1", "--dir", dir}
	if program == "redis-server" {
		all = append(all, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", "--dbfilename", port+".rdb")
		all = append(all, args...)
	} else {
		all = append(args, all...)
	}
	cmd = exec.CommandContext(context.WithoutCancel(ctx), program, all...) // #nosec G204 -- one of two names
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("%w; install it, or give a running Redis by -redis", err)
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
	return "", nil, fmt.Errorf("%s did not answer in 5 s", program)
}

func (e *engine) stop() {
	for _, cmd := range e.all {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
