package bff

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/secret"
)

const (
	storeLimit = 2 * time.Second       // one operation of the store
	grace      = 50 * time.Millisecond // for one operation after the request's deadline
	afterwards = 90 * time.Millisecond // for all that does not return, together
	notice     = 5 * time.Millisecond  // for what hears its context to return
)

// request is what work that outlives its request still knows of it.
type request struct {
	deadline time.Time   // zero if the request has none
	stuck    atomic.Bool // an operation did not return: the next ones are not waited for
	// wasted is how long, after the deadline, something was waited for that did not
	// return in time. What returns costs nothing: a slow store may finish its work.
	wasted atomic.Int64
}

// late is the time since then, as far as it lies after the deadline.
func (r *request) late(since time.Time) time.Duration {
	if r.deadline.After(since) {
		since = r.deadline
	}
	return max(time.Since(since), 0)
}

// rest is what is left of the time for what does not return.
func (r *request) rest() time.Duration { return afterwards - time.Duration(r.wasted.Load()) }

// spare is how much time one operation has now, although the deadline may have passed.
func (r *request) spare() time.Duration {
	late := min(grace, r.rest())
	if r.stuck.Load() {
		late = 0
	}
	return max(time.Until(r.deadline), late, 0)
}

type requestKey struct{}

// requestOf returns the request that ctx was detached from, if that has a deadline.
func requestOf(ctx context.Context) *request {
	if r, detached := ctx.Value(requestKey{}).(*request); detached && !r.deadline.IsZero() {
		return r
	}
	return nil
}

// detach returns a context for work that goes on when the browser goes away:
// half a login is of no use. The store is still bounded by the request's
// deadline, because a store may not return at all.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	r, found := ctx.Value(requestKey{}).(*request)
	if !found {
		r = &request{}
		r.deadline, _ = ctx.Deadline()
	}
	return context.WithTimeout(context.WithValue(context.WithoutCancel(ctx), requestKey{}, r), changeLimit)
}

// bounded returns a context that ends with ctx, after limit, and soon after the
// deadline of the request that ctx was detached from.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if r := requestOf(ctx); r != nil {
		limit = min(limit, r.spare())
	}
	return context.WithTimeout(ctx, limit)
}

// errStuck: the code that was called has not returned. It may still do so.
var errStuck = errors.New("it did not return in time")

// await runs code that is not ours, contains a panic in it, and leaves when ctx
// ends, whether the code has heard of that or not.
func await[T any](ctx context.Context, do func(context.Context) (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	began, done := time.Now(), make(chan outcome, 1)
	go func() {
		o := outcome{err: errPanic}
		defer func() {
			if o.err == errPanic { //nolint:errorlint // it is this very error
				_ = recover()
			}
			done <- o
		}()
		value, err := do(ctx)
		o = outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	wait, r := notice, requestOf(ctx)
	if r != nil {
		wait = max(min(wait, r.rest()+notice-r.late(began)), 0)
	}
	select { // what hears its context returns at about the same time
	case o := <-done:
		return o.value, o.err
	case <-time.After(wait):
		if r != nil {
			r.wasted.Add(int64(r.late(began)))
		}
		var none T
		return none, fmt.Errorf("%w: %w", errStuck, context.Cause(ctx))
	}
}

// ask runs one operation of the store, and says what failed.
func ask[T any](ctx context.Context, what string, do func(context.Context) (T, error)) (T, error) {
	limited, cancel := bounded(ctx, storeLimit)
	defer cancel()
	value, err := await(limited, do)
	if r, detached := ctx.Value(requestKey{}).(*request); detached && errors.Is(err, errStuck) {
		r.stuck.Store(true)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("bff: %s the visitor's record: %w", what, context.Cause(ctx))
	case err != nil: // the store's own text may quote the row
		err = fmt.Errorf("bff: %w: %s the visitor's record failed: %w", emporix.ErrStoreUnavailable, what, secret.RedactRow(err))
	}
	return value, err
}

// inTime is for what the SDK only asks of the store.
func inTime[T any](ctx context.Context, do func(context.Context) (T, error)) (T, error) {
	limited, cancel := bounded(ctx, changeLimit)
	defer cancel()
	return await(limited, do)
}

// timely runs calls of the API. They hear their context, so they are not left, and
// they go on when the browser goes away, but not past the request's deadline:
// after that the response is not read.
func timely(ctx context.Context, do func(context.Context) error) error {
	limited, cancel := bounded(ctx, changeLimit)
	defer cancel()
	end, _ := limited.Deadline()
	defer func() {
		if r := requestOf(ctx); r != nil {
			r.wasted.Add(int64(r.late(end)))
		}
	}()
	return do(limited)
}

// runHook runs a hook until ctx ends, and turns a panic into an error.
func runHook[T any](ctx context.Context, name string, hook func() (T, error)) (T, error) {
	value, err := await(ctx, func(context.Context) (T, error) { return hook() })
	if err != nil {
		err = &HookError{Hook: name, Err: err}
	}
	return value, err
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
