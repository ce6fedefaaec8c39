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
)

func TestL01_AThousandCallersMakeOneRenewal(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *fixture) {
		w.token(visitor("jo"), WantAnonymous)
		time.Sleep(2 * time.Hour)
		w.tokenServer.script(3*time.Second, nil)
		tokens := make([]string, 1000)
		var all sync.WaitGroup
		for i := range tokens {
			all.Go(func() { tokens[i] = w.token(visitor("jo"), WantAnonymous) })
		}
		all.Wait()
		for _, token := range tokens {
			require.Equal(t, "A2", token)
		}
		assert.Equal(t, 1, w.tokenServer.count(refreshAnonymous))
		assert.Equal(t, 1, w.tokenServer.count(anonymous))
		assert.Zero(t, w.size("flights"))
	})
}

// Two replicas that renew at the same moment end with one truth.
func TestL01_TwoReplicasAgree(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, a *fixture) {
		b := newFixture(t, a.tokenServer, a.fakeStore)
		a.customer("jo")
		time.Sleep(13 * time.Hour)
		a.tokenServer.script(3*time.Second, nil)
		a.token(visitor("jo"), WantCustomer)
		b.token(visitor("jo"), WantCustomer)
		time.Sleep(time.Minute)
		assert.Equal(t, a.row("jo").Access.Reveal(), a.token(visitor("jo"), WantCustomer))
		assert.Equal(t, a.row("jo").Access.Reveal(), b.token(visitor("jo"), WantCustomer))
		assert.Zero(t, a.tokenServer.count(revoke), "the loser's token shares its session with the winner's")
	})
}

// An early renewal takes the lease as well, also where the server does not say how long
// the refresh token lives: several processes see its time come.
func TestL01_AnEarlyRenewalIsOneForAllProcesses(t *testing.T) {
	for _, stated := range []bool{true, false} {
		inShop(t, 3, func(t *testing.T, s *shop) {
			s.tokenServer.script(0, func(ctx context.Context, c tokenCall, g *Grant) error {
				if c.op == refreshAnonymous {
					pause(ctx, time.Second)
				}
				if !stated {
					g.RefreshExpiresIn.Duration, g.RefreshExpiresIn.Known = 0, false
				}
				return nil
			})
			s.guest("jo")
			for range 20 {
				time.Sleep(10 * time.Minute)
				s.everywhere(2, "jo", WantAnonymous)
				time.Sleep(time.Minute)
			}
			s.sentOnce(refreshAnonymous)
			assert.NotZero(t, s.tokenServer.count(refreshAnonymous))
			assert.Equal(t, 1+len(s.replicas), s.tokenServer.count(anonymous), "none was late")
		})
	}
}

// lateStore is the same fakeStore as seen by a slow replica.
type lateStore struct{ *fakeStore }

func (s lateStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	time.Sleep(1500 * time.Millisecond)
	return s.fakeStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

// A replica whose refresh token was used up by another's renewal, which is still
// under way, takes nothing from the session: neither if the renewal is written
// first nor if the refusal is.
func TestL01_ARefusalThatAnotherReplicaCausedEndsNothing(t *testing.T) {
	for _, alive := range []bool{true, false} {
		for _, late := range []bool{true, false} {
			t.Run(fmt.Sprintf("alive=%v late=%v", alive, late), func(t *testing.T) {
				inVirtualTime(t, func(t *testing.T, a *fixture) {
					var store Store = a.fakeStore
					if late {
						store = lateStore{a.fakeStore}
					}
					b := newFixtureOver(t, a.tokenServer, a.fakeStore, store)
					a.m.cfg.CallLimit, b.m.cfg.CallLimit = 10*time.Second, 10*time.Second
					used := map[string]bool{}
					a.tokenServer.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
						if c.op != refreshCustomer {
							if !alive {
								g.ExpiresIn.Duration = time.Hour
							}
							return nil
						}
						a.tokenServer.mu.Lock()
						reused := used[c.refresh]
						used[c.refresh] = true
						a.tokenServer.mu.Unlock()
						if reused {
							return &failure.Failure{Token: failure.Refused, Err: errWire}
						}
						time.Sleep(time.Second) // the winner's answer takes longer
						return nil
					})
					a.customer("jo")
					time.Sleep(13 * time.Hour)
					var both sync.WaitGroup
					both.Go(func() { a.token(visitor("jo"), WantCustomer) })
					synctest.Wait()
					both.Go(func() {
						_, err := b.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
						assert.NoError(t, err)
					})
					both.Wait()
					time.Sleep(time.Minute)
					r := b.info("jo")
					assert.Equal(t, Customer, r.Kind)
					assert.NotEqual(t, "C2", r.Access.Reveal())
					assert.True(t, r.CanRenew())
					assert.Zero(t, a.tokenServer.count(revoke))
					assert.NotContains(t, b.told(), EventExpired)
				})
			})
		}
	}
}
