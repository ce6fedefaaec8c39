package bounded

import (
	"context"
	"time"
)

// linger is how much longer than its context a quick piece of work may take: a call
// that hears the end of its context, a write of what the server answered, a log line
// about the end of the context.
const linger = 20 * time.Millisecond

// Linger returns a context with the values of ctx that ends a little later.
func Linger(ctx context.Context) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	if ctx.Done() == nil {
		return later, func() { cancel(nil) }
	}
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(linger)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(context.Cause(ctx))
		case <-later.Done():
		}
	})
	return later, func() {
		stop()
		cancel(nil)
	}
}
