package bff_test

import (
	"context"
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

// mortal is the store as one process sees it, until that process is killed.
type mortal struct {
	*countingStore
	killed atomic.Bool
	keeps  string // a row that it can't write
}

func (m *mortal) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if m.killed.Load() {
		return nil, false, errDown
	}
	return m.countingStore.Load(ctx, key)
}

func (m *mortal) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if m.killed.Load() || key == m.keeps {
		return false, errDown
	}
	return m.countingStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func (m *mortal) Delete(ctx context.Context, key string) error {
	if m.killed.Load() || key == m.keeps {
		return errDown
	}
	return m.countingStore.Delete(ctx, key)
}

// A replica that is killed in the middle of a change of the ID loses nobody.
func TestAReplicaIsKilledDuringAChange(t *testing.T) {
	for what, c := range map[string]struct {
		target, operation string
		customer          bool
	}{
		"guest":    {"/login password=correct+horse", "Auth.Login", false},
		"customer": {"/password password=correct+horse", "Credentials.ChangePassword", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			process := &mortal{countingStore: s.store}
			s.open(setup{client: []emporix.Option{emporix.WithTokenStore(process)}})
			b := s.browser()
			b.ok("GET", "/page")
			if c.customer {
				b.login()
			}
			before, cookie := b.ok("GET", "/info"), b.cookie
			s.fake.Fail(t, emporixtest.Fault{Operation: c.operation, Delay: 2 * time.Second, Status: 500})
			var change sync.WaitGroup
			change.Go(func() { b.do("POST", c.target) })
			time.Sleep(time.Second)
			process.killed.Store(true)
			change.Wait()

			s.open(setup{})
			time.Sleep(time.Minute)
			b.cookie = cookie
			s.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
			var tabs sync.WaitGroup
			for range 4 {
				tabs.Go(func() {
					tab := s.browser()
					tab.cookie = cookie
					assert.Equal(t, before, tab.ok("GET", "/info"), what)
				})
			}
			tabs.Wait()
			s.store.cost()
			b.ok("GET", "/info")
			reads, writes := s.store.cost()
			assert.Equal(t, []int{2, 0}, []int{reads, writes}, "it is settled once")
			b.login()
			assert.Equal(t, s.number, b.ok("GET", "/page"))
		})
	}
}

// After a password change that was cut off, the session is asked whether it is still
// good. A response about something else than the token says nothing about it, and
// must neither end the session nor lock the customer out for as long as it comes.
func TestWhatTheAPISaysAfterAChangeThatWasCutOff(t *testing.T) {
	texts := map[string]string{
		"key":     `{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"oauth.v2.InvalidApiKey"}}}`,
		"product": `{"fault":{"faultstring":"Invalid API call as no apiproduct match found","detail":{"errorcode":"keymanagement.service.InvalidAPICallAsNoApiProductMatchFound"}}}`,
		"page":    `<html>Please sign in to the proxy</html>`,
		"bearer":  `{"fault":{"faultstring":"Invalid Access Token","detail":{"errorcode":"oauth.v2.InvalidAccessToken"}}}`,
		"api":     `{"status":400,"type":"bad_request","message":"No."}`,
	}
	for name, tt := range map[string]struct {
		status int
		text   string
		want   int
		ends   bool
	}{
		"the key":           {401, "key", 200, false},
		"the product":       {401, "product", 200, false},
		"a proxy":           {401, "page", 200, false},
		"a scope":           {403, "api", 200, false},
		"no such path":      {404, "api", 200, false},
		"a bad request":     {400, "api", 200, false},
		"an outage":         {502, "page", 503, false},
		"the token":         {401, "bearer", 200, true},
		"the token, in API": {401, "api", 200, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			process := &mortal{countingStore: s.store}
			s.open(setup{client: []emporix.Option{emporix.WithTokenStore(process)}})
			b := s.browser()
			b.login()
			cookie := b.cookie
			s.fake.Fail(t, emporixtest.Fault{Operation: "Credentials.ChangePassword", Delay: 2 * time.Second, Status: 500})
			var change sync.WaitGroup
			change.Go(func() { b.do("POST", "/password password=correct+horse") })
			time.Sleep(time.Second)
			process.killed.Store(true)
			change.Wait()

			s.open(setup{})
			time.Sleep(5 * time.Minute)
			b.cookie = cookie
			text := texts[tt.text]
			s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Validate", Status: tt.status, RawBody: &text, Times: 4})
			assert.Equal(t, tt.want, b.do("GET", "/info").StatusCode, name)
			time.Sleep(5 * time.Minute)
			s.fake.Server().ClearFaults()
			want := s.number
			if tt.ends {
				want = guestNumber
			}
			assert.Equal(t, want, b.ok("GET", "/page"), name)
		})
	}
}

// The login had succeeded, and no browser has the new ID: who knows the old one gains
// nothing by that. A guest's session whose row could not be ended goes on.
func TestAReplicaIsKilledRightAfterALogin(t *testing.T) {
	for _, ended := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			process := &mortal{countingStore: s.store}
			s.open(setup{client: []emporix.Option{emporix.WithTokenStore(process)}})
			b := s.browser()
			b.ok("GET", "/page")
			before, planted := b.ok("GET", "/info"), b.cookie
			for key := range s.rows(sessionRows) {
				if !ended {
					process.keeps = key
				}
			}
			session := regexp.MustCompile(sessionRows)
			s.store.onWrite = func(key string) {
				if session.MatchString(key) && s.fake.Calls(t, "Auth.Login") > 0 {
					process.killed.Store(true) // this one write, of the customer's tokens, is the last
				}
			}
			b.serve(func(_ http.ResponseWriter, r *http.Request) {
				_, err := bff.From(r).Login(r.Context(), jo)
				assert.Error(t, err)
			})
			assert.True(t, process.killed.Load())
			s.store.onWrite = nil
			s.open(setup{})
			time.Sleep(time.Minute)
			b.cookie = planted
			info := b.ok("GET", "/info")
			assert.NotContains(t, info, "customer")
			assert.Equal(t, !ended, info == before)
			assert.Equal(t, guestNumber, b.ok("GET", "/page"))
			time.Sleep(2 * time.Minute)
		})
	}
}

// Somebody logs in over another customer, and the write that ends the old ID is
// missing: what the other one ends is not theirs.
func TestALogoutEverywhereOfTheCustomerBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		ann := emporixtest.Customer{Email: "ann@example.com", Password: jo.Password}
		number := s.fake.AddCustomer(t, ann).CustomerNumber
		b, old := s.browser(), s.browser()
		b.login()
		old.cookie = b.cookie
		visitors := s.rows(visitorRows)
		require.Len(t, visitors, 1)
		var row string
		for key := range visitors {
			row = key
		}
		// The process ends right after the new row was settled.
		store := &faulty{ConditionalTokenStore: s.store}
		written := 0
		s.store.onWrite = func(key string) {
			if strings.Contains(key, visitorRows) && key != row {
				if written++; written == 2 {
					store.mu.Lock()
					store.armed, store.fault = true, fault{how: "always"}
					store.mu.Unlock()
				}
			}
		}
		s.open(setup{client: withStore(store)})
		w := b.serve(func(_ http.ResponseWriter, r *http.Request) {
			_, err := bff.From(r).Login(r.Context(), emporix.LoginRequest{Email: ann.Email, Password: ann.Password})
			assert.NoError(t, err)
		})
		require.Len(t, w.Result().Cookies(), 1)
		b.cookie = w.Result().Cookies()[0].Value
		s.store.onWrite = nil
		assert.Contains(t, s.rows(visitorRows)[row], `"m":`, "its end was not written")

		s.open(setup{})
		require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
		assert.Equal(t, number, b.ok("GET", "/page"))
		assert.Equal(t, guestNumber, old.ok("GET", "/page"))
		require.NoError(t, s.b.LogoutEverywhere(t.Context(), number))
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		time.Sleep(2 * time.Minute)
	})
}
