package emporixtest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

var (
	jo      = Customer{Email: "jo@example.com", Password: "correct horse", FirstName: "Jo", LastName: "Doe"}
	joLogin = emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"}
)

// walk is a small journey of the real SDK.
func walk(t *testing.T, fake *Fake) {
	t.Helper()
	added := fake.AddCustomer(t, jo)
	client := fake.Client(t)
	_, err := client.Auth.Login(t.Context(), joLogin)
	require.NoError(t, err)
	me, err := client.Customers.Get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, added.CustomerNumber, me.CustomerNumber)
	require.NoError(t, client.Credentials.RequestPasswordReset(t.Context(), jo.Email))
	mail := fake.LatestMail(t, emporixfake.MailPasswordReset, jo.Email)
	require.NoError(t, client.Credentials.ResetPassword(t.Context(), emporix.ResetPasswordRequest{Token: mail.Token, Password: "another one"}))
	assert.Equal(t, []Mail{mail}, fake.Outbox(MailFilter{Email: jo.Email}))

	require.NoError(t, client.Customers.Activate(t.Context(), added.CustomerNumber))
	assert.True(t, fake.AssertCalls(t, "Auth.Login", 1))
	assert.Equal(t, 1, fake.Calls(t, "OAuth.Token"))
	var log strings.Builder
	for _, e := range fake.Journal() {
		fmt.Fprintln(&log, e)
	}
	fake.AssertNoSecrets(t, []byte(log.String()))
}

func TestInMemory(t *testing.T) {
	t.Parallel()
	walk(t, New(t))
}

func TestOverSocket(t *testing.T) {
	t.Parallel()
	fake := New(t, WithSocket(), WithTenant("demo"))
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, fake.URL())
	walk(t, fake)
	r := newRequest(t, "GET", "/", "")
	r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(fake.URL(), "http://")
	resp, err := fake.Transport().RoundTrip(r)
	require.NoError(t, err)
	assert.Equal(t, 404, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
}

// A session of weeks, in the time of a bubble.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := New(t, WithLifetimes(Lifetimes{Anonymous: 10 * time.Minute}))
		client := fake.Client(t)
		for range 6 {
			_, err := client.Customers.Get(t.Context())
			require.NoError(t, err)
			time.Sleep(20 * time.Minute)
		}
		assert.GreaterOrEqual(t, fake.Calls(t, "Auth.RefreshAnonymous"), 5)
		fake.AssertCalls(t, "Auth.StartAnonymous", 1)
	})
}

func TestAdvanceMovesTheServerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := New(t)
		client := fake.Client(t)
		_, err := client.Customers.Get(t.Context())
		require.NoError(t, err)
		fake.Advance(2 * time.Hour)
		_, err = client.Customers.Get(t.Context())
		require.NoError(t, err)
		entries := fake.Journal()
		assert.Equal(t, "expired anonymous", entries[2].Bearer)
	})
}

func TestFailAndAssume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := New(t, WithAssumptions(func(a *Assumptions) { a.InactiveLoginStatus = 403 }), WithSeed(emporixfake.Seed{Customers: []Customer{{Email: jo.Email, Password: jo.Password, Inactive: true}}}))
		client := fake.Client(t)
		_, err := client.Auth.Login(t.Context(), joLogin)
		assert.ErrorIs(t, err, emporix.ErrForbidden)
		fake.Fail(t, Fault{Operation: "Customers.Get", Status: 503}, Fault{Operation: "Customers.Get", Cut: emporixfake.CutBefore})
		_, err = client.Customers.Get(t.Context())
		require.NoError(t, err)
		fake.AssertCalls(t, "Customers.Get", 3)
	})
}

func TestFailedTestsShowTheJournal(t *testing.T) {
	r := &recorder{TB: t}
	fake := New(r)
	resp, err := fake.Transport().RoundTrip(newRequest(t, "GET", "/customer/acme/me", ""))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.False(t, fake.AssertCalls(r, "Customers.Get", 2))
	assert.Equal(t, []string{"emporixtest: Customers.Get was called 1 times, not 2"}, r.errors)
	r.end()
	assert.Contains(t, strings.Join(r.logs, "\n"), "GET    /customer/acme/me → 401  Customers.Get  bearer none")

	quiet := &recorder{TB: t}
	New(quiet)
	quiet.end()
	assert.Empty(t, quiet.logs)
}

// A fault that no call meets would prove nothing.
func TestAFaultThatNoCallMeetsFailsTheTest(t *testing.T) {
	r := &recorder{TB: t}
	fake := New(r)
	fake.Fail(r, Fault{Operation: "Auth.Login", Status: 503}, Fault{Operation: "Auth.StartAnonymous", Status: 503, Times: 2})
	fake.Handle("GET /cart", func(http.ResponseWriter, *http.Request) {})
	for _, path := range []string{"/customerlogin/auth/anonymous/login?tenant=acme&client_id=storefront", "/cart"} {
		resp, err := fake.Transport().RoundTrip(newRequest(t, "GET", path, ""))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	r.end()
	require.Len(t, r.errors, 1, "the other one has failed a call")
	assert.Equal(t, "emporixtest: no call has met the fault for Auth.Login (status 503, before the effect); correct it, or clear the faults with Server().ClearFaults", r.errors[0])

	cleared := &recorder{TB: t}
	fake = New(cleared)
	fake.Fail(cleared, Fault{Status: 503})
	fake.Server().ClearFaults()
	cleared.end()
	assert.Empty(t, cleared.errors)
}

func TestAssertRequest(t *testing.T) {
	r := &recorder{TB: t}
	fake := New(t)
	fake.AddCustomer(t, jo)
	assert.False(t, fake.AssertRequest(r, "Auth.Login", Request{}))
	assert.Equal(t, []string{"emporixtest: Auth.Login was not called"}, r.errors)
	client := fake.Client(t, emporix.WithLanguage("de"))
	_, err := client.Auth.Login(t.Context(), joLogin)
	require.NoError(t, err)
	_, err = client.Customers.Get(t.Context(), emporix.Expand("addresses"))
	require.NoError(t, err)
	assert.True(t, fake.AssertRequest(r, "Customers.Get", Request{Query: map[string]string{"expand": "addresses"}, Header: map[string]string{"accept-language": "de"}}))
	assert.True(t, fake.AssertRequest(r, "Auth.Login", Request{Body: map[string]any{"email": jo.Email, "password": jo.Password}}))
	for _, wrong := range []Request{
		{Query: map[string]string{"expand": "mixin:*"}}, {Header: map[string]string{"Accept-Language": "en"}}, {Body: map[string]any{"email": "x"}}, {Body: map[string]any{"name": nil}}, {Body: map[string]any{"f": func() {}}},
	} {
		r.errors = nil
		assert.False(t, fake.AssertRequest(r, "Auth.Login", wrong), "%+v", wrong)
		require.Len(t, r.errors, 1)
		assert.Contains(t, r.errors[0], jo.Email, "what came is shown")
		assert.NotContains(t, strings.TrimPrefix(r.errors[0], "emporixtest: "), jo.Password)
	}
}

func TestMistakesEndTheTest(t *testing.T) {
	for name, mistake := range map[string]func(*Fake, *recorder){
		"customer":         func(f *Fake, r *recorder) { f.AddCustomer(r, Customer{}) },
		"company":          func(f *Fake, r *recorder) { f.AddCompany(r, Company{}) },
		"fault":            func(f *Fake, r *recorder) { f.Fail(r, Fault{Operation: "Auth.Logn"}) },
		"calls":            func(f *Fake, r *recorder) { f.Calls(r, "Auth.Logn") },
		"asserted calls":   func(f *Fake, r *recorder) { f.AssertCalls(r, "Auth.Logn", 0) },
		"mail":             func(f *Fake, r *recorder) { f.LatestMail(r, emporixfake.MailOptIn, "") },
		"kind of mail":     func(f *Fake, r *recorder) { f.LatestMail(r, "optin", "") },
		"request":          func(f *Fake, r *recorder) { f.AssertRequest(r, "Auth.Logn", Request{}) },
		"client's options": func(f *Fake, r *recorder) { f.Client(r, emporix.WithBaseURL("ftp://x")) },
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t} // not the test that the fake was made for
			fake := New(t)
			assert.Panics(t, func() { mistake(fake, r) })
			assert.Len(t, r.errors, 1)
		})
	}
}

// net/http would answer it by itself, with 200.
func TestServerOptionsAreNoOperation(t *testing.T) {
	fake := New(t, WithSocket())
	conn, err := net.Dial("tcp", strings.TrimPrefix(fake.URL(), "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: fake\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "HTTP/1.1 404 ")
}

// Answers are dated by the clock that Advance moves, and so are the dates in them.
func TestAnswersAreDatedByTheFakesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := New(t)
		fake.Advance(3 * time.Hour)
		until := fake.Server().Now().Add(time.Minute).UTC().Format(http.TimeFormat)
		fake.Fail(t, Fault{Operation: "Customers.Get", Delay: 50 * time.Second, After: true, Status: 503, RetryAfter: until})
		_, err := fake.Client(t, emporix.WithTimeouts(emporix.Timeouts{Attempt: time.Minute})).Customers.Get(t.Context())
		require.NoError(t, err, "10 seconds are a short wait, and three hours are none")
	})
}
