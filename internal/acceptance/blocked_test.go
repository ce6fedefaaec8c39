// Package acceptance holds what the SDK promises across its parts, through its
// public API only.
package acceptance_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// Whatever blocks for ever, each call is back this long after its deadline.
const (
	deadline = 300 * time.Millisecond
	slack    = 100 * time.Millisecond
)

// blocker blocks for ever, whatever a context says, once it is armed.
type blocker struct {
	armed   atomic.Bool
	hits    atomic.Int64
	release chan struct{}
	url     string // of the fake
}

func (b *blocker) here() {
	if b.armed.Load() {
		b.hits.Add(1)
		<-b.release
	}
}

// foreign is a piece of code that is not the SDK's and blocks.
type foreign struct {
	name string
	// named is what Close calls it.
	named string
	// options put it into a client over the fake's transport.
	options func(b *blocker, fake http.RoundTripper) []emporix.Option
	// body is what HTTPClient sends; nil for none.
	body func(b *blocker) io.Reader
}

func foreigners() (all []foreign) {
	store := func(b *blocker, op string) *blockedStore {
		return &blockedStore{LeaseTokenStore: emporix.NewMemoryStore(0), op: op, b: b}
	}
	for _, op := range []string{"Load", "SaveIf", "Delete", "Acquire", "Remaining", "Release"} {
		all = append(all, foreign{name: "store/" + op, named: "the token store", options: func(b *blocker, fake http.RoundTripper) []emporix.Option {
			return []emporix.Option{emporix.WithTransport(fake), emporix.WithTokenStore(store(b, op))}
		}})
	}
	for _, op := range []string{"Load", "SaveIf", "Delete"} {
		all = append(all, foreign{name: "store that compares/" + op, named: "the token store", options: func(b *blocker, fake http.RoundTripper) []emporix.Option {
			return []emporix.Option{emporix.WithTransport(fake), emporix.WithTokenStore(struct{ emporix.ConditionalTokenStore }{store(b, op)})}
		}})
	}
	for _, op := range []string{"Load", "Save", "Delete"} {
		all = append(all, foreign{name: "plain store/" + op, named: "the token store", options: func(b *blocker, fake http.RoundTripper) []emporix.Option {
			return []emporix.Option{emporix.WithTransport(fake), emporix.WithTokenStore(struct{ emporix.TokenStore }{store(b, op)})}
		}})
	}
	wrapped := func(wrap func(b *blocker, next http.RoundTripper) http.RoundTripper, middleware bool) func(*blocker, http.RoundTripper) []emporix.Option {
		return func(b *blocker, fake http.RoundTripper) []emporix.Option {
			if middleware {
				return []emporix.Option{emporix.WithTransport(fake), emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper { return wrap(b, next) })}
			}
			return []emporix.Option{emporix.WithTransport(wrap(b, fake))}
		}
	}
	before := func(b *blocker, next http.RoundTripper) http.RoundTripper {
		return fixture.RoundTripper(func(req *http.Request) (*http.Response, error) {
			b.here()
			return next.RoundTrip(req)
		})
	}
	after := func(b *blocker, next http.RoundTripper) http.RoundTripper {
		return fixture.RoundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			b.here()
			return resp, err
		})
	}
	body := func(b *blocker, next http.RoundTripper) http.RoundTripper {
		return fixture.RoundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil {
				resp.Body = &blockedBody{resp.Body, b}
			}
			return resp, err
		})
	}
	unauthorized := func(b *blocker, next http.RoundTripper) http.RoundTripper {
		return fixture.RoundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil && strings.Contains(req.URL.Path, "/cart/") {
				_ = resp.Body.Close()
				resp.StatusCode, resp.ContentLength, resp.Body = http.StatusUnauthorized, -1, &blockedBody{io.NopCloser(strings.NewReader("{")), b}
			}
			return resp, err
		})
	}
	reading := func(_ *blocker, next http.RoundTripper) http.RoundTripper {
		return fixture.RoundTripper(func(req *http.Request) (*http.Response, error) {
			if strings.Contains(req.URL.Path, "/cart/") && req.Body != nil {
				_, _ = io.ReadAll(req.Body)
				_ = req.Body.Close()
			}
			return next.RoundTrip(req)
		})
	}
	observe := func(b *blocker, fake http.RoundTripper) []emporix.Option {
		return []emporix.Option{emporix.WithTransport(fake), emporix.WithObserver(func(emporix.Event) { b.here() })}
	}
	logging := func(enabled bool) func(b *blocker, fake http.RoundTripper) []emporix.Option {
		return func(b *blocker, fake http.RoundTripper) []emporix.Option {
			return []emporix.Option{emporix.WithTransport(fake), emporix.WithLogger(slog.New(blockedHandler{slog.DiscardHandler, b, enabled}))}
		}
	}
	return append(all,
		foreign{name: "transport/before the headers", named: "the transport", options: wrapped(before, false)},
		foreign{name: "transport/after the headers", named: "the transport", options: wrapped(after, false)},
		foreign{name: "transport/response body", named: "the transport", options: wrapped(body, false)},
		foreign{name: "transport/body of another service's 401", named: "the transport", options: wrapped(unauthorized, false)},
		foreign{name: "middleware/before", named: "a middleware", options: wrapped(before, true)},
		foreign{name: "middleware/after", named: "a middleware", options: wrapped(after, true)},
		foreign{name: "middleware/response body", named: "a middleware", options: wrapped(body, true)},
		foreign{name: "observer", named: "the observer", options: observe},
		foreign{name: "log handler/Handle", named: "the log handler", options: logging(false)},
		foreign{name: "log handler/Enabled", named: "the log handler", options: logging(true)},
		foreign{name: "employee token", named: "the employee token function", options: func(b *blocker, fake http.RoundTripper) []emporix.Option {
			return []emporix.Option{emporix.WithTransport(fake), emporix.WithEmployeeToken(func(context.Context) (emporix.Secret, error) {
				b.here()
				return emporix.Secret{}, errors.New("no token")
			})}
		}},
		foreign{name: "request body/Read", named: "the transport", options: wrapped(reading, false),
			body: func(b *blocker) io.Reader { return &blockedBody{io.NopCloser(strings.NewReader("{}")), b} }},
		foreign{name: "request body/Close", named: "the ", options: wrapped(reading, false),
			body: func(b *blocker) io.Reader { return blockedClose{strings.NewReader("{}"), b} }},
	)
}

// arguments are what each public method with a context is called with, after the
// context. A method that is missing here fails the test.
var arguments = map[string][]any{
	"Session.Info": {}, "Session.MoveTo": {"another key"}, "Session.RenewIfDue": {}, "Session.SaaSToken": {},
	"AuthService.StartAnonymous": {emporix.SessionContext{}}, "AuthService.ExchangeToken": {emporix.ExchangeTokenRequest{SubjectAccessToken: "a.b.c"}},
	"AuthService.Login": {fixture.Jo}, "AuthService.Logout": {}, "AuthService.Refresh": {},
	"AuthService.SocialLogin":       {emporix.SocialLoginRequest{Code: "code", RedirectURI: "https://shop.example/back"}},
	"AuthService.SwitchLegalEntity": {""}, "AuthService.Validate": {},
	"CustomersService.Activate": {"1"}, "CustomersService.ConfirmSignUp": {"token"}, "CustomersService.Get": {},
	"CustomersService.ResendActivation": {fixture.Jo.Email}, "CustomersService.SignUp": {emporix.SignUpRequest{Email: "new@example.com", Password: "correct horse"}},
	"CustomersService.UpdateAsEmployee": {"1", emporix.EmployeeCustomerPatch{Active: emporix.Set(true)}},
	"CustomersService.Update":           {emporix.CustomerPatch{FirstName: emporix.Set("Joanna")}},
	"AddressesService.Add":              {emporix.AddressRequest{ContactName: "Jo"}}, "AddressesService.AddTags": {"1", "BILLING"},
	"AddressesService.Delete": {"1"}, "AddressesService.Get": {"1"}, "AddressesService.List": {}, "AddressesService.RemoveTags": {"1", "BILLING"},
	"AddressesService.Update":           {"1", emporix.AddressPatch{City: emporix.Set("Berlin")}},
	"CredentialsService.ChangePassword": {emporix.ChangePasswordRequest{CurrentPassword: fixture.Jo.Password, NewPassword: "battery staple"}}, "CredentialsService.ConfirmEmailChange": {"token"},
	"CredentialsService.RequestEmailChange":   {emporix.EmailChangeRequest{Email: fixture.Jo.Email, Password: fixture.Jo.Password, NewEmail: "new@example.com"}},
	"CredentialsService.RequestPasswordReset": {fixture.Jo.Email},
	"CredentialsService.ResetPassword":        {emporix.ResetPasswordRequest{Token: "token", Password: "battery staple"}},
}

// withoutContext are the public methods that ask nothing of anybody.
var withoutContext = []string{"Client.HTTPClient", "Client.DefaultSession", "Client.Session", "Client.Settings", "Session.HTTPClient"}

// methods returns the public methods of a session's value and its services, found
// by reflection.
func methods(t *testing.T) map[string]func(*emporix.Session, context.Context) {
	t.Helper()
	all := map[string]func(*emporix.Session, context.Context){}
	var missing []string
	add := func(of reflect.Type, field string) {
		for i := range of.NumMethod() {
			name := of.Elem().Name() + "." + of.Method(i).Name
			args, known := arguments[name]
			switch {
			case slices.Contains(withoutContext, name), name == "Client.Close":
				continue
			case !known:
				missing = append(missing, name)
				continue
			}
			all[name] = func(s *emporix.Session, ctx context.Context) {
				v := reflect.ValueOf(s)
				if field != "" {
					v = v.Elem().FieldByName(field)
				}
				in := []reflect.Value{reflect.ValueOf(ctx)}
				for _, arg := range args {
					in = append(in, reflect.ValueOf(arg))
				}
				v.Method(i).Call(in)
			}
		}
	}
	session := reflect.TypeFor[*emporix.Session]()
	add(session, "")
	add(reflect.TypeFor[*emporix.Client](), "")
	for i := range session.Elem().NumField() {
		if f := session.Elem().Field(i); f.IsExported() {
			add(f.Type, f.Name)
		}
	}
	require.Empty(t, missing, "give these methods arguments in blocked_test.go, so that they are tried too")
	require.Len(t, all, len(arguments))
	return all
}

// states are the sessions that a call can meet.
var states = map[string]func(t *testing.T, s *emporix.Session){
	"new": func(*testing.T, *emporix.Session) {},
	"guest whose token is over": func(t *testing.T, s *emporix.Session) {
		t.Helper()
		require.NoError(t, s.Credentials.RequestPasswordReset(t.Context(), fixture.Jo.Email))
		time.Sleep(2 * time.Hour)
	},
	"customer": func(t *testing.T, s *emporix.Session) {
		t.Helper()
		_, err := s.Auth.Login(t.Context(), fixture.Jo)
		require.NoError(t, err)
	},
	"customer to be renewed early": func(t *testing.T, s *emporix.Session) {
		t.Helper()
		_, err := s.Auth.Login(t.Context(), fixture.Jo)
		require.NoError(t, err)
		time.Sleep(14 * time.Hour)
	},
	"customer whose token is over": func(t *testing.T, s *emporix.Session) {
		t.Helper()
		_, err := s.Auth.Login(t.Context(), fixture.Jo)
		require.NoError(t, err)
		time.Sleep(31 * 24 * time.Hour)
	},
}

// Code that is not the SDK's may block for ever: each public method is back in time
// all the same, so is Close, which names what it leaves, and nothing stays but one
// goroutine for each call that blocks.
func TestWhateverBlocksEachCallIsBackInTime(t *testing.T) {
	all := methods(t)
	all["Session.HTTPClient.Do"] = nil // with the row's own body
	cases, blocked := 0, 0
	for _, row := range foreigners() {
		hit := false
		for state, prepare := range states {
			for _, method := range slices.Sorted(maps.Keys(all)) {
				call := all[method]
				t.Run(row.name+"/"+state+"/"+method, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := &blocker{release: make(chan struct{})}
						if call == nil {
							call = func(s *emporix.Session, ctx context.Context) { other(ctx, t, s, row, b) }
						}
						blockedCall(t, row, b, prepare, call)
						hit = hit || b.hits.Load() > 0
						if b.hits.Load() > 0 {
							blocked++
						}
					})
				})
				cases++
			}
		}
		assert.True(t, hit, "%s never blocked anything", row.name)
	}
	t.Logf("%d cases, %d of them blocked", cases, blocked)
}

func blockedCall(t *testing.T, row foreign, b *blocker, prepare func(*testing.T, *emporix.Session), call func(*emporix.Session, context.Context)) {
	t.Helper()
	fake := emporixtest.New(t)
	fake.AddCustomer(t, emporixtest.Customer{Email: fixture.Jo.Email, Password: fixture.Jo.Password})
	b.url = fake.URL()
	cfg := fake.Server().Config()
	options := append(row.options(b, fake.Transport()), emporix.WithBaseURL(fake.URL()))
	if row.name != "employee token" {
		options = append(options, emporix.WithEmployeeCredentials(cfg.BackendClientID, cfg.BackendSecret))
	}
	client, err := emporix.NewClient(cfg.Tenant, cfg.ClientID, options...)
	require.NoError(t, err)
	prepare(t, client.Session("jo"))
	synctest.Wait()
	before := goroutines()
	b.armed.Store(true)

	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	began := time.Now()
	call(client.Session("jo"), ctx)
	assert.LessOrEqual(t, time.Since(began), deadline+slack, "the call")

	closing, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	began = time.Now()
	err = client.Close(closing)
	assert.LessOrEqual(t, time.Since(began), deadline+slack, "Close")
	synctest.Wait()
	if hits := b.hits.Load(); hits > 0 {
		if assert.Error(t, err) {
			assert.Contains(t, err.Error(), row.named)
		}
		assert.LessOrEqual(t, goroutines(), before+int(hits), "one goroutine for each call that blocks")
	} else {
		assert.NoError(t, err)
	}
	began = time.Now()
	again, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	_, err = client.Session("jo").Info(again)
	require.ErrorIs(t, err, emporix.ErrClosed)
	assert.Zero(t, time.Since(began))

	close(b.release)
	synctest.Wait()
	time.Sleep(time.Minute)
	synctest.Wait()
	assert.LessOrEqual(t, goroutines(), before, "after what blocked has returned")
	require.NoError(t, client.Close(t.Context()), "nothing is left")
}

var stacks = make([]byte, 1<<20)

// goroutines returns how many goroutines the bubble has.
func goroutines() int {
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte(", synctest bubble "))
}

// other is a call of another service.
func other(ctx context.Context, t *testing.T, s *emporix.Session, row foreign, b *blocker) {
	t.Helper()
	method, reader := http.MethodGet, io.Reader(nil)
	if row.body != nil {
		method, reader = http.MethodPost, row.body(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.url+"/cart/acme/carts", reader)
	require.NoError(t, err)
	resp, err := s.HTTPClient().Do(req)
	if err != nil {
		return
	}
	_, _ = io.ReadAll(resp.Body)
	_ = resp.Body.Close()
}

type blockedBody struct {
	io.ReadCloser
	b *blocker
}

func (r *blockedBody) Read(p []byte) (int, error) {
	r.b.here()
	return r.ReadCloser.Read(p)
}

type blockedClose struct {
	io.Reader
	b *blocker
}

func (r blockedClose) Close() error {
	r.b.here()
	return nil
}

type blockedHandler struct {
	slog.Handler
	b       *blocker
	enabled bool
}

func (h blockedHandler) Enabled(context.Context, slog.Level) bool {
	if h.enabled {
		h.b.here()
	}
	return true
}

func (h blockedHandler) Handle(context.Context, slog.Record) error {
	if !h.enabled {
		h.b.here()
	}
	return nil
}

// blockedStore blocks at one operation.
type blockedStore struct {
	emporix.LeaseTokenStore
	op string
	b  *blocker
}

func (s *blockedStore) at(op string) {
	if s.op == op {
		s.b.here()
	}
}

func (s *blockedStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	s.at("Load")
	if s.op == "Delete" && s.b.armed.Load() { // a row that can't be read is deleted
		return []byte("in pieces"), true, nil
	}
	return s.LeaseTokenStore.Load(ctx, key)
}

func (s *blockedStore) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	s.at("Save")
	return s.LeaseTokenStore.Save(ctx, key, data, generation, ttl)
}

func (s *blockedStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	s.at("SaveIf")
	return s.LeaseTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func (s *blockedStore) Delete(ctx context.Context, key string) error {
	s.at("Delete")
	return s.LeaseTokenStore.Delete(ctx, key)
}

func (s *blockedStore) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (bool, bool, error) {
	s.at("Acquire")
	return s.LeaseTokenStore.Acquire(ctx, key, owner, ttl)
}

func (s *blockedStore) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	s.at("Remaining")
	return s.LeaseTokenStore.Remaining(ctx, key, owner)
}

func (s *blockedStore) Release(ctx context.Context, key, owner string) error {
	s.at("Release")
	return s.LeaseTokenStore.Release(ctx, key, owner)
}
