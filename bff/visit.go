package bff

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// Visit is one request of one visitor. Its methods may be called from several
// goroutines of the request; what changes the session must come before the
// answer begins, because it changes the cookie.
type Visit struct {
	inner func() *visit // printers can't look into it
}

// visit is the state of a Visit.
type visit struct {
	b         *BFF
	readOnly  bool
	presented func() []*http.Cookie
	site      func() emporix.SessionContext // may be nil
	busy      chan struct{}                 // one at a time looks up or changes the visitor

	opened  bool             // under busy
	session *emporix.Session // under busy

	mu      sync.Mutex // guards what the writer looks at; never held across I/O
	visitor *visitor   // nil: a stranger
	dropped bool       // the browser's cookie is to be removed
	begun   bool       // the answer has begun
}

// changeLimit bounds a login and everything around it. It goes on when the
// browser goes away: half a login helps nobody.
const changeLimit = time.Minute

func (v *visit) hold(ctx context.Context) error {
	select {
	case v.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (v *visit) release() { <-v.busy }

func (v *visit) now() *visitor {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.visitor
}

// become makes another visitor of the request, nil for a stranger.
func (v *visit) become(other *visitor, dropped bool) {
	v.session = nil
	v.mu.Lock()
	defer v.mu.Unlock()
	v.visitor, v.dropped = other, dropped
}

// replace is become for a newer record of the same visitor and session.
func (v *visit) replace(newer *visitor) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.visitor = newer
}

func (v *visit) late() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.begun
}

// abandon drops the cookie of a visitor whose session can't be read.
func (v *visit) abandon() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.readOnly {
		v.visitor, v.dropped = nil, true
	}
}

// seal returns the cookie to write, if any. The answer begins now.
func (v *visit) seal() *http.Cookie {
	v.mu.Lock()
	visitor, dropped := v.visitor, v.dropped
	v.begun = true
	v.mu.Unlock()
	switch {
	case v.readOnly:
		return nil
	case visitor == nil && dropped:
		return v.b.newCookie("", 0)
	case visitor == nil || visitor.Superseded:
		return nil
	}
	value, changed, err := v.b.keep.cookie(visitor)
	switch {
	case err != nil:
		v.b.log(context.Background(), "the visitor's cookie could not be written", err)
		return nil
	case !changed:
		return nil
	}
	return v.b.newCookie(value, visitor.ttlOfCookie(&v.b.opts))
}

func (r *record) ttlOfCookie(o *Options) time.Duration {
	return time.Until(time.Unix(r.Began, 0).Add(o.Absolute))
}

// known looks up who is visiting; nil is a stranger. An ID that is not ours is
// never adopted: it names no record.
func (v *visit) known(ctx context.Context) (*visitor, error) {
	if v.opened {
		return v.now(), nil
	}
	cookies := v.presented()
	if len(cookies) != 1 { // of two, one is somebody else's
		v.opened = true
		return nil, nil
	}
	found, err := v.settled(ctx, cookies[0].Value)
	if err != nil {
		return nil, err
	}
	v.opened = true
	if found != nil && !found.Superseded && found.over(&v.b.opts, time.Now()) {
		v.end(ctx, found)
		found = nil
	}
	v.become(found, false)
	return found, nil
}

// patience is how long a request waits for another one that logs the visitor in.
const patience = 15 * time.Second

var errBusy = fmt.Errorf("bff: %w: another request of the visitor's is logging in or out", emporix.ErrUnavailable)

// settled opens a cookie, once no other request is giving its visitor a new ID:
// who logs in twice by a double click, or has other tabs, keeps the cart.
func (v *visit) settled(ctx context.Context, value string) (*visitor, error) {
	began := time.Now()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		found, err := v.b.keep.open(ctx, value)
		if err != nil || found == nil || found.Superseded || time.Now().UnixMilli() >= found.Changing {
			return found, err
		}
		if time.Since(began) >= patience {
			return nil, errBusy
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

// end logs out a visitor whose time is up.
func (v *visit) end(ctx context.Context, old *visitor) {
	if v.readOnly {
		return
	}
	if old.Customer != "" {
		if err := v.b.client.Session(old.Key).Auth.Logout(ctx); err != nil && !errors.Is(err, emporix.ErrNotLoggedIn) {
			v.b.log(ctx, "an idle customer's logout was not confirmed", err)
		}
	}
	if err := v.b.keep.discard(ctx, old); err != nil {
		v.b.log(ctx, "an idle visitor could not be removed", err)
	}
}

// use returns the visitor's session; a stranger becomes a visitor.
func (v *visit) use(ctx context.Context) (*emporix.Session, error) {
	who, err := v.known(ctx)
	if err != nil {
		return nil, err
	}
	if who == nil {
		switch {
		case v.readOnly:
			return nil, ErrReadOnly
		case v.late():
			return nil, ErrTooLate
		}
		if who, err = v.b.keep.issue(ctx, newRecord()); err != nil {
			return nil, err
		}
		if err := v.greet(ctx, v.b.client.Session(who.Key)); err != nil {
			return nil, err
		}
		v.become(who, false)
	}
	if v.session != nil {
		return v.session, nil
	}
	session := v.b.client.Session(who.Key)
	switch {
	case v.readOnly:
		info, err := session.Info(ctx)
		if err != nil {
			return nil, err
		}
		if info.Kind == emporix.SessionNone || !time.Now().Before(info.AccessExpires) {
			return nil, ErrReadOnly
		}
	case !who.Superseded:
		if who, err = v.b.keep.prepare(ctx, who, session); err != nil {
			return nil, err
		}
		v.replace(who)
	}
	v.session = session
	return session, nil
}

// greet begins a new visitor's guest session where Options.Site says with what.
func (v *visit) greet(ctx context.Context, s *emporix.Session) error {
	if v.site == nil {
		return nil
	}
	_, err := s.Auth.Anonymous(ctx, v.site())
	return err
}

// Session returns the visitor's session, for any number of calls. A stranger
// becomes a visitor with it: a row is written and the cookie set, so ask before
// the answer begins. It makes no request of the API, but for Options.Site. Errors:
// emporix.ErrStoreUnavailable (nothing was begun, and nothing is lost),
// ErrTooLate, ErrReadOnly, and with sessions in cookies those of
// emporix.Session.Renew.
func (v *Visit) Session(ctx context.Context) (*emporix.Session, error) {
	in := v.inner()
	if err := in.hold(ctx); err != nil {
		return nil, err
	}
	defer in.release()
	return in.use(ctx)
}

// Info tells about a visitor.
type Info struct {
	emporix.SessionInfo
	// CustomerNumber is set while a customer is logged in.
	CustomerNumber string
	// Since is when the customer logged in, or the guest first came.
	Since time.Time
}

// Info tells who is visiting, and begins nothing: a stranger is
// emporix.SessionNone. Errors: those of emporix.Session.Info.
func (v *Visit) Info(ctx context.Context) (Info, error) {
	in := v.inner()
	if err := in.hold(ctx); err != nil {
		return Info{}, err
	}
	defer in.release()
	who, err := in.known(ctx)
	if err != nil {
		return Info{}, err
	}
	if who == nil {
		return Info{SessionInfo: emporix.SessionInfo{Kind: emporix.SessionNone}}, nil
	}
	session := in.session
	if session == nil {
		session = in.b.client.Session(who.Key)
	}
	info, err := session.Info(ctx)
	if err != nil {
		return Info{}, err
	}
	out := Info{SessionInfo: info, Since: time.Unix(who.Began, 0)}
	if info.Kind == emporix.SessionCustomer {
		out.CustomerNumber = who.Customer
	}
	return out, nil
}

// ReadOnly reports that the request is a prefetch, or one that Options.ReadOnly
// named: it must not begin or change a session.
func (v *Visit) ReadOnly() bool { return v.inner().readOnly }

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
	old, err := v.claimed(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeLimit)
	defer cancel()

	r := newRecord()
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
			if err := v.b.keep.discard(ctx, next); err != nil {
				v.b.log(ctx, "an unused ID could not be removed", err)
			}
			v.unclaim(ctx, old)
			return err
		default:
			session = moved
		}
	} else if err := v.greet(ctx, session); err != nil {
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
		if err := v.b.keep.supersede(ctx, old); err != nil {
			v.b.log(ctx, "an ID that is worth nothing could not be removed", err)
		}
	}
	v.session = session
	return nil
}

// claimed reserves the visitor for one change. Nil is a stranger, or a visitor
// who got a new ID a moment ago.
func (v *visit) claimed(ctx context.Context) (*visitor, error) {
	for range saveTries {
		old, err := v.known(ctx)
		switch {
		case err != nil:
			return nil, err
		case old == nil || old.Superseded:
			v.become(nil, false)
			return nil, nil
		}
		claimed, err := v.b.keep.claim(ctx, old)
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
	if _, err := v.b.keep.update(ctx, old, func(r *record) { r.Changing = 0 }); err != nil {
		v.b.log(ctx, "a visitor stays reserved for a minute", err)
	}
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
	if err := v.b.keep.discard(ctx, next); err != nil {
		v.b.log(ctx, "an unused ID could not be removed", err)
	}
	v.become(nil, true)
}

// stay leaves the visitor with the old ID for the session, which has moved; where
// there is none, or it can't be written, with the new one.
func (v *visit) stay(ctx context.Context, session *emporix.Session, old, next *visitor) {
	if old != nil {
		if kept, err := v.b.keep.update(ctx, old, func(r *record) { r.Key, r.Changing = next.Key, 0 }); err == nil {
			if err := v.b.keep.discard(ctx, next); err != nil {
				v.b.log(ctx, "an unused ID could not be removed", err)
			}
			v.become(kept, false)
			return
		}
	}
	if err := v.settle(ctx, old, next); err != nil {
		v.b.log(ctx, "a session could not be kept", err)
		v.undo(ctx, session, next)
	}
}
