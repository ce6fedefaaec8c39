package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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
				s.office.script(2*time.Second, nil)
				took := elapsed(func() {
					tokens := s.everywhere(50, "jo", WantAnonymous)
					assert.Len(t, tokens, 1, "all are served with the winner's token")
					assert.NotContains(t, tokens, old)
				})
				assert.Less(t, took, 2*time.Second+2*lastPoll)
				assert.Equal(t, 1, s.office.count(refreshAnonymous))
				assert.Empty(t, s.lender.lent("jo"))
			})
		})
		t.Run(fmt.Sprint(replicas, " replicas, a customer whose token is not over"), func(t *testing.T) {
			inShop(t, replicas, func(t *testing.T, s *shop) {
				s.replicas[0].customer("jo")
				old, err := s.use(0, "jo", WantCustomer)
				require.NoError(t, err)
				time.Sleep(customerDue)
				s.office.script(2*time.Second, nil)
				assert.Zero(t, elapsed(func() {
					assert.Equal(t, map[string]int{old: 50 * replicas}, s.everywhere(50, "jo", WantCustomer), "nobody waits")
				}))
				time.Sleep(3 * time.Second)
				tokens := s.everywhere(50, "jo", WantCustomer)
				assert.Len(t, tokens, 1)
				assert.NotContains(t, tokens, old)
				assert.Equal(t, 1, s.office.count(refreshCustomer))
			})
		})
		t.Run(fmt.Sprint(replicas, " replicas, a token that the server rejects"), func(t *testing.T) {
			inShop(t, replicas, func(t *testing.T, s *shop) {
				s.replicas[0].customer("jo")
				s.office.script(2*time.Second, nil)
				var all sync.WaitGroup
				for _, w := range s.replicas {
					v := visitor("jo")
					rejected, err := w.m.Token(t.Context(), v, WantCustomer)
					require.NoError(t, err)
					all.Go(func() {
						again, ok, err := w.m.Renew(t.Context(), v, WantCustomer, rejected)
						assert.NoError(t, err)
						assert.True(t, ok)
						assert.False(t, again.Access.Equal(rejected.Access))
					})
				}
				all.Wait()
				assert.Equal(t, 1, s.office.count(refreshCustomer))
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
			"load":    3, // as the request comes, under the lease, and for the answer
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
			assert.Equal(t, 1, s.office.count(refreshCustomer))
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
			calls := s.office.of(refreshAnonymous)
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
		"the lease is lost":  func(s *shop) { s.lender.drop("jo") },
		"the lease is stolen": func(s *shop) {
			s.lender.drop("jo")
			s.lender.lend(s.t, "jo", "thief", leaseTime)
			time.AfterFunc(5*time.Second, func() { s.lender.drop("jo") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inShop(t, 2, func(t *testing.T, s *shop) {
				s.replicas[0].customer("jo")
				time.Sleep(customerDue)
				s.links[0].on("remaining", func() {
					mishap(s)
					assert.Zero(t, s.office.count(refreshCustomer))
				})
				_, err := s.use(0, "jo", WantCustomer)
				require.NoError(t, err)
				time.Sleep(5 * time.Minute)
				if name != "the lease is over" { // and with it the time for the renewal
					assert.Greater(t, s.links[0].used()["acquire"], 1, "it starts over")
					assert.Equal(t, 1, s.office.count(refreshCustomer))
				}
				s.everywhere(1, "jo", WantCustomer)
				time.Sleep(time.Minute)
				assert.Equal(t, 1, s.office.count(refreshCustomer))
			})
		})
	}
}

// While one stalls, another renews; on waking, the first does not send.
func TestFleet_AStallWhileAnotherRenews(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
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
		assert.Equal(t, 1, s.office.count(refreshAnonymous))
		assert.Len(t, s.everywhere(1, "jo", WantAnonymous), 1)
	})
}

// A lost answer of the store is no reason to suspect anybody of having died.
func TestFleet_LostAnswersOfTheStore(t *testing.T) {
	for _, op := range []string{"acquire", "release", "remaining", "save"} {
		for _, how := range []trip{breaks, loses, panics} {
			for _, times := range []int32{1, 2, 3, 4, 6} { // 6: both replicas give up
				t.Run(fmt.Sprint(op, " ", how, " ", times), func(t *testing.T) {
					inShop(t, 2, func(t *testing.T, s *shop) {
						s.replicas[0].customer("jo")
						time.Sleep(customerDue)
						var used atomic.Int32
						s.lender.fail(func(got string) trip {
							if got != op || used.Add(1) > times {
								return works
							}
							return how
						})
						for range 20 {
							s.everywhere(1, "jo", WantCustomer)
							time.Sleep(time.Minute)
						}
						assert.Equal(t, 1, s.office.count(refreshCustomer))
						row := s.replicas[0].row("jo")
						assert.False(t, row.Suspect)
						assert.Equal(t, Customer, row.Kind)
						assert.Empty(t, s.lender.lent("jo"))
					})
				})
			}
		}
	}
}

// A hiccup of the store while the lease is taken is nobody's business.
func TestFleet_AHiccupWhileTheLeaseIsTaken(t *testing.T) {
	for _, how := range []trip{breaks, loses, panics} {
		inShop(t, 1, func(t *testing.T, s *shop) {
			s.guest("jo")
			time.Sleep(guestOver)
			var used atomic.Int32
			s.lender.fail(func(op string) trip {
				if op != "acquire" || used.Add(1) > 2 {
					return works
				}
				return how
			})
			_, err := s.use(0, "jo", WantAnonymous)
			require.NoError(t, err)
			assert.Equal(t, 1, s.office.count(refreshAnonymous))
		})
	}
}

// Those who wait go on as soon as the row is written, also when the winner ends
// before it gives the lease back.
func TestFleet_TheRowTellsThatItIsRenewed(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		s.slow(refreshAnonymous, time.Second)
		s.links[0].on("release", func() { time.Sleep(20 * time.Second) })
		go func() { _, _ = s.use(0, "jo", WantAnonymous) }()
		synctest.Wait()
		assert.Less(t, elapsed(func() {
			_, err := s.use(1, "jo", WantAnonymous)
			require.NoError(t, err)
		}), 2*time.Second)
		time.Sleep(time.Minute)
		assert.Equal(t, 1, s.office.count(refreshAnonymous))
	})
}

// A lease that could not be given back is given back a moment later.
func TestFleet_AHiccupWhileTheLeaseIsGivenBack(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		var used atomic.Int32
		s.lender.fail(func(op string) trip {
			if op != "release" || used.Add(1) > 3 {
				return works
			}
			return breaks
		})
		assert.Zero(t, elapsed(func() {
			_, err := s.use(0, "jo", WantAnonymous)
			require.NoError(t, err)
		}), "nobody waits for it")
		time.Sleep(time.Second)
		assert.Empty(t, s.lender.lent("jo"))
	})
}

// However long a renewal may take, its request ends while the lease lasts.
func TestFleet_TheLeaseBoundsTheRequest(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.replicas[0].m.cfg.RefreshLimit = time.Hour
		s.guest("jo")
		time.Sleep(guestOver)
		s.office.script(0, func(ctx context.Context, c tokenCall, _ *Grant) error {
			if c.op == refreshAnonymous {
				deadline, bounded := ctx.Deadline()
				assert.True(t, bounded)
				assert.LessOrEqual(t, time.Until(deadline), leaseTime-writeLimit)
			}
			return nil
		})
		_, err := s.use(0, "jo", WantAnonymous)
		require.NoError(t, err)
		assert.Equal(t, 1, s.office.count(refreshAnonymous))
	})
}

// A store that can be read but not written: nothing is redeemed.
func TestFleet_AStoreThatCannotBeWritten(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.replicas[0].customer("jo")
		s.guest("guest")
		time.Sleep(customerDue)
		s.lender.fail(func(op string) trip {
			if op == "load" {
				return works
			}
			return breaks
		})
		for range 10 {
			s.everywhere(5, "jo", WantCustomer) // her token lives
			_, err := s.use(1, "guest", WantAnonymous)
			require.ErrorIs(t, err, sentinel.StoreUnavailable)
			time.Sleep(time.Minute)
		}
		assert.Zero(t, s.office.count(refreshCustomer)+s.office.count(refreshAnonymous))
		s.lender.fail(nil)
		time.Sleep(15 * time.Minute)
		s.everywhere(5, "jo", WantCustomer)
		s.everywhere(5, "guest", WantAnonymous)
		synctest.Wait()
		assert.Equal(t, 1, s.office.count(refreshCustomer))
		assert.Equal(t, 1, s.office.count(refreshAnonymous))
	})
}

// The store fails after the redemption. Until the row is written nobody else
// sends the refresh token that it still holds.
func TestFleet_ARowThatIsOwed(t *testing.T) {
	for _, outage := range []time.Duration{3 * time.Second, 20 * time.Second, 45 * time.Second} {
		for kind, want := range map[string]Want{"guest": WantAnonymous, "customer": WantCustomer} {
			if kind == "guest" && outage > leaseTime {
				continue // sent again, as after any lost answer
			}
			t.Run(fmt.Sprint(kind, " ", outage), func(t *testing.T) {
				inShop(t, 2, func(t *testing.T, s *shop) {
					op := refreshAnonymous
					if want == WantCustomer {
						op = refreshCustomer
						s.replicas[0].customer("jo")
						time.Sleep(customerDue)
					} else {
						s.guest("jo")
						time.Sleep(guestOver)
					}
					s.lender.fail(always("save", breaks))
					first, err := s.use(0, "jo", want)
					require.NoError(t, err)
					synctest.Wait()
					began := time.Now()
					time.AfterFunc(outage, func() { s.lender.fail(nil) })
					for time.Since(began) < 3*time.Minute {
						_, err := s.use(1, "jo", want)
						if want == WantCustomer {
							require.NoError(t, err)
						}
						time.Sleep(5 * time.Second)
					}
					assert.Equal(t, 1, s.office.count(op))
					tokens := s.everywhere(1, "jo", want)
					assert.Len(t, tokens, 1)
					if want == WantAnonymous {
						assert.Contains(t, tokens, first)
					}
					row := s.replicas[0].row("jo")
					assert.NotEqual(t, s.office.of(op)[0].refresh, row.Refresh.Reveal(), "the row has the new one")
					assert.False(t, row.Suspect)
					assert.Zero(t, s.replicas[0].size("debts"))
				})
			})
		}
	}
}

// In the process that owes a row, the session goes on: the lease is its own.
func TestFleet_RenewalsOverARowThatIsOwed(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.replicas[0].customer("jo")
		time.Sleep(time.Hour)
		s.lender.fail(always("save", breaks))
		require.NoError(t, s.replicas[0].m.Refresh(t.Context(), visitor("jo"), nil))
		assert.NotEmpty(t, s.lender.lent("jo"))
		assert.Less(t, elapsed(func() {
			require.NoError(t, s.replicas[0].m.Refresh(t.Context(), visitor("jo"), nil))
		}), writeLimit+time.Second)
		s.lender.fail(nil)
		time.Sleep(10 * time.Second)
		assert.Empty(t, s.lender.lent("jo"))
		assert.Equal(t, 2, s.office.count(refreshCustomer))
		s.sentOnce(refreshCustomer)
		require.NoError(t, s.replicas[1].m.Refresh(t.Context(), visitor("jo"), nil))
		s.sentOnce(refreshCustomer)
	})
}

// A renewal that a rejected token asked for starts over like any other when its
// lease runs short.
func TestFleet_AShortLeaseAfterARejection(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		m, v := s.replicas[0].m, s.replicas[0].customer("jo")
		rejected, err := m.Token(t.Context(), v, WantCustomer)
		require.NoError(t, err)
		s.links[0].on("remaining", func() { s.lender.drop("jo") })
		renewed, ok, err := m.Renew(t.Context(), v, WantCustomer, rejected)
		require.NoError(t, err)
		require.True(t, ok)
		assert.False(t, renewed.Access.Equal(rejected.Access))
		assert.Equal(t, 1, s.office.count(refreshCustomer))
	})
}

// A caller who knows a session of the past renews nothing beside the lease.
func TestFleet_WhatTheCallerKnowsIsOld(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		v := visitor("jo")
		s.replicas[0].token(v, WantAnonymous)
		time.Sleep(25 * time.Hour) // its refresh token is over too
		_, err := s.use(1, "jo", WantAnonymous)
		require.NoError(t, err)
		time.Sleep(guestOver)
		s.slow(refreshAnonymous, time.Second)
		var both sync.WaitGroup
		both.Go(func() { _, _ = s.use(1, "jo", WantAnonymous) })
		synctest.Wait()
		both.Go(func() { s.replicas[0].token(v, WantAnonymous) })
		both.Wait()
		assert.Equal(t, 1, s.office.count(refreshAnonymous))
		assert.Equal(t, s.replicas[1].row("jo").Access.Reveal(), s.replicas[0].token(v, WantAnonymous))
	})
}

// A lease is given back by its owner only.
func TestFleet_TheLeaseOfAnother(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		s.links[0].on("release", func() {
			s.lender.drop("jo")
			s.lender.lend(t, "jo", "thief", time.Minute)
		})
		_, err := s.use(0, "jo", WantAnonymous)
		require.NoError(t, err)
		assert.Equal(t, "thief", s.lender.lent("jo"))
	})
}

// An explicit refresh and a switch wait for the renewal of another replica, and
// then send the refresh token that it brought.
func TestFleet_ExplicitRefreshesWaitForTheirTurn(t *testing.T) {
	entity := "E1"
	for name, to := range map[string]*string{"refresh": nil, "switch": &entity} {
		t.Run(name, func(t *testing.T) {
			inShop(t, 3, func(t *testing.T, s *shop) {
				s.replicas[0].customer("jo")
				time.Sleep(customerDue)
				s.slow(refreshCustomer, 3*time.Second)
				_, err := s.use(0, "jo", WantCustomer)
				require.NoError(t, err)
				time.Sleep(time.Second)
				assert.Greater(t, elapsed(func() {
					require.NoError(t, s.replicas[1].m.Refresh(t.Context(), visitor("jo"), to))
				}), 5*time.Second)
				assert.Equal(t, 2, s.office.count(refreshCustomer))
				s.sentOnce(refreshCustomer)
				if to != nil {
					assert.Equal(t, entity, s.replicas[2].info("jo").LegalEntity)
				}
			})
		})
	}
}

func TestFleet_LogoutDuringTheRenewalOfAnother(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.replicas[0].customer("jo")
		time.Sleep(customerDue)
		s.slow(refreshCustomer, 3*time.Second)
		_, err := s.use(0, "jo", WantCustomer)
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.NoError(t, s.replicas[1].m.Logout(t.Context(), visitor("jo"), noCall))
		time.Sleep(time.Minute)
		assert.Equal(t, 1, s.office.count(refreshCustomer))
		assert.Equal(t, None, s.replicas[0].row("jo").Kind)
		assert.Equal(t, 1, s.office.count(revoke), "what nobody will use is ended")
		for i := range s.replicas {
			_, err := s.use(i, "jo", WantCustomer)
			require.ErrorIs(t, err, sentinel.NotLoggedIn)
		}
	})
}

// Somebody keeps the lease: no caller waits for longer than a renewal may take.
func TestFleet_TheRefreshLimitWhileAnotherHasTheLease(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		s.lender.lend(t, "jo", "other", 10*time.Minute)
		assert.Equal(t, 30*time.Second, elapsed(func() {
			_, err := s.use(0, "jo", WantAnonymous)
			require.ErrorIs(t, err, sentinel.Unavailable)
		}))
		assert.InDelta(t, float64(30*time.Second), float64(elapsed(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := s.replicas[0].m.Token(ctx, visitor("jo"), WantAnonymous)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, s.replicas[0].m.Refresh(t.Context(), visitor("jo"), nil), sentinel.Unavailable)
		})), float64(31*time.Second))
		assert.Zero(t, s.office.count(refreshAnonymous))
		assert.Zero(t, s.replicas[0].size("flights"))
	})
}

// A store whose leases are always short is no reason to spin.
func TestFleet_LeasesThatAreAlwaysShort(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		s.lender.fail(func(op string) trip {
			if op == "remaining" {
				s.lender.drop("jo")
			}
			return works
		})
		s.links[0].used()
		_, err := s.use(0, "jo", WantAnonymous)
		require.ErrorIs(t, err, sentinel.Unavailable)
		assert.LessOrEqual(t, s.links[0].used()["acquire"], 301)
		assert.Zero(t, s.office.count(refreshAnonymous))
	})
}
