package bff_test

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixtest"
)

// shift makes the rows look as if a replica had written them whose clock differs.
func (s *shop) shift(keys string, by time.Duration) {
	s.t.Helper()
	shifts := map[string]int64{
		"g": by.Microseconds(), "e": by.Microseconds(), "b": int64(by / time.Second), "s": int64(by / time.Second),
		"l": by.Milliseconds(), "h": by.Milliseconds(), "t": by.Milliseconds(),
	}
	var move func(v any)
	move = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, inner := range v {
				move(inner)
			}
		case map[string]any:
			for name, inner := range v {
				number, ok := inner.(json.Number)
				if shift, timed := shifts[name]; ok && timed {
					at, err := number.Int64()
					require.NoError(s.t, err)
					v[name] = at + shift
					continue
				}
				move(inner)
			}
		}
	}
	rows := s.rows(keys)
	require.NotEmpty(s.t, rows)
	for key, data := range rows {
		var row map[string]any
		decoder := json.NewDecoder(bytes.NewReader([]byte(data)))
		decoder.UseNumber()
		require.NoError(s.t, decoder.Decode(&row))
		move(row)
		generation := uint64(row["g"].(int64)) // #nosec G115 -- a time
		changed, err := json.Marshal(row)
		require.NoError(s.t, err)
		require.NoError(s.t, s.store.ConditionalTokenStore.Save(s.t.Context(), key, changed, generation, 100*24*time.Hour))
		s.store.note(key, changed)
	}
}

// Rows of a replica whose clock is ahead or behind, and then a logout everywhere:
// it ends every session, and refuses no later login.
func TestLogoutEverywhereBetweenTwoClocks(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, -90 * time.Second, 90 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			b := s.browser()
			b.login()
			s.shift(bffRows, by)
			require.Equal(t, s.number, b.ok("GET", "/page"), by)
			require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
			assert.Equal(t, guestNumber, b.ok("GET", "/page"), by)
			b.login()
			assert.Equal(t, s.number, b.ok("GET", "/page"), "%s: at once", by)
			b.ok("POST", "/password password=correct+horse")
			assert.Equal(t, s.number, b.ok("GET", "/page"), by)

			// The replica that ended the sessions had the other clock.
			require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
			s.shift("/bff/customer/", by)
			b.ok("POST", "/login password=another+one")
			assert.Equal(t, s.number, b.ok("GET", "/page"), by)
			require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
			assert.Equal(t, guestNumber, b.ok("GET", "/page"), by)
		})
	}
}

// A change that another replica has begun is neither taken back early nor waited
// for after its time, whatever the clocks say.
func TestAChangeBetweenTwoClocks(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, -110 * time.Second, -90 * time.Second, 0, 90 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			b, tab := s.browser(), s.browser()
			b.login()
			tab.cookie = b.cookie
			s.fake.Fail(t, emporixtest.Fault{Operation: "Credentials.ChangePassword", Delay: 5 * time.Second})
			var change sync.WaitGroup
			change.Go(func() { b.ok("POST", "/password password=correct+horse") })
			time.Sleep(time.Second)
			s.shift(visitorRows, by)
			assert.Equal(t, guestNumber, tab.ok("GET", "/page"), "%s: the other tab waits until the old ID is worth nothing", by)
			change.Wait()
			assert.Equal(t, s.number, b.ok("GET", "/page"), by)
		})
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			store := &faulty{ConditionalTokenStore: s.store}
			b := s.browser()
			b.login()
			before := b.ok("GET", "/info")
			s.open(setup{client: withStore(store)})
			s.fake.Fail(t, emporixtest.Fault{Operation: "Credentials.ChangePassword", Delay: 2 * time.Second, Status: 500})
			killed := s.browser()
			killed.cookie = b.cookie
			var change sync.WaitGroup
			change.Go(func() { killed.do("POST", "/password password=correct+horse") })
			time.Sleep(time.Second)
			store.mu.Lock()
			store.armed, store.fault = true, fault{how: "always"}
			store.mu.Unlock()
			s.shift(visitorRows, by)
			s.open(setup{})
			time.Sleep(time.Minute)
			assert.Equal(t, before, b.ok("GET", "/info"), "%s: nobody is locked out", by)
			change.Wait()
			assert.Equal(t, s.number, b.ok("GET", "/page"), by)
		})
	}
}

// The seal says that a cookie is ours; the clock of the replica that sealed it may
// be ahead of this one's.
func TestACookieOfAnotherClock(t *testing.T) {
	var cookie, number string
	seal := func(ahead time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(ahead)
			s := newShop(t, setup{sealed: true})
			b := s.browser()
			b.login()
			cookie, number = b.cookie, s.number
		})
	}
	for ahead, found := range map[time.Duration]bool{
		0: true, 90 * time.Second: true, 10 * time.Minute: true, 24 * time.Hour: true, 24*time.Hour + time.Second: false,
	} {
		seal(ahead)
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{sealed: true})
			b := s.browser()
			b.cookie = cookie
			if found {
				assert.Contains(t, b.ok("GET", "/info"), "customer "+number, ahead)
			} else {
				assert.Equal(t, "none  ", b.ok("GET", "/info"), ahead)
			}
		})
	}
}

// A note of a visit never sets another replica's back.
func TestVisitsBetweenTwoClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.ok("GET", "/page")
		s.shift(visitorRows, 2*time.Hour)
		ahead := s.rows(visitorRows)
		time.Sleep(90 * time.Minute)
		b.ok("GET", "/page")
		assert.Equal(t, ahead, s.rows(visitorRows))
	})
}
