package lifecycle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Where several processes share a store, one of them at a time may send a
// session's refresh token: whoever has the row's lease. The lease outlives one
// call and the write after it; what of it must be left before the token is sent
// covers them again, because a process can stall between taking and sending.
// What a lease can't prevent (a failover that forgets it, a stall in the last
// step) the generations sort out: the row is written by comparing them.
const (
	leaseTime  = 30 * time.Second
	leaseSpare = 15 * time.Second
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
	m     *Manager
	v     *Visitor
	store leaseStore
	owner string
	// abandoned: the last owner may have died between sending the refresh token
	// and writing what it got.
	abandoned bool
}

// errLeaseShort sends the leader back to the start: others may renew by now.
var errLeaseShort = errors.New("the lease ran short before the refresh token was sent")

// leased runs do under the session's lease. If another process renews the
// session meanwhile there is nothing left to do, unless the caller insists.
func (m *Manager) leased(v *Visitor, insist bool, do func(context.Context, *lease) (func(), error)) work {
	return func(ctx context.Context) (func(), error) {
		for {
			l, done, err := m.acquire(ctx, v, insist)
			if err != nil || done {
				return nil, err
			}
			after, err := do(ctx, l)
			l.release()
			if !errors.Is(err, errLeaseShort) || ctx.Err() != nil {
				return after, err
			}
		}
	}
}

// acquire takes the lease. While another process has it, it watches the row;
// done says that the row has changed.
func (m *Manager) acquire(ctx context.Context, v *Visitor, insist bool) (l *lease, done bool, err error) {
	store, lends := m.rows(v).(leaseStore)
	if !lends {
		return nil, false, nil
	}
	l = &lease{m: m, v: v, store: store, owner: rand.Text()}
	var before *Record
	for wait := firstPoll; ; wait = min(wait*3/2, lastPoll) {
		acquired, abandoned, err := l.take(ctx)
		switch {
		case err != nil:
			return nil, false, fmt.Errorf("%w: the session's renewal could not be reserved: %w", sentinel.StoreUnavailable, err)
		case acquired:
			l.abandoned = abandoned
			return l, false, nil
		}
		row, err := m.look(ctx, v)
		if err != nil {
			return nil, false, fmt.Errorf("%w: reading the session failed: %w", sentinel.StoreUnavailable, err)
		}
		switch {
		case before == nil:
			before = row
		case row.Generation != before.Generation && !insist:
			return nil, true, nil
		}
		if !pause(ctx, wait/2+mathrand.N(wait)) { // #nosec G404 -- jitter
			return nil, false, fmt.Errorf("%w: another process has been renewing the session for too long: %w", sentinel.Unavailable, context.Cause(ctx))
		}
	}
}

func (l *lease) take(ctx context.Context) (acquired, abandoned bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.m.cfg.StoreLimit)
	defer cancel()
	defer func() {
		if recover() != nil {
			acquired, abandoned, err = false, false, errPanic
		}
	}()
	return l.store.Acquire(ctx, l.m.key(l.v), l.owner, leaseTime)
}

// ready is asked right before a refresh token is sent.
func (l *lease) ready(ctx context.Context) error {
	if l == nil {
		return nil
	}
	left := time.Duration(0)
	_, err := guardSave(func() (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, l.m.cfg.StoreLimit)
		defer cancel()
		var err error
		left, err = l.store.Remaining(ctx, l.m.key(l.v), l.owner)
		return true, err
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w: the session's lease could not be read: %w", sentinel.StoreUnavailable, err)
	case left < leaseSpare:
		return errLeaseShort
	}
	return nil
}

// release gives the lease back; if that fails it ends by itself.
func (l *lease) release() {
	if l == nil {
		return
	}
	_, _ = guardSave(func() (bool, error) {
		ctx, cancel := context.WithTimeout(l.m.ctx, l.m.cfg.StoreLimit)
		defer cancel()
		return true, l.store.Release(ctx, l.m.key(l.v), l.owner)
	})
}

// doubtful reports that the refresh token may have been sent by a process that
// died before it could write the answer.
func (l *lease) doubtful() bool { return l != nil && l.abandoned }
