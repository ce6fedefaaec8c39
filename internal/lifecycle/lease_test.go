package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// The refresh protocol across replicas, in virtual time.

const (
	customerDue = 13 * time.Hour // half of the refresh token's life is over
	guestOver   = 2 * time.Hour  // the access token is over, the refresh token is not
)

func TestFleet_OneExpiryIsOneRedemption(t *testing.T) {
	for _, replicas := range []int{2, 4} {
		t.Run(fmt.Sprint(replicas, " replicas, a guest whose token is over"), func(t *testing.T) {
			inShop(t, replicas, func(t *testing.T, s *shop) {
				old := s.guest("jo")
				time.Sleep(guestOver)
				s.tokenServer.script(2*time.Second, nil)
				took := elapsed(func() {
					tokens := s.everywhere(50, "jo", WantAnonymous)
					assert.Len(t, tokens, 1, "all are served with the winner's token")
					assert.NotContains(t, tokens, old)
				})
				assert.Less(t, took, 2*time.Second+2*lastPoll)
				assert.Equal(t, 1, s.tokenServer.count(refreshAnonymous))
				assert.Empty(t, s.leasingStore.lent("jo"))
			})
		})
		t.Run(fmt.Sprint(replicas, " replicas, a customer whose token is not over"), func(t *testing.T) {
			inShop(t, replicas, func(t *testing.T, s *shop) {
				s.replicas[0].customer("jo")
				old, err := s.use(0, "jo", WantCustomer)
				require.NoError(t, err)
				time.Sleep(customerDue)
				s.tokenServer.script(2*time.Second, nil)
				assert.Zero(t, elapsed(func() {
					assert.Equal(t, map[string]int{old: 50 * replicas}, s.everywhere(50, "jo", WantCustomer), "nobody waits")
				}))
				time.Sleep(3 * time.Second)
				tokens := s.everywhere(50, "jo", WantCustomer)
				assert.Len(t, tokens, 1)
				assert.NotContains(t, tokens, old)
				assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
			})
		})
		t.Run(fmt.Sprint(replicas, " replicas, a token that the server rejects"), func(t *testing.T) {
			inShop(t, replicas, func(t *testing.T, s *shop) {
				s.replicas[0].customer("jo")
				s.tokenServer.script(2*time.Second, nil)
				var all sync.WaitGroup
				for _, w := range s.replicas {
					v := visitor("jo")
					rejected, err := w.m.at(v).Token(t.Context(), WantCustomer)
					require.NoError(t, err)
					all.Go(func() {
						again, ok, err := w.m.at(v).ReplaceRejected(t.Context(), WantCustomer, rejected)
						assert.NoError(t, err)
						assert.True(t, ok)
						assert.False(t, again.Access.Equal(rejected.Access))
					})
				}
				all.Wait()
				assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
			})
		})
	}
}

// An uncontended renewal takes the lease, reads the row, looks at the lease,
// writes the row and gives the lease back.
func TestFleet_ARenewalIsFiveStoreOperations(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		s.links[0].used()
		_, err := s.use(0, "jo", WantAnonymous)
		require.NoError(t, err)
		assert.Equal(t, map[string]int{
			"load":    3, // as the request comes, under the lease, and for the response
			"acquire": 1, "remaining": 1, "save": 1, "release": 1,
		}, s.links[0].used())
	})
}

// The server is slower than the lease: the call ends before the lease does.
func TestFleet_ARefreshSlowerThanTheLease(t *testing.T) {
	t.Run("customer: held back", func(t *testing.T) {
		inShop(t, 2, func(t *testing.T, s *shop) {
			s.replicas[0].customer("jo")
			time.Sleep(customerDue)
			s.slow(refreshCustomer, 40*time.Second)
			for range 30 {
				s.everywhere(1, "jo", WantCustomer)
				time.Sleep(10 * time.Second)
			}
			assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
			assert.True(t, s.replicas[0].row("jo").Suspect)
		})
	})
	t.Run("guest: never two at a time", func(t *testing.T) {
		inShop(t, 2, func(t *testing.T, s *shop) {
			s.guest("jo")
			time.Sleep(guestOver)
			s.slow(refreshAnonymous, 40*time.Second)
			var all sync.WaitGroup
			for i := range s.replicas {
				all.Go(func() {
					_, err := s.use(i, "jo", WantAnonymous)
					assert.Error(t, err)
				})
			}
			all.Wait()
			calls := s.tokenServer.of(refreshAnonymous)
			require.NotEmpty(t, calls)
			for i := 1; i < len(calls); i++ {
				assert.GreaterOrEqual(t, calls[i].at.Sub(calls[i-1].at), leaseTime-writeLimit, "the one before has ended")
			}
		})
	})
}

// A replica that stalls between taking the lease and sending starts over.
func TestFleet_AStallBeforeSending(t *testing.T) {
	for name, mishap := range map[string]func(s *shop){
		"the lease is short": func(*shop) { time.Sleep(20 * time.Second) },
		"the lease is over":  func(*shop) { time.Sleep(2 * leaseTime) },
		"the lease is lost":  func(s *shop) { s.leasingStore.drop("jo") },
		"the lease is stolen": func(s *shop) {
			s.leasingStore.drop("jo")
			s.leasingStore.lend(s.t, "jo", "thief", leaseTime)
			time.AfterFunc(5*time.Second, func() { s.leasingStore.drop("jo") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, 2, func(t *testing.T, s *shop) {
				s.standsStill(0)
				s.replicas[0].customer("jo")
				time.Sleep(customerDue)
				s.links[0].on("remaining", func() {
					mishap(s)
					assert.Zero(t, s.tokenServer.count(refreshCustomer))
				})
				_, err := s.use(0, "jo", WantCustomer)
				require.NoError(t, err)
				time.Sleep(5 * time.Minute)
				sent := 1
				if name == "the lease is over" { // nobody can tell any more that nothing was sent
					sent = 0
				} else {
					assert.Greater(t, s.links[0].used()["acquire"], 1, "it starts over")
					assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
				}
				s.everywhere(1, "jo", WantCustomer)
				time.Sleep(time.Minute)
				assert.Equal(t, sent, s.tokenServer.count(refreshCustomer))
				assert.Equal(t, sent == 0, s.replicas[1].row("jo").Suspect)
			})
		})
	}
}

// While one stalls, another renews; on waking, the first does not send.
func TestFleet_AStallWhileAnotherRenews(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.standsStill(0)
		s.guest("jo")
		time.Sleep(guestOver)
		s.links[0].on("remaining", func() { time.Sleep(leaseTime + time.Second) })
		var all sync.WaitGroup
		for i := range s.replicas {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 5 * time.Second)
				_, err := s.use(i, "jo", WantAnonymous)
				if i == 1 {
					assert.NoError(t, err)
				}
			})
		}
		all.Wait()
		assert.Equal(t, 1, s.tokenServer.count(refreshAnonymous))
		assert.Len(t, s.everywhere(1, "jo", WantAnonymous), 1)
		assert.Zero(t, s.replicas[0].size("backoffs"), "nothing was sent, so nothing has failed")
	})
}

// stalling is a store whose user stands still when it has been told what is left
// of its lease.
type stalling struct {
	*replicaStore
	once sync.Once
}

func (s *stalling) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	left, err := s.replicaStore.Remaining(ctx, key, owner)
	s.once.Do(func() { time.Sleep(leaseTime - leaseSpare + time.Second) })
	return left, err
}

// What is left of a lease counts from the question on.
func TestFleet_AStallAfterTheLeaseWasChecked(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		w := newFixtureOver(t, s.tokenServer, s.leasingStore.fakeStore, &stalling{replicaStore: s.links[0]})
		w.m.cfg.PromptStore = true
		s.links[0].used()
		w.token(visitor("jo"), WantAnonymous)
		assert.Equal(t, 2, s.links[0].used()["acquire"], "it starts over")
		assert.Equal(t, 1, s.tokenServer.count(refreshAnonymous))
	})
}

// However long a renewal may take, its request ends while the lease lasts.
func TestFleet_TheLeaseBoundsTheRequest(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.replicas[0].m.cfg.RefreshLimit = time.Hour
		s.guest("jo")
		time.Sleep(guestOver)
		s.tokenServer.script(0, func(ctx context.Context, c tokenCall, _ *Grant) error {
			if c.op == refreshAnonymous {
				deadline, bounded := ctx.Deadline()
				assert.True(t, bounded)
				assert.LessOrEqual(t, time.Until(deadline), leaseTime-writeLimit)
			}
			return nil
		})
		_, err := s.use(0, "jo", WantAnonymous)
		require.NoError(t, err)
		assert.Equal(t, 1, s.tokenServer.count(refreshAnonymous))
	})
}

// Whoever had to wait for the lease has all the time of a renewal once it is there:
// a call that is cut short would be a refresh token spent for nothing.
func TestFleet_WhoeverWaitedHasTimeForTheCall(t *testing.T) {
	for name, want := range map[string]Want{"guest": WantAnonymous, "customer": WantCustomer} {
		t.Run(name, func(t *testing.T) {
			inShop(t, 1, func(t *testing.T, s *shop) {
				if s.guest("jo"); want == WantCustomer {
					s.replicas[0].customer("jo")
				}
				time.Sleep(customerDue)
				s.leasingStore.lend(t, "jo", "slower", time.Hour)
				time.AfterFunc(29*time.Second, func() { s.leasingStore.drop("jo") })
				s.slow(map[Want]string{WantAnonymous: refreshAnonymous, WantCustomer: refreshCustomer}[want], 9*time.Second)
				require.NoError(t, s.replicas[0].m.at(visitor("jo")).Refresh(t.Context(), nil))
				assert.False(t, s.replicas[0].row("jo").Suspect)
				s.sentOnce(refreshAnonymous)
				s.sentOnce(refreshCustomer)
			})
		})
	}
}

// A renewal that a rejected token asked for starts over like any other when its
// lease runs short.
func TestFleet_AShortLeaseAfterARejection(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		m, v := s.replicas[0].m, s.replicas[0].customer("jo")
		rejected, err := m.at(v).Token(t.Context(), WantCustomer)
		require.NoError(t, err)
		s.links[0].on("remaining", func() { s.leasingStore.drop("jo") })
		renewed, ok, err := m.at(v).ReplaceRejected(t.Context(), WantCustomer, rejected)
		require.NoError(t, err)
		require.True(t, ok)
		assert.False(t, renewed.Access.Equal(rejected.Access))
		assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))

		s.links[0].used()
		late, ok, err := m.at(v).ReplaceRejected(t.Context(), WantCustomer, rejected)
		require.NoError(t, err)
		require.True(t, ok)
		assert.True(t, renewed.Access.Equal(late.Access))
		assert.Zero(t, s.links[0].used()["acquire"], "a late rejection of the last token takes no lease")
	})
}

// A store whose leases are always short is no reason to spin.
func TestFleet_LeasesThatAreAlwaysShort(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		s.leasingStore.fail(func(op string) trip {
			if op == "remaining" {
				s.leasingStore.drop("jo")
			}
			return works
		})
		s.links[0].used()
		_, err := s.use(0, "jo", WantAnonymous)
		require.ErrorIs(t, err, sentinel.Unavailable)
		assert.LessOrEqual(t, s.links[0].used()["acquire"], 301)
		assert.Zero(t, s.tokenServer.count(refreshAnonymous))
	})
}
