package lifecycle

import (
	"context"
	"errors"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// flight is work on one session that is under way. It runs in a goroutine of
// its own, detached from the call that started it, so that a caller who leaves can't
// break a renewal that others wait for, or that the server has half done.
type flight struct {
	alone bool          // its result is its starter's only
	done  chan struct{} // closed when err is set and the observer has been told
	err   error
	ended chan struct{} // closed when the goroutine has nothing left to do
}

// work runs in a flight. What it returns in tell are the callbacks: they run
// when the session can be used again, so that they may use it, and before the
// waiters go on, so that an observer hears of things in their order.
type work func(ctx context.Context) (tell func(), err error)

// launch starts work for v, or returns the flight that is already under way.
func (v *Visitor) launch(alone bool, do work) (f *flight, mine bool) {
	v.m().mu.Lock()
	defer v.m().mu.Unlock()
	if v.m().isClosed {
		f = &flight{done: make(chan struct{}), err: sentinel.Closed}
		close(f.done)
		return f, false
	}
	if f = v.m().flights[v.key()]; f != nil {
		return f, false
	}
	f = &flight{alone: alone, done: make(chan struct{}), ended: make(chan struct{})}
	v.m().flights[v.key()] = f
	v.m().running[f] = struct{}{}
	go v.run(f, do)
	return f, true
}

// detach runs do beside everything else; Close waits for it as for a flight. It
// does not begin after Close.
func (m *Manager) detach(do func()) (began bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return false
	}
	f := &flight{ended: make(chan struct{})}
	m.running[f] = struct{}{}
	go func() {
		defer m.finish(f)
		do()
	}()
	return true
}

// finish ends a goroutine; a panic in a user's transport or observer ends no
// more than that.
func (m *Manager) finish(f *flight) {
	_ = recover()
	m.mu.Lock()
	delete(m.running, f)
	m.mu.Unlock()
	close(f.ended)
}

func (v *Visitor) run(f *flight, do work) {
	defer v.m().finish(f)
	defer close(f.done)
	if tell := v.perform(f, do); tell != nil {
		tell()
	}
}

// perform does the work, and clears the way for the next flight.
func (v *Visitor) perform(f *flight, do work) (tell func()) {
	f.err = errPanic // a panic or Goexit in a user's store or transport releases the waiters
	defer func() {
		v.m().mu.Lock()
		delete(v.m().flights, v.key())
		v.m().mu.Unlock()
		v.epoch().Add(1) // whatever happened, everyone looks again
	}()
	ctx, cancel := context.WithTimeout(v.m().ctx, v.m().cfg.RefreshLimit)
	defer cancel()
	tell, f.err = do(ctx)
	return tell
}

// join starts work, or waits for the flight that is under way; its result then
// counts for this caller too, unless it was another caller's alone: then the caller
// looks again.
func (v *Visitor) join(ctx context.Context, do work) error {
	f, mine := v.launch(false, do)
	err := v.m().wait(ctx, f)
	if (f.alone || errors.Is(err, errTooSoon)) && !mine && ctx.Err() == nil && !v.m().Closed() {
		return nil
	}
	return err
}

// alone waits until no other flight is under way, then runs work and waits for it.
func (v *Visitor) alone(ctx context.Context, do work) error {
	own := do
	do = func(flight context.Context) (func(), error) { return own(starterValues{flight, ctx}) }
	for {
		f, mine := v.launch(true, do)
		err := v.m().wait(ctx, f)
		if mine || ctx.Err() != nil || v.m().Closed() {
			return err
		}
	}
}

// starterValues is a flight's context that also has its starter's values.
type starterValues struct {
	context.Context
	starter context.Context
}

// Value looks at the flight first: what ends it must not be the starter's.
func (c starterValues) Value(key any) any {
	if value := c.Context.Value(key); value != nil {
		return value
	}
	return c.starter.Value(key)
}

func (m *Manager) wait(ctx context.Context, f *flight) error {
	select {
	case <-f.done:
		return f.err
	default:
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-m.closed:
		return sentinel.Closed
	}
}
