package lifecycle

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// A process can't tell alone that a session is over: where a store is shared and
// does not lend, another process may have sent the same refresh token first, and
// still be waiting for its response or writing it. Its row is the newer truth. So a
// session is ended or replaced only when no such row has come for as long as one
// call and the write after it may take.

// settleTime is how long another process may still be writing what it got for a
// refresh token that has been spent.
func (m *Manager) settleTime() time.Duration {
	if m.cfg.CallLimit == 0 {
		return 0
	}
	return min(m.cfg.CallLimit, m.cfg.RefreshLimit) + writeLimit
}

// closing reports whether the refresh token of r lives, or ended so recently that another
// process may still be writing what it got for it.
func (m *Manager) closing(r *Record) bool {
	return time.Now().Before(r.RefreshUntil.Add(m.settleTime()))
}

// settled waits until no other process can still be writing a row that follows r. since
// is when the refresh token of r stopped working. still says that r is still the row;
// otherwise the session must not be ended. The caller goes on with the returned context,
// because the wait may have used up the time of its own, and calls end.
func (v *Visitor) settled(ctx context.Context, r *Record, l *lease, since time.Time) (still bool, next context.Context, end context.CancelFunc, err error) {
	until := since.Add(v.m().settleTime())
	if v.private || l != nil && !l.doubtful(r) || since.IsZero() || !time.Now().Before(until) {
		return true, ctx, func() {}, nil
	}
	still, err = v.watch(r, l, until)
	next, end = context.WithTimeout(v.m().ctx, v.m().cfg.RefreshLimit)
	return still, next, end, err
}

// watch reads the row again and again, until it has changed or the time is until.
func (v *Visitor) watch(r *Record, l *lease, until time.Time) (still bool, err error) {
	ctx, cancel := context.WithDeadline(v.m().ctx, until.Add(v.m().cfg.StoreLimit))
	defer cancel()
	if l != nil { // nothing else is to take it as long
		if _, err := l.take(ctx); err != nil {
			return false, v.storeError("reserving the session's renewal", err)
		}
	}
	waiting := v.m().pending.of(v.key())
	for wait := firstPoll; ; wait = min(wait*3/2, lastPoll) {
		row, err := v.stored(ctx)
		switch {
		case err == nil && row.Generation != r.Generation:
			// A row that this process has yet to replace holds an older refresh token.
			return waiting.record == r && waiting.replaces(row.Generation), nil
		case !time.Now().Before(until) && err != nil:
			return false, v.storeError("reading the session", err)
		case !time.Now().Before(until):
			return true, nil
		}
		if !pause(ctx, wait/2+mathrand.N(wait)) { // #nosec G404 -- jitter
			return false, fmt.Errorf("%w: another process may be renewing the session: %w", sentinel.Unavailable, context.Cause(ctx))
		}
	}
}

// whenSettled waits as settled does, and then runs act if r is still the row.
func (v *Visitor) whenSettled(ctx context.Context, r *Record, l *lease, since time.Time, act func(context.Context) (func(), error)) (func(), error) {
	still, ctx, end, err := v.settled(ctx, r, l, since)
	defer end()
	if err != nil || !still {
		return nil, err
	}
	return act(ctx)
}
