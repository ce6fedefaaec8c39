// Command bff is a shop's account area: pages that people open in a browser, in
// front of Emporix or of the fake that comes with the SDK.
//
//	go run ./examples/bff
//
// opens it on http://127.0.0.1:8080 with a fake of its own. To use a fake that
// runs elsewhere, or a tenant, set the variables that emporix.NewClientFromEnv
// reads.
//
//	examples/bff/replicas.sh
//
// runs three processes of it behind HAProxy, which share their visitors in Redis.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/emporix-community/emporix-go/emporixfake"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

type settings struct {
	addr, redis, url, activation, replica string
	demo                                  bool
	lives                                 emporixfake.Lifetimes
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // the flag package said why
	}
	if err := runShop(ctx, s, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bff:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bff", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.addr, "addr", "127.0.0.1:8080", "loopback `address` to listen on; port 0 takes a free one")
	flags.StringVar(&s.redis, "redis", "", "`address` of the Redis or Valkey server that keeps the visitors; without it, memory does")
	flags.StringVar(&s.activation, "activation", "mail", "what the own fake asks of new accounts: \"mail\" (double opt-in) or \"employee\"")
	flags.DurationVar(&s.lives.Anonymous, "anonymous-life", time.Hour, "`duration` that guests' tokens of the own fake live")
	flags.DurationVar(&s.lives.Customer, "customer-life", 30*24*time.Hour, "`duration` that customers' tokens of the own fake live")
	flags.StringVar(&s.url, "url", "", "loopback `URL` that visitors use; default http://ADDR")
	flags.StringVar(&s.replica, "replica", "", "`name` of this process among several behind a proxy, whose X-Forwarded-For it believes")
	flags.BoolVar(&s.demo, "demo", false, "show the customers of seed.json on the log-in page")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("there is an argument too many: %q", flags.Arg(0))
	case s.replica != "" && s.redis == "":
		err = errors.New("-replica needs -redis: processes that share visitors need a store that they share")
	case s.activation != "mail" && s.activation != "employee":
		err = errors.New(`-activation must be "mail" or "employee"`)
	case !isLoopbackAddr(s.addr):
		err = fmt.Errorf("-addr must be a loopback address with a port, such as 127.0.0.1:8080, not %q: the shop shows every mail to everybody", s.addr)
	case s.url != "" && !isLoopbackURL(s.url):
		err = errors.New("-url must be http:// or https://, a loopback address and nothing more, such as http://localhost:8080")
	case s.lives.Anonymous <= 0 || s.lives.Customer <= 0:
		err = errors.New("-anonymous-life and -customer-life must be positive")
	}
	if err != nil {
		fmt.Fprintln(stderr, "bff:", err)
	}
	return s, err
}

func isLoopbackAddr(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && isLoopback(host)
}

func isLoopbackURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && isLoopback(u.Hostname()) && raw == u.Scheme+"://"+u.Host
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
