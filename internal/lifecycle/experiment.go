package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// A refusal that names no reason, or one that is not the refresh token, ends no
// session. But where it stays and the access token is over, it must not lock the
// visitor out either. The tenant's other token calls tell the two cases apart:
// where an anonymous login works, key, tenant and gateway are in order.

// experiment decides about a guest whose refresh was refused for an unknown
// reason. The session is replaced if an anonymous login works and a second
// refresh is refused too; otherwise it stays as it is.
func (v *Visitor) experiment(ctx context.Context, r *Record, l *lease, first error) (func(), error) {
	tell := func() { v.notify(EventRefreshFailed, r.Kind, first) }
	fresh, err := v.m().anonymous(ctx, r)
	if err != nil {
		return tell, undecidedError{fmt.Errorf("%w; beginning another session failed too: %w", first, err)}
	}
	if !v.m().inTime(ctx) { // cut short, it would be a refresh token spent for nothing
		return tell, undecidedError{first}
	}
	g, err := v.m().redeemAnonymous(ctx, r, l)
	switch {
	case err == nil:
		return v.renewed(r, g, true)
	case errors.Is(err, errLeaseShort):
		return nil, err
	}
	switch outcome(err) {
	case failure.Refused, failure.Undecided:
		return v.begun(r, begin(Anonymous, fresh, r.Generation), EventReplaced)
	default:
		return tell, undecidedError{err}
	}
}

// How often, and over how long, a customer's refresh is refused in the same way
// before that counts as a no about the refresh token.
const (
	refusalsForNo = 3
	refusalTime   = 2 * time.Minute
)

// refusals is how often a refresh token was refused for the same unknown reason.
// It is in the session's row, because the requests of one customer come to many
// processes, and a script is a new one each time.
type refusals struct {
	count uint8
	as    uint32    // a hash of the refusal
	since time.Time // the first one, by the server's clock if it tells the time
}

// again counts one more; no says that this is enough. It grows no further than it
// has to, so that a locked session is not written with every call.
func (f refusals) again(as uint32, now time.Time) (next refusals, no bool) {
	if f.count == 0 || f.as != as || now.Before(f.since) {
		return refusals{count: 1, as: as, since: now.Truncate(time.Millisecond)}, false
	}
	no = f.count+1 >= refusalsForNo && now.Sub(f.since) >= refusalTime
	f.count = min(f.count+1, refusalsForNo-1)
	return f, no
}

// countRefusal decides about a customer whose access token is over and whose
// refresh was refused for an unknown reason. It counts only while anonymous
// tokens can be obtained.
func (v *Visitor) countRefusal(ctx context.Context, r *Record, err error) (func(), error) {
	tell := func() { v.notify(EventRefreshFailed, r.Kind, err) }
	next, no := refusals{}, false
	if control, controlErr := v.m().cfg.Issuer.Anonymous(ctx, v.m().cfg.Context); controlErr == nil {
		// The processes' clocks may differ, so the server's counts.
		as, now := fingerprint(err), control.Date
		if now.IsZero() {
			as, now = ^as, time.Now() // the two clocks are not mixed
		}
		next, no = r.Refusals.again(as, now)
	}
	switch {
	case no:
		return v.expire(r, err), nil
	case next != r.Refusals:
		counted := r.next()
		counted.Refusals = next
		tell = v.commitAfterFailure(r, counted, tell)
	}
	return tell, kept(err)
}

func fingerprint(err error) uint32 {
	h := fnv.New32a()
	if f := failure.Of(err); f != nil {
		_, _ = fmt.Fprint(h, f.Status, " ", f.Problem.Code)
	}
	return h.Sum32()
}

// undecide turns a refused bearer, or a no that is not sure enough, into a
// refusal that decides nothing.
func undecide(err error) error {
	f := failure.Of(err)
	if f == nil {
		return err
	}
	undecided := *f
	undecided.Token, undecided.Err = failure.Undecided, err
	return &undecided
}

// kept is what callers get for a renewal that failed and ended nothing. What it
// was refused with is not about their own call: a 404 of the token endpoint does
// not mean that their address is gone.
func kept(err error) error {
	o := outcome(err)
	if o == failure.Undecided || o == failure.Failed || o == failure.NotSent && matchesAny(err, refusalKinds) {
		return undecidedError{err}
	}
	return err
}

var refusalKinds = []sentinel.Error{sentinel.Unauthorized, sentinel.InvalidRequest, sentinel.Forbidden, sentinel.NotFound, sentinel.Conflict}

func matchesAny(err error, kinds []sentinel.Error) bool {
	return slices.ContainsFunc(kinds, func(kind sentinel.Error) bool { return errors.Is(err, kind) })
}

// perhaps reports whether the bearer was refused by a response that says nothing.
func perhaps(err error) bool {
	f := failure.Of(err)
	return f != nil && f.Bearer == failure.PerhapsTheBearer
}

// aboutCompany reports whether a refusal names the legal entity.
func aboutCompany(err error) bool {
	f := failure.Of(err)
	return f != nil && f.Problem.About == wire.SubjectLegalEntity
}

// undecidedError is a renewal that was refused for another reason than the
// refresh token. To a caller it is an outage and no refusal: a caller that takes
// it for one would log the customer out.
type undecidedError struct{ err error }

func (e undecidedError) Error() string {
	return e.err.Error() + "; that says nothing about the refresh token: the session is kept, and the next call tries again"
}

// Is matches ErrUnavailable instead of what the refusal itself would match.
func (e undecidedError) Is(target error) bool {
	if kind, ok := target.(sentinel.Error); ok && slices.Contains(refusalKinds, kind) {
		return false
	}
	return target == error(sentinel.Unavailable) || errors.Is(e.err, target)
}

// As finds what the refusal was.
func (e undecidedError) As(target any) bool { return errors.As(e.err, target) }
