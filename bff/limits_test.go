package bff_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"net/http"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// lives notes how long the rows of package bff are to live.
type lives struct {
	emporix.ConditionalTokenStore
	mu   sync.Mutex
	seen map[string][]time.Duration
}

func (l *lives) note(key string, ttl time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, own, found := strings.Cut(key, bffRows); found {
		kind, _, _ := strings.Cut(own, "/")
		l.seen[kind] = append(l.seen[kind], ttl)
	}
}

// take returns the lives since the last call.
func (l *lives) take() map[string][]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen
	l.seen = map[string][]time.Duration{}
	return seen
}

func (l *lives) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	l.note(key, ttl)
	return l.ConditionalTokenStore.Save(ctx, key, data, generation, ttl)
}

func (l *lives) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	l.note(key, ttl)
	return l.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

// No row and no cookie outlives its visitor by more than a second.
func TestRowsAndCookiesLiveAsLongAsTheirVisitors(t *testing.T) {
	options := bff.Options{Idle: 2 * time.Hour, Absolute: time.Hour}
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		store := &lives{ConditionalTokenStore: s.store, seen: map[string][]time.Duration{}}
		s.open(setup{options: options, client: withStore(store)})
		b := s.browser()
		assert.Equal(t, 3600, b.do("GET", "/page").set.MaxAge)
		assert.Equal(t, map[string][]time.Duration{"visitor": {time.Hour}}, store.take())
		time.Sleep(30 * time.Minute)
		b.ok("GET", "/page")
		assert.Equal(t, map[string][]time.Duration{"visitor": {30 * time.Minute}}, store.take())
		b.login()
		assert.Equal(t, map[string][]time.Duration{
			"visitor": {time.Hour, 30 * time.Minute, time.Hour, time.Minute}, "change": {time.Minute}, "customer": {25 * time.Hour},
		}, store.take())
		time.Sleep(time.Hour - 500*time.Millisecond)
		b.ok("GET", "/page")
		assert.Equal(t, map[string][]time.Duration{"visitor": {time.Second}}, store.take())
	})
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{sealed: true, options: options})
		b := s.browser()
		assert.Equal(t, 3600, b.do("GET", "/page").set.MaxAge)
		time.Sleep(30 * time.Minute)
		assert.Equal(t, 1800, b.do("GET", "/page").set.MaxAge)
		time.Sleep(30*time.Minute - 1500*time.Millisecond)
		assert.Equal(t, 2, b.do("GET", "/page").set.MaxAge)
	})
}

// failing is a store that fails with the rows of one kind.
type failing struct {
	emporix.ConditionalTokenStore
	rows  string
	reads bool
	fail  func(context.Context) // what it does first
	mu    sync.Mutex
	began time.Time
	tries []time.Duration // when it was asked
}

func (f *failing) fails(ctx context.Context, key string, read bool) bool {
	if read != f.reads || !strings.Contains(key, f.rows) {
		return false
	}
	f.mu.Lock()
	f.tries = append(f.tries, time.Since(f.began))
	f.mu.Unlock()
	f.fail(ctx)
	return true
}

func (f *failing) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if f.fails(ctx, key, true) {
		return nil, false, errDown
	}
	return f.ConditionalTokenStore.Load(ctx, key)
}

func (f *failing) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if f.fails(ctx, key, false) {
		return false, errDown
	}
	return f.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

// A store that fails is asked again with growing pauses, for about five seconds; one
// that does not return, once.
func TestHowOftenAFailingStoreIsAsked(t *testing.T) {
	const ms = time.Millisecond
	release := make(chan struct{})
	for what, c := range map[string]struct {
		reads bool
		fail  func(context.Context)
		tries []time.Duration
		ends  time.Duration
	}{
		"writes":        {false, func(context.Context) {}, []time.Duration{0, 50 * ms, 150 * ms, 350 * ms, 750 * ms, 1550 * ms, 3150 * ms, 4750 * ms}, 4750 * ms},
		"reads":         {true, func(context.Context) {}, []time.Duration{0, 50 * ms, 150 * ms, 350 * ms, 750 * ms, 1550 * ms, 3150 * ms, 4750 * ms}, 4750 * ms},
		"slow writes":   {false, func(context.Context) { time.Sleep(time.Second) }, []time.Duration{0, 1050 * ms, 2150 * ms, 3350 * ms, 4750 * ms}, 5750 * ms},
		"timed out":     {true, func(ctx context.Context) { <-ctx.Done() }, []time.Duration{0, 2050 * ms, 4150 * ms}, 6150 * ms},
		"never returns": {true, func(context.Context) { <-release }, []time.Duration{0}, 2005 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			release = make(chan struct{})
			s := newShop(t, setup{})
			s.browser().login()
			store := &failing{ConditionalTokenStore: s.store, rows: listRows, reads: c.reads, fail: c.fail, began: time.Now()}
			s.open(setup{client: withStore(store)})
			require.ErrorIs(t, s.b.LogoutEverywhere(t.Context(), s.number), emporix.ErrStoreUnavailable, what)
			store.mu.Lock()
			assert.Equal(t, c.tries, store.tries, what)
			store.mu.Unlock()
			assert.Equal(t, c.ends, time.Since(store.began), what)
			close(release)
		})
	}
}

// A request waits for another one that changes the visitor's ID, and not for ever.
func TestHowLongARequestWaitsForAnother(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{sealed: sealed, client: []emporix.Option{emporix.WithTimeouts(emporix.Timeouts{Attempt: time.Minute})}})
			b, tab := s.browser(), s.browser()
			b.login()
			tab.cookie = b.cookie
			s.fake.Fail(t, emporixtest.Fault{Operation: "Credentials.ChangePassword", Delay: 20 * time.Second})
			var change sync.WaitGroup
			change.Go(func() { b.ok("POST", "/password password=correct+horse") })
			time.Sleep(time.Second)
			began := time.Now()
			assert.Equal(t, http.StatusServiceUnavailable, tab.do("GET", "/page").StatusCode)
			assert.Equal(t, 15*time.Second, time.Since(began))
			change.Wait()
			assert.Equal(t, s.number, b.ok("GET", "/page"))
		})
	})
}

// A logout that finds another request changing the ID is answered in time, and does
// not say that the customer is logged out. Nor does one with a client that is closed.
func TestALogoutThatEndsNothing(t *testing.T) {
	logouts := map[string]func(*bff.Visit, context.Context) error{"/logout": (*bff.Visit).Logout, "/everywhere": (*bff.Visit).LogoutEverywhere}
	inBothModes(t, func(t *testing.T, sealed bool) {
		for target, logout := range logouts {
			for _, closed := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					s := newShop(t, setup{sealed: sealed, client: []emporix.Option{emporix.WithTimeouts(emporix.Timeouts{Attempt: time.Minute})}})
					b, tab := s.browser(), s.browser()
					b.login()
					tab.cookie = b.cookie
					s.mux.HandleFunc("POST /leave", func(_ http.ResponseWriter, r *http.Request) {
						assert.ErrorIs(t, logout(bff.From(r), r.Context()), emporix.ErrStoreUnavailable, target)
					})
					var change sync.WaitGroup
					if closed {
						require.NoError(t, s.client.Close(t.Context()))
					} else {
						s.fake.Fail(t, emporixtest.Fault{Operation: "Credentials.ChangePassword", Delay: 10 * time.Second})
						change.Go(func() { b.ok("POST", "/password password=correct+horse") })
						time.Sleep(time.Second)
					}
					_, took := tab.timed("POST /leave")
					assert.LessOrEqual(t, took, requestTime+100*time.Millisecond, target)
					change.Wait()
				})
			}
		}
	})
}

// A logout everywhere reaches all sessions, however slow the API is.
func TestALogoutEverywhereOverASlowAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		browsers := make([]*browser, 60)
		for i := range browsers {
			browsers[i] = s.browser()
			browsers[i].login()
		}
		s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Logout", Delay: 20 * time.Second, Times: -1})
		err := s.b.LogoutEverywhere(t.Context(), s.number)
		require.ErrorIs(t, err, emporix.ErrUnavailable)
		require.NotErrorIs(t, err, emporix.ErrStoreUnavailable)
		for _, b := range browsers {
			assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		}
		time.Sleep(time.Minute) // what goes on ends
		s.fake.AssertCalls(t, "Auth.Logout", len(browsers))
	})
}

// Sessions are logged out eight at a time.
func TestHowManyLogoutsAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		for range 17 {
			s.browser().login()
		}
		s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Logout", Delay: time.Second, Times: -1})
		began := time.Now()
		require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
		assert.Equal(t, 3*time.Second, time.Since(began))
	})
}

// A CookieStore is a token store, and an ended context changes nothing in it.
func TestACookieStoreIsAStore(t *testing.T) {
	store, ctx := newCookieStore(t, cookieKey), t.Context()
	ended, end := context.WithCancel(ctx)
	end()
	has := func(want string) {
		t.Helper()
		data, found, err := store.Load(ctx, "a")
		require.NoError(t, err)
		assert.Equal(t, want != "", found)
		assert.Equal(t, want, string(data))
		copy(data, "xxxxx")
	}
	saveIf := func(ctx context.Context, data string, expected uint64) bool {
		saved, err := store.SaveIf(ctx, "a", []byte(data), expected, expected+1, time.Minute)
		require.Equal(t, ctx.Err(), err)
		return saved
	}
	has("")
	assert.False(t, saveIf(ctx, "one", 1))
	assert.False(t, saveIf(ended, "one", 0))
	has("")
	assert.True(t, saveIf(ctx, "one", 0))
	assert.False(t, saveIf(ctx, "two", 0))
	has("one")
	data := []byte("two")
	require.NoError(t, store.Save(ctx, "a", data, 7, time.Minute))
	copy(data, "xxx")
	require.ErrorIs(t, store.Save(ended, "a", []byte("three"), 8, time.Minute), context.Canceled)
	require.ErrorIs(t, store.Delete(ended, "a"), context.Canceled)
	_, found, err := store.Load(ended, "a")
	require.ErrorIs(t, err, context.Canceled)
	assert.False(t, found)
	has("two")
	assert.True(t, saveIf(ctx, "three", 7))
	has("three")
	require.NoError(t, store.Delete(ctx, "a"))
	has("")
}

// The IDs that ended last are remembered, and none of them is forgotten for another one.
func TestACookieStoreRemembersTheLastIDsThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, idle = 1000, 24 * time.Hour
		store := newCookieStore(t, cookieKey)
		bff.Bound(store, limit)
		visitors := bff.VisitorsOf(store, idle)
		for i := range 3 * limit {
			visitors.End(fmt.Sprint(i))
			visitors.End(fmt.Sprint(i)) // once more is no other ID
		}
		for i := range 3 * limit {
			require.Equal(t, i >= 2*limit, visitors.HasEnded(fmt.Sprint(i)), i)
		}
		_, ended := bff.Kept(store)
		assert.Equal(t, limit, ended)
		time.Sleep(3 * idle)
		visitors.End("another")
		_, ended = bff.Kept(store)
		assert.Equal(t, 1, ended, "what has had its time is forgotten")
	})
}

// Sessions in use, however many, do not crowd out a change that is under way.
func TestACookieStoreRemembersChanges(t *testing.T) {
	store := newCookieStore(t, cookieKey)
	bff.Bound(store, 100)
	visitors := bff.VisitorsOf(store, time.Hour)
	require.True(t, visitors.Claim("jo"))
	for i := range 10_000 {
		require.NoError(t, store.Save(t.Context(), fmt.Sprint(i), []byte("session"), 1, time.Hour))
	}
	assert.False(t, visitors.Claim("jo"))
}

// With Options.Site too, no session is begun for a while after one did not fit.
func TestAGuestOfASiteWhoFitsIntoNoCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{sealed: true, options: bff.Options{Site: func(*http.Request) emporix.SessionContext { return emporix.SessionContext{Currency: "EUR"} }}})
		huge, err := json.Marshal("x." + strings.Repeat("y", 5000))
		require.NoError(t, err)
		s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Set: map[string]json.RawMessage{"refresh_token": huge}, Times: 2})
		for calls := range 3 {
			for range 3 {
				out := s.browser().do("GET", "/page")
				assert.Equal(t, calls == 2, out.set != nil)
				assert.Equal(t, calls == 2, out.body == guestNumber)
			}
			if calls < 2 {
				s.fake.AssertCalls(t, "Auth.StartAnonymous", calls+1)
			}
			time.Sleep(time.Minute)
		}
	})
}

// What fits into no cookie is not kept in memory either, where it would stay for an
// hour.
func TestAGuestWhoFitsIntoNoCookieIsForgotten(t *testing.T) {
	s := newShop(t, setup{})
	store := newCookieStore(t, cookieKey)
	s.open(setup{client: []emporix.Option{emporix.WithTokenStore(store), emporix.WithForegroundRenewal()}})
	huge, err := json.Marshal("x." + strings.Repeat("y", 5000))
	require.NoError(t, err)
	s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Set: map[string]json.RawMessage{"refresh_token": huge}})
	assert.Equal(t, 500, s.browser().do("GET", "/page").StatusCode)
	sessions, _ := bff.Kept(store)
	assert.Zero(t, sessions)
}

// A session is kept for an hour after its last use.
func TestHowLongACookieStoreKeepsASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newCookieStore(t, cookieKey)
		require.NoError(t, store.Save(t.Context(), "a", []byte("session"), 1, time.Minute))
		for range 3 {
			time.Sleep(time.Hour - 1)
			_, found, err := store.Load(t.Context(), "a")
			require.NoError(t, err)
			assert.True(t, found)
		}
		time.Sleep(time.Hour)
		_, found, err := store.Load(t.Context(), "a")
		require.NoError(t, err)
		assert.False(t, found)
	})
}
