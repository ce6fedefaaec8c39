// Command journey walks the whole life of a customer with the SDK: all
// operations of the Customer Service, in the order in which a shop meets them.
//
//	go run ./examples/journey
//
// The steps are in steps.go: read it to learn the SDK. Where it goes is up to the environment:
//
//   - Without any of the variables below, it starts a fake Emporix of its own.
//   - With EMPORIX_API_HOST alone, it goes to the emporix-fake that runs there,
//     and reads the mails in its outbox. One with a backend secret of its own
//     needs EMPORIX_API_CREDENTIALS_BACKEND_SECRET too.
//   - With EMPORIX_TENANT and EMPORIX_API_CREDENTIALS_STOREFRONT_CLIENT_ID, it
//     goes to that tenant, at EMPORIX_API_HOST if given. Steps that need what
//     only the tenant's owner has are skipped, with the reason.
//     EMPORIX_API_CREDENTIALS_BACKEND_CLIENT_ID and _BACKEND_SECRET let it
//     activate the account it makes. EMPORIX_JOURNEY_EMAIL is the address of
//     that account, which stays: it must be a new one at each run. The default
//     is a random one of example.com.
//
// NO_COLOR switches colours off, which only a terminal gets anyway.
//
// The exit status is 0 if all operations succeeded, 1 if something failed,
// 2 if the environment makes no sense, 3 if something was skipped, and 130
// after an interrupt.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Stdout, os.Stderr))
}
