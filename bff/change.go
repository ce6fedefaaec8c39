package bff

import (
	"context"
	"errors"
	"fmt"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

// changeLimit bounds a login and everything around it. It goes on when the
// browser goes away: half a login is of no use.
const changeLimit = time.Minute

// A change gives the visitor a new ID. It takes these steps, each of which may
// fail, and after each of which the process may end:
//
//  1. the new row is written, promised: no cookie names it yet
//  2. the old row is claimed; it names the new row and the new key
//  3. the session moves from the old key to the new one
//  4. the work is done: login, password change, company switch
//  5. the new row is listed among the customer's sessions
//  6. the new row is settled
//  7. the old row is superseded
//
// The new row decides, because each of its states follows from one conditional
// save: promised becomes settled (the change stands), or abandoned (it was taken
// back), and neither becomes the other. Only the request that has settled it may still
// take it back, where it finds that its response has begun without the new ID: it gives
// the old row its session again, unless another request was faster, and removes the
// new one (withdraw). Who finds a claimed old row concludes:
//
//	the new row is     the change          the old ID
//	promised           is under way, or    waits; after the change's time it is
//	                   its process ended   abandoned by a later request
//	abandoned          was taken back      goes on with the session it had
//	settled            stands              is worth nothing, though step 7 is missing
//	not there          stood, and the new  is worth nothing
//	                   ID has ended since
//
// The old ID never goes on with a session that the work has made: of a login,
// the session is compared with the one there was before (record.From), and a
// customer's session that has moved must still be good at the API. Where a
// process ends between steps 4 and 6, the response that would have had the new ID
// is lost too: after a password change or company switch the visitor goes on with
// the old ID, and after a login as a guest.
func (v *requestState) change(ctx context.Context, login bool, do func(ctx context.Context, s *emporix.Session, r *record) error) (err error) {
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
	old, err := v.changeable(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	if v.withheld && (old == nil || v.isTransient()) {
		defer func() { // who is not logged in stays a guest for this request only
			if guest := v.now(); err != nil && guest != nil {
				v.discard(ctx, guest)
				v.beTransient(guest)
			}
		}()
	}
	old, next, err := v.claimed(ctx, old, login)
	if err != nil {
		return err
	}
	r := next.record
	if old != nil {
		r.Began, r.Customer, r.LoggedIn, r.Listed = old.Began, old.Customer, old.LoggedIn, old.Listed
	}
	before := r.LoggedIn
	session, err := v.moved(ctx, old, next)
	if err != nil {
		return err
	}
	if err := do(ctx, session, &r); err != nil {
		v.revert(ctx, session, old, next, err)
		return err
	}
	if v.late() {
		return v.withdraw(ctx, session, old, next, &r, r.LoggedIn != before)
	}
	next, err = v.adopt(ctx, old, next, r)
	if err != nil {
		v.undo(ctx, session, next)
		if !login {
			return fmt.Errorf("%w: %w", errNotKept, err)
		}
		return err
	}
	if !v.becomeInTime(next) {
		return v.withdraw(ctx, session, old, next, &r, r.LoggedIn != before)
	}
	v.session = session
	if old != nil {
		v.leave(ctx, old, next)
	}
	return nil
}

// changeable returns the visitor who is to be changed, or why that can't be done. It
// changes nothing.
func (v *requestState) changeable(ctx context.Context) (*visitorRecord, error) {
	old, err := v.present(ctx)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Customer != "" && v.b.index != nil {
		if err := v.b.index.usable(ctx, old.Customer); err != nil {
			return nil, err
		}
	}
	return old, nil
}

// errNotKept is what remains of a change that was made at the API and could not
// be written here.
var errNotKept = fmt.Errorf("bff: %w: the change was made, but the visitor's new ID could not be saved, so the customer was logged out", emporix.ErrOutcomeUnknown)

// errLateChange is what remains of a change that was made at the API while something
// else, such as http.TimeoutHandler, answered the request.
var errLateChange = fmt.Errorf("bff: %w: the change was made, but the visitor goes on with the old ID: %w", emporix.ErrOutcomeUnknown, ErrTooLate)

// withdraw takes a change back when its new ID can't reach the browser, because the
// response has started without it. The visitor keeps the old ID. made says that the
// change created the session (a login): then the session is ended, because the old ID
// must not get it. If another request has already ended the old ID, the session is
// removed too.
func (v *requestState) withdraw(ctx context.Context, session *emporix.Session, old, next *visitorRecord, r *record, made bool) error {
	ctx, cancel := detach(ctx) // the change's own time may be up
	defer cancel()
	failed, key := errLateChange, next.Key
	if made {
		failed, key = ErrTooLate, randomValue()
		if err := endSession(ctx, session); err != nil {
			v.b.log(ctx, "a login that came too late was not confirmed to be undone", err)
		}
	}
	var kept *visitorRecord
	if old == nil {
		v.discard(ctx, next)
	} else {
		var err error
		if kept, err = v.takeBack(ctx, old, next, key); err != nil {
			v.b.log(ctx, "a change of the visitor's ID came too late, and could not be taken back", err)
			v.undo(ctx, session, next)
		}
	}
	if next.State == stateSettled {
		v.unlist(ctx, r.Customer, next.id)
	}
	v.become(kept, false)
	return failed
}

// successor is who the visitor is now, where a request that was faster has given
// them a new ID.
func (v *requestState) successor(ctx context.Context) (*visitorRecord, error) {
	who, err := v.known(ctx)
	for range saveTries {
		if err != nil || who == nil || !who.Superseded {
			return who, err
		}
		before := who
		who, err = v.found(ctx, func() (*visitorRecord, error) { return v.b.keep.successor(ctx, before) })
		if err == nil {
			who, err = v.recovered(ctx, who)
		}
		if errors.Is(err, errChanged) { // look again
			who, err = before, nil
		}
	}
	return nil, errBusy
}

// present is the visitor who may be changed: nil for a stranger, and for a
// visitor who got a new ID a moment ago.
func (v *requestState) present(ctx context.Context) (*visitorRecord, error) {
	old, err := v.known(ctx)
	if err == nil && old != nil && old.Superseded {
		v.become(nil, false)
		return nil, nil
	}
	return old, err
}

// claimed promises the visitor a new ID, and reserves the old one for this change:
// steps 1 and 2.
func (v *requestState) claimed(ctx context.Context, old *visitorRecord, login bool) (claimed, next *visitorRecord, err error) {
	promised := newRecord()
	promised.State = statePromised
	if next, err = v.b.keep.issue(ctx, promised); err != nil {
		return nil, nil, err
	}
	for range saveTries {
		if old == nil {
			return nil, next, nil
		}
		from := ""
		if login {
			if from, err = v.from(ctx, old); err != nil {
				break
			}
		}
		claimed, err = v.b.keep.claim(ctx, old, next, from)
		if err != nil { // it may be reserved; then the promise is needed to find out
			return nil, nil, err
		}
		if claimed != nil {
			return claimed, next, nil
		}
		v.opened = false // another request was faster
		if old, err = v.present(ctx); err != nil {
			break
		}
	}
	v.discard(ctx, next)
	if err == nil {
		err = errBusy
	}
	return nil, nil, err
}

// from names the session that a login begins over, so that it can be told from
// the one that the login makes.
func (v *requestState) from(ctx context.Context, old *visitorRecord) (string, error) {
	const unknown = "?"
	if old.Customer == "" {
		return unknown, nil
	}
	info, err := inTime(ctx, v.b.client.Session(old.Key).Info)
	switch {
	case errors.Is(err, emporix.ErrStoreCorrupt):
		return unknown, nil
	case err != nil:
		return "", err
	}
	return sessionName(info), nil
}

func sessionName(info emporix.SessionInfo) string {
	if info.Kind != emporix.SessionCustomer || info.SessionID == "" {
		return "?"
	}
	return digest("session", info.SessionID)
}

// moved takes the session to its new key: step 3.
func (v *requestState) moved(ctx context.Context, old, next *visitorRecord) (*emporix.Session, error) {
	session := v.b.client.Session(next.Key)
	if old == nil {
		return session, v.startForSite(ctx, next)
	}
	moved, err := inTime(ctx, func(ctx context.Context) (*emporix.Session, error) {
		return v.b.client.Session(old.Key).MoveTo(ctx, next.Key)
	})
	switch {
	case errors.Is(err, emporix.ErrStoreCorrupt): // there is nothing that could be moved
		return session, nil
	case err != nil:
		v.goBack(ctx, old, next, "")
		return nil, err
	case v.site == nil || old.Customer != "":
		return moved, nil
	}
	info, err := inTime(ctx, moved.Info)
	if err == nil && info.Kind == emporix.SessionNone { // see resumed
		err = v.start(ctx, next.Key)
	}
	if err != nil {
		v.goBack(ctx, old, next, next.Key)
		return nil, err
	}
	return moved, nil
}

// adopt makes next the visitor: steps 5 and 6. A session in a cookie must fit.
func (v *requestState) adopt(ctx context.Context, old, next *visitorRecord, r record) (*visitorRecord, error) {
	if v.b.index != nil && r.Customer != "" {
		listed, err := v.b.index.add(ctx, next.id, &r, old)
		if err != nil {
			return next, err
		}
		r.Listed = listed
	}
	settled, err := v.b.keep.update(ctx, next, func(now *record) {
		now.State, now.Customer, now.LoggedIn, now.Listed, now.Began = stateSettled, r.Customer, r.LoggedIn, r.Listed, r.Began
	})
	if err != nil {
		return next, err
	}
	_, _, err = v.b.keep.cookie(settled)
	return settled, err
}

// leave ends the old ID: step 7. If that fails, the next request with the old ID does it.
func (v *requestState) leave(ctx context.Context, old, next *visitorRecord) {
	if err := v.b.keep.supersede(ctx, old, next, saveTries); err != nil {
		v.b.log(ctx, "an ID that is worth nothing could not be removed", err)
	}
	v.unlist(ctx, old.Customer, old.id)
}

// unlist takes an ID from the list of a customer's sessions; "" is no customer.
func (v *requestState) unlist(ctx context.Context, customer, id string) {
	if v.b.index == nil || customer == "" {
		return
	}
	if err := v.b.index.remove(ctx, customer, id); err != nil {
		v.b.log(ctx, "the list of a customer's sessions could not be updated", err)
	}
}

// undo ends a session that must not be: one that could not be logged out
// everywhere, or that fits into no cookie.
func (v *requestState) undo(ctx context.Context, session *emporix.Session, next *visitorRecord) {
	if err := endSession(ctx, session); err != nil {
		v.b.log(ctx, "a login that was undone was not confirmed to be", err)
	}
	v.discard(ctx, next)
	v.become(nil, true)
}

// spentError marks a login that failed after it had made a session: the visitor
// does not go on with that.
type spentError struct{ error }

func (e spentError) Unwrap() error { return e.error }

// revert leaves the visitor with the old ID for the session, which has moved. Who
// had none keeps the new one.
func (v *requestState) revert(ctx context.Context, session *emporix.Session, old, next *visitorRecord, failed error) {
	var spent spentError
	switch {
	case old != nil && errors.As(failed, &spent):
		v.goBack(ctx, old, next, randomValue())
		return
	case old != nil:
		v.goBack(ctx, old, next, next.Key)
		return
	case errors.As(failed, &spent), v.late(): // the browser does not get the new ID
		v.discard(ctx, next)
		return
	}
	settled, err := v.adopt(ctx, nil, next, next.record)
	if err != nil {
		v.b.log(ctx, "a session could not be kept", err)
		v.undo(ctx, session, next)
		return
	}
	v.become(settled, false)
}

// goBack takes a change back for the request that made it.
func (v *requestState) goBack(ctx context.Context, old, next *visitorRecord, key string) {
	ctx, cancel := detach(ctx) // the change's own time may be up
	defer cancel()
	kept, err := v.takeBack(ctx, old, next, key)
	if err != nil {
		v.b.log(ctx, "a change of the visitor's ID is left to be taken back by their next request", err)
		v.b.keep.finished(ctx, next)
		v.opened = false
		kept = nil
	}
	v.become(kept, false)
}
