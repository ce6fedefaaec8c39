package main

import (
	"context"
	"errors"
	"hash/maphash"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/bff"
	"golang.org/x/time/rate"
)

var errTooManyTries = errors.New("there were too many tries")

// limiter slows down what is tried again and again: by a network address, by a
// visitor, and on an account. Its memory is fixed: keys share buckets by their
// hash, so that a stranger who shares one with an attacker waits too, one in
// 4096. It counts for this process alone: n processes let n times as many through.
type limiter struct {
	seed                      maphash.Seed
	network, visitor, account buckets
}

type buckets [4096]*rate.Limiter

func newBuckets(pace time.Duration, burst int) (b buckets) {
	for i := range b {
		b[i] = rate.NewLimiter(rate.Every(pace), burst)
	}
	return b
}

func newLimiter() *limiter {
	return &limiter{
		seed:    maphash.MakeSeed(),
		network: newBuckets(2*time.Second, 40), // an office has one address
		visitor: newBuckets(10*time.Second, 10),
		account: newBuckets(10*time.Second, 20), // from everywhere
	}
}

// allows reports whether one more try may be made. Empty keys are not counted.
func (l *limiter) allows(network, visitor, account string) bool {
	ok := true
	for _, try := range []struct {
		in  *buckets
		key string
	}{{&l.network, network}, {&l.visitor, visitor}, {&l.account, strings.ToLower(account)}} {
		if try.key != "" && ok {
			ok = try.in[maphash.String(l.seed, try.key)%uint64(len(try.in))].Allow()
		}
	}
	return ok
}

// networkOf is who sent a request, as far as it can't be made up: the connection's
// other end, or what the proxy in front of this process has seen. X-Forwarded-For is what
// anybody writes, so only the proxy's own entry counts, and only behind it. Of an
// IPv6 address it is the /64, which one customer of a provider has.
func networkOf(r *http.Request, behindProxy bool) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	if behindProxy && isLoopback(host) {
		if seen := r.Header.Values("X-Forwarded-For"); len(seen) > 0 {
			last := seen[len(seen)-1]
			host = strings.TrimSpace(last[strings.LastIndex(last, ",")+1:])
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}

// mayTry counts a try of this request at an account, "" if it names none. It
// answers errTooManyTries where there were too many.
func (s *shop) mayTry(r *http.Request, account string) error {
	visitor := ""
	if info, err := bff.From(r).Info(r.Context()); err == nil {
		visitor = info.SessionID
	}
	if !s.limits.allows(networkOf(r, s.replica != ""), visitor, account) {
		return errTooManyTries
	}
	return nil
}

// sameTime is how long answers take that must not tell whether there is an account.
const sameTime = 500 * time.Millisecond

// evenly returns a function that waits until sameTime has passed since now.
func evenly(r *http.Request) func() {
	began := time.Now()
	return func() { pause(r.Context(), sameTime-time.Since(began)) }
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
