package bff_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// A change that one row kept from being taken back: the next request need not
// wait for the change's time to be up.
func TestAChangeThatCouldNotBeTakenBack(t *testing.T) {
	for at, more := 0, true; more; at++ {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			b := s.browser()
			b.ok("GET", "/page")
			store := &faulty{ConditionalTokenStore: s.store, fault: fault{at: at, how: "row"}, armed: true}
			s.open(setup{client: withStore(store)})
			b.serve(func(_ http.ResponseWriter, r *http.Request) {
				_, err := bff.From(r).Login(r.Context(), emporix.LoginRequest{Email: jo.Email, Password: "wrong"})
				assert.Error(t, err)
				if info, err := bff.From(r).Info(r.Context()); err == nil {
					assert.Equal(t, emporix.SessionAnonymous, info.Kind, "operation %d: the visitor is no stranger now", at)
				}
			})
			store.mu.Lock()
			more = store.hit
			mark := strings.Contains(store.key, "/bff/change/") // only time ends that one
			store.mu.Unlock()
			s.open(setup{})
			began := time.Now()
			if out := b.do("GET", "/page"); !mark {
				assert.Equal(t, http.StatusOK, out.StatusCode, "operation %d", at)
				assert.Less(t, time.Since(began), time.Second, "operation %d", at)
			}
			store.mu.Lock()
			store.armed = false
			store.mu.Unlock()
			time.Sleep(2 * time.Minute) // what the first replica owes the store
		})
	}
}

// A login over a customer had succeeded, and nobody has the new ID: the old one
// does not go on with the session of that login.
func TestAReplicaIsKilledRightAfterALoginOverACustomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		process := &mortal{ledger: s.store}
		s.open(setup{client: withStore(process)})
		b := s.browser()
		b.login()
		session := regexp.MustCompile(sessionRows)
		s.store.onWrite = func(key string) {
			if session.MatchString(key) && s.fake.Calls(t, "Auth.Login") > 1 {
				process.killed.Store(true) // this one write, of the new tokens, is the last
			}
		}
		s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Logout", Status: 500, Times: -1}) // nor does it log out
		b.serve(func(_ http.ResponseWriter, r *http.Request) {
			_, err := bff.From(r).Login(r.Context(), jo)
			assert.Error(t, err)
		})
		require.True(t, process.killed.Load())
		s.store.onWrite = nil
		s.fake.Server().ClearFaults()
		s.open(setup{})
		time.Sleep(3 * time.Minute)
		assert.NotContains(t, b.ok("GET", "/info"), "customer")
		assert.Equal(t, nobody, b.ok("GET", "/page"))
	})
}

// The session of a change that is under way is ended where it has moved to.
func TestALogoutEverywhereDuringAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		process := &mortal{ledger: s.store}
		s.open(setup{client: withStore(process)})
		b := s.browser()
		b.login()
		s.fake.Fail(t, emporixtest.Fault{Operation: "Credentials.ChangePassword", Delay: 2 * time.Second, Status: 500})
		var change sync.WaitGroup
		change.Go(func() { b.do("POST", "/password password=correct+horse") })
		time.Sleep(time.Second)
		process.killed.Store(true)
		change.Wait()
		s.open(setup{})
		require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
		s.fake.AssertCalls(t, "Auth.Logout", 1)
		assert.Equal(t, nobody, b.ok("GET", "/page"))
	})
}

// onlyLists takes no write but those of customers' lists.
type onlyLists struct {
	emporix.ConditionalTokenStore
	over atomic.Bool
}

func (o *onlyLists) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if !o.over.Load() && !strings.Contains(key, listRows) {
		return false, fmt.Errorf("writing: %w", errDown)
	}
	return o.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func (o *onlyLists) Delete(ctx context.Context, key string) error {
	if !o.over.Load() {
		return errDown
	}
	return o.ConditionalTokenStore.Delete(ctx, key)
}

// What could not be ended stays listed, and the next try ends it.
func TestALogoutEverywhereIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.login()
		store := &onlyLists{ConditionalTokenStore: s.store}
		s.open(setup{client: withStore(store)})
		require.ErrorIs(t, s.b.LogoutEverywhere(t.Context(), s.number), emporix.ErrStoreUnavailable)
		s.open(setup{})
		require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
		assert.Equal(t, nobody, b.ok("GET", "/page"))
		store.over.Store(true)
		time.Sleep(2 * time.Minute) // what the first replica owes the store
	})
}
