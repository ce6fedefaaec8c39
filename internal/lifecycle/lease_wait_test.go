package lifecycle

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

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
		assert.Equal(t, 1, s.tokenServer.count(refreshAnonymous))
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
		assert.Equal(t, 1, s.tokenServer.count(refreshAnonymous))
		assert.Equal(t, s.replicas[1].row("jo").Access.Reveal(), s.replicas[0].token(v, WantAnonymous))
	})
}

// A row that changes while another process has the lease needs no renewal here.
func TestFleet_ARowThatChangesEndsTheWait(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.guest("jo")
		w := s.replicas[0]
		seen, other := w.row("jo"), "another process"
		s.leasingStore.lend(t, "jo", other, time.Minute)
		go func() {
			time.Sleep(time.Second)
			next := *seen
			next.Generation = nextGeneration(seen.Generation)
			assert.NoError(t, s.leasingStore.Save(t.Context(), rowOf("jo"), next.encode(), next.Generation, time.Hour))
		}()
		l, done, err := w.m.at(visitor("jo")).acquire(t.Context(), seen)
		require.NoError(t, err)
		assert.True(t, done && l == nil)
		assert.Equal(t, other, s.leasingStore.lent("jo"))
	})
}

// A lease that comes late, just when the row has changed, is given back all the same.
func TestFleet_ALeaseThatComesLateBesideTheRow(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		s.guest("jo")
		seen, w := s.replicas[0].row("jo"), s.replicas[0]
		s.leasingStore.lend(t, "jo", "another process", time.Minute)
		var asked, looked atomic.Bool
		late := make(chan struct{})
		s.links[0].mu.Lock()
		s.links[0].before = func(op string) {
			switch {
			case op == "acquire" && !asked.Swap(true):
				<-late // beyond the store's time
			case op == "load" && !looked.Swap(true):
				next := *seen
				next.Generation = nextGeneration(seen.Generation)
				assert.NoError(t, s.leasingStore.Save(t.Context(), rowOf("jo"), next.encode(), next.Generation, time.Hour))
				s.leasingStore.drop("jo")
				close(late)
				time.Sleep(time.Millisecond)
			}
		}
		s.links[0].mu.Unlock()
		l, done, err := w.m.at(visitor("jo")).acquire(t.Context(), seen)
		require.NoError(t, err)
		assert.True(t, done && l == nil)
		synctest.Wait()
		assert.Empty(t, s.leasingStore.lent("jo"))
	})
}

// A lease is given back by its owner only.
func TestFleet_TheLeaseOfAnother(t *testing.T) {
	inShop(t, 2, func(t *testing.T, s *shop) {
		s.guest("jo")
		time.Sleep(guestOver)
		s.links[0].on("release", func() {
			s.leasingStore.drop("jo")
			s.leasingStore.lend(t, "jo", "thief", time.Minute)
		})
		_, err := s.use(0, "jo", WantAnonymous)
		require.NoError(t, err)
		assert.Equal(t, "thief", s.leasingStore.lent("jo"))
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
					require.NoError(t, s.replicas[1].m.at(visitor("jo")).Refresh(t.Context(), to))
				}), 5*time.Second)
				assert.Equal(t, 2, s.tokenServer.count(refreshCustomer))
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
		require.NoError(t, s.replicas[1].m.at(visitor("jo")).Logout(t.Context(), noCall))
		time.Sleep(time.Minute)
		assert.Equal(t, 1, s.tokenServer.count(refreshCustomer))
		assert.Equal(t, None, s.replicas[0].row("jo").Kind)
		assert.Equal(t, 1, s.tokenServer.count(revoke), "what nobody will use is ended")
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
		s.leasingStore.lend(t, "jo", "other", 10*time.Minute)
		assert.Equal(t, 30*time.Second, elapsed(func() {
			_, err := s.use(0, "jo", WantAnonymous)
			require.ErrorIs(t, err, sentinel.Unavailable)
		}))
		assert.InDelta(t, float64(30*time.Second), float64(elapsed(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := s.replicas[0].m.at(visitor("jo")).Token(ctx, WantAnonymous)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, s.replicas[0].m.at(visitor("jo")).Refresh(t.Context(), nil), sentinel.Unavailable)
		})), float64(31*time.Second))
		assert.Zero(t, s.tokenServer.count(refreshAnonymous))
		assert.Zero(t, s.replicas[0].size("flights"))
	})
}

// A lease is for refresh tokens: where none is sent, none is taken.
func TestFleet_ASessionThatBeginsNeedsNoLease(t *testing.T) {
	inShop(t, 1, func(t *testing.T, s *shop) {
		begins := func() {
			t.Helper()
			before := s.tokenServer.count(anonymous)
			_, err := s.use(0, "jo", WantAnonymous)
			require.NoError(t, err)
			assert.Equal(t, before+1, s.tokenServer.count(anonymous))
			assert.Zero(t, s.links[0].used()["acquire"])
		}
		begins()
		time.Sleep(refreshLife) // its refresh token is over, too
		begins()
		time.Sleep(guestOver)
		_, err := s.use(0, "jo", WantAnonymous)
		require.NoError(t, err)
		assert.Equal(t, 1, s.links[0].used()["acquire"], "but for a renewal")
	})
}
