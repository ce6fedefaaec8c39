package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// redeem sends the refresh token of r, and returns a CallError when it gave no
// new tokens.
func (m *Manager) redeem(ctx context.Context, r *Record, l *lease) (Grant, error) {
	switch r.Kind {
	case Employee:
		return m.cfg.Issuer.Employee(ctx)
	case Customer:
		return m.redeemCustomer(ctx, r, l, r.LegalEntity)
	default:
		return m.redeemAnonymous(ctx, r, l)
	}
}

func (m *Manager) redeemAnonymous(ctx context.Context, r *Record, l *lease) (Grant, error) {
	call := func(ctx context.Context) (Grant, error) { return m.cfg.Issuer.RefreshAnonymous(ctx, r.Refresh) }
	g, err := l.send(ctx, call)
	if err != nil && outcome(err) == Unknown && m.inTime(ctx) {
		// The answer was lost. An anonymous session has nothing to fall back on,
		// so the token is sent once more while a server's grace may last.
		g, err = l.send(ctx, call)
	}
	return g, err
}

// redeemCustomer is authorised by the client's utility anonymous session: any
// anonymous token of the tenant will do, and the visitor's own ended at login.
func (m *Manager) redeemCustomer(ctx context.Context, r *Record, l *lease, legalEntity string) (Grant, error) {
	send := func(bearer secret.Secret) (Grant, error) {
		return l.send(ctx, func(ctx context.Context) (Grant, error) {
			return m.cfg.Issuer.RefreshCustomer(ctx, bearer, r.Refresh, legalEntity)
		})
	}
	wait, cancel := m.awaiting(ctx)
	defer cancel()
	bearer, err := m.Token(wait, m.utility, WantAnonymous)
	if err != nil {
		return Grant{}, &CallError{Outcome: NotSent, Err: err}
	}
	g, err := send(bearer.Access)
	if outcome(err) != BearerRefused {
		return g, err
	}
	again, ok, renewErr := m.Renew(wait, m.utility, WantAnonymous, bearer)
	switch {
	case renewErr != nil:
		return Grant{}, &CallError{Outcome: Failed, Err: renewErr}
	case !ok:
		return Grant{}, &CallError{Outcome: Failed, Err: cause(err)}
	}
	g, err = send(again.Access)
	if outcome(err) == BearerRefused {
		// The bearer is brand-new, so the no is about the refresh token.
		return Grant{}, &CallError{Outcome: Refused, Err: cause(err)}
	}
	return g, err
}

// callTime must be left for a call, or half of all the time that a renewal has:
// a call that is cut short is a refresh token spent for nothing.
func (m *Manager) callTime() time.Duration { return min(leaseSpare-writeLimit, m.cfg.RefreshLimit/2) }

func (m *Manager) inTime(ctx context.Context) bool {
	until, bounded := ctx.Deadline()
	return !bounded || time.Until(until) >= m.callTime()
}

var errNoBearer = fmt.Errorf("%w: the renewal waited so long for the anonymous session that authorises it that it was given up before the refresh token was used; try again", sentinel.Unavailable)

// awaiting bounds the wait for a bearer. It leaves time for the call, and time to
// give the lease back: one that runs out looks as if its owner had died.
func (m *Manager) awaiting(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(leaseTime - writeLimit)
	if until, bounded := ctx.Deadline(); bounded && until.Add(-m.callTime()).Before(end) {
		end = until.Add(-m.callTime())
	}
	return context.WithDeadlineCause(ctx, end, errNoBearer)
}

// aftermath is what a failed renewal means for the session, besides its failure.
type aftermath uint8

const (
	unharmed    aftermath = iota // the next call may try again
	dropRefresh                  // the refresh token is dead, the access token lives
	holdRefresh                  // the refresh token may be spent
	endGuest                     // another anonymous session takes its place
	endCustomer                  // the customer has to log in again
)

func (r *Record) after(o Outcome, alive bool) aftermath {
	switch {
	case r.Kind == Employee:
		return unharmed
	case o == Refused && alive:
		return dropRefresh
	case o == Refused && r.Kind == Anonymous:
		return endGuest
	case o == Refused:
		return endCustomer
	case o == Unknown && r.Kind == Customer && !r.Suspect:
		// A strict server ends the session when the token is sent again. So it is
		// held back for as long as the access token lives.
		return holdRefresh
	}
	return unharmed
}

func outcome(err error) Outcome {
	var call *CallError
	if errors.As(err, &call) {
		return call.Outcome
	}
	return Unknown
}

// cause drops the classification, which is of no use to callers.
func cause(err error) error {
	var call *CallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}
