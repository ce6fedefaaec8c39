package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// begin starts an anonymous session, or the employee's, in place of r.
func (v *Visitor) begin(ctx context.Context, r *Record, event EventKind) (func(), error) {
	kind, call := Anonymous, v.m().anonymous
	if v == v.m().employee {
		kind, call = Employee, func(ctx context.Context, _ *Record) (Grant, error) { return v.m().cfg.Issuer.Employee(ctx) }
	}
	g, err := call(ctx, r)
	if err != nil {
		return nil, err
	}
	return v.begun(r, begin(kind, g, r.Generation), event)
}

// anonymous obtains a new anonymous token in the context of r.
func (m *Manager) anonymous(ctx context.Context, r *Record) (Grant, error) {
	if r.Context == (SessionContext{}) {
		return m.cfg.Issuer.Anonymous(ctx, m.cfg.Context)
	}
	return m.cfg.Issuer.Anonymous(ctx, r.Context)
}

// begun puts a new session in the place of r.
func (v *Visitor) begun(r, next *Record, event EventKind) (func(), error) {
	next.Ended, next.Context = r.Ended, r.Context
	tell, _ := v.commit(r, next, v.tell(event, r, next))
	return tell, next.deadOnArrival()
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
func (v *Visitor) expire(r *Record, err error) func() {
	tell, _ := v.commit(r, r.tombstone(true), func() { v.notify(EventExpired, Customer, err) })
	return tell
}

// over ends a session that can't be renewed: a customer's is expired, and an
// anonymous one is replaced.
func (v *Visitor) over(ctx context.Context, r *Record, l *lease) (func(), error) {
	return v.whenSettled(ctx, r, l, r.RefreshUntil, func(ctx context.Context) (func(), error) {
		if r.Kind == Customer {
			return v.expire(r, nil), nil
		}
		return v.begin(ctx, r, EventReplaced)
	})
}

// Start begins an anonymous session now, in place of the visitor's present one.
func (v *Visitor) Start(ctx context.Context, sc SessionContext) error {
	return v.alone(ctx, func(ctx context.Context) (func(), error) {
		r, err := v.current(ctx)
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
		return v.begin(ctx, &fresh, event)
	})
}
