package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/emporix-community/emporix-go/internal/secret"
)

// forcedPause is the time between renewals that rejected tokens ask for.
const forcedPause = 30 * time.Second

// errTooSoon ends a forced renewal that follows the last one at once.
var errTooSoon = errors.New("the server rejects new tokens too")

// ReplaceRejected renews a session whose token the server rejected. It returns the token
// to try again with; ok is false when there is none, because the same session was renewed
// for the same reason a moment ago.
func (v *Visitor) ReplaceRejected(ctx context.Context, want Want, rejected Token) (t Token, ok bool, err error) {
	return v.replaceRejected(ctx, want, rejected, false)
}

// ReplaceDoubtful is ReplaceRejected for a token that the server perhaps rejected: a response
// that says nothing ends no session, and what the renewal fails with is no news.
func (v *Visitor) ReplaceDoubtful(ctx context.Context, want Want, rejected Token) (t Token, ok bool) {
	t, ok, err := v.replaceRejected(ctx, want, rejected, true)
	return t, ok && err == nil
}

func (v *Visitor) replaceRejected(ctx context.Context, want Want, rejected Token, doubtful bool) (t Token, ok bool, err error) {
	owner := rejected.owner
	if owner == nil {
		return Token{}, false, nil
	}
	for range 2 { // a flight that was under way may have been about something else
		r, err := owner.snapshot(ctx)
		if err != nil {
			return Token{}, false, err
		}
		if !r.record.Access.Equal(rejected.Access) {
			break
		}
		err = owner.join(ctx, owner.renewRejected(rejected.Access, r.record, doubtful))
		switch {
		case errors.Is(err, errTooSoon):
			return Token{}, false, nil
		case err != nil:
			return Token{}, false, err
		}
	}
	t, err = v.Token(ctx, want)
	if err != nil {
		return Token{}, false, err
	}
	return t, !t.Access.Equal(rejected.Access), nil
}

// renewRejected renews a session whose token the server rejected, unless the rejected
// token is no longer the current one. If that is doubtful, it renews and no more.
func (v *Visitor) renewRejected(rejected secret.Secret, seen *Record, doubtful bool) work {
	forced := false // by this flight; a lease that runs short takes it here again
	return v.withLease(seen, func(ctx context.Context, r *Record, l *lease) (tell func(), err error) {
		if !r.Access.Equal(rejected) {
			return nil, nil
		}
		if doubtful && !r.refreshable(time.Now()) {
			return nil, errTooSoon
		}
		if !forced && time.Since(v.backoff().forced) < forcedPause {
			return nil, errTooSoon
		}
		forced = true
		v.setBackoff(func(t *backoff) { t.forced = time.Now() })
		defer func() {
			if err != nil && !doubtful { // it brought no token that the server could reject too
				v.setBackoff(func(t *backoff) { t.forced = time.Time{} })
			}
		}()
		switch {
		case r.refreshable(time.Now()):
			return v.renew(ctx, r, l, !doubtful)
		default:
			return v.over(ctx, r, l)
		}
	})
}
