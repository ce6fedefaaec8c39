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
	inner func() *requestState // printers can't look into it
}

// requestState is the state of a Visit.
type requestState struct {
	b         *BFF
	readOnly  bool
	withheld  bool // the browser may have kept a cookie to itself
	presented func() []*http.Cookie
	site      func() emporix.SessionContext // may be nil
	busy      chan struct{}                 // one at a time looks up or changes the visitor

	opened  bool             // under busy
	session *emporix.Session // under busy

	mu        sync.Mutex     // guards what the writer looks at; never held across I/O
	visitor   *visitorRecord // nil: a stranger
	dropped   bool           // the browser's cookie is to be removed
	transient bool           // a guest for this request only
	begun     bool           // the response has begun
	came      string         // customer number of the visitor who came, "" for a guest
}

func (v *requestState) hold(ctx context.Context) error {
	if ctx.Err() != nil { // select would toss a coin
		return context.Cause(ctx)
	}
	select {
	case v.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (v *requestState) release() { <-v.busy }

func (v *requestState) now() *visitorRecord {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.visitor
}

// become makes another visitor of the request, nil for a stranger.
func (v *requestState) become(other *visitorRecord, dropped bool) {
	v.session = nil
	v.mu.Lock()
	defer v.mu.Unlock()
	v.visitor, v.dropped, v.transient = other, dropped, false
}

// becomeInTime is become for a new ID, unless the response has begun without it.
func (v *requestState) becomeInTime(other *visitorRecord) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.begun {
		return false
	}
	v.visitor, v.dropped, v.transient = other, false, false
	return true
}

// beTransient makes a guest of a visitor whose cookie may only have been withheld: it
// must not be overwritten.
func (v *requestState) beTransient(guest *visitorRecord) {
	v.become(guest, false)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.transient = v.withheld
}

func (v *requestState) isTransient() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.transient
}

// replace is become for a newer record of the same visitor and session.
func (v *requestState) replace(newer *visitorRecord) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.visitor = newer
}

func (v *requestState) late() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.begun
}

// abandon drops the cookie of a visitor whose session can't be read.
func (v *requestState) abandon() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.visitor, v.dropped = nil, true
}

// arrived keeps which customer came with the request.
func (v *requestState) arrived(customer string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.came = customer
}

// left reports that the customer who came with the request has left this
// browser: logged out, or another customer has logged in.
func (v *requestState) left() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.came != "" && (v.visitor == nil || v.visitor.Customer != v.came)
}

// begin tells that the response begins now.
func (v *requestState) begin() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begun = true
}

// seal returns the cookie to write, if any, and whose it is, or would have been.
func (v *requestState) seal() (*http.Cookie, *visitorRecord, error) {
	v.mu.Lock()
	visitor, dropped, transient := v.visitor, v.dropped, v.transient
	v.mu.Unlock()
	switch {
	case v.readOnly || transient:
		return nil, visitor, nil
	case visitor == nil && dropped:
		return v.b.newCookie("", 0), nil, nil
	case visitor == nil || visitor.Superseded:
		return nil, visitor, nil
	}
	value, changed, err := v.b.keep.cookie(visitor)
	if err != nil || !changed {
		return nil, visitor, err
	}
	return v.b.newCookie(value, visitor.ttlOfCookie(&v.b.opts)), visitor, nil
}

func (r *record) ttlOfCookie(o *Options) time.Duration {
	return time.Until(time.Unix(r.Began, 0).Add(o.Absolute))
}

// known looks up who is visiting; nil is a stranger. An ID that is not ours is
// never adopted: it names no record.
func (v *requestState) known(ctx context.Context) (*visitorRecord, error) {
	if v.opened {
		return v.now(), nil
	}
	cookies := v.presented()
	if len(cookies) != 1 { // of two, one may be another visitor's
		v.opened = true
		return nil, nil
	}
	open := func() (*visitorRecord, error) { return v.b.keep.open(ctx, cookies[0].Value) }
	var found *visitorRecord
	err := errChanged
	for try := 0; try < saveTries && errors.Is(err, errChanged); try++ { // another request was faster
		if found, err = v.found(ctx, open); err == nil {
			found, err = v.recovered(ctx, found)
		}
	}
	if err != nil {
		return nil, err
	}
	v.opened = true
	if found != nil && !found.Superseded && found.over(&v.b.opts, time.Now()) {
		v.end(ctx, found)
		found = nil
	}
	v.become(found, false)
	if found != nil {
		v.arrived(found.Customer)
	}
	if found != nil && v.late() {
		v.b.log(ctx, "a session is used after the response had begun: caches and the browser may keep that response", ErrTooLate)
	}
	return found, nil
}

// patience is how long a request waits for another one that logs the visitor in.
const patience = 15 * time.Second

var errBusy = fmt.Errorf("bff: %w: another request of the visitor's is logging in or out", emporix.ErrUnavailable)

// found finds a visitor, once no other request is giving them a new ID: whose
// login fails twice by a double click, or who has other tabs, keeps the cart.
func (v *requestState) found(ctx context.Context, find func() (*visitorRecord, error)) (*visitorRecord, error) {
	waiting, cancel := bounded(ctx, patience) // a logout that is detached too answers at its request's deadline
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		found, err := find()
		if err != nil || found == nil || found.Superseded || found.Changing == 0 {
			return found, err
		}
		if busy, err := v.b.keep.underWay(ctx, found); err != nil || !busy {
			return found, err
		}
		switch {
		case pause(waiting, wait):
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		default:
			return nil, errBusy
		}
	}
}

// end logs out a visitor whose time is up.
func (v *requestState) end(ctx context.Context, old *visitorRecord) {
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
func (v *requestState) use(ctx context.Context) (*emporix.Session, error) {
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
		if v.withheld {
			who = v.b.keep.transient(newRecord())
		} else if who, err = v.b.keep.issue(ctx, newRecord()); err != nil {
			return nil, err
		}
		if err := v.startGuest(ctx, who); err != nil {
			return nil, err
		}
		v.beTransient(who)
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
	if session, err = v.resumed(ctx, who, session); err != nil {
		return nil, err
	}
	v.session = session
	return session, nil
}

// startForSite starts a new visitor's guest session where Options.Site says with what.
func (v *requestState) startForSite(ctx context.Context, who *visitorRecord) error {
	if v.site == nil {
		return nil
	}
	err := v.start(ctx, who.Key)
	if err != nil { // an outage of the API must not fill the store
		v.discard(ctx, who)
	}
	return err
}

func (v *requestState) start(ctx context.Context, key string) error {
	limited, cancel := bounded(ctx, changeLimit)
	defer cancel()
	begin, err := runHook(limited, "Options.Site", func() (emporix.SessionContext, error) { return v.site(), nil })
	if err == nil {
		_, err = v.b.client.Session(key).Auth.StartAnonymous(limited, begin)
	}
	return err
}

// resumed begins the session of a guest anew, with what Options.Site says, where the
// old one has been forgotten: visitors are known for longer. It gets another key, so
// that of several requests one begins it.
func (v *requestState) resumed(ctx context.Context, who *visitorRecord, session *emporix.Session) (*emporix.Session, error) {
	if v.site == nil || v.readOnly || v.late() {
		return session, nil
	}
	for range saveTries {
		if who.Superseded || who.Customer != "" {
			return session, nil
		}
		if info, err := session.Info(ctx); err != nil || info.Kind != emporix.SessionNone { // an error is told by what uses the session
			return session, nil //nolint:nilerr // see above
		}
		err := v.resumeOnce(ctx, who)
		if err == nil {
			return v.b.client.Session(v.now().Key), nil
		}
		if !errors.Is(err, errChanged) {
			return nil, err
		}
		v.opened = false // another request was faster
		if who, err = v.known(ctx); err != nil {
			return nil, err
		}
		if who == nil {
			break
		}
		session = v.b.client.Session(who.Key)
	}
	return nil, errBusy
}

// resumption is a guest's session that one request begins anew.
type resumption struct {
	done chan struct{}
	err  error // when done
}

// resumeOnce begins the session for all requests in this process that need it: each
// beginning is a call. errChanged means that another request has dealt with it.
func (v *requestState) resumeOnce(ctx context.Context, who *visitorRecord) error {
	own, name := &resumption{done: make(chan struct{})}, digest("resumption", who.Key)
	first, busy := v.b.resumptions.LoadOrStore(name, own)
	if !busy {
		defer func() {
			v.b.resumptions.Delete(name)
			close(own.done)
		}()
		own.err = v.resume(ctx, who)
		return own.err
	}
	other := first.(*resumption) //nolint:forcetypeassert // nothing else is in there
	select {
	case <-other.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if other.err == nil || matchesAny(other.err, context.Canceled, context.DeadlineExceeded) { // its own, not ours
		return errChanged
	}
	return other.err
}

func (v *requestState) resume(ctx context.Context, who *visitorRecord) error {
	key := randomValue()
	if err := v.start(ctx, key); err != nil {
		return err
	}
	kept, err := v.b.keep.update(ctx, who, func(r *record) { r.Key = key })
	if err == nil {
		v.replace(kept)
	}
	return err
}

// discard forgets an ID that no browser has.
func (v *requestState) discard(ctx context.Context, unused *visitorRecord) {
	ctx, cancel := detach(ctx)
	defer cancel()
	if err := v.b.keep.discard(ctx, unused); err != nil {
		v.b.log(ctx, "an unused ID could not be removed", err)
	}
}

// Session returns the visitor's session, for any number of calls. A stranger
// becomes a visitor with it: a row is written and the cookie set, so ask before
// the response begins. Log in and out with the methods of Visit, not with those of
// the session, which leave the visitor with the old ID. It makes no request of
// the API, but for Options.Site and for renewals that wait. Errors:
// emporix.ErrStoreUnavailable (nothing was begun, and nothing is lost),
// ErrTooLate, ErrReadOnly, and with sessions in cookies those of
// emporix.Session.RenewIfDue, and ErrCookieTooLarge: this session does not fit, or a
// guest's did not within the last minute. The page whose guest turns out not to
// fit is answered with that error, as by Error, in place of its handler.
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
