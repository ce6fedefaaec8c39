package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// upkeep does what the row, as it is now, asks for. Where the row is gone, it
// begins an anonymous session only for a caller whom that would serve. seen is
// the row as the caller knows it: if that is to be renewed, the row is read
// under its lease only.
func (m *Manager) upkeep(v *Visitor, want Want, seen *Record) work {
	renewing := m.leased(v, seen, func(ctx context.Context, l *lease) (func(), error) {
		r, err := m.load(ctx, v)
		if err != nil {
			return nil, err
		}
		return m.follow(ctx, v, want, r, l)
	})
	return func(ctx context.Context) (func(), error) {
		switch seen.plan(m.key(v), time.Now()) {
		case renewEarly, renewNow:
			return renewing(ctx)
		}
		r, err := m.load(ctx, v)
		if err != nil {
			return nil, err
		}
		switch r.plan(m.key(v), time.Now()) {
		case renewEarly, renewNow: // not what the caller knows: it looks again
			return nil, nil
		}
		return m.follow(ctx, v, want, r, nil)
	}
}

// follow does what r asks for.
func (m *Manager) follow(ctx context.Context, v *Visitor, want Want, r *Record, l *lease) (func(), error) {
	switch next := r.plan(m.key(v), time.Now()); next {
	case start:
		if want == WantCustomer {
			return nil, nil
		}
		return m.begin(ctx, v, r)
	case replace:
		return m.replace(ctx, v, r)
	case renewEarly, renewNow:
		return m.renew(ctx, v, r, l, next == renewNow)
	case expired:
		return m.expire(v, r, nil)
	default: // another flight, or another replica, was faster
		return nil, nil
	}
}

// errTooSoon ends a forced renewal that follows the last one at once.
var errTooSoon = errors.New("the server rejects new tokens too")

// force renews a session whose token the server rejected, unless the rejected
// token is no longer the current one.
func (m *Manager) force(v *Visitor, rejected secret.Secret, seen *Record) work {
	return m.leased(v, seen, func(ctx context.Context, l *lease) (func(), error) {
		r, err := m.load(ctx, v)
		if err != nil || !r.Access.Equal(rejected) {
			return nil, err
		}
		if time.Since(m.trouble(v).forced) < forcedPause {
			return nil, errTooSoon
		}
		m.setTrouble(v, func(t *trouble) { t.forced = time.Now() })
		switch {
		case r.Kind == Employee || r.CanRenew():
			return m.renew(ctx, v, r, l, true)
		case r.Kind == Anonymous:
			return m.replace(ctx, v, r)
		default:
			return m.expire(v, r, nil)
		}
	})
}

// Renew is the answer to a token that the server rejected. It returns the token
// to try again with; ok is false when there is none, because the same session
// was renewed for the same reason a moment ago.
func (m *Manager) Renew(ctx context.Context, v *Visitor, want Want, rejected Token) (t Token, ok bool, err error) {
	owner := rejected.owner
	if owner == nil {
		return Token{}, false, nil
	}
	for range 2 { // a flight that was under way may have been about something else
		r, err := m.read(ctx, owner)
		if err != nil {
			return Token{}, false, err
		}
		if !r.record.Access.Equal(rejected.Access) {
			break
		}
		err = m.join(ctx, owner, m.force(owner, rejected.Access, r.record))
		switch {
		case errors.Is(err, errTooSoon):
			return Token{}, false, nil
		case err != nil:
			return Token{}, false, err
		}
	}
	t, err = m.Token(ctx, v, want)
	if err != nil {
		return Token{}, false, err
	}
	return t, !t.Access.Equal(rejected.Access), nil
}

// renew refreshes the session once, and decides what a failure means. dead says
// that the access token is of no use any more.
func (m *Manager) renew(ctx context.Context, v *Visitor, r *Record, l *lease, dead bool) (func(), error) {
	if l.doubtful(r) && r.Kind == Customer && !r.Suspect && !dead {
		return m.hold(v, r)
	}
	var g Grant
	var err error
	switch r.Kind {
	case Employee:
		g, err = m.cfg.Issuer.Employee(ctx)
	case Customer:
		g, err = m.refreshCustomer(ctx, r, l, r.LegalEntity)
	default:
		g, err = m.refreshAnonymous(ctx, r, l)
		if outcome(err) == Unknown && err != nil && ctx.Err() == nil {
			// The answer was lost. An anonymous session has nothing to fall back
			// on, so the token is sent once more while a server's grace may last.
			g, err = m.refreshAnonymous(ctx, r, l)
		}
	}
	if errors.Is(err, errLeaseShort) {
		return nil, err
	}
	if err == nil {
		m.setTrouble(v, func(t *trouble) { t.failures, t.next = 0, time.Time{} })
		next := r.renew(g)
		return m.commit(v, r, next, m.tell(EventRefreshed, v, r, next))
	}
	m.failed(v, r, err)
	alive := !dead && time.Now().Before(r.AccessUntil)
	told := func() { m.notify(EventRefreshFailed, v, r.Kind, cause(err)) }
	switch outcome(err) {
	case Refused:
		switch {
		case r.Kind == Employee:
			return told, cause(err)
		case alive:
			return m.settle(v, r, r.withoutRefresh(), told, cause(err))
		case r.Kind == Anonymous:
			return m.replace(ctx, v, r)
		default:
			return m.expire(v, r, cause(err))
		}
	case Unknown:
		if r.Kind == Customer && !r.Suspect {
			// It may be spent; a strict server ends the session when it is sent
			// again. So it is held back for as long as the access token lives.
			return m.settle(v, r, r.suspected(), told, cause(err))
		}
	default:
	}
	return told, cause(err)
}

// hold holds a refresh token back that another process may have spent, like
// after a lost answer.
func (m *Manager) hold(v *Visitor, r *Record) (func(), error) {
	err := fmt.Errorf("%w: another process may have ended while it renewed the session, which goes on until its access token ends", sentinel.Unavailable)
	return m.settle(v, r, r.suspected(), func() { m.notify(EventRefreshFailed, v, r.Kind, err) }, err)
}

// settle writes a change that came out of a failure, and still reports the failure.
func (m *Manager) settle(v *Visitor, r, next *Record, told func(), err error) (func(), error) {
	tell, commitErr := m.commit(v, r, next, func() {})
	return func() {
		told()
		if tell != nil {
			tell()
		}
	}, errors.Join(err, commitErr)
}

func (m *Manager) failed(v *Visitor, r *Record, err error) {
	var call *CallError
	var retryAfter time.Duration
	if errors.As(err, &call) {
		retryAfter = call.RetryAfter
	}
	m.setTrouble(v, func(t *trouble) {
		t.failures++
		t.next = time.Now().Add(max(r.pause(t.failures), retryAfter))
	})
}

func (m *Manager) refreshAnonymous(ctx context.Context, r *Record, l *lease) (Grant, error) {
	ctx, cancel, err := l.sending(ctx)
	if err != nil {
		return Grant{}, &CallError{Outcome: NotSent, Err: err}
	}
	defer cancel()
	return m.cfg.Issuer.RefreshAnonymous(ctx, r.Refresh)
}

// refreshCustomer is authorised by the client's utility anonymous session: any
// anonymous token of the tenant will do, and the visitor's own ended at login.
func (m *Manager) refreshCustomer(ctx context.Context, r *Record, l *lease, legalEntity string) (Grant, error) {
	bearer, err := m.Token(ctx, m.utility, WantAnonymous)
	if err != nil {
		return Grant{}, &CallError{Outcome: NotSent, Err: err}
	}
	g, err := m.sendCustomer(ctx, bearer, r, l, legalEntity)
	if outcome(err) != BearerRefused {
		return g, err
	}
	again, ok, renewErr := m.Renew(ctx, m.utility, WantAnonymous, bearer)
	switch {
	case renewErr != nil:
		return Grant{}, &CallError{Outcome: Failed, Err: renewErr}
	case !ok:
		return Grant{}, &CallError{Outcome: Failed, Err: cause(err)}
	}
	g, err = m.sendCustomer(ctx, again, r, l, legalEntity)
	if outcome(err) == BearerRefused {
		// The bearer is brand-new, so the no is about the refresh token.
		return Grant{}, &CallError{Outcome: Refused, Err: cause(err)}
	}
	return g, err
}

func (m *Manager) sendCustomer(ctx context.Context, bearer Token, r *Record, l *lease, legalEntity string) (Grant, error) {
	ctx, cancel, err := l.sending(ctx)
	if err != nil {
		return Grant{}, &CallError{Outcome: NotSent, Err: err}
	}
	defer cancel()
	return m.cfg.Issuer.RefreshCustomer(ctx, bearer.Access, r.Refresh, legalEntity)
}

func (m *Manager) begin(ctx context.Context, v *Visitor, r *Record) (func(), error) {
	return m.beginWith(ctx, v, r, EventStarted)
}

func (m *Manager) replace(ctx context.Context, v *Visitor, r *Record) (func(), error) {
	return m.beginWith(ctx, v, r, EventReplaced)
}

// beginWith starts an anonymous session, or the employee's, in place of r.
func (m *Manager) beginWith(ctx context.Context, v *Visitor, r *Record, event EventKind) (func(), error) {
	if v == m.staff {
		g, err := m.cfg.Issuer.Employee(ctx)
		if err != nil {
			return nil, cause(err)
		}
		next := begin(Employee, g, r.Generation)
		return m.commit(v, r, next, m.tell(event, v, r, next))
	}
	sc := r.Context
	if sc == (SessionContext{}) {
		sc = m.cfg.Context
	}
	g, err := m.cfg.Issuer.Anonymous(ctx, sc)
	if err != nil {
		return nil, cause(err)
	}
	next := begin(Anonymous, g, r.Generation)
	next.Ended, next.Context = r.Ended, r.Context
	return m.commit(v, r, next, m.tell(event, v, r, next))
}

// expire ends a customer's session: nothing can renew it.
func (m *Manager) expire(v *Visitor, r *Record, err error) (func(), error) {
	return m.commit(v, r, r.gone(true), func() { m.notify(EventExpired, v, Customer, err) })
}

// Start begins an anonymous session now, in place of the visitor's present one.
func (m *Manager) Start(ctx context.Context, v *Visitor, sc SessionContext) error {
	return m.alone(ctx, v, func(ctx context.Context) (func(), error) {
		r, err := m.load(ctx, v)
		if err != nil {
			return nil, err
		}
		if r.Kind == Customer {
			return nil, sentinel.LoggedIn
		}
		event := EventStarted
		if r.Kind == Anonymous {
			event = EventReplaced
		}
		fresh := *r
		fresh.Context = sc
		return m.beginWith(ctx, v, &fresh, event)
	})
}

// Refresh renews the session now. A non-nil legal entity also switches to it
// ("" switches back to none); a refusal of the switch leaves the session as it is.
func (m *Manager) Refresh(ctx context.Context, v *Visitor, legalEntity *string) error {
	if legalEntity != nil {
		return m.alone(ctx, v, m.switchTo(v, *legalEntity))
	}
	err := m.alone(ctx, v, m.leased(v, nil, func(ctx context.Context, l *lease) (func(), error) {
		r, err := m.load(ctx, v)
		switch {
		case err != nil:
			return nil, err
		case r.Kind == None && r.Ended:
			return nil, sentinel.SessionExpired
		case r.Kind == None:
			return m.begin(ctx, v, r)
		case r.plan(m.key(v), time.Now()) == expired:
			return m.expire(v, r, nil)
		case r.plan(m.key(v), time.Now()) == replace:
			return m.replace(ctx, v, r)
		case !r.CanRenew():
			return nil, fmt.Errorf("%w: the session goes on until its access token ends, at %s", sentinel.NotRefreshable, r.AccessUntil.UTC().Format(time.RFC3339))
		}
		return m.renew(ctx, v, r, l, !time.Now().Before(r.AccessUntil))
	}))
	if err != nil {
		return err
	}
	s, err := m.read(ctx, v)
	if err != nil {
		return err
	}
	if s.record.Ended {
		return sentinel.SessionExpired
	}
	return nil
}

func (m *Manager) switchTo(v *Visitor, legalEntity string) work {
	return m.leased(v, nil, func(ctx context.Context, l *lease) (func(), error) {
		r, err := m.load(ctx, v)
		if err != nil {
			return nil, err
		}
		if err := r.refuses(WantCustomer); err != nil {
			return nil, err
		}
		if !r.CanRenew() {
			return nil, fmt.Errorf("%w: switching the legal entity needs one; log in again", sentinel.NotRefreshable)
		}
		if l.doubtful(r) && !r.Suspect {
			return m.hold(v, r)
		}
		g, err := m.refreshCustomer(ctx, r, l, legalEntity)
		if errors.Is(err, errLeaseShort) {
			return nil, err
		}
		if err != nil {
			if outcome(err) == Unknown && !r.Suspect {
				return m.settle(v, r, r.suspected(), func() {}, cause(err))
			}
			return nil, cause(err)
		}
		next := r.renew(g)
		next.LegalEntity = legalEntity
		return m.commit(v, r, next, m.tell(EventRefreshed, v, r, next))
	})
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
