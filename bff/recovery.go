package bff

import (
	"context"
	"errors"
	"fmt"
	"slices"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// recovered concludes what a change came to whose process has ended; see change.
func (v *requestState) recovered(ctx context.Context, old *visitorRecord) (*visitorRecord, error) {
	if old == nil || old.Superseded || old.Moving == "" {
		return old, nil
	}
	next, err := v.b.keep.successor(ctx, old)
	switch {
	case err != nil:
		return nil, err
	case next == nil || next.State == stateSettled:
		return v.replaced(ctx, old), nil
	case v.readOnly:
		return old, nil
	}
	return v.takeBack(ctx, old, next, "")
}

// replaced is the visitor of an ID whose change stands. That is true whether or
// not it can be written now.
func (v *requestState) replaced(ctx context.Context, old *visitorRecord) *visitorRecord {
	over := *old
	over.end(old.id, old.Next)
	if !v.readOnly {
		if err := v.b.keep.supersede(ctx, old, &visitorRecord{id: old.Next}, 1); err != nil && !errors.Is(err, errChanged) {
			v.b.log(ctx, "an ID that is worth nothing could not be removed", err)
		}
	}
	return &over
}

// takeBack ends a change that was not settled, so that it can't be any more, and
// leaves the visitor with the old ID. key is where the session is; "" is unknown.
// errChanged means that another request has settled it, or taken it back.
func (v *requestState) takeBack(ctx context.Context, old, next *visitorRecord, key string) (*visitorRecord, error) {
	if next.State == statePromised {
		if _, err := v.b.keep.update(ctx, next, func(r *record) { r.State = stateAbandoned }); err != nil {
			return nil, err
		}
	}
	if key == "" {
		var err error
		if key, err = v.whereabouts(ctx, old, next); err != nil {
			return nil, err
		}
	}
	kept, err := v.b.keep.update(ctx, old, func(r *record) { r.release(key) })
	if err != nil {
		return nil, err
	}
	v.discard(ctx, next)
	return kept, nil
}

// whereabouts finds the session of a visitor whose change was taken back. A
// session that the change has made is not for the old ID: that one is ended.
func (v *requestState) whereabouts(ctx context.Context, old, next *visitorRecord) (key string, err error) {
	look := func(key string) (emporix.SessionInfo, error) {
		info, err := inTime(ctx, v.b.client.Session(key).Info)
		if errors.Is(err, emporix.ErrStoreCorrupt) {
			return emporix.SessionInfo{Kind: emporix.SessionNone}, nil
		}
		return info, err
	}
	here, err := look(old.Key)
	if err != nil || here.Kind != emporix.SessionNone || here.Expired {
		return old.Key, err
	}
	there, err := look(next.Key)
	switch {
	case err != nil:
		return "", err
	case there.Kind == emporix.SessionNone && !there.Expired:
		return old.Key, nil
	case there.Kind != emporix.SessionCustomer:
		return next.Key, nil
	}
	session := v.b.client.Session(next.Key)
	if old.Customer != "" && (old.From == "" || old.From != "?" && old.From == sessionName(there)) {
		err := timely(ctx, func(ctx context.Context) error { _, err := session.Auth.Validate(ctx); return err })
		switch {
		case matchesAny(err, emporix.ErrSessionExpired, emporix.ErrNotLoggedIn, sentinel.DeadToken):
		case err == nil || matchesAny(err, saysNothing...):
			return next.Key, nil
		default:
			return "", err
		}
	}
	if err := endSession(ctx, session); err != nil {
		v.b.log(ctx, "the session of a login that reached no browser was not logged out", err)
	}
	return randomValue(), nil
}

// saysNothing are errors about something else than the access token, such as the
// shop's API key or a scope. The session is kept; the next call shows whether its
// token still works.
var saysNothing = []error{emporix.ErrUnauthorized, emporix.ErrForbidden, emporix.ErrNotFound, emporix.ErrInvalidRequest, emporix.ErrConflict}

func matchesAny(err error, kinds ...error) bool {
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}

// confirmed logs a session out. At the request's deadline the logout goes on: the
// server should hear of it.
func confirmed(ctx context.Context, session *emporix.Session) error {
	limited, cancel := bounded(ctx, changeLimit)
	defer cancel()
	_, err := await(limited, func(context.Context) (struct{}, error) {
		own, end := context.WithTimeout(context.WithoutCancel(ctx), changeLimit)
		defer end()
		return struct{}{}, session.Auth.Logout(own)
	})
	if errors.Is(err, errStuck) {
		return fmt.Errorf("bff: %w: the logout was not confirmed in time, and goes on: %w", emporix.ErrUnavailable, err)
	}
	return err
}

// endSession logs a session out, and tries again while the store fails. One that
// is not logged in has ended, unless that is what only this process knows: a
// write that the store did not take.
func endSession(ctx context.Context, session *emporix.Session) (err error) {
	_, _ = again(ctx, saveTries, func(ctx context.Context) (bool, error) {
		switch now := confirmed(ctx, session); {
		case !errors.Is(now, emporix.ErrNotLoggedIn):
			err = now
		case !errors.Is(err, emporix.ErrStoreUnavailable):
			err = nil
		default:
			return true, nil
		}
		if errors.Is(err, emporix.ErrStoreUnavailable) || errors.Is(err, errStuck) {
			return false, err
		}
		return true, nil
	})
	return err
}
