package lifecycle

import (
	"hash/fnv"
	"math"
	"time"
)

// step is what a call must do before it can use a session.
type step uint8

const (
	use        step = iota // the access token is good
	renewEarly             // it is good; renew it in the background
	renewNow               // it is over; wait for a renewal
	start                  // there is no session: begin an anonymous one
	replace                // the anonymous session is over: begin another
	expired                // the customer's session is over
)

// plan is the whole state machine of a session.
func (r *Record) plan(key string, now time.Time) step {
	alive := now.Before(r.AccessUntil)
	refreshable := r.refreshable(now)
	switch {
	case r.Kind == None:
		return start
	case alive && refreshable && !r.Suspect && !now.Before(r.renewAt(key)):
		return renewEarly
	case alive:
		return use
	case refreshable:
		return renewNow
	case r.Kind == Anonymous:
		return replace
	default:
		return expired
	}
}

func (r *Record) refreshable(now time.Time) bool {
	return r.Kind == Employee || !r.Refresh.IsZero() && now.Before(r.RefreshUntil)
}

// Early renewals: at most this long before the access token ends, and at most
// this share of its life.
const (
	earlyWindow = 5 * time.Minute
	earlyShare  = 10
)

// renewAt is when to renew early: shortly before the access token ends, or at
// half of the refresh token's life, whichever is first. The jitter comes from
// key and generation, so that it differs between visitors, but all replicas and
// all readers of one row agree.
func (r *Record) renewAt(key string) time.Time {
	jitter := spread(key, r.Generation)
	window := r.window()
	at := r.AccessUntil.Add(-window/2 - time.Duration(jitter*float64(window/2)))
	if !r.RefreshUntil.IsZero() {
		half := r.RefreshUntil.Sub(r.Issued) / 2
		if turn := r.Issued.Add(half - time.Duration(jitter*float64(half/10))); half >= time.Second && turn.Before(at) {
			return turn
		}
	}
	return at
}

func (r *Record) window() time.Duration {
	return min(earlyWindow, r.AccessUntil.Sub(r.Issued)/earlyShare)
}

// spread returns a number in [0, 1) that is fixed for key and generation.
func spread(key string, generation uint64) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	x := h.Sum64() ^ generation*0x9e3779b97f4a7c15
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / math.Exp2(53)
}

// Pauses between early renewals that fail.
const (
	firstPause = 30 * time.Second
	lastPause  = 15 * time.Minute
)

// pause is how long to leave a session alone after its n-th failed renewal.
func (r *Record) pause(failures int) time.Duration {
	first := firstPause
	if r != nil {
		first = min(first, max(r.window()/10, 100*time.Millisecond))
	}
	return min(first<<min(failures-1, 16), lastPause)
}
