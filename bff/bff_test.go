package bff_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"regexp"
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

func inBothModes(t *testing.T, test func(t *testing.T, sealed bool)) {
	t.Helper()
	t.Run("store", func(t *testing.T) { test(t, false) })
	t.Run("cookie", func(t *testing.T) { test(t, true) })
}

func TestACookieOnlyWhenASessionIsNeeded(t *testing.T) {
	s := newShop(t, setup{})
	b := s.browser()
	assert.Nil(t, b.do("GET", "/static").set)
	assert.Equal(t, "none  ", b.ok("GET", "/info"))
	reads, writes := s.store.cost()
	assert.Zero(t, reads+writes, "who does nothing costs nothing")

	set := b.do("GET", "/page").set
	require.NotNil(t, set)
	assert.Equal(t, "__Host-emporix", set.Name)
	assert.Regexp(t, `^[A-Za-z0-9_-]{43}$`, set.Value, "256 bits")
	assert.True(t, set.Secure && set.HttpOnly)
	assert.Equal(t, http.SameSiteLaxMode, set.SameSite)
	assert.Equal(t, "/", set.Path)
	assert.Empty(t, set.Domain)
	assert.InDelta(t, 90*24*3600, set.MaxAge, 5) // whole seconds, and a machine may be slow
	assert.NotContains(t, s.store.dump(), set.Value, "the store has a hash of it")

	assert.Nil(t, b.do("GET", "/page").set, "it is set once")
	assert.Regexp(t, `^anonymous  .+`, b.ok("GET", "/info"))
}

func TestAGuestsPageViewCosts(t *testing.T) {
	s := newShop(t, setup{})
	b := s.browser()
	b.ok("GET", "/page")
	s.store.cost()
	for range 20 {
		b.ok("GET", "/page")
	}
	reads, writes := s.store.cost()
	assert.Equal(t, 40, reads, "two reads each: the visitor and the session")
	assert.Zero(t, writes)
	s.fake.AssertCalls(t, "Auth.StartAnonymous", 1)
	s.fake.AssertCalls(t, "Auth.RefreshAnonymous", 0)
	s.fake.AssertCalls(t, "Customers.Get", 21)
}

func TestTheIDChanges(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		s.fake.AddCompany(t, emporixtest.Company{ID: "acme-ltd", Name: "Acme", Contacts: []emporixtest.Contact{{Email: jo.Email}}})
		b := s.browser()
		b.ok("GET", "/page")
		guest := strings.Fields(b.ok("GET", "/info"))
		for _, step := range []string{"/login password=correct+horse", "/company id=acme-ltd", "/password password=correct+horse", "/logout"} {
			old := b.cookie
			b.ok("POST", step)
			assert.NotEqual(t, old, b.cookie, step)
			if step != "/logout" {
				assert.Equal(t, "customer "+s.number+" "+guest[1], b.ok("GET", "/info"), "%s keeps the cart's session", step)
				assert.Equal(t, s.number, b.ok("GET", "/page"))
			}
			thief := s.browser()
			thief.cookie = old
			out := thief.do("GET", "/page")
			assert.Equal(t, guestNumber, out.body, "after %s the old ID is a guest's", step)
			assert.Nil(t, out.set, "and a request that was under way gets no cookie to overwrite the new one with")
			assert.NotContains(t, thief.ok("GET", "/info"), s.number)
		}
		assert.Empty(t, b.cookie, "a logout removes it")
		assert.Equal(t, "none  ", b.ok("GET", "/info"))
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		assert.NotEmpty(t, b.cookie)
		s.fake.AssertCalls(t, "Auth.Logout", 1)
	})
}

func TestAWrongPasswordChangesNothing(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed})
		b := s.browser()
		b.ok("GET", "/page")
		before := b.ok("GET", "/info")
		for range 3 {
			out := b.do("POST", "/login password=wrong")
			assert.Equal(t, 400, out.StatusCode, "as the fake has it")
			assert.Equal(t, sealed, out.set != nil, "the session is in the cookie")
			assert.Equal(t, before, b.ok("GET", "/info"))
		}
		planted := b.cookie
		b.login()
		assert.Contains(t, b.ok("GET", "/info"), s.number)
		thief := s.browser()
		thief.cookie = planted
		assert.Equal(t, guestNumber, thief.ok("GET", "/page"))
		s.fake.AssertCalls(t, "Auth.StartAnonymous", 2) // Jo's and the thief's
	})
}

func TestIDsThatAreNotOurs(t *testing.T) {
	s := newShop(t, setup{})
	victim := s.browser()
	victim.login()
	good := victim.cookie
	other := s.browser()
	other.ok("GET", "/page")
	name := "__Host-emporix="
	for what, cookies := range map[string]string{
		"forged":             name + strings.Repeat("A", 43),
		"empty":              name,
		"another's name":     "emporix=" + good,
		"over-long":          name + strings.Repeat("A", 5000),
		"cut":                name + good[:42],
		"tampered":           name + flipped(good[:1]) + good[1:],
		"loose base64":       name + good[:42] + "=",
		"duplicated":         name + good + "; " + name + strings.Repeat("B", 43),
		"two good ones":      name + other.cookie + "; " + name + good,
		"in quotes, with %":  name + `"%41` + good[3:] + `"`,
		"path and NUL":       name + "../../" + good[6:],
		"spaces":             name + " " + good[1:] + " x",
		"a session's key":    name + strings.SplitN(s.store.dump(), `"k":"`, 2)[1][:43],
		"a row's name":       name + regexp.MustCompile(`bff/visitor/(\S+)`).FindStringSubmatch(s.store.dump())[1],
		"upper and lower":    strings.ToLower(name) + good,
		"with a blank first": "\u2000" + name + good,
	} {
		t.Run(what, func(t *testing.T) {
			out := s.browser().raw("GET", "/page", cookies)
			assert.Equal(t, 200, out.StatusCode)
			assert.Equal(t, guestNumber, out.body, "it is nobody's")
			require.NotNil(t, out.set)
			require.Len(t, out.set.Value, 43, "it is an ID of ours")
			for _, part := range strings.FieldsFunc(cookies, func(r rune) bool { return r == '=' || r == ';' || r == ' ' }) {
				assert.NotEqual(t, part, out.set.Value, "nothing is adopted")
			}
		})
	}
	assert.Equal(t, s.number, victim.ok("GET", "/page"), "the victim's session goes on")
}

// flipped is another character than the first of text.
func flipped(text string) string {
	if text[0] == 'x' {
		return "y"
	}
	return "x"
}

func TestLifetimes(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{sealed: sealed})
			idle, active := s.browser(), s.browser()
			idle.ok("GET", "/page")
			first := idle.cookie
			active.login()
			for range 90*4 - 1 {
				time.Sleep(6 * time.Hour)
				require.Equal(t, s.number, active.ok("GET", "/page"))
				synctest.Wait()
			}
			time.Sleep(6 * time.Hour)
			assert.Equal(t, guestNumber, active.ok("GET", "/page"), "absolute: 90 days after the login")
			assert.Equal(t, guestNumber, idle.ok("GET", "/page"))
			assert.NotEqual(t, first, idle.cookie, "idle: 30 days")
		})
	})
}

// What never ends by itself can be ended.
func TestLivesWithoutAnEnd(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		s := newShop(t, setup{sealed: sealed, options: bff.Options{Idle: math.MaxInt64, Absolute: math.MaxInt64}})
		b := s.browser()
		b.login()
		old := b.cookie
		assert.Equal(t, s.number, b.ok("GET", "/page"))
		if sealed {
			b.ok("POST", "/logout")
			b.cookie = old
		} else {
			require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
		}
		out := b.do("POST", "/password password=correct+horse")
		assert.Equal(t, 401, out.StatusCode, out.Header.Get("X-Error"))
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		assert.InDelta(t, 50*365*24*3600, s.browser().do("GET", "/page").set.MaxAge, 5)
	})
}

func TestIdleLifetime(t *testing.T) {
	inBothModes(t, func(t *testing.T, sealed bool) {
		for _, days := range []int{29, 30} {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, setup{sealed: sealed})
				s.store.forever = true // not every store forgets in time
				b := s.browser()
				b.ok("GET", "/page")
				time.Sleep(20 * 24 * time.Hour)
				b.ok("GET", "/page")
				first := b.ok("GET", "/since")
				time.Sleep(time.Duration(days) * 24 * time.Hour)
				b.ok("GET", "/page")
				assert.Equal(t, days < 30, first == b.ok("GET", "/since"))
			})
		}
	})
}

func TestNoCookieOnRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.login()
		first := b.cookie
		for range 20 {
			time.Sleep(13 * time.Hour)
			assert.Nil(t, b.do("GET", "/page").set)
			synctest.Wait()
		}
		assert.Equal(t, s.number, b.ok("GET", "/page"))
		assert.Equal(t, first, b.cookie)
		assert.Positive(t, s.fake.Calls(t, "Auth.Refresh"))
	})
}

func TestCrossSite(t *testing.T) {
	for _, strict := range []bool{false, true} {
		s := newShop(t, setup{options: bff.Options{StrictOrigin: strict, TrustedOrigins: []string{"https://m.shop.example"}}})
		for what, c := range map[string]struct {
			header  map[string]string
			allowed bool
		}{
			"same origin":          {map[string]string{"Sec-Fetch-Site": "same-origin"}, true},
			"typed":                {map[string]string{"Sec-Fetch-Site": "none"}, true},
			"cross site":           {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, false},
			"same site":            {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://blog.shop.example"}, false},
			"trusted":              {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://m.shop.example"}, true},
			"old browser, own":     {map[string]string{"Origin": "https://shop.example"}, true},
			"old browser, foreign": {map[string]string{"Origin": "https://evil.example"}, false},
			"null":                 {map[string]string{"Origin": "null"}, false},
			"says nothing":         {nil, !strict},
		} {
			b := s.browser()
			b.header["Sec-Fetch-Site"] = nil
			for name, value := range c.header {
				b.header.Set(name, value)
			}
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				assert.NotEqual(t, 403, b.do(method, "/static").StatusCode, "%s: %s", what, method)
			}
			out := b.do("POST", "/login password=correct+horse")
			if c.allowed {
				assert.Equal(t, 200, out.StatusCode, what)
				continue
			}
			assert.Equal(t, 403, out.StatusCode, what)
			assert.Nil(t, out.set)
			assert.Equal(t, 200, b.do("GET", "/page").StatusCode, "reading is free")
		}
	}
}

func TestPrefetch(t *testing.T) {
	for name, value := range map[string]string{"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch", "X-Shop": "1"} {
		s := newShop(t, setup{options: bff.Options{ReadOnly: func(r *http.Request) bool { return r.Header.Get("X-Shop") != "" }}})
		b := s.browser()
		b.header.Set(name, value)
		out := b.do("GET", "/page")
		assert.Equal(t, 503, out.StatusCode)
		assert.Nil(t, out.set, "a prefetch begins nothing")
		assert.Equal(t, "none  ", b.ok("GET", "/info"))
		assert.Equal(t, 503, b.do("POST", "/login password=correct+horse").StatusCode)
		_, writes := s.store.cost()
		assert.Zero(t, writes)
		b.header.Del(name)
		b.login()
		s.store.cost()
		b.header.Set(name, value)
		assert.Equal(t, s.number, b.ok("GET", "/page"), "it may read a session that there is")
		for _, target := range []string{"/logout", "/everywhere", "/password password=correct+horse", "/company id=x"} {
			assert.Equal(t, 503, b.do("POST", target).StatusCode, target)
		}
		assert.Equal(t, 503, b.do("GET", "/callback?state=x&code=y").StatusCode)
		_, writes = s.store.cost()
		assert.Zero(t, writes)
	}
}

func TestHooks(t *testing.T) {
	var order []string
	var before, after func() error
	s := newShop(t, setup{options: bff.Options{
		BeforeLogin: func(_ context.Context, guest *emporix.Session) error {
			order = append(order, "before")
			return before()
		},
		AfterLogin: func(ctx context.Context, customer *emporix.Session, login *bff.Login) error {
			info, err := customer.Info(ctx)
			require.NoError(t, err)
			order = append(order, "after "+string(info.Kind)+" "+login.Customer.FirstName)
			assert.Equal(t, emporix.SessionAnonymous, login.Guest.Kind)
			assert.Equal(t, login.Guest.SessionID, login.SessionID)
			return after()
		},
	}})
	fine := func() error { return nil }
	refused := func() error { return errors.New("not today") }
	panics := func() error { panic("correct horse") }
	for what, c := range map[string]struct {
		before, after func() error
		status        int
		stands        bool
		text          string
	}{
		"fine":           {fine, fine, 200, true, ""},
		"before refuses": {refused, fine, 500, false, "bff: BeforeLogin: not today"},
		"before panics":  {panics, fine, 500, false, "bff: BeforeLogin: a panic"},
		"after fails":    {fine, refused, 500, true, "bff: AfterLogin: not today"},
		"after, a row":   {fine, func() error { return emporix.ErrStoreCorrupt }, 503, true, "bff: AfterLogin: emporix: token store row unreadable"},
		"after panics":   {fine, panics, 500, true, "bff: AfterLogin: a panic"},
	} {
		before, after, order = c.before, c.after, nil
		b := s.browser()
		b.ok("GET", "/page")
		out := b.do("POST", "/login password=correct+horse")
		assert.Equal(t, c.status, out.StatusCode, what)
		assert.Contains(t, out.Header.Get("X-Error"), c.text)
		assert.NotContains(t, out.Header.Get("X-Error"), "correct horse")
		assert.Equal(t, c.stands, b.ok("GET", "/page") == s.number, what)
		if c.stands {
			assert.Equal(t, []string{"before", "after customer Jo"}, order, what)
		}
	}
}

func TestLogoutEverywhere(t *testing.T) {
	s := newShop(t, setup{})
	var browsers []*browser
	for range 12 {
		b := s.browser()
		b.login()
		browsers = append(browsers, b)
	}
	s.open(setup{}) // another replica
	late := s.browser()
	late.login()
	browsers[0].ok("POST", "/everywhere")
	assert.Empty(t, browsers[0].cookie)
	for _, b := range append(browsers, late) {
		assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		assert.NotContains(t, b.ok("GET", "/info"), s.number)
	}
	s.fake.AssertCalls(t, "Auth.Logout", 13)
	time.Sleep(2 * time.Millisecond)
	late.login()
	assert.Equal(t, s.number, late.ok("GET", "/page"), "later logins are not meant")
	require.NoError(t, s.b.LogoutEverywhere(t.Context(), "12345678"), "somebody else")
	assert.Equal(t, s.number, late.ok("GET", "/page"))
	require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
	assert.Equal(t, guestNumber, late.ok("GET", "/page"))
	for _, number := range []string{"", " ", "\t", "\x00", s.number + " ", " " + s.number, s.number + "\n", "\u00a0" + s.number, s.number + "\u200b", "..", "\xff", strings.Repeat("1", 1<<20)} {
		err := s.b.LogoutEverywhere(t.Context(), number)
		require.ErrorIs(t, err, emporix.ErrInvalidRequest, "%.40q ends no session", number)
		var argument *emporix.ArgumentError
		require.ErrorAs(t, err, &argument)
		assert.Equal(t, "customerNumber", argument.Field)
		assert.Less(t, len(err.Error()), 200)
	}
	assert.Equal(t, 401, late.do("POST", "/everywhere").StatusCode)
}

func TestSessionsOfACustomerAreBounded(t *testing.T) {
	s := newShop(t, setup{options: bff.Options{MaxSessions: 2}})
	var all []*browser
	for range 4 {
		b := s.browser()
		b.login()
		all = append(all, b)
	}
	for i, b := range all {
		assert.Equal(t, i >= 2, b.ok("GET", "/page") == s.number, "the oldest are out")
	}
	assert.Equal(t, 2, s.store.live(t, visitorRows)-2, "and so are their rows, but for the guests that they are now")
	all[3].ok("POST", "/logout")
	s.browser().login()
	assert.Equal(t, s.number, all[2].ok("GET", "/page"), "who has logged out does not count")
}

// A store need not take more than 64 KiB in one row.
func TestTheListOfManySessionsFitsIntoARow(t *testing.T) {
	most := func(n int) error {
		_, err := bff.New(emporixtest.New(t).Client(t), bff.Options{MaxSessions: n})
		return err
	}
	require.NoError(t, most(1))
	require.NoError(t, most(900))
	require.ErrorIs(t, most(901), emporix.ErrInvalidRequest)
	s := newShop(t, setup{})
	size := func() (bytes int) {
		s.browser().login()
		for line := range strings.SplitSeq(s.store.dump(), "\n") {
			if key, row, _ := strings.Cut(line, " "); strings.Contains(key, "bff/customer/") {
				bytes = len(row)
			}
		}
		return bytes
	}
	one, two := size(), size()
	assert.Less(t, one+930*(two-one), 64<<10, "also with some that could not be logged out")
}

func TestStoreOutages(t *testing.T) {
	for what, c := range map[string]struct{ reads, writes error }{
		"down": {errDown, errDown}, "read-only": {nil, errDown},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, setup{})
			guest, customer := s.browser(), s.browser()
			guest.ok("GET", "/page")
			customer.login()
			before, anonymous := s.store.dump(), s.fake.Calls(t, "Auth.StartAnonymous")
			cookies := []string{guest.cookie, customer.cookie}

			s.store.fail(c.reads, c.writes)
			for _, b := range []*browser{guest, customer} {
				out := b.do("GET", "/page")
				if c.reads != nil {
					assert.Equal(t, 503, out.StatusCode, what)
					assert.Equal(t, "5", out.Header.Get("Retry-After"))
					assert.Contains(t, out.body, "Nothing is lost")
				} else {
					assert.Equal(t, 200, out.StatusCode, "what only reads goes on: %s", out.Header.Get("X-Error"))
				}
				for _, target := range []string{"/password password=correct+horse", "/login password=correct+horse"} {
					out := b.do("POST", target)
					assert.Equal(t, 503, out.StatusCode, "%s %s: %s", what, target, out.Header.Get("X-Error"))
					assert.Nil(t, out.set)
				}
			}
			stranger := s.browser()
			assert.Equal(t, 503, stranger.do("GET", "/page").StatusCode)
			assert.Empty(t, stranger.cookie)
			assert.Equal(t, anonymous, s.fake.Calls(t, "Auth.StartAnonymous"), "no silent new session")
			s.fake.AssertCalls(t, "Credentials.ChangePassword", 0)

			s.store.fail(nil, nil)
			assert.Equal(t, before, s.store.dump(), "nothing was written")
			assert.Equal(t, guestNumber, guest.ok("GET", "/page"))
			assert.Equal(t, s.number, customer.ok("GET", "/page"))
			assert.Equal(t, []string{guest.cookie, customer.cookie}, cookies)
		})
	}
}

func TestASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.ok("GET", "/page")
		first := b.cookie
		s.store.delay = time.Second
		b.ok("GET", "/page")
		s.store.delay = time.Hour
		began := time.Now()
		assert.Equal(t, 503, b.do("GET", "/page").StatusCode)
		assert.Less(t, time.Since(began), 3*time.Second)
		s.store.delay = 0
		b.ok("GET", "/page")
		assert.Equal(t, first, b.cookie)
	})
}
