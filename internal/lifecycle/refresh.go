package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// The refresh protocol. A refresh token is good for one request, and a strict
// server ends the session when it comes again; so the order matters:
//
//	1  plan        is the token good, to be renewed early, or over?       token.go, plan.go
//	2  launch      one flight per session; waiters leave when they like   flight.go
//	3  run         detached, bounded, and survives a panic                flight.go
//	4  acquire     one process at a time has the lease                    lease.go
//	5  underLease  is the row still the one to renew?                     here
//	6  beforeSend  does enough of the lease remain?                       lease.go
//	7  redeem      one request                                            redeem.go
//	8  renew       what does its outcome mean?                            here, redeem.go
//	9  commit      write by comparing generations; what fails is pending  commit.go, pending.go
//	10 release     give the lease back; then the flight ends              lease.go, flight.go
//
// ARCHITECTURE.md describes the same steps.

// withLease acquires the lease, loads the row, runs act and releases the lease (steps
// 4, 5 and 10). If another process writes the row first, so that it is not the one that
// was seen, there is nothing left to do; without seen act runs all the same.
func (v *Visitor) withLease(seen *Record, act func(context.Context, *Record, *lease) (func(), error)) work {
	return func(ctx context.Context) (tell func(), err error) {
		for {
			l, done, err := v.acquire(ctx, seen)
			if err != nil || done {
				return nil, err
			}
			tell, err = v.underLease(ctx, l, act)
			l.release() // a panic keeps it: what was sent is not known
			if !errors.Is(err, errLeaseShort) && !errors.Is(err, errRenewed) {
				return tell, err
			}
			if !pause(ctx, lastPoll) {
				return nil, fmt.Errorf("%w: %w", sentinel.Unavailable, err)
			}
		}
	}
}

// underLease is step 5 and act. It has all the time of a renewal, however long it was
// waited for.
func (v *Visitor) underLease(flight context.Context, l *lease, act func(context.Context, *Record, *lease) (func(), error)) (tell func(), err error) {
	ctx, end := context.WithTimeout(starterValues{v.m().ctx, flight}, v.m().cfg.RefreshLimit)
	defer end()
	r, err := v.current(ctx)
	if err != nil {
		return nil, err
	}
	return act(ctx, r, l)
}

// renewIfDue does what the present row asks for. Where the row is gone, it begins an
// anonymous session unless the caller needs a customer's. seen is the row as the caller
// knows it; renewing it takes the lease.
func (v *Visitor) renewIfDue(want Want, seen *Record) work {
	if v.plan(seen).renews() || v.m().closing(seen) {
		return v.withLease(seen, func(ctx context.Context, r *Record, l *lease) (func(), error) {
			return v.apply(ctx, want, r, l)
		})
	}
	return func(ctx context.Context) (func(), error) {
		r, err := v.current(ctx)
		if err != nil || v.plan(r).renews() || v.m().closing(r) { // not what the caller knows: it looks again
			return nil, err
		}
		return v.apply(ctx, want, r, nil)
	}
}

// apply does what r asks for.
func (v *Visitor) apply(ctx context.Context, want Want, r *Record, l *lease) (func(), error) {
	switch next := v.plan(r); next {
	case start:
		if want == WantCustomer {
			return nil, nil
		}
		return v.begin(ctx, r, EventStarted)
	case renewEarly, renewNow:
		return v.renew(ctx, r, l, next == renewNow)
	case replace, expired:
		return v.over(ctx, r, l)
	default: // another flight, or another replica, was faster
		return nil, nil
	}
}

// renew is steps 6 to 9 for r. dead says that its access token is of no use any
// more.
func (v *Visitor) renew(ctx context.Context, r *Record, l *lease, dead bool) (func(), error) {
	if l.doubtful(r) && r.Kind == Customer && !r.Suspect && !dead {
		return v.suspend(r)
	}
	g, err := v.m().redeem(ctx, r, l, dead)
	switch {
	case err == nil:
		return v.renewed(r, g, dead)
	case errors.Is(err, errLeaseShort):
		return nil, err
	}
	if o := outcome(err); o == failure.Refused || o == failure.Undecided && (dead || !time.Now().Before(r.AccessUntil)) { // perhaps another process's renewal is why
		still, settled, end, err := v.settled(ctx, r, l, time.Now())
		defer end()
		if err != nil || !still {
			return nil, err
		}
		ctx = settled
	}
	v.failed(r, err)
	tell := func() { v.notify(EventRefreshFailed, r.Kind, err) }
	alive := !dead && time.Now().Before(r.AccessUntil)
	switch r.after(outcome(err), alive) {
	case tryGuest:
		return v.experiment(ctx, r, l, err)
	case countRefusal:
		return v.countRefusal(ctx, r, err)
	case dropRefresh:
		tell = v.commitAfterFailure(r, r.withoutRefresh(), tell)
	case holdRefresh:
		tell = v.commitAfterFailure(r, r.suspected(), tell)
	case endGuest:
		return v.begin(ctx, r, EventReplaced)
	case endCustomer:
		return v.expire(r, err), nil
	case unharmed:
	}
	if r.Kind == Employee { // their renewal is a login
		return tell, err
	}
	return tell, kept(err)
}

// renewed makes the new tokens the session's. dead says that the access token of
// r is of no use any more; else it stays in use where the new one has ended already.
func (v *Visitor) renewed(r *Record, g Grant, dead bool) (func(), error) {
	next := r.renew(g)
	late := next.deadOnArrival()
	if late != nil && !dead && time.Now().Before(r.AccessUntil) {
		next.Access, next.AccessUntil = r.Access, r.AccessUntil
		v.failed(r, late)
		return v.commitAfterFailure(r, next, func() { v.notify(EventRefreshFailed, r.Kind, late) }), late
	}
	v.setBackoff(func(t *backoff) { t.failures, t.next = 0, time.Time{} })
	return v.refreshed(r, next), late
}

// refreshed makes the renewed record the truth.
func (v *Visitor) refreshed(r, next *Record) func() {
	tell, _ := v.commit(r, next, v.tell(EventRefreshed, r, next))
	return tell
}

// suspend holds a refresh token back that another process may have spent, like
// after a lost response.
func (v *Visitor) suspend(r *Record) (func(), error) {
	err := fmt.Errorf("%w: another process may have ended while it renewed the session, which goes on until its access token ends", sentinel.Unavailable)
	return v.commitAfterFailure(r, r.suspected(), func() { v.notify(EventRefreshFailed, r.Kind, err) }), err
}

// commitAfterFailure writes a change that came out of a failure; the failure is told
// first, and whether or not the change is beaten.
func (v *Visitor) commitAfterFailure(r, next *Record, failure func()) func() {
	tell, _ := v.commit(r, next, func() {})
	return func() {
		failure()
		tell()
	}
}

// Refresh renews the session now. A non-nil legal entity also switches to it
// ("" switches back to none); a refusal of the switch leaves the session as it is.
func (v *Visitor) Refresh(ctx context.Context, legalEntity *string) error {
	if legalEntity != nil {
		var begun atomic.Bool
		err := v.alone(ctx, v.switchTo(ctx, *legalEntity, &begun))
		return unfinished(ctx, &begun, "the legal entity is still being switched", err)
	}
	if err := v.alone(ctx, v.refresh()); err != nil {
		return err
	}
	s, err := v.snapshot(ctx)
	if err != nil {
		return err
	}
	if s.record.Ended {
		return sentinel.SessionExpired
	}
	return nil
}

// unfinished is the error of a change that has begun, and goes on although its caller
// has left.
func unfinished(caller context.Context, begun *atomic.Bool, what string, err error) error {
	if err != nil && begun.Load() && caller.Err() != nil && errors.Is(err, context.Cause(caller)) {
		return fmt.Errorf("%w: %s: %w", sentinel.OutcomeUnknown, what, err)
	}
	return err
}

func (v *Visitor) refresh() work {
	return v.withLease(nil, func(ctx context.Context, r *Record, l *lease) (func(), error) {
		next := v.plan(r)
		switch {
		case next == start && r.Ended:
			return nil, sentinel.SessionExpired
		case next == start:
			return v.begin(ctx, r, EventStarted)
		case next == expired || next == replace:
			return v.over(ctx, r, l)
		case !r.CanRenew():
			return nil, fmt.Errorf("%w: the session goes on until its access token ends, at %s", sentinel.NotRefreshable, r.AccessUntil.UTC().Format(time.RFC3339))
		}
		return v.renew(ctx, r, l, next == renewNow)
	})
}

// switchTo sets begun when the switch begins. A caller who leaves after that does not
// know whether the legal entity was switched.
func (v *Visitor) switchTo(caller context.Context, legalEntity string, begun *atomic.Bool) work {
	return v.withLease(nil, func(ctx context.Context, r *Record, l *lease) (func(), error) {
		begun.Store(true)
		if caller.Err() != nil {
			return nil, context.Cause(caller)
		}
		if err := r.refuses(WantCustomer); err != nil {
			return nil, err
		}
		if !r.CanRenew() {
			return nil, fmt.Errorf("%w: switching the legal entity needs one; log in again", sentinel.NotRefreshable)
		}
		if l.doubtful(r) && !r.Suspect {
			return v.suspend(r)
		}
		g, err := v.m().redeemCustomer(ctx, r, l, legalEntity, false)
		if err == nil {
			next := r.renew(g)
			next.LegalEntity = legalEntity
			return v.refreshed(r, next), next.deadOnArrival()
		}
		return v.notSwitched(ctx, r, l, err)
	})
}

// notSwitched decides what the failure of a switch means. A refusal may be about the
// legal entity.
func (v *Visitor) notSwitched(ctx context.Context, r *Record, l *lease, err error) (func(), error) {
	switch how := outcome(err); {
	case errors.Is(err, errLeaseShort):
		return nil, err
	case how == failure.Unknown && !r.Suspect:
		return v.commitAfterFailure(r, r.suspected(), func() {}), err
	case how == failure.Refused: // or another process has renewed the session
		still, _, end, settleErr := v.settled(ctx, r, l, time.Now())
		end()
		if settleErr == nil && !still {
			return nil, errRenewed
		}
	case how == failure.Undecided && !aboutCompany(err):
		return nil, kept(err)
	}
	return nil, err
}
