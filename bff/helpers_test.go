package bff_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

var jo = emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"}

// countingStore is a token store that counts, keeps everything to look at, and fails on demand.
type countingStore struct {
	emporix.ConditionalTokenStore
	mu                    sync.Mutex
	reads, writes         int
	failReads, failWrites error
	delay                 time.Duration
	keys                  map[string]string
	onWrite               func(key string)
	forever               bool // rows outlive their time
	failKeys              string
}

func newLedger() *countingStore {
	return &countingStore{ConditionalTokenStore: emporix.NewMemoryStore(0), keys: map[string]string{}}
}

var errDown = errors.New("the store is down")

func (l *countingStore) begin(ctx context.Context, write bool) error {
	l.mu.Lock()
	delay, err := l.delay, l.failReads
	if write {
		l.writes++
		err = l.failWrites
	} else {
		l.reads++
	}
	l.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (l *countingStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if err := l.begin(ctx, false); err != nil {
		return nil, false, err
	}
	return l.ConditionalTokenStore.Load(ctx, key)
}

func (l *countingStore) note(key string, data []byte) {
	l.mu.Lock()
	l.keys[key] = string(data)
	l.mu.Unlock()
	if l.onWrite != nil {
		l.onWrite(key)
	}
}

func (l *countingStore) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	if err := l.begin(ctx, true); err != nil {
		return err
	}
	l.note(key, data)
	return l.ConditionalTokenStore.Save(ctx, key, data, generation, ttl)
}

func (l *countingStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if err := l.begin(ctx, true); err != nil {
		return false, err
	}
	if l.failKeys != "" && strings.Contains(key, l.failKeys) {
		return false, errDown
	}
	l.note(key, data)
	if l.forever {
		ttl = 1000 * time.Hour
	}
	return l.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func (l *countingStore) Delete(ctx context.Context, key string) error {
	if err := l.begin(ctx, true); err != nil {
		return err
	}
	return l.ConditionalTokenStore.Delete(ctx, key)
}

// fail makes reads and writes fail, or work again.
func (l *countingStore) fail(reads, writes error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failReads, l.failWrites = reads, writes
}

// cost returns reads and writes since the last call.
func (l *countingStore) cost() (reads, writes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	reads, writes = l.reads, l.writes
	l.reads, l.writes = 0, 0
	return reads, writes
}

// dump is everything that was ever written.
func (l *countingStore) dump() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for key, data := range l.keys {
		all = append(all, key+" "+data)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// live counts the rows that there are now, of those whose key has part in it.
func (l *countingStore) live(t *testing.T, part string) (n int) {
	t.Helper()
	for line := range strings.SplitSeq(l.dump(), "\n") {
		key, _, _ := strings.Cut(line, " ")
		_, found, err := l.ConditionalTokenStore.Load(t.Context(), key)
		require.NoError(t, err)
		if found && strings.Contains(key, part) {
			n++
		}
	}
	return n
}

// shop is a BFF over a fake.
type shop struct {
	t       *testing.T
	fake    *emporixtest.Fake
	client  *emporix.Client
	b       *bff.BFF
	store   *countingStore
	mux     *http.ServeMux
	handler http.Handler
	number  string // Jo's
}

type setup struct {
	options bff.Options
	client  []emporix.Option
	fake    []emporixtest.Option
	sealed  bool // sessions in cookies
}

var cookieKey = []byte("the key of tests: 32 bytes, fixe")

func newCookieStore(t *testing.T, keys ...[]byte) *bff.CookieStore {
	t.Helper()
	store, err := bff.NewCookieStore(keys...)
	require.NoError(t, err)
	return store
}

func newShop(t *testing.T, with setup) *shop {
	t.Helper()
	s := &shop{t: t, fake: emporixtest.New(t, with.fake...), store: newLedger()}
	s.number = s.fake.AddCustomer(t, emporixtest.Customer{Email: jo.Email, Password: jo.Password, FirstName: "Jo"}).CustomerNumber
	s.open(with)
	return s
}

// open starts another replica over the same store.
func (s *shop) open(with setup) {
	s.t.Helper()
	options := []emporix.Option{emporix.WithTokenStore(s.store)}
	if with.sealed {
		options = append(options, emporix.WithTokenStore(newCookieStore(s.t, cookieKey)), emporix.WithForegroundRenewal())
	}
	s.client = s.fake.Client(s.t, append(options, with.client...)...)
	if with.options.Logger == nil {
		with.options.Logger = slog.New(honest{t: s.t})
	}
	var err error
	s.b, err = bff.New(s.client, with.options)
	require.NoError(s.t, err)
	mux, b := http.NewServeMux(), s.b // requests may outlive the next open
	do := func(pattern string, work func(ctx context.Context, r *http.Request, v *bff.Visit) (string, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			text, err := work(r.Context(), r, bff.From(r))
			if err != nil {
				w.Header().Set("X-Error", err.Error())
				b.Error(w, r, err)
				return
			}
			_, _ = w.Write([]byte(text))
		})
	}
	do("GET /static", func(context.Context, *http.Request, *bff.Visit) (string, error) { return "", nil })
	do("GET /page", func(ctx context.Context, _ *http.Request, v *bff.Visit) (string, error) {
		session, err := v.Session(ctx)
		if err != nil {
			return "", err
		}
		me, err := session.Customers.Get(ctx)
		if err != nil {
			return "", err
		}
		return me.CustomerNumber, nil
	})
	do("GET /info", func(ctx context.Context, _ *http.Request, v *bff.Visit) (string, error) {
		info, err := v.Info(ctx)
		return string(info.Kind) + " " + info.CustomerNumber + " " + info.SessionID, err
	})
	do("GET /since", func(ctx context.Context, _ *http.Request, v *bff.Visit) (string, error) {
		info, err := v.Info(ctx)
		return info.Since.UTC().Format(time.RFC3339Nano), err
	})
	do("POST /login", func(ctx context.Context, r *http.Request, v *bff.Visit) (string, error) {
		login, err := v.Login(ctx, emporix.LoginRequest{Email: jo.Email, Password: r.FormValue("password")})
		if err != nil {
			return "", err
		}
		return login.SessionID, nil
	})
	do("POST /logout", func(ctx context.Context, _ *http.Request, v *bff.Visit) (string, error) { return "", v.Logout(ctx) })
	do("POST /everywhere", func(ctx context.Context, _ *http.Request, v *bff.Visit) (string, error) {
		return "", v.LogoutEverywhere(ctx)
	})
	do("POST /password", func(ctx context.Context, r *http.Request, v *bff.Visit) (string, error) {
		return "", v.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: r.FormValue("password"), NewPassword: "another one"})
	})
	do("POST /company", func(ctx context.Context, r *http.Request, v *bff.Visit) (string, error) {
		info, err := v.SwitchLegalEntity(ctx, r.FormValue("id"))
		return info.LegalEntityID, err
	})
	do("GET /social", func(ctx context.Context, r *http.Request, v *bff.Visit) (string, error) {
		return v.BeginSocialLogin(ctx, "idp", r.FormValue("to"))
	})
	do("GET /callback", func(ctx context.Context, r *http.Request, v *bff.Visit) (string, error) {
		_, to, err := v.FinishSocialLogin(ctx, r.URL.Query())
		return to, err
	})
	do("POST /exchange", func(ctx context.Context, r *http.Request, v *bff.Visit) (string, error) {
		login, err := v.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: r.FormValue("token")})
		if err != nil {
			return "", err
		}
		return login.Customer.CustomerNumber, nil
	})
	proxy, err := s.b.Proxy(bff.ProxyRules{Prefix: "/api", Allow: []string{
		"GET /cart/{tenant}/carts/{id}", "POST /cart/{tenant}/carts", "GET /cart/{tenant}/everything/{rest...}",
	}})
	require.NoError(s.t, err)
	mux.Handle("/api/", proxy)
	s.mux, s.handler = mux, s.b.Handler(mux)
}

// honest is a log whose lines tell what went wrong.
type honest struct {
	slog.Handler
	t    *testing.T
	said *sync.Map // messages, if it is not nil
}

func (h honest) Enabled(context.Context, slog.Level) bool { return true }

func (h honest) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool { return assert.NotNil(h.t, a.Value.Any(), r.Message) })
	if h.said != nil {
		h.said.Store(r.Message, true)
	}
	return nil
}

// browser keeps the shop's cookie.
type browser struct {
	shop   *shop
	cookie string
	header http.Header // of every request
}

func (s *shop) browser() *browser { return &browser{shop: s, header: http.Header{}} }

// answer is what a browser got.
type answer struct {
	*http.Response
	body string
	set  *http.Cookie // the shop's cookie, if it was set
}

// raw sends a request with exactly these cookies.
func (b *browser) raw(method, target, cookies string) answer {
	b.shop.t.Helper()
	target, body, _ := strings.Cut(target, " ")
	r := httptest.NewRequestWithContext(b.shop.t.Context(), method, "https://shop.example"+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, values := range b.header {
		r.Header[name] = values
	}
	if cookies != "" {
		r.Header.Set("Cookie", cookies)
	}
	w := httptest.NewRecorder()
	b.shop.handler.ServeHTTP(w, r)
	out := answer{Response: w.Result(), body: w.Body.String()}
	for _, c := range out.Cookies() {
		assert.Nil(b.shop.t, out.set, "the cookie is set once")
		out.set = c
		assert.Equal(b.shop.t, "no-store", out.Header.Get("Cache-Control"), "no cache stores a response with the cookie")
	}
	var all bytes.Buffer
	_ = out.Header.Write(&all)
	all.WriteString(out.body)
	for _, secret := range b.shop.fake.Server().Secrets() {
		assert.NotContains(b.shop.t, all.String(), secret, "a response holds a secret")
	}
	return out
}

// do sends a request as a browser does: "POST /login password=x".
func (b *browser) do(method, target string) answer {
	b.shop.t.Helper()
	cookies := ""
	if b.cookie != "" {
		cookies = "__Host-emporix=" + b.cookie
	}
	out := b.raw(method, target, cookies)
	if out.set != nil {
		b.cookie = out.set.Value
	}
	return out
}

// ok sends a request that must succeed, and returns the body.
func (b *browser) ok(method, target string) string {
	b.shop.t.Helper()
	out := b.do(method, target)
	require.Equal(b.shop.t, 200, out.StatusCode, "%s %s: %s", method, target, out.Header.Get("X-Error"))
	return out.body
}

func (b *browser) login() { b.shop.t.Helper(); b.ok("POST", "/login password=correct+horse") }

const guestNumber = "00000000" // the customer number of a guest

func newJar() http.CookieJar {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err)
	}
	return jar
}
