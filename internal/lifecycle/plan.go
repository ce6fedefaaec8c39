package lifecycle

import (
	"math"
	"time"

	"github.com/emporix-community/emporix-go/internal/sentinel"
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

func (s step) renews() bool { return s == renewEarly || s == renewNow }

func (v *Visitor) plan(r *Record) step { return r.plan(v.key(), time.Now()) }

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

// spread returns a number in [0, 1) that is fixed for key and generation: their
// FNV-1a hash, without the allocations of hash/fnv. The generation comes last, lowest
// byte first: what the hash reads last hardly changes its high bits, and the high
// bytes of a generation hardly differ.
func spread(key string, generation uint64) float64 {
	const prime = 1099511628211
	hash := uint64(14695981039346656037)
	for i := range len(key) {
		hash = (hash ^ uint64(key[i])) * prime
	}
	for range 8 {
		hash = (hash ^ generation&0xff) * prime
		generation >>= 8
	}
	return float64(hash>>11) / math.Exp2(53)
}

// serves returns the wants that a visitor's session serves at once, a bit each. An
// employee's calls are few, and look at the plan each time.
func (r *Record) serves() uint8 {
	switch {
	case r.Kind == Customer:
		return 1<<WantCustomer | 1<<WantAny
	case r.Kind == Anonymous && r.Ended:
		return 1 << WantAnonymous
	case r.Kind == Anonymous:
		return 1<<WantAnonymous | 1<<WantAny
	}
	return 0
}

// refuses returns why a session of this kind can't serve the call at all.
func (r *Record) refuses(want Want) error {
	switch {
	case want == WantAnonymous || want == WantEmployee || r.Kind == Customer:
		return nil
	case r.Ended:
		return sentinel.SessionExpired
	case want == WantCustomer:
		return sentinel.NotLoggedIn
	}
	return nil
}

// Over reports whether a customer's session has ended by itself.
func (r *Record) Over() bool {
	return r.Ended || r.Kind == Customer && !time.Now().Before(r.AccessUntil) && !r.CanRenew()
}

func (r *Record) aliveCustomer() bool {
	return r.Kind == Customer && time.Now().Before(r.AccessUntil)
}

// CanRenew reports whether the session can be renewed at this moment.
func (r *Record) CanRenew() bool { return r.refreshable(time.Now()) }
