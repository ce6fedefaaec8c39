package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// begin starts an anonymous session, or the employee's, in place of r.
func (m *Manager) begin(ctx context.Context, v *Visitor, r *Record, event EventKind) (func(), error) {
	kind, call := Anonymous, m.anonymous
	if v == m.staff {
		kind, call = Employee, func(ctx context.Context, _ *Record) (Grant, error) { return m.cfg.Issuer.Employee(ctx) }
	}
	g, err := call(ctx, r)
	if err != nil {
		return nil, err
	}
	return m.begun(v, r, begin(kind, g, r.Generation), event)
}

// anonymous obtains a new anonymous token in the context of r.
func (m *Manager) anonymous(ctx context.Context, r *Record) (Grant, error) {
	if r.Context == (SessionContext{}) {
		return m.cfg.Issuer.Anonymous(ctx, m.cfg.Context)
	}
	return m.cfg.Issuer.Anonymous(ctx, r.Context)
}

// begun puts a new session in the place of r.
func (m *Manager) begun(v *Visitor, r, next *Record, event EventKind) (func(), error) {
	next.Ended, next.Context = r.Ended, r.Context
	return m.commit(v, r, next, m.tell(event, v, r, next)), next.deadOnArrival()
}

// deadOnArrival is the error of new tokens that can't be used. A call does not
// ask for more of them.
func (r *Record) deadOnArrival() error {
	if time.Now().Before(r.AccessUntil) {
		return nil
	}
	return fmt.Errorf("%w: the server's new access token had already ended when it arrived (it lives %s); no other is asked for in this call",
		sentinel.BadResponse, r.AccessUntil.Sub(r.Issued))
}

// expire ends a customer's session: nothing can renew it.
func (m *Manager) expire(v *Visitor, r *Record, err error) func() {
	return m.commit(v, r, r.gone(true), func() { m.notify(EventExpired, v, Customer, err) })
}

// over ends a session that can't be renewed: a customer's is expired, and an
// anonymous one is replaced.
func (m *Manager) over(ctx context.Context, v *Visitor, r *Record, l *lease) (func(), error) {
	return m.whenSettled(ctx, v, r, l, r.RefreshUntil, func(ctx context.Context) (func(), error) {
		if r.Kind == Customer {
			return m.expire(v, r, nil), nil
		}
		return m.begin(ctx, v, r, EventReplaced)
	})
}

// Start begins an anonymous session now, in place of the visitor's present one.
func (m *Manager) Start(ctx context.Context, v *Visitor, sc SessionContext) error {
	return m.alone(ctx, v, func(ctx context.Context) (func(), error) {
		r, err := m.load(ctx, v)
		if err != nil {
			return nil, err
		}
		event := EventStarted
		switch r.Kind {
		case Customer:
			return nil, sentinel.LoggedIn
		case Anonymous:
			event = EventReplaced
		}
		fresh := *r
		fresh.Context = sc
		return m.begin(ctx, v, &fresh, event)
	})
}
