package bff_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

const listRows = "/bff/customer/"

// sealedList is a store that can't open one kind of row any more.
type sealedList struct {
	emporix.ConditionalTokenStore
	broken string
}

func (s *sealedList) Load(ctx context.Context, key string) ([]byte, bool, error) {
	data, found, err := s.ConditionalTokenStore.Load(ctx, key)
	if s.broken != "" && strings.Contains(key, s.broken) && string(data) == "{" {
		return nil, false, fmt.Errorf("a row: %w", emporix.ErrStoreCorrupt)
	}
	return data, found, err
}

// A visitor's row that the store can't open names no session, so that its session does
// not keep the others from being logged out.
func TestLogoutEverywhereOfAnUnreadableVisitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		s.open(setup{client: withStore(&sealedList{ConditionalTokenStore: s.store, broken: visitorRows})})
		first, second := s.browser(), s.browser()
		first.login()
		s.rewrite(visitorRows, func(string) string { return "{" })
		second.login()
		began := time.Now()
		require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
		assert.Less(t, time.Since(began), time.Second, "trying again does not help")
		assert.Equal(t, guestNumber, second.ok("GET", "/page"))
		assert.Equal(t, guestNumber, first.ok("GET", "/page"), "the row is gone")
	})
}

// A list that can't be read keeps nobody from logging in, and a logout everywhere
// does not say that it has found every session.
func TestADamagedListOfSessions(t *testing.T) {
	for what, damage := range map[string]string{
		"not JSON": "{", "empty": "", "an array": "[]", "no version": `{"g":5}`, "no generation": `{"v":1}`, "sealed": "sealed",
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lines strings.Builder
				s := newShop(t, setup{})
				with := setup{options: bff.Options{Logger: slog.New(slog.NewTextHandler(&lines, nil))}}
				if damage == "sealed" {
					damage = "{"
					with.client = withStore(&sealedList{ConditionalTokenStore: s.store, broken: listRows})
				}
				s.open(with)
				first, second, third := s.browser(), s.browser(), s.browser()
				first.login()
				s.rewrite(listRows, func(string) string { return damage })

				s.store.delay = 10 * time.Millisecond // both find it damaged
				var both sync.WaitGroup
				both.Go(second.login)
				both.Go(third.login)
				both.Wait()
				s.store.delay = 0
				assert.Equal(t, 1, strings.Count(lines.String(), "listed anew"), "it is said once")
				for _, b := range []*browser{first, second, third} {
					assert.Equal(t, s.number, b.ok("GET", "/page"), "nobody is logged out by it")
				}
				out := second.do("POST", "/everywhere")
				assert.Equal(t, 503, out.StatusCode)
				assert.Contains(t, out.Header.Get("X-Error"), "were not logged out")
				assert.Equal(t, guestNumber, second.ok("GET", "/page"))
				assert.Equal(t, guestNumber, third.ok("GET", "/page"))
				assert.Equal(t, s.number, first.ok("GET", "/page"), "it was only in the damaged list")

				first.ok("POST", "/logout")
				first.login()
				time.Sleep(bff.DefaultAbsolute + 25*time.Hour) // all lost sessions are over
				first.login()
				require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
				assert.Equal(t, guestNumber, first.ok("GET", "/page"))
			})
		})
	}
}

// Who asks for it is logged out, whether or not the list names their session.
func TestLogoutEverywhereOfALostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.login()
		old := b.cookie
		s.rewrite(listRows, func(string) string { return "{" })
		require.ErrorIs(t, s.b.LogoutEverywhere(t.Context(), s.number), emporix.ErrStoreCorrupt)
		assert.Equal(t, s.number, b.ok("GET", "/page"))
		assert.Equal(t, 503, b.do("POST", "/everywhere").StatusCode)
		b.cookie = old
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
	})
}

// Somebody else's damaged list ends nothing of the visitor who asked, such as an
// administrator.
func TestLogoutEverywhereOfSomebodyElse(t *testing.T) {
	s := newShop(t, setup{})
	customer, other := s.browser(), s.browser()
	customer.login()
	other.ok("GET", "/page")
	s.rewrite(listRows, func(string) string { return "{" })
	w := other.serve(func(w http.ResponseWriter, r *http.Request) {
		err := s.b.LogoutEverywhere(r.Context(), s.number)
		assert.ErrorIs(t, err, emporix.ErrStoreCorrupt)
		s.b.Error(w, r, err)
	})
	assert.Equal(t, 503, w.Code)
	assert.Empty(t, w.Result().Cookies(), "the cookie stays")
}

// A change of a session whose list is damaged is made, and lists it again.
func TestAChangeOverADamagedList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.login()
		s.rewrite(listRows, func(string) string { return "{" })
		b.ok("POST", "/password password=correct+horse")
		assert.Equal(t, s.number, b.ok("GET", "/page"))
		require.ErrorIs(t, s.b.LogoutEverywhere(t.Context(), s.number), emporix.ErrStoreCorrupt)
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
	})
}

// A store that fails while a damaged list is replaced, at each of its operations:
// afterwards the customer can log in.
func TestADamagedListAndAStoreThatFails(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at, more := 0, true; more; at++ {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, setup{})
				store := &failsOnce{ConditionalTokenStore: s.store, after: after}
				s.open(setup{client: withStore(store)})
				b, other := s.browser(), s.browser()
				b.login()
				s.rewrite(listRows, func(string) string { return "{" })
				store.arm(at)
				_ = other.do("POST", "/login password=correct+horse")
				more = store.hit()
				time.Sleep(time.Minute)
				other.login()
				assert.Equal(t, s.number, other.ok("GET", "/page"))
				assert.Equal(t, s.number, b.ok("GET", "/page"))
			})
		}
	}
}

// failsOnce fails one operation, before or after it is done.
type failsOnce struct {
	emporix.ConditionalTokenStore
	after bool
	mu    sync.Mutex
	armed bool
	at    int
	did   bool
}

func (f *failsOnce) arm(at int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.at, f.did = true, at, false
}

// hit ends it, and tells whether an operation failed.
func (f *failsOnce) hit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	return f.did
}

var errOnce = errors.New("the connection was closed")

func (f *failsOnce) fails() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed || f.did {
		return false
	}
	f.at--
	f.did = f.at < 0
	return f.did
}

func (f *failsOnce) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if f.fails() {
		return nil, false, errOnce
	}
	return f.ConditionalTokenStore.Load(ctx, key)
}

func (f *failsOnce) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	fails := f.fails()
	if fails && !f.after {
		return false, errOnce
	}
	saved, err := f.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
	if fails {
		return false, errOnce
	}
	return saved, err
}

func (f *failsOnce) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	fails := f.fails()
	if fails && !f.after {
		return errOnce
	}
	err := f.ConditionalTokenStore.Save(ctx, key, data, generation, ttl)
	if fails {
		return errOnce
	}
	return err
}

func (f *failsOnce) Delete(ctx context.Context, key string) error {
	fails := f.fails()
	if fails && !f.after {
		return errOnce
	}
	err := f.ConditionalTokenStore.Delete(ctx, key)
	if fails {
		return errOnce
	}
	return err
}

// An error that is there and empty says nothing.
func TestASocialCallbackWithAnEmptyError(t *testing.T) {
	for query, status := range map[string]int{
		"&code=code-1&error=": 200, "&code=code-1&error=&error=": 200, "&code=code-1&error=&error=x": 401, "&code=code-1&error=x": 401, "&error=": 401,
		"&code=&error=": 401,
	} {
		s := newShop(t, setup{options: bff.Options{Providers: providers}})
		require.NoError(t, s.fake.Server().AddSocialIdentity("code-1", emporixtest.Identity{Email: jo.Email}))
		b := s.browser()
		assert.Equal(t, status, b.do("GET", "/callback?state="+begin(t, b, "").Get("state")+query).StatusCode, query)
	}
}
