// Package bounded calls code that is not the SDK's own, such as a token store, a
// transport or an observer, and leaves it when a context ends. A Go function
// can't be stopped from outside: what is left goes on in its goroutine until it
// returns, and is counted until then, so that Close can name it.
package bounded

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Calls counts the calls that were left and have not returned, by what they call.
// Its zero value is ready for use.
type Calls struct {
	mu   sync.Mutex
	left map[string]int
	back chan struct{} // closed when the next of them returns; nil if nothing waits
}

// Left returns how many calls of what were left and have not returned.
func (c *Calls) Left(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left[what]
}

// String names the calls that have not returned, such as "1 call of the token
// store"; "" if there are none.
func (c *Calls) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := make([]string, 0, len(c.left))
	for what, n := range c.left {
		parts = append(parts, Count(n, what))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// Count names n calls of what.
func Count(n int, what string) string {
	if n == 1 {
		return "1 call of " + what
	}
	return fmt.Sprintf("%d calls of %s", n, what)
}

// Wait waits until all calls that were left have returned, or ctx ends.
func (c *Calls) Wait(ctx context.Context) {
	for {
		c.mu.Lock()
		if len(c.left) == 0 {
			c.mu.Unlock()
			return
		}
		if c.back == nil {
			c.back = make(chan struct{})
		}
		back := c.back
		c.mu.Unlock()
		select {
		case <-back:
		case <-ctx.Done():
			return
		}
	}
}

func (c *Calls) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == nil {
		c.left = map[string]int{}
	}
	c.left[what]++
}

func (c *Calls) remove(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left[what]--; c.left[what] == 0 {
		delete(c.left, what)
	}
	if c.back != nil {
		close(c.back)
		c.back = nil
	}
}

// The states of a call.
const (
	running int32 = iota
	ended
	left
)

// Call is one call that runs in a goroutine of its own.
type Call[T any] struct {
	calls    *Calls
	what     string
	do       func() T
	state    atomic.Int32
	done     chan struct{} // gets one value when the call has ended
	returned bool          // false: it panicked, or ended its goroutine
	value    T
	panicked any
	late     func(T)
}

// Start calls do. what says what is called, such as "the token store".
func Start[T any](calls *Calls, what string, do func() T) *Call[T] {
	c := &Call[T]{calls: calls, what: what, do: do, done: make(chan struct{}, 1)}
	go c.run()
	return c
}

func (c *Call[T]) run() {
	defer c.end()
	c.value = c.do()
	c.returned = true
}

// end may not touch the call once it is known to have ended: it may be used again.
func (c *Call[T]) end() {
	if !c.returned {
		c.panicked = recover() // nothing waits for what was left; else it goes on there
	}
	if c.state.CompareAndSwap(running, ended) {
		c.done <- struct{}{}
		return
	}
	c.done <- struct{}{} // it may be waited for again
	c.afterwards()
}

// afterwards is the end of a call that was left.
func (c *Call[T]) afterwards() {
	defer c.calls.remove(c.what)
	if c.returned && c.late != nil {
		c.late(c.value)
	}
}

// Wait returns what the call returned, once, or the cause of ctx if that ends first;
// then it may be asked again. A panic of the call continues in the goroutine that
// waits, and so does runtime.Goexit.
func (c *Call[T]) Wait(ctx context.Context) (value T, err error) {
	select {
	case <-c.done:
	default:
		select {
		case <-c.done:
		case <-ctx.Done():
			return value, context.Cause(ctx)
		}
	}
	switch {
	case c.panicked != nil:
		panic(c.panicked)
	case !c.returned:
		runtime.Goexit()
	}
	return c.value, nil
}

// Leave says that nothing waits for the call any more. late, which may be nil,
// gets what it returns, in the goroutine of the call or, if it has returned, here.
func (c *Call[T]) Leave(late func(T)) {
	c.late = late
	c.calls.add(c.what)
	if !c.state.CompareAndSwap(running, left) {
		c.afterwards()
	}
}

// finish waits for the call until ctx ends, and a moment longer, for code that hears
// its context has the better error; then it leaves the call.
func (c *Call[T]) finish(ctx context.Context, late func(T)) (value T, err error) {
	if value, err = c.Wait(ctx); err == nil {
		return value, nil
	}
	moment, cancel := context.WithTimeout(context.WithoutCancel(ctx), linger)
	defer cancel()
	if value, end := c.Wait(moment); end == nil {
		return value, nil
	}
	c.Leave(late)
	return value, err
}

// Do calls do and waits for it until ctx ends; then it leaves the call and returns
// the cause of ctx. If ctx has ended before, do is not called.
func Do[T any](ctx context.Context, calls *Calls, what string, do func() T, late func(T)) (value T, err error) {
	if ctx.Err() != nil {
		return value, context.Cause(ctx)
	}
	if ctx.Done() == nil {
		return do(), nil
	}
	return Start(calls, what, do).finish(ctx, late)
}

// Go calls do and waits for nothing.
func Go(calls *Calls, what string, do func()) {
	Start(calls, what, func() struct{} { do(); return struct{}{} }).Leave(nil)
}
