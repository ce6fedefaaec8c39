package bff_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
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

// Who logs out with the ID before last, as an old tab does, is logged out where the
// session is: also when a change could not be taken back.
func TestALogoutWithTheIDBeforeAChange(t *testing.T) {
	for at, more := 0, true; more; at++ {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			b, tab := s.browser(), s.browser()
			b.ok("GET", "/page")
			tab.cookie = b.cookie
			b.login()
			store := &faulty{ConditionalTokenStore: s.store, fault: fault{at: at, how: "row"}, armed: true}
			s.open(setup{client: withStore(store)})
			b.do("POST", "/password password=battery+staple")
			store.mu.Lock()
			more, store.armed = store.hit, false
			visitor := strings.Contains(store.key, visitorRows) // time ends the others, or the SDK
			store.mu.Unlock()
			s.open(setup{})
			if visitor || !more {
				tab.ok("POST", "/logout")
				s.fake.AssertCalls(t, "Auth.Logout", 1)
				assert.Equal(t, guestNumber, b.ok("GET", "/page"), "operation %d", at)
			}
			time.Sleep(2 * time.Minute) // what the first replica owes the store
		})
	}
}

// A login over a customer had succeeded, and no browser has the new ID: the old one
// does not go on with the session of that login. Sessions without an ID are as
// good as any, and can't be told apart.
func TestAReplicaIsKilledRightAfterALoginOverACustomer(t *testing.T) {
	for _, nameless := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			process := &mortal{countingStore: s.store}
			s.open(setup{client: withStore(process)})
			b := s.browser()
			if nameless {
				for operation, field := range map[string]string{"Auth.StartAnonymous": "sessionId", "Auth.Login": "session_id"} {
					s.fake.Fail(t, emporixtest.Fault{Operation: operation, Set: map[string]json.RawMessage{field: json.RawMessage(`""`)}, Times: -1})
				}
			}
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
			var said sync.Map
			s.open(setup{options: bff.Options{Logger: slog.New(honest{t: t, said: &said})}})
			time.Sleep(3 * time.Minute)
			assert.NotContains(t, b.ok("GET", "/info"), "customer")
			_, logged := said.Load("bff: the session of a login that reached no browser was not logged out")
			assert.True(t, logged)
			assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		})
	}
}

// The session of a change that is under way is ended where it has moved to.
func TestALogoutEverywhereDuringAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		process := &mortal{countingStore: s.store}
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
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
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
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		store.over.Store(true)
		time.Sleep(2 * time.Minute) // what the first replica owes the store
	})
}

// loginWithoutAnEnd logs in with a process that ends right after it has settled the
// new ID, so that nothing says of the old one that it is worth nothing.
func (s *shop) loginWithoutAnEnd(b *browser) {
	s.t.Helper()
	visitors := s.rows(visitorRows)
	store := &faulty{ConditionalTokenStore: s.store}
	written := 0
	s.store.onWrite = func(key string) {
		if _, old := visitors[key]; !old && strings.Contains(key, visitorRows) {
			if written++; written == 2 { // promised, settled
				store.mu.Lock()
				store.armed, store.fault = true, fault{how: "always"}
				store.mu.Unlock()
			}
		}
	}
	s.open(setup{client: withStore(store)})
	b.login()
	s.store.onWrite = nil
	s.open(setup{})
}

func TestAnOldIDWhoseNewOneHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b, old := s.browser(), s.browser()
		b.ok("GET", "/page")
		old.cookie = b.cookie
		row := slices.Collect(maps.Keys(s.rows(visitorRows)))[0]
		s.loginWithoutAnEnd(b)
		b.ok("POST", "/logout")
		assert.Contains(t, s.rows(visitorRows)[row], `"m":`, "its end was not written")
		time.Sleep(2 * time.Minute) // the new one's row is gone
		assert.Equal(t, guestNumber, old.ok("GET", "/page"))
		assert.NotContains(t, old.ok("GET", "/info"), "customer")
	})
}

// hooked calls a function before it reads a row.
type hooked struct {
	emporix.ConditionalTokenStore
	before func(key string)
}

func (h *hooked) Load(ctx context.Context, key string) ([]byte, bool, error) {
	h.before(key)
	return h.ConditionalTokenStore.Load(ctx, key)
}

// Of two requests that take back a change whose process has ended, one is overtaken
// between the two rows that it reads.
func TestAChangeThatAnotherRequestTakesBack(t *testing.T) {
	for _, target := range []string{"/info", "/logout"} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			process := &mortal{countingStore: s.store}
			s.open(setup{client: withStore(process)})
			b, other := s.browser(), s.browser()
			b.login()
			other.cookie = b.cookie
			before := b.ok("GET", "/info")
			visitors := s.rows(visitorRows)
			s.fake.Fail(t, emporixtest.Fault{Operation: "Credentials.ChangePassword", Delay: 2 * time.Second, Status: 500})
			var change sync.WaitGroup
			change.Go(func() { b.do("POST", "/password password=correct+horse") })
			time.Sleep(time.Second)
			process.killed.Store(true)
			change.Wait()
			time.Sleep(time.Minute)

			overtaken := false
			store := &hooked{s.store, func(key string) {
				if _, old := visitors[key]; !old && strings.Contains(key, visitorRows) && !overtaken {
					overtaken = true
					switch target {
					case "/info":
						assert.Equal(t, before, other.ok("GET", target))
					default:
						other.ok("POST", target)
					}
				}
			}}
			s.open(setup{client: withStore(store)})
			if out := b.ok("GET", "/info"); target == "/info" {
				assert.Equal(t, before, out)
			} else {
				assert.NotContains(t, out, "customer")
			}
			assert.True(t, overtaken)
			time.Sleep(2 * time.Minute)
		})
	}
}

// What only a change in memory says is not taken from a cookie.
func TestACookieThatSaysItIsChanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{sealed: true})
		b := s.browser()
		b.login()
		b.cookie = bff.Reseal(s.b, b.cookie, func(plain []byte) []byte {
			var all struct {
				Version    int             `json:"v"`
				Issued     int64           `json:"i"`
				Record     map[string]any  `json:"r"`
				Generation uint64          `json:"g"`
				Session    json.RawMessage `json:"d"`
			}
			require.NoError(t, json.Unmarshal(plain, &all))
			all.Record["h"], all.Record["x"], all.Record["n"] = time.Now().Add(time.Minute).UnixMilli(), true, all.Record["k"]
			data, err := json.Marshal(all)
			require.NoError(t, err)
			return data
		})
		s.restart(cookieKey)
		began := time.Now()
		assert.Equal(t, s.number, b.ok("GET", "/page"))
		assert.Zero(t, time.Since(began))
	})
}
