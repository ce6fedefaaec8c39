package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// redeem sends the refresh token of r. dead says that the access token of r is of no
// use any more.
func (m *Manager) redeem(ctx context.Context, r *Record, l *lease, dead bool) (Grant, error) {
	switch r.Kind {
	case Employee:
		return m.cfg.Issuer.Employee(ctx)
	case Customer:
		return m.redeemCustomer(ctx, r, l, r.LegalEntity, dead)
	default:
		return m.redeemAnonymous(ctx, r, l)
	}
}

func (m *Manager) redeemAnonymous(ctx context.Context, r *Record, l *lease) (Grant, error) {
	call := func(ctx context.Context) (Grant, error) { return m.cfg.Issuer.RefreshAnonymous(ctx, r.Refresh) }
	g, err := l.send(ctx, call)
	if err != nil && outcome(err) == failure.Unknown && m.inTime(ctx) {
		// The response was lost. An anonymous session has nothing to fall back on,
		// so the token is sent once more while a server's grace may last.
		g, err = l.send(ctx, call)
	}
	return g, err
}

// redeemCustomer is authorised by the client's utility anonymous session: any
// anonymous token of the tenant will do, and the visitor's own ended at login.
// One half of the vendor's documentation asks for the customer's own access token
// instead. It is tried when two anonymous ones were refused, and comes first from
// then on, until an anonymous one works.
func (m *Manager) redeemCustomer(ctx context.Context, r *Record, l *lease, legalEntity string, dead bool) (Grant, error) {
	send := func(bearer secret.Secret) (Grant, error) {
		return l.send(ctx, func(ctx context.Context) (Grant, error) {
			return m.cfg.Issuer.RefreshCustomer(ctx, bearer, r.Refresh, legalEntity)
		})
	}
	own := !dead && time.Now().Before(r.AccessUntil)
	ownFirst := own && m.ownBearer.Load()
	if ownFirst {
		if g, err := send(r.Access); outcome(err) != failure.BearerRefused {
			return g, err
		}
	}
	g, err := m.withUtility(ctx, send)
	if err == nil {
		m.ownBearer.Store(false)
		return g, nil
	}
	if outcome(err) != failure.BearerRefused {
		return g, err
	}
	if own && !ownFirst {
		g, ownErr := send(r.Access)
		switch outcome(ownErr) {
		case failure.BearerRefused:
		case failure.Refused: // perhaps because of the kind of bearer, which was a guess
			err = ownErr
		default:
			if ownErr == nil {
				m.ownBearer.Store(true)
			}
			return g, ownErr
		}
	}
	return Grant{}, undecide(err)
}

// withUtility sends with the utility session's bearer, and once more with a new
// one if that is refused.
func (m *Manager) withUtility(ctx context.Context, send func(secret.Secret) (Grant, error)) (Grant, error) {
	wait, cancel := m.awaiting(ctx)
	defer cancel()
	bearer, err := m.utility.Token(wait, WantAnonymous)
	if err != nil {
		return Grant{}, &failure.Failure{Token: failure.NotSent, Err: err}
	}
	g, err := send(bearer.Access)
	if outcome(err) != failure.BearerRefused {
		return g, err
	}
	again, ok, renewErr := m.utility.ReplaceRejected(wait, WantAnonymous, bearer)
	switch {
	case renewErr != nil:
		return Grant{}, &failure.Failure{Token: failure.Failed, Err: renewErr}
	case !ok: // this one is new already
		return Grant{}, err
	}
	return send(again.Access)
}

// callTime returns how much of a renewal's time must be left to begin a call, at most
// half of it. A call that is cut short may spend the refresh token for nothing.
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
	unharmed     aftermath = iota // the next call may try again
	dropRefresh                   // the refresh token is dead, the access token lives
	holdRefresh                   // the refresh token is not sent again while the access token lives
	endGuest                      // another anonymous session takes its place
	endCustomer                   // the customer has to log in again
	tryGuest                      // only an experiment can tell: experiment.go
	countRefusal                  // only repetition can tell: experiment.go
)

func (r *Record) after(o failure.Outcome, alive bool) aftermath {
	guest, customer := r.Kind == Anonymous, r.Kind == Customer
	switch {
	case o == failure.Refused && alive && customer:
		return dropRefresh
	case o == failure.Refused && alive && guest && !r.Suspect:
		return holdRefresh // it is kept until its replacement is in the store
	case o == failure.Refused && !alive && guest:
		return endGuest
	case o == failure.Refused && !alive && customer:
		return endCustomer
	case o == failure.Undecided && !alive && guest:
		return tryGuest
	case o == failure.Undecided && !alive && customer:
		return countRefusal
	case o == failure.Unknown && customer && !r.Suspect:
		// A strict server ends the session when the token is sent again. So it is
		// held back for as long as the access token lives.
		return holdRefresh
	}
	return unharmed
}

// outcome is what the failure of a token call means for the token that was sent.
func outcome(err error) failure.Outcome {
	if f := failure.Of(err); f != nil {
		return f.Token
	}
	return failure.Unknown
}
