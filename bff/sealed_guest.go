package bff

import (
	"context"
	"errors"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// tooLargeFor is how long no guest's session is begun after one did not fit into a
// cookie: each would cost a call, and be lost with the response.
const tooLargeFor = time.Minute

// startGuest starts a new visitor's session, where that is needed at once: for
// Options.Site, and in a cookie after another guest's did not fit, to see whether
// they fit by now.
func (v *requestState) startGuest(ctx context.Context, who *visitorRecord) error {
	k, sealed := v.b.keep.(*sealedVisitors)
	if !sealed {
		return v.startForSite(ctx, who)
	}
	until, now := k.tooLargeUntil.Load(), time.Now()
	suspected := until != 0
	if suspected && (now.UnixNano() < until || !k.tooLargeUntil.CompareAndSwap(until, now.Add(tooLargeFor).UnixNano())) {
		return ErrCookieTooLarge
	}
	err := v.startForSite(ctx, who)
	if err == nil && suspected && v.site == nil {
		_, err = v.b.client.Session(who.Key).Auth.StartAnonymous(ctx, emporix.SessionContext{})
	}
	if err == nil && (suspected || v.site != nil) {
		if _, _, err = k.cookie(who); err == nil {
			k.tooLargeUntil.Store(0)
		}
	}
	if errors.Is(err, ErrCookieTooLarge) {
		k.refuseGuests(ctx, who, err)
	}
	return err
}

// refuseGuests begins no guest's session for a while, and forgets this one, which
// no browser has.
func (k *sealedVisitors) refuseGuests(ctx context.Context, who *visitorRecord, err error) {
	k.tooLargeUntil.Store(time.Now().Add(tooLargeFor).UnixNano())
	k.store.inner().drop(k.row(who.Key))
	k.b.log(ctx, "a guest's session does not fit into a cookie; no other one is begun for a minute", err)
}

// lost reports that err, of the cookie of who, leaves the browser without a guest's
// session that this request has begun.
func (v *requestState) lost(who *visitorRecord, err error) bool {
	if !errors.Is(err, ErrCookieTooLarge) || who.Customer != "" || who.row != 0 {
		return false
	}
	k := v.b.keep.(*sealedVisitors) //nolint:forcetypeassert // other cookies are short
	if len(v.presented()) == 0 {
		k.refuseGuests(context.Background(), who, err)
	}
	v.become(nil, false)
	return true
}
