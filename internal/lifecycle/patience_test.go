package lifecycle

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// The numbers of lease.go and commit.go, as a store sees them.

func milliseconds(list ...int) (all []time.Duration) {
	for _, ms := range list {
		all = append(all, time.Duration(ms)*time.Millisecond)
	}
	return all
}

// attempts returns when the fakeStore was asked to save, counted from the first time.
func attempts(w *fixture, took time.Duration) func() []time.Duration {
	var mu sync.Mutex // the write goes on without a caller
	var times []time.Time
	w.fakeStore.fail(func(op string) trip {
		if op != "save" {
			return works
		}
		mu.Lock()
		times = append(times, time.Now())
		mu.Unlock()
		time.Sleep(took)
		return breaks
	})
	return func() (after []time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		for _, at := range times {
			after = append(after, at.Sub(times[0]))
		}
		return after
	}
}

func TestL05_HowOftenAWriteIsTried(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		tried := attempts(w, 0)
		took := elapsed(func() { w.token(visitor("jo"), WantAnonymous) })
		assert.Equal(t, 4750*time.Millisecond, took, "that long the caller waits for the store")
		want := milliseconds(0, 50, 150, 350, 750, 1550, 3150, 4750)
		assert.Equal(t, want, tried())
		time.Sleep(2 * time.Minute)
		for at := 5750; at < 4750+60_000; {
			want = append(want, milliseconds(at)...)
			at += min(2*(at-int(want[len(want)-2].Milliseconds())), 5000)
		}
		assert.Equal(t, want, tried(), "then it is tried for a minute, without a caller")
		assert.Zero(t, w.size("running"))
		began, next := len(want), time.Duration(0)
		for range 60 { // then whenever the session is used, once in five seconds
			w.token(visitor("jo"), WantAnonymous)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		for _, at := range tried()[began:] {
			assert.GreaterOrEqual(t, at, next)
			next = at + retryPause
		}
		assert.Len(t, tried()[began:], 12)
		assert.Zero(t, w.size("running"))
		require.ErrorContains(t, w.m.Close(t.Context()), "sessions that the token store did not take: 1")
		assert.Len(t, tried()[began:], 13, "and by Close")
	})
}

func TestL05_ASlowStoreIsNotWaitedForLonger(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		tried := attempts(w, time.Second)
		took := elapsed(func() { w.token(visitor("jo"), WantAnonymous) })
		assert.GreaterOrEqual(t, took, 5*time.Second)
		assert.Less(t, took, 6*time.Second)
		assert.GreaterOrEqual(t, len(tried()), 5)
		assert.Equal(t, milliseconds(0, 1050, 2150, 3350, 4750), tried()[:5])
		require.ErrorContains(t, w.m.Close(t.Context()), "sessions that the token store did not take: 1")
	})
}

// timedLink notes what a replica asks of its lease.
type timedLink struct {
	*replicaStore
	ttl   time.Duration
	asked []time.Time
	fails int
	left  time.Duration // what the first question about the rest is answered with, if set
}

func (l *timedLink) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	left, err := l.replicaStore.Remaining(ctx, key, owner)
	if l.left > 0 {
		left, l.left = l.left, 0
	}
	return left, err
}

func (l *timedLink) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (bool, bool, error) {
	l.ttl, l.asked = ttl, append(l.asked, time.Now())
	if l.fails > 0 {
		l.fails--
		return false, false, errStoreDown
	}
	return l.replicaStore.Acquire(ctx, key, owner, ttl)
}

func inTimedShop(t *testing.T, test func(t *testing.T, s *shop, w *fixture, l *timedLink)) {
	t.Helper()
	inShop(t, 1, func(t *testing.T, s *shop) {
		l := &timedLink{replicaStore: s.links[0]}
		w := newFixtureOver(t, s.tokenServer, s.leasingStore.fakeStore, l)
		s.guest("jo")
		time.Sleep(guestOver)
		test(t, s, w, l)
	})
}

func TestFleet_TheLeaseIsFor30Seconds(t *testing.T) {
	inTimedShop(t, func(t *testing.T, s *shop, w *fixture, l *timedLink) {
		w.m.cfg.RefreshLimit = time.Hour
		s.tokenServer.script(0, func(ctx context.Context, c tokenCall, _ *Grant) error {
			deadline, _ := ctx.Deadline()
			assert.Equal(t, 25*time.Second, time.Until(deadline), "five seconds are for the write")
			return nil
		})
		w.token(visitor("jo"), WantAnonymous)
		assert.Equal(t, 30*time.Second, l.ttl)
	})
}

// Half of the lease must be left when the refresh token is sent.
func TestFleet_HalfOfTheLeaseMustBeLeft(t *testing.T) {
	for left, taken := range map[time.Duration]int{15001 * time.Millisecond: 1, 15 * time.Second: 1, 14999 * time.Millisecond: 2} {
		inTimedShop(t, func(t *testing.T, s *shop, w *fixture, l *timedLink) {
			l.left = left
			w.token(visitor("jo"), WantAnonymous)
			assert.Len(t, l.asked, taken, left)
			assert.Equal(t, 1, s.tokenServer.count(refreshAnonymous))
		})
	}
}

func TestFleet_HowOftenALeaseIsAskedForWhileTheStoreFails(t *testing.T) {
	for fails, served := range map[int]bool{1: true, 2: true, 3: false} {
		inTimedShop(t, func(t *testing.T, s *shop, w *fixture, l *timedLink) {
			l.fails = fails
			began := time.Now()
			_, err := w.m.at(visitor("jo")).Token(t.Context(), WantAnonymous)
			if !served {
				require.ErrorIs(t, err, sentinel.StoreUnavailable)
				assert.Zero(t, s.tokenServer.count(refreshAnonymous))
				require.Len(t, l.asked, 3)
				assert.Equal(t, 30*time.Millisecond, l.asked[2].Sub(began), "10 and 20 ms")
				return
			}
			require.NoError(t, err)
			assert.Len(t, l.asked, fails+1)
		})
	}
}

// While another process has the lease, this one asks again at first after 2.5 to
// 7.5 ms, and at last after 50 to 150 ms.
func TestFleet_HowOftenABusyLeaseIsAskedFor(t *testing.T) {
	inTimedShop(t, func(t *testing.T, s *shop, w *fixture, l *timedLink) {
		s.leasingStore.lend(t, "jo", "slower", time.Hour)
		_, err := w.m.at(visitor("jo")).Token(t.Context(), WantAnonymous)
		require.ErrorIs(t, err, sentinel.Unavailable)
		first := l.asked[1].Sub(l.asked[0])
		assert.GreaterOrEqual(t, first, 2500*time.Microsecond)
		assert.Less(t, first, 7500*time.Microsecond)
		longest := time.Duration(0)
		for i := 20; i < len(l.asked)-1; i++ {
			gap := l.asked[i+1].Sub(l.asked[i])
			assert.GreaterOrEqual(t, gap, 50*time.Millisecond)
			assert.Less(t, gap, 150*time.Millisecond)
			longest = max(longest, gap)
		}
		assert.Greater(t, longest, 100*time.Millisecond)
		assert.InDelta(t, 300, len(l.asked), 30, "30 seconds at 100 ms")
	})
}

// Pauses double from half a minute to a quarter of an hour.
func TestL03_Pauses(t *testing.T) {
	now := time.Now()
	r := &Record{Issued: now, AccessUntil: now.Add(customerLife)}
	for failures, want := range map[int]time.Duration{
		1: 30 * time.Second, 2: time.Minute, 5: 8 * time.Minute, 6: 15 * time.Minute, 60: 15 * time.Minute,
	} {
		assert.Equal(t, want, r.backoff(failures), failures)
	}
}

// Renewals that rejections ask for are half a minute apart.
func TestL08_HowOftenARejectionRenews(t *testing.T) {
	for pause, renewals := range map[time.Duration]int{30*time.Second - time.Millisecond: 1, 30 * time.Second: 2} {
		inVirtualTime(t, func(t *testing.T, w *fixture) {
			v := w.customer("jo")
			for range 2 {
				_, err := useWith(w, v, WantCustomer, func(string) bool { return false })
				require.Error(t, err)
				time.Sleep(pause)
			}
			assert.Equal(t, renewals, w.tokenServer.count(refreshCustomer), pause)
		})
	}
}
