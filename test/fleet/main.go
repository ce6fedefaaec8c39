// Command fleet lets three replicas, each a process of its own, keep the
// sessions of a thousand visitors in one Redis, while tokens live for seconds,
// refreshes are slow, a replica is killed and started again, and Redis fails
// over. It prints what the issue promises, and ends with status 1 if that does
// not hold:
//
//	go run ./test/fleet                                 # about 20 s
//	go run ./test/fleet -time 2m -kill hard -failover
//
// It needs redis-server on the PATH; or a Redis that is running, by -redis.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	visitors, replicas int
	time, life, delay  time.Duration
	grace              time.Duration
	kill               string
	failover           bool
	redis              string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv(roleVariable) != "" {
		if err := serveReplica(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "replica:", err)
			os.Exit(1)
		}
		return
	}
	s, err := parse(os.Args[1:])
	if err == nil {
		err = run(ctx, s, os.Stdout)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.IntVar(&s.visitors, "visitors", 1000, "visitors, every second a customer")
	flags.IntVar(&s.replicas, "replicas", 3, "processes")
	flags.DurationVar(&s.time, "time", 15*time.Second, "how long the visitors are at work")
	flags.DurationVar(&s.life, "life", 5*time.Second, "how long access tokens live, in whole seconds")
	flags.DurationVar(&s.delay, "delay", 300*time.Millisecond, "how long a refresh takes")
	flags.DurationVar(&s.grace, "grace", 0, "how long a refresh token that was used still works; afterwards its session ends")
	flags.StringVar(&s.kill, "kill", "soft", "how one replica ends: soft (SIGTERM), hard (SIGKILL) or not")
	flags.BoolVar(&s.failover, "failover", false, "kill the Redis primary once, with a replica and a Sentinel beside it")
	flags.StringVar(&s.redis, "redis", "", "`address` of a Redis that is running; empty starts one")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0 || s.visitors < 2 || s.replicas < 2 || s.life < time.Second || s.time < 2*s.life:
		return s, errors.New("-visitors and -replicas are 2 at least, -life is 1s at least, -time is twice that, and there are no arguments")
	case s.kill != "soft" && s.kill != "hard" && s.kill != "not":
		return s, errors.New("-kill is soft, hard or not")
	case s.redis != "" && s.failover:
		return s, errors.New("-failover needs a Redis of its own, without -redis")
	}
	return s, nil
}

// errBroken says that a promise did not hold; the figures say which.
var errBroken = errors.New("not as promised")

func run(ctx context.Context, s settings, out io.Writer) error {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	shared := running(s.redis)
	if s.redis == "" {
		if shared, err = start(ctx, dir, s.failover); err != nil {
			return err
		}
	}
	defer shared.stop()
	server, err := openTokenServer(ctx, s)
	if err != nil {
		return err
	}
	defer server.close()
	f := &fleet{settings: s, server: server, shared: shared}
	defer f.stop()
	if err := f.begin(ctx); err != nil {
		return err
	}
	f.work(ctx)
	f.judge(ctx)
	return f.report(out)
}
