package lifecycle

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// A lost response of the store is no reason to suspect anybody of having died.
func TestFleet_LostAnswersOfTheStore(t *testing.T) {
	for _, op := range []string{"acquire", "release", "remaining", "save"} {
		for _, how := range []trip{breaks, loses, panics} {
			for _, times := range []int32{1, 2, 3, 4, 6} { // 6: both replicas give up
				t.Run(fmt.Sprint(op, " ", how, " ", times), func(t *testing.T) {
					inShop(t, 2, func(t *testing.T, s *shop) {
						s.replicas[0].customer("jo")
						time.Sleep(customerDue)
						var used atomic.Int32
						s.leasingStore.fail(func(got string) trip {
							if got != op || used.Add(1) > times {
								return works
							}
							return how
						})
						for range 20 {
							s.everywhere(1, "jo", WantCustomer)
							time.Sleep(time.Minute)
						}
						assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
						row := s.replicas[0].row("jo")
						assert.False(t, row.Suspect)
						assert.Equal(t, Customer, row.Kind)
						assert.Empty(t, s.leasingStore.lent("jo"))
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
			s.leasingStore.fail(func(op string) trip {
				if op != "acquire" || used.Add(1) > 2 {
					return works
				}
				return how
			})
			_, err := s.use(0, "jo", WantAnonymous)
			require.NoError(t, err)
			assert.Equal(t, 1, s.tokenServer.count(refreshAnonymous))
		})
	}
}

// A lease that could not be given back is given back a moment later.
func TestFleet_AHiccupWhileTheLeaseIsGivenBack(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		var used atomic.Int32
		s.leasingStore.fail(func(op string) trip {
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
		assert.Empty(t, s.leasingStore.lent("jo"))
	})
}

// A store that can be read but not written: nothing is redeemed.
func TestFleet_AStoreThatCannotBeWritten(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.replicas[0].customer("jo")
		s.guest("guest")
		time.Sleep(customerDue)
		s.leasingStore.fail(func(op string) trip {
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
		assert.Zero(t, s.tokenServer.count(refreshCustomer)+s.tokenServer.count(refreshAnonymous))
		s.leasingStore.fail(nil)
		time.Sleep(15 * time.Minute)
		s.everywhere(5, "jo", WantCustomer)
		s.everywhere(5, "guest", WantAnonymous)
		synctest.Wait()
		assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
		assert.Equal(t, 1, s.tokenServer.count(refreshAnonymous))
	})
}

// The store fails after the redemption. Until the row is written nobody else
// sends the refresh token that it still holds.
func TestFleet_ARowThatIsOwed(t *testing.T) {
	for _, outage := range []time.Duration{3 * time.Second, 20 * time.Second, 45 * time.Second} {
		for kind, want := range map[string]Want{"guest": WantAnonymous, "customer": WantCustomer} {
			if kind == "guest" && outage > leaseTime {
				continue // sent again, as after any lost response
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
					s.leasingStore.fail(always("save", breaks))
					first, err := s.use(0, "jo", want)
					require.NoError(t, err)
					synctest.Wait()
					began := time.Now()
					time.AfterFunc(outage, func() { s.leasingStore.fail(nil) })
					for time.Since(began) < 3*time.Minute {
						_, err := s.use(1, "jo", want)
						if want == WantCustomer {
							require.NoError(t, err)
						}
						time.Sleep(5 * time.Second)
					}
					assert.Equal(t, 1, s.tokenServer.count(op))
					tokens := s.everywhere(1, "jo", want)
					assert.Len(t, tokens, 1)
					if want == WantAnonymous {
						assert.Contains(t, tokens, first)
					}
					row := s.replicas[0].row("jo")
					assert.NotEqual(t, s.tokenServer.of(op)[0].refresh, row.Refresh.Reveal(), "the row has the new one")
					assert.False(t, row.Suspect)
					assert.Zero(t, s.replicas[0].size("pending writes"))
				})
			})
		}
	}
}

// Another replica was told no, because this one had used the refresh token, and
// wrote that first. What is owed here is the newer truth, and its lease ends.
func TestFleet_ADoubtThatCameBeforeWhatIsOwed(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		w := s.replicas[0]
		w.customer("jo")
		before := w.row("jo")
		s.leasingStore.fail(always("save", breaks))
		require.NoError(t, w.m.at(visitor("jo")).Refresh(t.Context(), nil))
		s.leasingStore.fail(nil)
		doubt := before.withoutRefresh()
		saved, err := s.leasingStore.SaveIf(t.Context(), rowOf("jo"), doubt.encode(), before.Generation, doubt.Generation, time.Hour)
		require.NoError(t, err)
		require.True(t, saved)
		time.Sleep(10 * time.Second)
		row := w.row("jo")
		assert.False(t, row.Access.Equal(before.Access))
		assert.True(t, row.CanRenew())
		assert.Greater(t, row.Generation, doubt.Generation)
		assert.Zero(t, w.size("pending writes"))
		assert.Empty(t, s.leasingStore.lent("jo"))
		assert.Zero(t, s.tokenServer.count(revoke))
	})
}

// In the process that owes a row, the session goes on: the lease is its own.
func TestFleet_RenewalsOverARowThatIsOwed(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.replicas[0].customer("jo")
		time.Sleep(time.Hour)
		s.leasingStore.fail(always("save", breaks))
		require.NoError(t, s.replicas[0].m.at(visitor("jo")).Refresh(t.Context(), nil))
		assert.NotEmpty(t, s.leasingStore.lent("jo"))
		assert.Less(t, elapsed(func() {
			require.NoError(t, s.replicas[0].m.at(visitor("jo")).Refresh(t.Context(), nil))
		}), writeLimit+time.Second)
		s.leasingStore.fail(nil)
		time.Sleep(10 * time.Second)
		assert.Empty(t, s.leasingStore.lent("jo"))
		assert.Equal(t, 2, s.tokenServer.count(refreshCustomer))
		s.sentOnce(refreshCustomer)
		require.NoError(t, s.replicas[1].m.at(visitor("jo")).Refresh(t.Context(), nil))
		s.sentOnce(refreshCustomer)
	})
}
