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
	bubble(t, func(t *testing.T, w *world) {
		w.token(visitor("jo"), WantAnonymous)
		time.Sleep(2 * time.Hour)
		w.office.script(3*time.Second, nil)
		tokens := make([]string, 1000)
		var all sync.WaitGroup
		for i := range tokens {
			all.Go(func() { tokens[i] = w.token(visitor("jo"), WantAnonymous) })
		}
		all.Wait()
		for _, token := range tokens {
			require.Equal(t, "A2", token)
		}
		assert.Equal(t, 1, w.office.count(refreshAnonymous))
		assert.Equal(t, 1, w.office.count(anonymous))
		assert.Zero(t, w.size("flights"))
	})
}

// Two replicas that renew at the same moment end with one truth.
func TestL01_TwoReplicasAgree(t *testing.T) {
	bubble(t, func(t *testing.T, a *world) {
		b := newWorld(t, a.office, a.shelf)
		a.customer("jo")
		time.Sleep(13 * time.Hour)
		a.office.script(3*time.Second, nil)
		a.token(visitor("jo"), WantCustomer)
		b.token(visitor("jo"), WantCustomer)
		time.Sleep(time.Minute)
		assert.Equal(t, a.row("jo").Access.Reveal(), a.token(visitor("jo"), WantCustomer))
		assert.Equal(t, a.row("jo").Access.Reveal(), b.token(visitor("jo"), WantCustomer))
		assert.Zero(t, a.office.count(revoke), "the loser's token shares its session with the winner's")
	})
}

// lateShelf is the same shelf as seen by a slow replica.
type lateShelf struct{ *shelf }

func (s lateShelf) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	time.Sleep(1500 * time.Millisecond)
	return s.shelf.SaveIf(ctx, key, data, expected, generation, ttl)
}

// A replica whose refresh token was used up by another's renewal, which is still
// under way, takes nothing from the session: neither if the renewal is written
// first nor if the refusal is.
func TestL01_ARefusalThatAnotherReplicaCausedEndsNothing(t *testing.T) {
	for _, alive := range []bool{true, false} {
		for _, late := range []bool{true, false} {
			t.Run(fmt.Sprintf("alive=%v late=%v", alive, late), func(t *testing.T) {
				bubble(t, func(t *testing.T, a *world) {
					var store Store = a.shelf
					if late {
						store = lateShelf{a.shelf}
					}
					b := newWorldOver(t, a.office, a.shelf, store)
					a.m.cfg.CallLimit, b.m.cfg.CallLimit = 10*time.Second, 10*time.Second
					used := map[string]bool{}
					a.office.script(0, func(_ context.Context, c tokenCall, g *Grant) error {
						if c.op != refreshCustomer {
							if !alive {
								g.ExpiresIn.Duration = time.Hour
							}
							return nil
						}
						a.office.mu.Lock()
						reused := used[c.refresh]
						used[c.refresh] = true
						a.office.mu.Unlock()
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
					assert.Zero(t, a.office.count(revoke))
					assert.NotContains(t, b.told(), EventExpired)
				})
			})
		}
	}
}
