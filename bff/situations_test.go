package bff_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// fault is what one replica's store does wrong, from the at-th operation on.
type fault struct {
	at      int
	how     string // once, twice, doubled (carried out twice), row (that row, for ever), always
	applied bool   // the operation is carried out, and its response is lost
}

// faulty is the shared store as one replica sees it.
type faulty struct {
	emporix.ConditionalTokenStore
	mu    sync.Mutex
	armed bool
	fault fault
	seen  int
	key   string // of the operation at fault
	write bool
	hit   bool
}

var errLost = errors.New("the connection broke")

// fails reports what becomes of an operation; it is counted while armed.
func (f *faulty) fails(key string, write bool) (applied bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed {
		return true, nil
	}
	at := f.seen
	f.seen++
	if at == f.fault.at {
		f.key, f.write, f.hit = key, write, true
	}
	switch {
	case at < f.fault.at,
		f.fault.how == "once" && at > f.fault.at,
		f.fault.how == "doubled",
		f.fault.how == "twice" && at > f.fault.at+1,
		f.fault.how == "row" && (key != f.key || !write):
		return true, nil
	}
	return f.fault.applied, errLost
}

// doubles reports that a driver sends the operation, which was just counted, again.
func (f *faulty) doubles() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.armed && f.fault.how == "doubled" && f.seen == f.fault.at+1
}

func (f *faulty) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if _, err := f.fails(key, false); err != nil {
		return nil, false, err
	}
	return f.ConditionalTokenStore.Load(ctx, key)
}

func (f *faulty) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	applied, err := f.fails(key, true)
	if applied {
		return errors.Join(err, f.ConditionalTokenStore.Save(ctx, key, data, generation, ttl))
	}
	return err
}

func (f *faulty) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	applied, err := f.fails(key, true)
	if !applied {
		return false, err
	}
	saved, saveErr := f.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
	if f.doubles() {
		saved, saveErr = f.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
	}
	if err != nil {
		return false, err
	}
	return saved, saveErr
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	applied, err := f.fails(key, true)
	if applied {
		return errors.Join(err, f.ConditionalTokenStore.Delete(ctx, key))
	}
	return err
}

// change is something that ends an ID.
type change struct {
	target string
	// begins is who visits before: a guest, or Jo.
	guest bool
	// others are logged in as Jo before, and not to be after it succeeded.
	others int
	login  bool
	ends   bool // the customer is logged out
}

var changes = map[string]change{
	"login":                 {target: "/login password=correct+horse", guest: true, login: true},
	"login over a customer": {target: "/login password=correct+horse", login: true},
	"login of the third":    {target: "/login password=correct+horse", guest: true, login: true, others: 2},
	"wrong password":        {target: "/login password=wrong"},
	"password":              {target: "/password password=correct+horse"},
	"company":               {target: "/company id=acme-ltd"},
	"logout":                {target: "/logout", ends: true},
	"everywhere":            {target: "/everywhere", ends: true, others: 1},
}

// Whatever the store does to one write or to all, and wherever the process ends:
// no old ID names a customer afterwards, and nobody is locked out.
func TestNoOldIDNamesACustomer(t *testing.T) {
	var situations, refused, tried atomic.Int64
	var said sync.Map
	t.Cleanup(func() {
		t.Logf("%d situations; the change was refused in %d", situations.Load(), refused.Load())
		if int(tried.Load()) < len(changes) { // -run has chosen some
			return
		}
		for _, message := range []string{
			"an ID that is worth nothing could not be removed", "an unused ID could not be removed", "a visitor stays reserved for a minute",
			"the list of a customer's sessions could not be updated", "a login that was undone was not confirmed to be",
			"the ID of a customer who has logged out could not be removed", "a change of the visitor's ID is left to be taken back by their next request",
		} {
			_, found := said.Load("bff: " + message)
			assert.True(t, found || t.Failed(), "nothing logged: %s", message)
		}
	})
	for what, c := range changes {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			tried.Add(1)
			// The operations before the fault are the same ones in every run.
			var writes []bool
			try := func(f fault, look string) *faulty {
				var store *faulty
				synctest.Test(t, func(t *testing.T) {
					var ok bool
					store, ok = c.run(t, &said, fmt.Sprintf("%s, operation %d, %s, applied %t, looked at %s", what, f.at, f.how, f.applied, look), f, look)
					if !ok {
						refused.Add(1)
					}
				})
				situations.Add(1)
				return store
			}
			for at := 0; ; at++ {
				store := try(fault{at: at, how: "once"}, "at once")
				if !store.hit || t.Failed() {
					break
				}
				writes = append(writes, store.write)
			}
			for at, write := range writes {
				for _, how := range []string{"once", "twice", "doubled", "row", "always"} {
					if !write && (how == "doubled" || how == "row") {
						continue // of a read, there is nothing that is done twice, or never
					}
					for _, applied := range []bool{false, true} {
						switch {
						case applied && how == "doubled": // it is always carried out
							continue
						case applied && how == "once" && !write: // a read leaves nothing behind
							continue
						}
						for _, look := range []string{"at once", "later", "same"} {
							switch {
							case how == "once" && !applied && look == "at once": // above
								continue
							case look == "same" && how == "always": // that process has ended
								continue
							case look == "later" && how != "row" && how != "always": // nothing is left open
								continue
							}
							try(fault{at: at, how: how, applied: applied}, look)
							if t.Failed() {
								return
							}
						}
					}
				}
			}
		})
	}
}

func (c change) run(t *testing.T, said *sync.Map, name string, f fault, look string) (store *faulty, ok bool) {
	t.Helper()
	s := newShop(t, setup{})
	s.fake.AddCompany(t, emporixtest.Company{ID: "acme-ltd", Name: "Acme", Contacts: []emporixtest.Contact{{Email: jo.Email}}})
	b, old := s.browser(), s.browser()
	var others []*browser
	for range c.others {
		other := s.browser()
		other.login()
		others = append(others, other)
	}
	b.ok("GET", "/page")
	if !c.guest {
		b.login()
	}
	before := b.ok("GET", "/info")
	old.cookie = b.cookie

	store = &faulty{ConditionalTokenStore: s.store, fault: f}
	with := setup{options: bff.Options{MaxSessions: max(c.others, 1) + 1, Logger: slog.New(honest{t: t, said: said})}, client: []emporix.Option{emporix.WithTokenStore(store)}}
	s.open(with)
	store.mu.Lock()
	store.armed = true
	store.mu.Unlock()
	out := b.do("POST", c.target)
	ok = out.StatusCode == http.StatusOK
	store.mu.Lock()
	key, write := store.key, store.write
	store.armed = f.how == "always"
	store.mu.Unlock()
	password := "correct+horse"
	if c.target == changes["password"].target && s.fake.Calls(t, "Credentials.ChangePassword") > 0 {
		password = "another+one"
	}
	if look != "same" {
		s.open(setup{options: with.options})
	}
	if look == "later" {
		time.Sleep(90 * time.Second)
	}

	// What the visitor is told, and what is then true.
	wrong := strings.Contains(c.target, "wrong")
	switch {
	case wrong:
		require.Contains(t, []int{400, 503}, out.StatusCode, name)
	case !ok:
		require.Contains(t, []int{502, 503}, out.StatusCode, "%s: %s", name, out.Header.Get("X-Error"))
		require.True(t, out.set == nil || out.set.MaxAge < 0, "%s: no new ID without success", name)
	}
	gone := ok && !wrong || c.ends && b.cookie == ""
	if gone && !c.ends {
		require.NotEqual(t, old.cookie, b.cookie, name)
	}
	// The SDK keeps tokens that the store does not take, and writes them later:
	// until then other processes see the session from before.
	unwritten := f.how == "row" && regexp.MustCompile(sessionRows).MatchString(key)
	if gone && !c.ends && (look == "same" || !unwritten) {
		require.Equal(t, s.number, b.ok("GET", "/page"), name)
	}
	own := write && strings.Contains(key, bffRows)
	if !wrong && (f.how == "doubled" || f.how != "always" && f.how != "row" && own) {
		require.True(t, ok, "%s: %s: a write that fails is tried again, and known again", name, out.Header.Get("X-Error"))
	}
	if f.how != "always" && f.how != "row" && !ok && !gone {
		info := old.do("GET", "/info")
		require.Equal(t, 200, info.StatusCode, "%s: %s", name, info.Header.Get("X-Error"))
		require.Equal(t, before, info.body, "%s: what is refused changes nothing", name)
	}

	// The old ID, now and later.
	began := time.Now()
	for _, after := range []time.Duration{0, time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 24 * time.Hour} {
		time.Sleep(time.Until(began.Add(after)))
		thief := s.browser()
		thief.cookie = old.cookie
		page := thief.do("GET", "/page")
		if page.StatusCode == http.StatusServiceUnavailable && after < 2*time.Minute {
			continue // a claim may stand for a minute
		}
		if page.StatusCode == http.StatusUnauthorized && !gone && !c.guest && f.how == "always" {
			continue // the API has ended a session whose row could not be written
		}
		require.Equal(t, 200, page.StatusCode, "%s: %s later: %s", name, after, page.Header.Get("X-Error"))
		info := thief.ok("GET", "/info")
		if c.guest || gone {
			require.Equal(t, guestNumber, page.body, "%s: %s later", name, after)
			require.NotContains(t, info, "customer", "%s: %s later", name, after)
		}
		if !gone && !c.guest && f.how != "always" && f.how != "row" {
			require.Equal(t, s.number, page.body, "%s: %s later: nobody is locked out", name, after)
		}
		if page.body == s.number && after < 24*time.Hour {
			require.Equal(t, before, info, "%s: it is the session there was", name)
		}
	}

	// The others, where they were logged out too.
	if ok && c.ends {
		for _, other := range others {
			require.Equal(t, guestNumber, other.ok("GET", "/page"), name)
		}
	}
	// Everybody can log in, and is found.
	again := s.browser()
	again.cookie = old.cookie
	again.ok("POST", "/login password="+password)
	require.Equal(t, s.number, again.ok("GET", "/page"), name)
	require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number), name)
	for _, browser := range append(others, b, old, again) {
		require.Equal(t, guestNumber, browser.ok("GET", "/page"), "%s: all sessions are found", name)
	}
	return store, ok
}

// A logout everywhere that is cut off after it was noted: no session that began
// before gets a new ID.
func TestALogoutEverywhereThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, setup{})
		b := s.browser()
		b.login()
		store := &faulty{ConditionalTokenStore: s.store, armed: true, fault: fault{at: 2, how: "always"}}
		s.open(setup{client: withStore(store)})
		require.ErrorIs(t, s.b.LogoutEverywhere(t.Context(), s.number), emporix.ErrStoreUnavailable)
		s.open(setup{})
		require.Equal(t, s.number, b.ok("GET", "/page"), "it says so: some may go on")
		out := b.do("POST", "/password password=correct+horse")
		require.Equal(t, http.StatusBadGateway, out.StatusCode, "the password has changed")
		require.Contains(t, out.Header.Get("X-Error"), emporix.ErrSessionExpired.Error())
		require.Contains(t, out.Header.Get("X-Error"), emporix.ErrOutcomeUnknown.Error())
		require.Equal(t, guestNumber, b.ok("GET", "/page"))
		time.Sleep(2 * time.Minute)
	})
}

// A customer's list has one entry for each session, however often its ID changes.
func TestTheListHasOneEntryForEachSession(t *testing.T) {
	s := newShop(t, setup{})
	s.fake.AddCompany(t, emporixtest.Company{ID: "acme-ltd", Name: "Acme", Contacts: []emporixtest.Contact{{Email: jo.Email}}})
	b := s.browser()
	for range 3 {
		b.login()
		b.ok("POST", "/company id=acme-ltd")
	}
	entries := func() (n int) {
		for _, list := range s.rows("/bff/customer/") {
			n += strings.Count(list, `"i":`)
		}
		return n
	}
	require.Equal(t, 1, entries())
	require.NoError(t, s.b.LogoutEverywhere(t.Context(), s.number))
	require.Zero(t, entries(), "and none for one that has ended")
}
