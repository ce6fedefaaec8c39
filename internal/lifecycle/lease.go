package lifecycle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Where several processes share a store, one of them at a time may send a
// session's refresh token: the one that has the row's lease. leaseTime is longer than
// one call and the write after it. leaseSpare must be left when the token is sent, and
// covers both as well: a process can stall between acquiring and sending. A lease can't
// prevent everything (a failover may forget it, a process may stall in the last step);
// then the row is still written by comparing generations.
const (
	leaseTime  = 30 * time.Second
	leaseSpare = 15 * time.Second
	leaseTries = 3
	firstPoll  = 5 * time.Millisecond
	lastPoll   = 100 * time.Millisecond
)

// leaseStore is the second optional upgrade of a Store.
type leaseStore interface {
	conditionalStore
	Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error)
	Remaining(ctx context.Context, key, owner string) (time.Duration, error)
	Release(ctx context.Context, key, owner string) error
}

// lease is the right to renew one session. A nil lease is that of a store that
// only this process uses, or that can't lend: it is always good.
type lease struct {
	v     *Visitor
	store leaseStore
	owner string
	// abandoned: the last owner may have died between sending the refresh token
	// and writing what it got.
	abandoned bool

	mu    sync.Mutex
	freed bool // it is given back, or never was needed
	late  bool // it was acquired by a call that had been left
}

// errLeaseShort sends the leader back to the start: others may renew by now.
var errLeaseShort = errors.New("the lease ran short before the refresh token was sent")

// errRenewed sends it back, too: another process has renewed the session.
var errRenewed = errors.New("another process has renewed the session")

// acquire takes the lease. While another process has it, it watches the row;
// done says that the row has changed.
func (v *Visitor) acquire(ctx context.Context, seen *Record) (l *lease, done bool, err error) {
	store, lends := v.rows().(leaseStore)
	if !lends {
		return nil, false, nil
	}
	if l = v.m().pending.takeLease(v.key()); l == nil {
		l = &lease{v: v, store: store, owner: rand.Text()}
	}
	for wait := firstPoll; ; wait = min(wait*3/2, lastPoll) {
		acquired, err := l.take(ctx)
		switch {
		case err != nil:
			if !v.m().pending.keepLease(v.key(), l) {
				l.forgo(true) // perhaps only the response was lost
			}
			if ctx.Err() != nil {
				return nil, false, fmt.Errorf("%w: the time for the session's renewal ended before it had the lease: %w", sentinel.Unavailable, context.Cause(ctx))
			}
			return nil, false, v.storeError("reserving the session's renewal", err)
		case acquired:
			return l, false, nil
		}
		if done, err := v.hasChanged(ctx, seen); done || err != nil {
			l.forgo(false)
			return nil, done, err
		}
		if !pause(ctx, wait/2+mathrand.N(wait)) { // #nosec G404 -- jitter
			l.forgo(false)
			return nil, false, fmt.Errorf("%w: another process has been renewing the session for too long: %w", sentinel.Unavailable, context.Cause(ctx))
		}
	}
}

// hasChanged reports whether another process has changed the row since it was seen;
// nil is not compared.
func (v *Visitor) hasChanged(ctx context.Context, seen *Record) (bool, error) {
	if seen == nil {
		return false, nil
	}
	row, err := v.stored(ctx)
	if err != nil {
		return false, v.storeError("reading the session", err)
	}
	return row.Generation != seen.Generation, nil
}

// take asks for the lease, a few times while the store fails: who has it
// already, because only a response was lost, extends it.
func (l *lease) take(ctx context.Context) (acquired bool, err error) {
	for try := range leaseTries {
		if try > 0 && !pause(ctx, firstPoll<<try) {
			break
		}
		got, err2 := l.ask(ctx)
		if err = err2; err == nil {
			l.abandoned = got.abandoned
			return got.acquired, nil
		}
	}
	return false, err
}

type acquisition struct{ acquired, abandoned bool }

func (l *lease) ask(ctx context.Context) (acquisition, error) {
	return ask(ctx, l.v, func(ctx context.Context) (got acquisition, err error) {
		got.acquired, got.abandoned, err = l.store.Acquire(ctx, l.v.key(), l.owner, leaseTime)
		return got, err
	}, l.arrivedLate)
}

// arrivedLate is told of an acquisition that nothing waited for. If the lease has
// been given back before, it is given back again, also after Close: else it would
// look as if its owner had died.
func (l *lease) arrivedLate(got acquisition, err error) {
	if err != nil || !got.acquired {
		return
	}
	l.mu.Lock()
	freed := l.freed
	l.late = true
	l.mu.Unlock()
	if freed {
		_ = l.giveBack(context.WithoutCancel(l.v.m().ctx)) // best effort: it ends by itself
	}
}

// forgo ends the wait for the lease. perhaps says that it may have been acquired.
func (l *lease) forgo(perhaps bool) {
	l.mu.Lock()
	l.freed = true
	perhaps = perhaps || l.late
	l.mu.Unlock()
	if perhaps {
		l.v.m().detach(l.free)
	}
}

// beforeSend is asked right before a refresh token is sent. The request that ctx
// bounds leaves time to write what it brings while the lease lasts.
func (l *lease) beforeSend(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if l == nil {
		return ctx, func() {}, nil
	}
	asked := time.Now()
	left, err := ask(ctx, l.v, func(ctx context.Context) (time.Duration, error) {
		return l.store.Remaining(ctx, l.v.key(), l.owner)
	}, nil)
	left -= time.Since(asked)
	switch {
	case err != nil:
		return nil, nil, l.v.storeError("reading the session's lease", err)
	case left < leaseSpare:
		return nil, nil, errLeaseShort
	}
	ctx, cancel := context.WithTimeout(ctx, left-writeLimit)
	return ctx, cancel, nil
}

// send is steps 6 and 7: one request, while the lease lasts.
func (l *lease) send(ctx context.Context, call func(context.Context) (Grant, error)) (Grant, error) {
	ctx, cancel, err := l.beforeSend(ctx)
	if err != nil {
		return Grant{}, &failure.Failure{Token: failure.NotSent, Err: err}
	}
	defer cancel()
	return callRecovered(ctx, call)
}

// callRecovered turns a panic or Goexit in a transport or a middleware into a lost response:
// the refresh token may have been sent.
func callRecovered(ctx context.Context, call func(context.Context) (Grant, error)) (g Grant, err error) {
	done := make(chan struct{})
	err = &failure.Failure{Kind: failure.KindLost, Token: failure.Unknown, Err: fmt.Errorf("%w: %w", sentinel.Unavailable, errPanic)}
	go func() {
		defer func() {
			_ = recover()
			close(done)
		}()
		g, err = call(ctx)
	}()
	<-done
	return g, err
}

// release gives the lease back, unless what it was taken for is still to be
// written: then no other process may send the refresh token before that.
func (l *lease) release() {
	if l == nil || l.v.m().pending.keepLease(l.v.key(), l) {
		return
	}
	if l.giveBack(l.v.m().ctx) != nil {
		l.v.m().detach(l.free)
	}
}

// free gives the lease back, and tries again while the store fails. In the end
// it ends by itself, but then it looks as if its owner had died.
func (l *lease) free() {
	for try := range writeTries {
		if try > 0 && !pause(l.v.m().ctx, writePause<<try) {
			return
		}
		if l.giveBack(l.v.m().ctx) == nil {
			return
		}
	}
}

func (l *lease) giveBack(ctx context.Context) error {
	l.mu.Lock()
	l.freed = true
	l.mu.Unlock()
	_, err := ask(ctx, l.v, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.store.Release(ctx, l.v.key(), l.owner)
	}, nil)
	return err
}

// doubtful reports that the refresh token of r may have been sent by a process
// that died before it could write the response. A record that this process has
// still to write is no other process's.
func (l *lease) doubtful(r *Record) bool {
	return l != nil && l.abandoned && l.v.m().pending.of(l.v.key()).record != r
}
