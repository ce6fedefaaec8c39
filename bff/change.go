package bff

import (
	"context"
	"errors"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// changeLimit bounds a login and everything around it. It goes on when the
// browser goes away: half a login helps nobody.
const changeLimit = time.Minute

// change runs do on the visitor's session under a new key. If do succeeds the
// visitor gets a new ID, and the old one is worth nothing: nobody who knew it
// gains by what do did. Else the visitor keeps both ID and session. The new ID
// is written before do, so that an outage changes nothing.
func (v *visit) change(ctx context.Context, do func(ctx context.Context, s *emporix.Session, r *record) error) error {
	switch {
	case v.readOnly:
		return ErrReadOnly
	case v.late():
		return ErrTooLate
	}
	if err := v.hold(ctx); err != nil {
		return err
	}
	defer v.release()
	r := newRecord()
	old, err := v.claimed(ctx, v.known, r.Key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeLimit)
	defer cancel()

	if old != nil {
		r.Began, r.Customer, r.LoggedIn = old.Began, old.Customer, old.LoggedIn
	}
	next, err := v.b.keep.issue(ctx, r)
	if err != nil {
		v.unclaim(ctx, old)
		return err
	}
	session := v.b.client.Session(next.Key)
	if old != nil {
		moved, err := v.b.client.Session(old.Key).MoveTo(ctx, next.Key)
		switch {
		case errors.Is(err, emporix.ErrStoreCorrupt): // there is nothing that could be moved
		case err != nil:
			v.discard(ctx, next)
			v.unclaim(ctx, old)
			return err
		default:
			session = moved
		}
	} else if err := v.greet(ctx, next); err != nil {
		return err
	}
	customer, loggedIn := next.Customer, next.LoggedIn
	if err := do(ctx, session, &r); err != nil {
		v.stay(ctx, session, old, next)
		return err
	}
	if r.Customer != customer || r.LoggedIn != loggedIn || r.Began != next.Began {
		var known *visitor
		if known, err = v.b.keep.update(ctx, next, func(now *record) {
			now.Customer, now.LoggedIn, now.Began = r.Customer, r.LoggedIn, r.Began
		}); err == nil {
			next = known
		}
	}
	if err == nil {
		err = v.settle(ctx, old, next)
	}
	if err != nil {
		v.undo(ctx, session, next)
		return err
	}
	if old != nil {
		if err := v.b.keep.supersede(ctx, old, next); err != nil {
			v.b.log(ctx, "an ID that is worth nothing could not be removed", err)
		}
	}
	v.session = session
	return nil
}

// successor is who the visitor is now, where a request that was faster has given
// them a new ID.
func (v *visit) successor(ctx context.Context) (*visitor, error) {
	who, err := v.known(ctx)
	for range saveTries {
		if err != nil || who == nil || !who.Superseded {
			return who, err
		}
		before := who
		who, err = v.settled(ctx, func() (*visitor, error) { return v.b.keep.successor(ctx, before) })
	}
	return nil, errBusy
}

// claimed reserves the visitor for one change. Nil is a stranger, or a visitor
// who got a new ID a moment ago.
func (v *visit) claimed(ctx context.Context, find func(context.Context) (*visitor, error), to string) (*visitor, error) {
	for range saveTries {
		old, err := find(ctx)
		switch {
		case err != nil:
			return nil, err
		case old == nil || old.Superseded:
			v.become(nil, false)
			return nil, nil
		}
		claimed, err := v.b.keep.claim(ctx, old, to)
		if err != nil || claimed != nil {
			return claimed, err
		}
		v.opened = false // another request was faster
	}
	return nil, errBusy
}

func (v *visit) unclaim(ctx context.Context, old *visitor) {
	if old == nil {
		return
	}
	if _, err := v.b.keep.update(ctx, old, func(r *record) { r.Changing, r.Moving = 0, "" }); err != nil {
		v.b.log(ctx, "a visitor stays reserved for a minute", err)
	}
}

// recovered takes over from a process that ended in the middle of a change: the
// session may be where it was being taken. One that has become a customer's
// meanwhile is not for whoever knows the guest's ID.
func (v *visit) recovered(ctx context.Context, found *visitor) (*visitor, error) {
	if found == nil || found.Superseded || found.Moving == "" || v.readOnly {
		return found, nil
	}
	kind := func(key string) (emporix.SessionKind, error) {
		info, err := v.b.client.Session(key).Info(ctx)
		if errors.Is(err, emporix.ErrStoreCorrupt) {
			return emporix.SessionNone, nil
		}
		return info.Kind, err
	}
	here, err := kind(found.Key)
	if err != nil {
		return nil, err
	}
	there, err := kind(found.Moving)
	if err != nil {
		return nil, err
	}
	moved := here == emporix.SessionNone && there != emporix.SessionNone && (there == emporix.SessionCustomer) == (found.Customer != "")
	return v.b.keep.update(ctx, found, func(r *record) {
		if moved {
			r.Key = found.Moving
		}
		r.Changing, r.Moving = 0, ""
	})
}

// settle makes next the visitor: listed among the customer's sessions, in a
// cookie that fits.
func (v *visit) settle(ctx context.Context, old, next *visitor) error {
	if v.b.index != nil && next.Customer != "" {
		if err := v.b.index.add(ctx, next, old); err != nil {
			return err
		}
	}
	if _, _, err := v.b.keep.cookie(next); err != nil {
		return err
	}
	v.become(next, false)
	return nil
}

// undo ends a session that must not be: one that nobody could log out
// everywhere, or that fits into no cookie.
func (v *visit) undo(ctx context.Context, session *emporix.Session, next *visitor) {
	if err := session.Auth.Logout(ctx); err != nil && !errors.Is(err, emporix.ErrNotLoggedIn) {
		v.b.log(ctx, "a login that was undone was not confirmed to be", err)
	}
	v.discard(ctx, next)
	v.become(nil, true)
}

// stay leaves the visitor with the old ID for the session, which has moved; where
// there is none, or it can't be written, with the new one.
func (v *visit) stay(ctx context.Context, session *emporix.Session, old, next *visitor) {
	if old != nil {
		if kept, err := v.b.keep.update(ctx, old, func(r *record) { r.Key, r.Changing, r.Moving = next.Key, 0, "" }); err == nil {
			v.discard(ctx, next)
			v.become(kept, false)
			return
		}
	}
	if err := v.settle(ctx, old, next); err != nil {
		v.b.log(ctx, "a session could not be kept", err)
		v.undo(ctx, session, next)
	}
}
