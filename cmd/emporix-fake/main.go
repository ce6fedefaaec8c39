// Command emporix-fake runs a fake Emporix, for programs in any language and
// for tests by hand.
//
//	emporix-fake -addr 127.0.0.1:8787
//
// It starts with one customer, jo@example.com with the password P@ssw0rd123, unless
// -seed or -empty says otherwise, and prints what to export so that a client finds it. Its control interface,
// under /__fake/, shows mails, moves the clock and makes calls fail; package
// emporixfake describes it. It has no password: listen on loopback.
//
// It ends on SIGINT and SIGTERM with status 0. A wrong flag is status 2, and
// anything else that keeps it from running is 1.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
