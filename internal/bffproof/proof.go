// Package bffproof tries package bff over a real store: security writes that
// fail, processes that end, and roll-outs of a newer version. The tests of the
// stores call it, each with its own engine.
package bffproof

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

const (
	email, password, nextPassword = "jo@example.com", "correct horse", "another one"
	guestNumber                   = "00000000"
	cookieName                    = "__Host-emporix"
)

// shop is one tenant with one customer, whose replicas share the store.
type shop struct {
	fake   *emporixtest.Fake
	number string
}

// tenants keeps the situations apart, which share one store.
var tenants atomic.Int64

func newShop(t testing.TB) *shop {
	t.Helper()
	fake := emporixtest.New(t, emporixtest.WithTenant(fmt.Sprintf("proof%d", tenants.Add(1))))
	customer := fake.AddCustomer(t, emporixtest.Customer{Email: email, Password: password})
	fake.AddCompany(t, emporixtest.Company{ID: "acme-ltd", Name: "Acme", Contacts: []emporixtest.Contact{{Email: email}}})
	return &shop{fake: fake, number: customer.CustomerNumber}
}

// replica is one process.
type replica struct {
	b       *bff.BFF
	handler http.Handler
}

func (s *shop) replica(t testing.TB, store emporix.TokenStore) *replica {
	t.Helper()
	cfg := s.fake.Server().Config()
	client, err := emporix.NewClient(cfg.Tenant, cfg.ClientID, emporix.WithBaseURL(s.fake.URL()), emporix.WithTransport(s.fake.Transport()), emporix.WithTokenStore(store))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // its store may take nothing any more
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = client.Close(ctx)
	})
	b, err := bff.New(client, bff.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	handle := func(pattern string, do func(ctx context.Context, v *bff.Visit, form url.Values) (string, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			text, err := do(r.Context(), bff.From(r), r.URL.Query())
			if err != nil {
				w.Header().Set("X-Error", err.Error())
				b.Error(w, r, err)
				return
			}
			_, _ = w.Write([]byte(text))
		})
	}
	handle("/page", func(ctx context.Context, v *bff.Visit, _ url.Values) (string, error) {
		session, err := v.Session(ctx)
		if err != nil {
			return "", err
		}
		me, err := session.Customers.Get(ctx)
		if err != nil {
			return "", err
		}
		info, err := v.Info(ctx)
		return me.CustomerNumber + " " + string(info.Kind), err
	})
	handle("/login", func(ctx context.Context, v *bff.Visit, form url.Values) (string, error) {
		_, err := v.Login(ctx, emporix.LoginRequest{Email: email, Password: form.Get("password")})
		return "", err
	})
	handle("/password", func(ctx context.Context, v *bff.Visit, _ url.Values) (string, error) {
		return "", v.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: password, NewPassword: nextPassword})
	})
	handle("/company", func(ctx context.Context, v *bff.Visit, _ url.Values) (string, error) {
		_, err := v.SwitchLegalEntity(ctx, "acme-ltd")
		return "", err
	})
	handle("/logout", func(ctx context.Context, v *bff.Visit, _ url.Values) (string, error) { return "", v.Logout(ctx) })
	handle("/everywhere", func(ctx context.Context, v *bff.Visit, _ url.Values) (string, error) {
		return "", v.LogoutEverywhere(ctx)
	})
	return &replica{b: b, handler: b.Handler(mux)}
}

// answer is what a browser gets.
type answer struct {
	status  int
	body    string
	problem string
	cookie  string // what the browser has now
	set     bool
}

func (r *replica) get(ctx context.Context, cookie, target string) answer {
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://shop.example"+target, nil)
	if cookie != "" {
		req.AddCookie(&http.Cookie{Name: cookieName, Value: cookie}) // #nosec G124 -- a request's
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	out := answer{status: w.Code, body: w.Body.String(), problem: w.Header().Get("X-Error"), cookie: cookie}
	for _, c := range w.Result().Cookies() {
		out.cookie, out.set = c.Value, true
	}
	return out
}

// failing is the store as one replica sees it.
type failing struct {
	emporix.LeaseTokenStore
	mu      sync.Mutex
	armed   bool
	at      int  // the operation at fault
	ever    bool // and all after it
	applied bool // it is carried out, and its response is lost
	seen    int
	write   bool // the operation at fault is a write of package bff
	changes []string
}

var errBroken = errors.New("the connection broke")

func (f *failing) fails(key string, write bool) (applied bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if write && strings.Contains(key, "/bff/change/") {
		f.changes = append(f.changes, key)
	}
	if !f.armed {
		return true, nil
	}
	at := f.seen
	f.seen++
	if at == f.at {
		f.write = write && strings.Contains(key, "/bff/")
	}
	if at == f.at || f.ever && at > f.at {
		return f.applied, errBroken
	}
	return true, nil
}

// hit reports whether the operation at fault came.
func (f *failing) hit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen > f.at
}

// told reports whether the operation at fault was a write of package bff, and the
// rows of the changes under way.
func (f *failing) told() (write bool, changes []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write, slices.Clone(f.changes)
}

func (f *failing) disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
}

func (f *failing) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if _, err := f.fails(key, false); err != nil {
		return nil, false, err
	}
	return f.LeaseTokenStore.Load(ctx, key)
}

func (f *failing) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	applied, err := f.fails(key, true)
	if !applied {
		return err
	}
	return errors.Join(err, f.LeaseTokenStore.Save(ctx, key, data, generation, ttl))
}

func (f *failing) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	applied, err := f.fails(key, true)
	if !applied {
		return false, err
	}
	saved, saveErr := f.LeaseTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
	if err != nil {
		return false, err
	}
	return saved, saveErr
}

func (f *failing) Delete(ctx context.Context, key string) error {
	applied, err := f.fails(key, true)
	if !applied {
		return err
	}
	return errors.Join(err, f.LeaseTokenStore.Delete(ctx, key))
}

func (f *failing) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	applied, err := f.fails(key, false)
	if !applied {
		return false, false, err
	}
	acquired, abandoned, acquireErr := f.LeaseTokenStore.Acquire(ctx, key, owner, ttl)
	if err != nil {
		return false, false, err
	}
	return acquired, abandoned, acquireErr
}

func (f *failing) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	if _, err := f.fails(key, false); err != nil {
		return 0, err
	}
	return f.LeaseTokenStore.Remaining(ctx, key, owner)
}

func (f *failing) Release(ctx context.Context, key, owner string) error {
	applied, err := f.fails(key, false)
	if !applied {
		return err
	}
	return errors.Join(err, f.LeaseTokenStore.Release(ctx, key, owner))
}

// change ends a visitor's ID.
type change struct {
	target      string
	guest, ends bool
}

var changes = map[string]change{
	"login":                 {target: "/login?password=correct+horse", guest: true},
	"login over a customer": {target: "/login?password=correct+horse"},
	"password":              {target: "/password"},
	"company":               {target: "/company"},
	"logout":                {target: "/logout", ends: true},
	"everywhere":            {target: "/everywhere", ends: true},
}

// SecurityWrites fails operations of the store one by one, for one response or for
// ever, before and after they apply, while a visitor's ID changes. Afterwards
// another replica must not know the old ID as the customer's, and must let
// everybody in. It is a sample of what bff's own test tries over memory.
func SecurityWrites(t *testing.T, store emporix.LeaseTokenStore) {
	t.Helper()
	var situations atomic.Int64
	var all sync.WaitGroup
	// More at once would make an operation of the store last longer than it may. Where
	// the store fails for ever, nearly all of the time is pauses between tries.
	slots := map[bool]chan struct{}{false: make(chan struct{}, 4), true: make(chan struct{}, 40)}
	for what, c := range changes {
		for _, applied := range []bool{false, true} {
			try := func(at int, ever bool) (hit bool) {
				slots[ever] <- struct{}{}
				defer func() { <-slots[ever] }()
				f := &failing{LeaseTokenStore: store, at: at, ever: ever, applied: applied}
				if problem := c.try(t, f, store); problem != "" {
					t.Errorf("%s, operation %d, for ever %t, applied %t: %s", what, at, ever, applied, problem)
				}
				situations.Add(1)
				return f.hit()
			}
			all.Go(func() {
				for at := 0; try(at, false); at++ {
					if at%4 == 0 {
						all.Go(func() { try(at, true) })
					}
				}
			})
		}
	}
	all.Wait()
	t.Logf("%d situations", situations.Load())
	if situations.Load() < 200 {
		t.Error("too few situations: the operations of a change were not counted")
	}
}

func (c change) try(t *testing.T, f *failing, store emporix.LeaseTokenStore) (problem string) {
	ctx := t.Context()
	s := newShop(t)
	broken, healthy := s.replica(t, f), s.replica(t, store)
	visitor := healthy.get(ctx, "", "/page")
	if !c.guest {
		visitor = healthy.get(ctx, visitor.cookie, "/login?password=correct+horse")
	}
	old := visitor.cookie
	customer, guest := s.number+" customer", guestNumber+" anonymous"

	f.mu.Lock()
	f.armed = true
	f.mu.Unlock()
	limit := time.Minute // a busy machine is no failure
	if f.ever {
		limit = 2 * time.Second
	}
	deadline, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := broken.get(deadline, old, c.target)
	own, changes := f.told() // an operation that the shop left may still come
	if !f.ever {
		f.disarm()
	}
	ok := out.status == http.StatusOK
	over := ok || c.ends && out.set
	switch {
	case !ok && out.status != http.StatusServiceUnavailable && out.status != http.StatusBadGateway:
		return fmt.Sprintf("answered %d: %s", out.status, out.problem)
	case !f.ever && own && !ok:
		return "one write that failed was not tried again: " + out.problem
	case ok && !c.ends && (out.cookie == old || healthy.get(ctx, out.cookie, "/page").body != customer):
		if !f.ever || strings.Contains(out.problem, "session") {
			return "the new ID does not name the customer"
		}
	}
	for _, key := range changes { // the minute is over in which the change may be under way
		if err := store.Delete(ctx, key); err != nil {
			return err.Error()
		}
	}
	for range 2 {
		page := healthy.get(ctx, old, "/page")
		switch {
		case page.status == http.StatusUnauthorized && f.ever && !over: // the API has ended the session
		case page.status != http.StatusOK:
			return fmt.Sprintf("the old ID is answered %d: %s", page.status, page.problem)
		case (c.guest || over) && page.body != guest:
			return "the old ID names " + page.body
		case !f.ever && !over && !c.guest && page.body != customer:
			return "what was refused has logged the customer out"
		}
	}
	pass := "correct+horse"
	if s.fake.Calls(t, "Credentials.ChangePassword") > 0 {
		pass = "another+one"
	}
	again := healthy.get(ctx, old, "/login?password="+pass)
	if again.status != http.StatusOK || healthy.get(ctx, again.cookie, "/page").body != customer {
		return "the customer can't log in any more: " + again.problem
	}
	if err := healthy.b.LogoutEverywhere(ctx, s.number); err != nil {
		return err.Error()
	}
	for _, cookie := range []string{old, out.cookie, again.cookie} {
		if page := healthy.get(ctx, cookie, "/page"); page.body != guest {
			return "after a logout everywhere an ID names " + page.body + page.problem
		}
	}
	return ""
}
