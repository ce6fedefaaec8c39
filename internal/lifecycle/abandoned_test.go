package lifecycle

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// A process that ends between sending and writing leaves a lease behind. A
// customer's refresh token is then held back while the access token lives.
func TestFleet_AnAbandonedLease(t *testing.T) {
	t.Run("customer: held, then sent once", func(t *testing.T) {
		inShop(t, 2, func(t *testing.T, s *shop) {
			s.tokenServer.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
				if c.op == login {
					g.ExpiresIn.Duration, g.RefreshExpiresIn.Duration = 20*time.Hour, 30*time.Hour
				}
				return nil
			})
			s.replicas[0].customer("jo")
			time.Sleep(15 * time.Hour)
			s.leasingStore.lend(t, "jo", "the dead", leaseTime)
			time.Sleep(leaseTime + time.Second)
			s.replicas[1].told()
			for range 60 {
				s.everywhere(1, "jo", WantCustomer)
				time.Sleep(time.Minute)
			}
			assert.Zero(t, s.tokenServer.count(refreshCustomer))
			assert.True(t, s.replicas[0].row("jo").Suspect)
			assert.Empty(t, s.leasingStore.lent("jo"))
			time.Sleep(6 * time.Hour) // the access token is over
			assert.Len(t, s.everywhere(1, "jo", WantCustomer), 1)
			assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
			assert.False(t, s.replicas[0].row("jo").Suspect)
		})
	})
	t.Run("customer whose access token is over: sent once, at once", func(t *testing.T) {
		inShop(t, 2, func(t *testing.T, s *shop) {
			s.tokenServer.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
				if c.op == login {
					g.ExpiresIn.Duration = time.Hour
				}
				return nil
			})
			s.replicas[0].customer("jo")
			time.Sleep(2 * time.Hour)
			s.leasingStore.lend(t, "jo", "the dead", leaseTime)
			time.Sleep(leaseTime + time.Second)
			assert.Len(t, s.everywhere(3, "jo", WantCustomer), 1)
			assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
		})
	})
	t.Run("guest: sent again", func(t *testing.T) {
		inShop(t, 2, func(t *testing.T, s *shop) {
			s.guest("jo")
			time.Sleep(guestOver)
			s.leasingStore.lend(t, "jo", "the dead", leaseTime)
			time.Sleep(leaseTime + time.Second)
			assert.Len(t, s.everywhere(3, "jo", WantAnonymous), 1)
			assert.Equal(t, 1, s.tokenServer.count(refreshAnonymous))
		})
	})
	t.Run("it wrote before it ended", func(t *testing.T) {
		inShop(t, 2, func(t *testing.T, s *shop) {
			s.replicas[0].customer("jo")
			s.links[0].on("release", func() { panic("the process ends here") })
			require.NoError(t, s.replicas[0].m.at(visitor("jo")).Refresh(t.Context(), nil))
			time.Sleep(customerDue)
			s.everywhere(1, "jo", WantCustomer)
			synctest.Wait()
			assert.Equal(t, 2, s.tokenServer.count(refreshCustomer))
			s.sentOnce(refreshCustomer)
		})
	})
	for name, act := range map[string]func(*Manager, context.Context) error{
		"an explicit refresh": func(m *Manager, ctx context.Context) error { return m.at(visitor("jo")).Refresh(ctx, nil) },
		"a switch": func(m *Manager, ctx context.Context) error {
			entity := "E1"
			return m.at(visitor("jo")).Refresh(ctx, &entity)
		},
	} {
		t.Run(name+" is told", func(t *testing.T) {
			inShop(t, 2, func(t *testing.T, s *shop) {
				s.replicas[0].customer("jo")
				s.replicas[1].told()
				s.leasingStore.lend(t, "jo", "the dead", leaseTime)
				time.Sleep(leaseTime + time.Second)
				require.ErrorIs(t, act(s.replicas[1].m, t.Context()), sentinel.Unavailable)
				assert.Zero(t, s.tokenServer.count(refreshCustomer))
				assert.True(t, s.replicas[0].row("jo").Suspect)
				assert.Equal(t, []EventKind{EventRefreshFailed}, s.replicas[1].told())
			})
		})
	}
}

// A store that fails while somebody takes over from the dead does not make the
// others forget that somebody has died.
func TestFleet_AnAbandonedLeaseAndAStoreThatFails(t *testing.T) {
	for _, op := range []string{"acquire", "load", "save", "release"} {
		for _, how := range []trip{breaks, loses, panics} {
			for _, times := range []int32{1, 2, 3, 4, 6} {
				t.Run(fmt.Sprint(op, " ", how, " ", times), func(t *testing.T) {
					inShop(t, 2, func(t *testing.T, s *shop) {
						s.replicas[0].customer("jo")
						time.Sleep(customerDue)
						s.leasingStore.lend(t, "jo", "the dead", leaseTime)
						time.Sleep(leaseTime + time.Second)
						var used atomic.Int32
						s.leasingStore.fail(func(got string) trip {
							if got != op || used.Add(1) > times {
								return works
							}
							return how
						})
						for range 20 {
							for i := range s.replicas {
								_, _ = s.use(i, "jo", WantCustomer)
							}
							time.Sleep(time.Minute)
						}
						assert.Zero(t, s.tokenServer.count(refreshCustomer))
						assert.True(t, s.replicas[0].row("jo").Suspect)
						assert.Empty(t, s.leasingStore.lent("jo"))
					})
				})
			}
		}
	}
}

// The lease that this process let run out while the store failed is no reason to
// doubt the tokens that it holds for it.
func TestFleet_RenewalsOverARowThatIsOwedForLong(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.replicas[0].customer("jo")
		time.Sleep(time.Hour)
		s.leasingStore.fail(always("save", breaks))
		for range 2 {
			require.NoError(t, s.replicas[0].m.at(visitor("jo")).Refresh(t.Context(), nil))
			time.Sleep(leaseTime + time.Second)
		}
		s.leasingStore.fail(nil)
		time.Sleep(10 * time.Second)
		assert.Equal(t, 2, s.tokenServer.count(refreshCustomer))
		s.sentOnce(refreshCustomer)
		assert.False(t, s.replicas[0].row("jo").Suspect)
	})
}
