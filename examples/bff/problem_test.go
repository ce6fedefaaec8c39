package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatNoPageTakes(t *testing.T) {
	v := open(t).visitor(t)
	for _, row := range []struct {
		method, path string
		status       int
		allow, kind  string
	}{
		{"GET", "/no-such-page", 404, "", "text/html; charset=utf-8"},
		{"GET", "/static/", 404, "", "text/html; charset=utf-8"},
		{"GET", "/templates/page.html", 404, "", "text/html; charset=utf-8"},
		{"POST", "/account", 405, "GET", "text/html; charset=utf-8"},
		{"DELETE", "/login", 405, "GET, POST", "text/html; charset=utf-8"},
		{"GET", "/logout", 405, "POST", "text/html; charset=utf-8"},
		{"GET", "/api/no-such-thing", 404, "", "application/json"},
		{"GET", "/api/login", 405, "POST", "application/json"},
		{"PUT", "/api/account", 405, "GET, PATCH", "application/json"},
		{"PUT", "/api/addresses/1", 405, "GET, PATCH, DELETE", "application/json"},
	} {
		got := v.send(row.method, row.path, "", "")
		assert.Equal(t, row.status, got.status, "%s %s", row.method, row.path)
		assert.Equal(t, row.allow, got.header.Get("Allow"), "%s %s", row.method, row.path)
		assert.Equal(t, row.kind, got.header.Get("Content-Type"), "%s %s", row.method, row.path)
		assert.Equal(t, "no-store", got.header.Get("Cache-Control"), "%s %s", row.method, row.path)
	}
	v.logIn("jo@example.com")
	assert.Contains(t, v.get("/no-such-page").body, "Log out", "whoever is logged in stays so to see")
}

func TestAHandlerThatPanicsIsAPage(t *testing.T) {
	var log bytes.Buffer
	s := &shop{log: slog.New(slog.NewTextHandler(&log, nil))}
	handler := s.headers(s.guarded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("hunter2") })))
	for path, want := range map[string]string{"/account": "Something went wrong", "/api/account": `"code":"internal"`} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		assert.Equal(t, http.StatusInternalServerError, answer.Code)
		assert.Contains(t, answer.Body.String(), want)
		assert.NotContains(t, answer.Body.String()+log.String(), "hunter2")
		assert.Contains(t, log.String(), "problem_test.go", "the log says where")
	}
	abort := s.guarded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { abort.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) })
}

// frail is a store that can be down, or damaged.
type frail struct {
	emporix.LeaseTokenStore
	down, damaged atomic.Bool
	late          atomic.Bool // the next look finds no session yet
	reads         atomic.Int64
}

func (f *frail) Load(ctx context.Context, key string) ([]byte, bool, error) {
	f.reads.Add(1)
	if f.down.Load() {
		return nil, false, errors.New("connection refused")
	}
	if !strings.Contains(key, "/bff/") && f.late.CompareAndSwap(true, false) {
		return nil, false, nil
	}
	data, ok, err := f.LeaseTokenStore.Load(ctx, key)
	if ok && f.damaged.Load() && !strings.Contains(key, "/bff/") {
		data = []byte("garbage")
	}
	return data, ok, err
}

// overFrail opens a shop over a frail store; the visitor has logged in.
func overFrail(t *testing.T) (*frail, *visitor) {
	t.Helper()
	store := &frail{LeaseTokenStore: emporix.NewMemoryStore(0)}
	v := open(t, emporix.WithTokenStore(store)).visitor(t)
	v.logIn("jo@example.com")
	return store, v
}

func TestAStoreThatIsDownIsSaidOnceAndEndsNothing(t *testing.T) {
	store, v := overFrail(t)
	store.down.Store(true)
	for _, path := range []string{"/", "/account", "/account/addresses", "/api/session", "/api/account"} {
		store.reads.Store(0)
		got := v.get(path)
		assert.Equal(t, http.StatusServiceUnavailable, got.status, path)
		assert.Contains(t, got.body, "Nothing is lost: if you were logged in, you still are.", path)
		assert.NotEmpty(t, got.header.Get("Retry-After"), path)
		assert.Empty(t, got.header.Values("Set-Cookie"), path)
		assert.NotContains(t, got.body, "Sign up", "nobody knows who asks")
		assert.EqualValues(t, 1, store.reads.Load(), "%s: a store that hangs is waited for once", path)
	}
	store.down.Store(false)
	assert.Contains(t, v.get("/account").body, "Hello, Jo")
}

func TestAVisitorWhoseSessionIsDamagedIsNotStuckWithIt(t *testing.T) {
	for name, ask := range map[string]func(v *visitor) seen{
		"home":               func(v *visitor) seen { return v.get("/") },
		"account":            func(v *visitor) seen { return v.get("/account") },
		"JSON":               func(v *visitor) seen { return v.get("/api/account") },
		"login":              func(v *visitor) seen { return v.post("/login", "email", "jo@example.com", "password", seedPassword) },
		"forgotten password": func(v *visitor) seen { return v.post("/password/forgotten", "email", "jo@example.com") },
		"reset password": func(v *visitor) seen {
			return v.post("/password/reset", "token", "t", "password", "seven wide rivers")
		},
		"confirmation": func(v *visitor) seen { return v.post("/signup/confirm", "token", "t") },
		"company":      func(v *visitor) seen { return v.post("/account/company", "company", "") },
	} {
		store, v := overFrail(t)
		store.damaged.Store(true)
		got := ask(v)
		assert.Equal(t, http.StatusServiceUnavailable, got.status, name)
		assert.Contains(t, got.body, "We could not read what we knew about your visit.", name)
		store.damaged.Store(false) // the damaged row is not met again
		store.reads.Store(0)
		assert.Contains(t, v.get("/account").body, "Please log in to go on.", name)
		assert.Zero(t, store.reads.Load(), "%s: the cookie is gone", name)
	}
}

func TestALogInWhileAGuestsPageIsMadeIsSaidInWords(t *testing.T) {
	store, v := overFrail(t)
	store.late.Store(true)
	got := v.get("/")
	assert.Equal(t, http.StatusConflict, got.status)
	assert.Contains(t, got.body, "You are logged in already")
	assert.Contains(t, v.get("/").body, "You are <strong>logged in</strong>")
}

func TestAnAPIThatIsDownIsSaidInWords(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	v.logIn("jo@example.com")
	p.fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Status: 503, Times: -1})
	for _, path := range []string{"/account", "/account/profile", "/api/account"} {
		got := v.get(path)
		assert.Equal(t, http.StatusServiceUnavailable, got.status, path)
		assert.Contains(t, got.body, "Nothing is lost; please try again in a moment.", path)
		assert.NotContains(t, got.body, "typed", "nothing was typed")
		assert.NotEmpty(t, got.header.Get("Retry-After"), path)
	}
}

func TestAFormOfASessionThatEndedLeadsBackToItsPage(t *testing.T) {
	p := open(t)
	for _, row := range []struct{ path, from, want string }{
		{"/account/addresses/new", p.url + "/account/addresses/new?done=tags", "/login?next=%2Faccount%2Faddresses%2Fnew&done=please-log-in"},
		{"/account/addresses/1/default", p.url + "/account/addresses", "/login?next=%2Faccount%2Faddresses&done=please-log-in"},
		{"/account/profile", "", "/login?next=%2Faccount&done=please-log-in"},
		{"/account/profile", "https://evil.example/account/company", "/login?next=%2Faccount&done=please-log-in"},
		{"/account/profile", p.url + "/signup/confirm?token=x", "/login?next=%2Faccount&done=please-log-in"},
	} {
		got := p.visitor(t).send("POST", row.path, "application/x-www-form-urlencoded", "", "Referer", row.from)
		assert.Equal(t, row.want, got.where, "%s from %s", row.path, row.from)
	}
	assert.Equal(t, "/login?next=%2Faccount%2Faddresses&done=please-log-in", p.visitor(t).get("/account/addresses?done=address-deleted").where,
		"what was done once is not said again")
}

func TestAnotherNameOfTheMachineLeadsToTheShopsOwn(t *testing.T) {
	p := open(t)
	v := p.visitor(t)
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	port := p.url[strings.LastIndex(p.url, ":"):]
	for host, want := range map[string]string{
		"localhost" + port: p.url + "/login?next=%2Faccount",
		"127.0.0.2" + port: p.url + "/login?next=%2Faccount",
		"localhost:1":      "", // a port that somebody forwards
		"evil.example":     "",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/login?next=%2Faccount", nil)
		require.NoError(t, err)
		req.Host = host
		res, err := v.http.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, want, res.Header.Get("Location"), host)
	}
}

func TestABuyerActsForNobodyAgain(t *testing.T) {
	v := open(t).visitor(t)
	v.logIn("bea@example.com")
	assert.Contains(t, v.post("/account/company", "company", "okafor-retail").body, "You act for another company now.")
	assert.Contains(t, v.post("/account/company", "company", "").body, "You act for nobody in particular now.")
}

func TestAFormThatMetAnOutageCanBeSentAgain(t *testing.T) {
	store, v := overFrail(t)
	store.down.Store(true)
	for path, button := range map[string]string{
		"/signup/confirm": "Confirm my account", "/email/confirm": "Use the new address", "/password/reset": "Save the new password",
	} {
		got := v.post(path, "token", "t0ken", "password", "seven wide rivers")
		assert.Equal(t, http.StatusServiceUnavailable, got.status, path)
		assert.Contains(t, got.body, "does not answer", "%s: the form says what is wrong", path)
		assert.Contains(t, got.body, `value="t0ken"`, path)
		assert.Contains(t, got.body, button, path)
		assert.NotContains(t, got.body, "Sign up", "%s: nobody knows who asks", path)
	}
	assert.NotContains(t, v.get("/login").body, "Sign up", "nobody knows who asks")
	store.down.Store(false)
	assert.NotContains(t, v.post("/email/confirm", "token", "t0ken").body, "Use the new address", "a link that is spent stays so")
}

func TestADeskWithoutAnEmployeeSaysWhatIsMissing(t *testing.T) {
	p := open(t)
	cfg := p.fake.Server().Config()
	client, err := emporix.NewClient(cfg.Tenant, cfg.ClientID, emporix.WithBaseURL(p.fake.URL()))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close(context.WithoutCancel(t.Context()))) })
	handler, err := newShop(t.Context(), client, settings{url: p.url}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/desk", strings.NewReader("customerNumber=13869000"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, req)
	assert.Equal(t, http.StatusNotImplemented, answer.Code)
	assert.Contains(t, answer.Body.String(), emporix.EnvEmployeeSecret)
	assert.Contains(t, answer.Body.String(), `value="13869000"`)
}

func TestAPatchOfNothingIsRefusedInWords(t *testing.T) {
	v := open(t).visitor(t)
	v.logIn("jo@example.com")
	for _, path := range []string{"/api/account", "/api/addresses/1"} {
		got := v.json("PATCH", path, "{}")
		assert.Equal(t, http.StatusUnprocessableEntity, got.status, path)
		assert.Contains(t, got.body, `"code":"invalid"`, path)
	}
}
