package lifecycle

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// A lease that is acquired after nothing waits for it any more is given back, also
// when the client has been closed since.
func TestL14_ALeaseThatComesLateIsGivenBack(t *testing.T) {
	for name, closed := range map[string]bool{"open": false, "closed": true} {
		t.Run(name, func(t *testing.T) {
			inShop(t, 2, func(t *testing.T, s *shop) {
				s.guest("jo")
				time.Sleep(guestOver)
				s.links[0].mu.Lock()
				s.links[0].before = func(op string) {
					if op == "acquire" {
						time.Sleep(10 * time.Minute)
					}
				}
				s.links[0].mu.Unlock()
				_, err := s.use(0, "jo", WantAnonymous)
				require.ErrorIs(t, err, sentinel.StoreUnavailable)
				if closed {
					require.ErrorContains(t, s.replicas[0].m.Close(t.Context()), "3 calls of the token store")
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				assert.Empty(t, s.leasingStore.lent("jo"))
				_, abandoned, err := s.leasingStore.Acquire(t.Context(), rowOf("jo"), "next", time.Minute)
				require.NoError(t, err)
				assert.False(t, abandoned, "nothing was sent")
				s.leasingStore.drop("jo")
				s.links[0].mu.Lock()
				s.links[0].before = nil
				s.links[0].mu.Unlock()
				_, err = s.use(1, "jo", WantAnonymous)
				require.NoError(t, err)
			})
		})
	}
}

// slowWrites is a plain store whose writes hang for an hour while it is told to.
type slowWrites struct {
	*fakeStore
	hang atomic.Bool
}

func (s *slowWrites) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	if s.hang.Load() {
		time.Sleep(time.Hour)
	}
	return s.fakeStore.Save(context.WithoutCancel(ctx), key, data, generation, ttl)
}

// A plain store can't compare, so a write that comes late must not undo a later one.
func TestL12_AWriteThatComesLateUndoesNoLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowWrites{fakeStore: &fakeStore{rows: map[string]fakeRow{}}}
		w := newFixtureOver(t, &tokenServer{}, store.fakeStore, struct{ Store }{store})
		w.token(visitor("jo"), WantAnonymous)
		store.hang.Store(true)
		w.logIn(visitor("jo"))
		assert.Equal(t, Customer, w.info("jo").Kind, "it is used all the same")
		store.hang.Store(false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.m.at(visitor("jo")).Logout(ctx, func(context.Context, Token) error { return nil })
		require.ErrorIs(t, err, sentinel.StoreUnavailable)
		time.Sleep(writeLimit)
		assert.Equal(t, None, w.info("jo").Kind)
		time.Sleep(2 * time.Hour)
		assert.Equal(t, None, w.info("jo").Kind)
		again := newFixtureOver(t, w.tokenServer, store.fakeStore, struct{ Store }{store})
		_, err = again.m.at(visitor("jo")).Token(t.Context(), WantCustomer)
		require.ErrorIs(t, err, sentinel.NotLoggedIn)
	})
}

// A caller whose time is up has the login that the server made, and the store gets
// it later.
func TestL05_ALoginWhoseWriteHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowWrites{fakeStore: &fakeStore{rows: map[string]fakeRow{}}}
		w := newFixtureOver(t, &tokenServer{}, store.fakeStore, struct{ Store }{store})
		w.token(visitor("jo"), WantAnonymous)
		store.hang.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		assert.LessOrEqual(t, elapsed(func() {
			login, err := w.m.at(visitor("jo")).Login(ctx, w.tokenServer.login)
			assert.NoError(t, err)
			assert.True(t, login.Established)
		}), 350*time.Millisecond)
		store.hang.Store(false)
		assert.Equal(t, Customer, w.info("jo").Kind)
		assert.Contains(t, w.told(), EventStoreWriteFailed)
		time.Sleep(2 * time.Hour)
		w.token(visitor("jo"), WantAnonymous)
		assert.Equal(t, Customer, w.row("jo").Kind)
	})
}
