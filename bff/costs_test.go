package bff_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

func TestVisitsAreNotedOnceAnHour(t *testing.T) {
	for idle, pace := range map[time.Duration]time.Duration{0: time.Hour, 30 * time.Minute: time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{sealed: true, options: bff.Options{Idle: idle}})
			b := s.browser()
			b.login()
			time.Sleep(pace - time.Second)
			assert.Nil(t, b.do("GET", "/page").set)
			time.Sleep(time.Second)
			assert.NotNil(t, b.do("GET", "/page").set)
		})
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{options: bff.Options{Idle: idle}})
			b := s.browser()
			b.login()
			for _, c := range []struct {
				after time.Duration
				want  int
			}{{pace - time.Second, 0}, {time.Second, 1}, {pace - time.Second, 0}} {
				time.Sleep(c.after)
				s.store.cost()
				b.ok("GET", "/page")
				_, writes := s.store.cost()
				assert.Equal(t, c.want, writes)
			}
		})
	}
}

// The limit counts the whole cookie, with name and attributes.
func TestACookieIsAsLargeAsBrowsersTake(t *testing.T) {
	s := newShop(t, setup{sealed: true})
	login := func(size int) (header string, status int) {
		token, err := json.Marshal(strings.Repeat("y", size))
		require.NoError(t, err)
		s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.Login", Set: map[string]json.RawMessage{"saas_token": token}})
		out := s.browser().do("POST", "/login password=correct+horse")
		return out.Header.Get("Set-Cookie"), out.StatusCode
	}
	fits, over := 1000, 4000
	for fits+1 < over {
		size := (fits + over) / 2
		header, status := login(size)
		if status == 200 {
			fits = size
			require.LessOrEqual(t, len(header), 4096)
			continue
		}
		require.Equal(t, 500, status)
		over = size
	}
	header, _ := login(fits)
	assert.Greater(t, len(header), 4096-8, "and none is refused that fits")
}

func TestWhatFailsLeavesNoRows(t *testing.T) {
	s := newShop(t, setup{})
	b := s.browser()
	b.ok("GET", "/page")
	for range 3 {
		b.do("POST", "/login password=wrong")
	}
	assert.Equal(t, 1, s.store.live(t, visitorRows), "one visitor is one row")

	s = newShop(t, setup{})
	s.fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Status: 500})
	assert.Nil(t, s.browser().do("POST", "/login password=correct+horse").set)
	s.fake.AssertCalls(t, "Auth.Logout", 1)
	assert.Zero(t, s.store.live(t, visitorRows), "a stranger whose login was undone is no visitor")

	s = newShop(t, setup{options: bff.Options{Site: func(*http.Request) emporix.SessionContext { return emporix.SessionContext{Currency: "EUR"} }}})
	s.fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Status: 400, Times: 2})
	for _, request := range []string{"GET /page", "POST /login password=correct+horse"} {
		method, target, _ := strings.Cut(request, " ")
		out := s.browser().do(method, target)
		assert.NotEqual(t, 200, out.StatusCode)
		assert.Nil(t, out.set)
	}
	assert.Zero(t, s.store.live(t, visitorRows), "an outage of the API does not fill the store")
}

// A customer who is in no list could not be logged out everywhere.
func TestALoginThatCannotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.ok("GET", "/page")
		s.store.failKeys = "/bff/customer/"
		assert.Equal(t, 503, b.do("POST", "/login password=correct+horse").StatusCode)
		assert.Empty(t, b.cookie)
		s.fake.AssertCalls(t, "Auth.Logout", 1)
		assert.Equal(t, 1, s.store.live(t, visitorRows), "the guest's")
		s.store.failKeys = ""
		b.login()
		assert.Equal(t, s.number, b.ok("GET", "/page"))
	})
}

// Test and production, or two shops, in one store and with one key.
func TestAClientFindsItsOwnVisitorsOnly(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		b := s.browser()
		b.login()
		elsewhere := []emporix.Option{emporix.WithBaseURL("https://staging.example"), emporix.WithTokenStore(s.store)}
		if sealed {
			elsewhere = append(elsewhere, emporix.WithTokenStore(newCookieStore(t, cookieKey)), emporix.WithForegroundRenewal())
		}
		client, err := emporix.NewClient("acme", "storefront", elsewhere...)
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close(t.Context()) })
		other, err := bff.New(client, bff.Options{})
		require.NoError(t, err)
		if !sealed {
			require.NoError(t, other.LogoutEverywhere(t.Context(), s.number))
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://shop.example/", nil)
		r.AddCookie(&http.Cookie{Name: "__Host-emporix", Value: b.cookie})
		other.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			info, err := bff.From(r).Info(r.Context())
			assert.NoError(t, err)
			assert.Equal(t, bff.Info{SessionInfo: emporix.SessionInfo{Kind: emporix.SessionNone}}, info)
		})).ServeHTTP(httptest.NewRecorder(), r)
		assert.Equal(t, s.number, b.ok("GET", "/page"))
	})
}

func TestLogoutEverywhereFromAReplicaWhoseClockIsBehind(t *testing.T) {
	s := newShop(t, setup{})
	b := s.browser()
	b.login()
	line := regexp.MustCompile(`(?m)^(\S+/bff/customer/\S+) (.*"g":)(\d+)(.*"t":)(\d+)(.*)$`).FindStringSubmatch(s.store.dump())
	require.Len(t, line, 7)
	generation, err := strconv.ParseUint(line[3], 10, 64)
	require.NoError(t, err)
	at, err := strconv.ParseInt(line[5], 10, 64)
	require.NoError(t, err)
	ahead := fmt.Sprint(line[2], generation, line[4], at+5000, line[6])
	require.NoError(t, s.store.ConditionalTokenStore.Save(t.Context(), line[1], []byte(ahead), generation, time.Hour))
	require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
	assert.Equal(t, guestNumber, b.ok("GET", "/page"))
}

func TestOptionsAreCopied(t *testing.T) {
	mine := map[string]bff.Provider{"idp": providers["idp"]}
	s := newShop(t, setup{options: bff.Options{Providers: mine}})
	mine["idp"] = bff.Provider{AuthURL: "https://evil.example"}
	assert.Equal(t, "idp.example", func() string {
		u, err := url.Parse(s.browser().ok("GET", "/social"))
		require.NoError(t, err)
		return u.Host
	}())
}

// Who has a new ID has no longer a life for it: the absolute lifetime counts from
// the login.
func TestANewIDIsNoNewLife(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{sealed: sealed})
			b := s.browser()
			b.ok("GET", "/page")
			time.Sleep(48 * time.Hour)
			b.login()
			login := b.ok("GET", "/since")
			assert.Equal(t, time.Now().UTC().Format(time.RFC3339Nano), login)
			time.Sleep(12 * time.Hour)
			b.ok("GET", "/page")
			time.Sleep(20 * time.Hour)
			b.ok("POST", "/password password=correct+horse")
			assert.Equal(t, login, b.ok("GET", "/since"))
			assert.Equal(t, s.number, b.ok("GET", "/page"))
		})
	})
}

func TestAFirstContactIsTwoWrites(t *testing.T) {
	s := newShop(t, setup{})
	b := s.browser()
	b.ok("GET", "/static")
	_, writes := s.store.cost()
	assert.Zero(t, writes)
	b.ok("GET", "/page")
	_, writes = s.store.cost()
	assert.Equal(t, 2, writes, "the visitor and the session")
}

// A login that can't begin leaves no new ID behind.
func TestALoginThatCannotBeginLeavesNoRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.login()
		scope := ""
		for key := range s.rows(visitorRows) {
			scope, _, _ = strings.Cut(key, bffRows)
		}
		before := s.store.live(t, visitorRows)
		// The session over which the login would be can't be read.
		store := &failing{ConditionalTokenStore: s.store, rows: scope + "/visitor/", reads: true, fail: func(context.Context) {}}
		s.open(setup{client: withStore(store)})
		assert.Equal(t, 503, b.do("POST", "/login password=correct+horse").StatusCode)
		assert.Equal(t, before, s.store.live(t, visitorRows))
		s.open(setup{})
		assert.Equal(t, s.number, b.ok("GET", "/page"))
	})
}
