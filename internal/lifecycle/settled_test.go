package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// strictly makes the tokenServer take each refresh token once, and answer the winner
// after a while.
func strictly(o *tokenServer, took time.Duration, change func(*Grant)) {
	used := map[string]bool{}
	var mu sync.Mutex
	o.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
		change(g)
		if c.op != refreshCustomer && c.op != refreshAnonymous {
			return nil
		}
		mu.Lock()
		reused := used[c.refresh]
		used[c.refresh] = true
		mu.Unlock()
		if reused {
			return &failure.Failure{Token: failure.Refused, Err: errWire}
		}
		time.Sleep(took)
		return nil
	})
}

// Several processes over one store that does not lend, and a server that takes a
// refresh token once: the process that is refused reads the row again, and neither
// tells a customer that the session has ended nor replaces a guest's.
func TestL06_ARefusalIsNoVerdictWhileAnotherProcessMayBeWriting(t *testing.T) {
	for _, processes := range []int{2, 4} {
		for _, took := range []time.Duration{0, 50 * time.Millisecond, 3 * time.Second, 9 * time.Second} {
			for _, plain := range []bool{false, true} {
				for _, want := range []Want{WantAnonymous, WantCustomer} {
					t.Run(fmt.Sprintf("processes=%d took=%v plain=%v want=%d", processes, took, plain, want), func(t *testing.T) {
						inVirtualTime(t, func(t *testing.T, a *fixture) {
							all := []*fixture{a}
							for len(all) < processes {
								var store Store = a.fakeStore
								if plain {
									store = struct{ Store }{a.fakeStore}
								}
								all = append(all, newFixtureOver(t, a.tokenServer, a.fakeStore, store))
							}
							for _, w := range all {
								w.m.cfg.CallLimit = 10 * time.Second
								w.token(w.m.utility, WantAnonymous)
							}
							strictly(a.tokenServer, took, func(g *Grant) { g.ExpiresIn.Duration = time.Hour })
							a.token(visitor("jo"), WantAnonymous)
							if want == WantCustomer {
								a.logIn(visitor("jo"))
							}
							session := a.info("jo").SessionID
							for range 3 {
								time.Sleep(61 * time.Minute)
								var callers sync.WaitGroup
								for i := range 20 {
									callers.Go(func() {
										_, err := all[i%len(all)].m.at(visitor("jo")).Token(t.Context(), want)
										assert.NoError(t, err)
									})
								}
								callers.Wait()
							}
							time.Sleep(time.Minute)
							assert.Equal(t, session, a.info("jo").SessionID)
							for _, w := range all {
								events := w.told()
								assert.NotContains(t, events, EventExpired)
								assert.NotContains(t, events, EventReplaced)
								assert.NotContains(t, events, EventRefreshFailed)
							}
						})
					})
				}
			}
		}
	}
}

// A session that has ended is told within the time of one call and the write after
// it, by each process, and after that at once.
func TestL06_ARealEndIsToldInTime(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, a *fixture) {
		all := []*fixture{a, newFixture(t, a.tokenServer, a.fakeStore)}
		for _, w := range all {
			w.m.cfg.CallLimit = 10 * time.Second
		}
		a.customer("jo")
		time.Sleep(13 * time.Hour)
		a.tokenServer.script(0, failing(map[string]failure.Outcome{refreshCustomer: failure.Refused}))
		for _, w := range all {
			_ = w.m.at(visitor("jo")).Refresh(t.Context(), nil)
		}
		assert.Equal(t, Customer, a.info("jo").Kind, "the access token lives")
		a.tokenServer.script(0, nil)

		a.customer("lou")
		a.tokenServer.script(0, failing(map[string]failure.Outcome{refreshCustomer: failure.Refused}))
		var both sync.WaitGroup
		for _, w := range all {
			both.Go(func() {
				rejected, err := w.m.at(visitor("lou")).Token(t.Context(), WantCustomer)
				assert.NoError(t, err)
				took := elapsed(func() { _, _, err = w.m.at(visitor("lou")).ReplaceRejected(t.Context(), WantCustomer, rejected) })
				assert.ErrorIs(t, err, sentinel.SessionExpired)
				assert.LessOrEqual(t, took, 10*time.Second+writeLimit+time.Second)
			})
		}
		both.Wait()
		synctest.Wait()
		for _, w := range all {
			assert.Zero(t, elapsed(func() {
				_, err := w.m.at(visitor("lou")).Token(t.Context(), WantCustomer)
				require.ErrorIs(t, err, sentinel.SessionExpired)
			}))
		}
	})
}

// A refresh token that ended while another process was sending it is no end of the
// session either.
func TestL06_ATokenThatEndsUnderWayIsNoVerdict(t *testing.T) {
	for _, lends := range []bool{false, true} {
		t.Run(fmt.Sprintf("lends=%v", lends), func(t *testing.T) {
			inShop(t, 2, func(t *testing.T, s *shop) {
				if !lends {
					for i, w := range s.replicas {
						w.m.store = struct{ conditionalStore }{s.links[i]}
					}
				}
				for _, w := range s.replicas {
					w.m.cfg.CallLimit = 10 * time.Second
				}
				s.tokenServer.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
					g.ExpiresIn.Duration, g.RefreshExpiresIn.Duration = time.Hour, time.Hour+time.Second
					if c.op == refreshCustomer {
						time.Sleep(5 * time.Second)
					}
					return nil
				})
				v := s.replicas[0].customer("jo")
				s.replicas[0].m.cfg.Foreground, s.replicas[1].m.cfg.Foreground = true, true
				time.Sleep(time.Hour + 500*time.Millisecond)
				var both sync.WaitGroup
				both.Go(func() {
					_, err := s.replicas[0].m.at(v).Token(t.Context(), WantCustomer)
					assert.NoError(t, err)
				})
				time.Sleep(time.Second)
				both.Go(func() {
					_, err := s.use(1, "jo", WantCustomer)
					assert.NoError(t, err)
				})
				both.Wait()
				for _, w := range s.replicas {
					assert.NotContains(t, w.told(), EventExpired)
				}
			})
		})
	}
}

// For as long as another process may be writing what it got, an end is not told.
// Whoever has the lease knows that no other process is.
func TestL06_HowLongAnEndIsNotTold(t *testing.T) {
	for name, tt := range map[string]struct {
		lends     bool
		abandoned bool // the lease, by a process that ended
		callLimit time.Duration
		since     time.Duration // the end of the refresh token
		wait      time.Duration
	}{
		"with a lease":              {true, false, 10 * time.Second, time.Second, 0},
		"with the lease of another": {true, true, 10 * time.Second, time.Second, 14 * time.Second},
		"one call and the write":    {false, false, 10 * time.Second, time.Second, 14 * time.Second},
		"a renewal and the write":   {false, false, time.Hour, time.Second, 34 * time.Second},
		"long ago":                  {false, false, 10 * time.Second, 15 * time.Second, 0},
		"no other process is there": {false, false, 0, time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, 1, func(t *testing.T, s *shop) {
				m := s.replicas[0].m
				if m.cfg.CallLimit = tt.callLimit; !tt.lends {
					m.store = struct{ conditionalStore }{s.links[0]}
				}
				s.guest("jo")
				v := s.replicas[0].customer("mo")
				s.tokenServer.script(0, func(_ context.Context, _ tokenCall, g *Grant) error {
					g.ExpiresIn.Duration = time.Hour
					return nil
				})
				s.replicas[0].logIn(v)
				if tt.abandoned {
					s.leasingStore.lend(t, "jo", "dead", time.Second)
					s.leasingStore.lend(t, "mo", "dead", time.Second)
				}
				time.Sleep(refreshLife + tt.since)
				both := map[string]error{"jo": nil, "mo": sentinel.SessionExpired}
				var all sync.WaitGroup
				for key, want := range both {
					all.Go(func() {
						took := elapsed(func() {
							_, err := s.use(0, key, WantAny)
							assert.ErrorIs(t, err, want)
						})
						assert.InDelta(t, tt.wait, took, float64(200*time.Millisecond), key)
					})
				}
				all.Wait()
			})
		})
	}
}

// Where the store fails in the meantime, there is no verdict either.
func TestL06_AnEndThatTheStoreDoesNotConfirm(t *testing.T) {
	for _, op := range []string{"acquire", "load"} {
		inShop(t, 1, func(t *testing.T, s *shop) {
			s.replicas[0].m.cfg.CallLimit = 10 * time.Second
			s.guest("jo")
			s.leasingStore.lend(t, "jo", "dead", time.Second)
			time.Sleep(refreshLife + time.Second)
			acquired := 0
			s.leasingStore.fail(func(got string) trip {
				if got == "acquire" {
					acquired++
				}
				if got == op && (acquired > 1 || op == "load" && acquired > 0 && time.Since(s.tokenServer.calls[0].at) > refreshLife+10*time.Second) {
					return breaks
				}
				return works
			})
			_, err := s.use(0, "jo", WantAnonymous)
			require.ErrorIs(t, err, sentinel.StoreUnavailable, op)
			s.leasingStore.fail(nil)
			assert.NotContains(t, s.replicas[0].told(), EventReplaced)
			assert.Equal(t, Anonymous, s.replicas[0].row("jo").Kind)
		})
	}
}
