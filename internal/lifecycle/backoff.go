package lifecycle

import (
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
)

// backoff is how long to leave a session alone whose renewals fail, or were forced by
// the server.
type backoff struct {
	failures int
	next     time.Time // no early renewal before
	forced   time.Time // the last renewal that a rejected token asked for
}

// manyBackoffs says how often old entries are dropped: whenever the number of entries
// is a multiple of it.
const manyBackoffs = 1024

func (v *Visitor) backoff() backoff {
	v.m().mu.Lock()
	defer v.m().mu.Unlock()
	return v.m().backoffs[v.key()]
}

func (v *Visitor) setBackoff(change func(*backoff)) {
	now := time.Now()
	v.m().mu.Lock()
	defer v.m().mu.Unlock()
	t := v.m().backoffs[v.key()]
	change(&t)
	if t.failures == 0 && now.Sub(t.forced) >= forcedPause {
		delete(v.m().backoffs, v.key())
		return
	}
	v.m().backoffs[v.key()] = t
	if len(v.m().backoffs)%manyBackoffs != 0 {
		return
	}
	for key, t := range v.m().backoffs {
		if now.Sub(t.next) > lastPause && now.Sub(t.forced) >= forcedPause {
			delete(v.m().backoffs, key)
		}
	}
}

// failed notes a renewal that failed, and how long to leave the session alone. A
// server that asks for a longer pause gets it, but not until the refresh token has
// ended.
func (v *Visitor) failed(r *Record, err error) {
	var retryAfter time.Duration
	if f := failure.Of(err); f != nil {
		retryAfter = f.RetryAfter
	}
	if !r.RefreshUntil.IsZero() {
		retryAfter = min(retryAfter, time.Until(r.RefreshUntil)/2)
	}
	v.setBackoff(func(t *backoff) {
		t.failures++
		t.next = time.Now().Add(max(r.backoff(t.failures), retryAfter))
	})
}

// Pauses between early renewals that fail.
const (
	firstPause = 30 * time.Second
	lastPause  = 15 * time.Minute
)

// backoff is how long to leave a session alone after its n-th failed renewal.
func (r *Record) backoff(failures int) time.Duration {
	first := min(firstPause, max(r.window()/10, 100*time.Millisecond))
	return min(first<<min(failures-1, 16), lastPause)
}
