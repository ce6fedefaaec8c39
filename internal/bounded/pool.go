package bounded

import (
	"context"
	"sync"
)

// Pool is Do for one function that is called often: its calls allocate nothing.
type Pool[A, T any] struct {
	Calls *Calls
	What  string
	Do    func(A) T
	Late  func(T) // may be nil
	free  sync.Pool
}

type pooled[A, T any] struct {
	Call[T]
	arg A
	run func()
}

// Call calls Do.
func (p *Pool[A, T]) Call(ctx context.Context, arg A) (value T, err error) {
	if ctx.Err() != nil {
		return value, context.Cause(ctx)
	}
	if ctx.Done() == nil {
		return p.Do(arg), nil
	}
	c, _ := p.free.Get().(*pooled[A, T])
	if c == nil {
		c = &pooled[A, T]{Call: Call[T]{calls: p.Calls, what: p.What, done: make(chan struct{}, 1)}}
		c.do = func() T { return p.Do(c.arg) }
		c.run = c.Call.run
	}
	c.arg = arg
	go c.run()
	if value, err = c.finish(ctx, p.Late); err != nil {
		return value, err
	}
	var none T
	var noArg A
	c.arg, c.value, c.returned = noArg, none, false
	c.state.Store(running)
	p.free.Put(c)
	return value, nil
}
