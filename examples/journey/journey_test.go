package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

func TestEveryOperationHasAStep(t *testing.T) {
	steps := map[string]bool{}
	for _, c := range new(journey).chapters() {
		for _, s := range c.steps {
			steps[s.operation] = true
		}
	}
	for _, operation := range emporixfake.Operations() {
		assert.True(t, steps[operation], "chapters in steps.go has no step for %s", operation)
	}
}

func TestWithoutEnvironment(t *testing.T) {
	status, stdout, stderr := travel(t.Context(), t, nil)
	assert.Equal(t, exitWhole, status, stdout)
	assert.Equal(t, whole, lastLine(stdout))
	assert.Contains(t, stdout, fmt.Sprintf("the fake itself counted %[1]d of %[1]d operations", all))
	assert.Empty(t, stderr)
	assertDiscreet(t, nil, stdout)
	for _, operation := range emporixfake.Operations() {
		assert.Contains(t, lineOf(t, stdout, operation), " ok ")
	}
}

// Twice, since a running fake remembers the first journey.
func TestRunningFake(t *testing.T) {
	fake := emporixfake.New(emporixfake.Config{Tenant: "demo", ClientID: "shop"})
	host := serve(t, fake)
	for range 2 {
		status, stdout, stderr := travel(t.Context(), t, environment{emporix.EnvHost: host})
		assert.Equal(t, exitWhole, status, stdout)
		assert.Equal(t, whole, lastLine(stdout))
		assert.Contains(t, stdout, "tenant demo")
		assert.Contains(t, stdout, "left behind")
		assertDiscreet(t, fake, stdout, stderr)
	}
	assert.Empty(t, fake.Coverage().Missing())
}

// Everything that a fake's start prints may be exported, the tenant too.
func TestFakeWithItsTenantNamed(t *testing.T) {
	host := serve(t, emporixfake.New(emporixfake.Config{}))
	status, stdout, _ := travel(t.Context(), t, tenantAt(host, backend()))
	assert.Equal(t, exitWhole, status, stdout)
	assert.Equal(t, whole, lastLine(stdout))
}

// A fake may be told to behave otherwise; the journey has to be at home there too.
func TestOtherAssumptions(t *testing.T) {
	for _, name := range []string{
		"reuse-kills-family", "refresh-invalidates-access", "anonymous-ends-at-login", "anonymous-refresh-rotates", "double-opt-in",
		"password-change-ends-sessions", "logout-kills-refresh=false", "opt-in-logs-in=false", "customer-refresh-rotates=false",
	} {
		t.Run(name, func(t *testing.T) {
			assumptions := emporixfake.DefaultAssumptions()
			name, value, given := strings.Cut(name, "=")
			if !given {
				value = "true"
			}
			require.NoError(t, assumptions.Set(name, value))
			host := serve(t, emporixfake.New(emporixfake.Config{Assumptions: &assumptions}))
			status, stdout, _ := travel(t.Context(), t, environment{emporix.EnvHost: host})
			assert.Equal(t, exitWhole, status, stdout)
			assert.Equal(t, whole, lastLine(stdout))
		})
	}
}

// Whichever operation fails, the journey says so, goes on and ends.
func TestFailures(t *testing.T) {
	for _, operation := range emporixfake.Operations() {
		t.Run(operation, func(t *testing.T) {
			fake := emporixfake.New(emporixfake.Config{})
			require.NoError(t, fake.Fail(emporixfake.Fault{Operation: operation, Times: -1, Status: http.StatusBadRequest}))
			status, stdout, stderr := travel(t.Context(), t, environment{emporix.EnvHost: serve(t, fake)})
			assert.Equal(t, exitFailed, status, stdout)
			assert.Contains(t, lineOf(t, stdout, operation), "FAILED")
			assert.NotEqual(t, whole, lastLine(stdout))
			assert.NotContains(t, lastLine(stdout), " 0 failed")
			assertDiscreet(t, fake, stdout, stderr)
		})
	}
}

func TestOneFailure(t *testing.T) {
	fake := emporixfake.New(emporixfake.Config{})
	require.NoError(t, fake.Fail(emporixfake.Fault{Operation: "Addresses.Update", Status: http.StatusServiceUnavailable}))
	status, stdout, _ := travel(t.Context(), t, environment{emporix.EnvHost: serve(t, fake)})
	assert.Equal(t, exitFailed, status)
	assert.Equal(t, summary(all-1, "1 failed"), lastLine(stdout))
	assert.Contains(t, lineOf(t, stdout, "Addresses.Update"), "emporix: Addresses.Update: 503")
	assert.Contains(t, lineOf(t, stdout, "Addresses.Delete"), " ok ")
}

// What depends on a login is skipped, and says so, until a login works.
func TestFirstLoginFails(t *testing.T) {
	fake := emporixfake.New(emporixfake.Config{})
	require.NoError(t, fake.Fail(emporixfake.Fault{Operation: "Auth.Login", Status: http.StatusServiceUnavailable}))
	status, stdout, _ := travel(t.Context(), t, environment{emporix.EnvHost: serve(t, fake)})
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, lastLine(stdout), " 1 failed")
	assert.Contains(t, lineOf(t, stdout, "Customers.Update"), "needs a logged-in customer")
	assert.Contains(t, lineOf(t, stdout, "Addresses.Get"), "needs the address that was not added")
	assert.Contains(t, lineOf(t, stdout, "Credentials.ResetPassword"), " ok ")
}

// The journey believes the server more than itself.
func TestCountsDisagree(t *testing.T) {
	fake, stranger := emporixfake.New(emporixfake.Config{}), emporixfake.New(emporixfake.Config{})
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/__fake/coverage" {
			stranger.ServeHTTP(w, r)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	status, stdout, _ := travel(t.Context(), t, environment{emporix.EnvHost: host})
	assert.Equal(t, exitFailed, status)
	assert.Equal(t, summary(0, fmt.Sprint(all, " failed")), lastLine(stdout))
}

// A count that can't be read is a failure, on the last line too.
func TestCountIsMissing(t *testing.T) {
	fake := emporixfake.New(emporixfake.Config{})
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/__fake/coverage" {
			http.Error(w, "not today", http.StatusInternalServerError)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	status, stdout, _ := travel(t.Context(), t, environment{emporix.EnvHost: host})
	assert.Equal(t, exitFailed, status)
	assert.Equal(t, summary(all, "1 failed"), lastLine(stdout))
	assert.Contains(t, lineOf(t, stdout, "the fake's own count"), "coverage answers 500")
}

func TestRealTenant(t *testing.T) {
	fake := emporixfake.New(emporixfake.Config{})
	env := tenantAt(serve(t, hidden(fake)), backend(), environment{envEmail: "owner@shop.example"})
	status, stdout, stderr := travel(t.Context(), t, env)
	assert.Equal(t, exitSkipped, status, stdout)
	assert.Equal(t, summary(all-6, "0 failed, 6 skipped"), lastLine(stdout))
	for operation, reason := range map[string]string{
		"Auth.SocialLogin":               "identity provider",
		"Auth.ExchangeToken":             "identity provider",
		"Customers.ResendActivation":     "double opt-in",
		"Customers.ConfirmSignUp":        "mailbox",
		"Credentials.ResetPassword":      "mail",
		"Credentials.ConfirmEmailChange": "mail",
	} {
		line := lineOf(t, stdout, operation)
		assert.Contains(t, line, "skipped")
		assert.Contains(t, line, "needs ")
		assert.Contains(t, line, reason)
	}
	assert.Contains(t, stdout, "needs a company")
	assert.Contains(t, stdout, "left behind, as no customer can delete it: the account owner@shop.example, number ")
	assertDiscreet(t, fake, stdout, stderr)

	// Nothing else stays: both addresses are deleted, and Jo is logged out.
	var deleted, last []string
	for _, e := range fake.Journal() {
		last = append(last, e.Operation)
		if e.Operation == "Addresses.Delete" && e.Status == http.StatusNoContent {
			deleted = append(deleted, e.Path)
		}
	}
	assert.Len(t, deleted, 2)
	assert.Equal(t, "Auth.Logout", last[len(last)-1])
	assert.Equal(t, 1, fake.Calls("Customers.SignUp"), "a real tenant is left with one account")
}

// Somebody else's account is left alone: no mail is sent to its owner.
func TestRealTenantWhereTheAddressIsTaken(t *testing.T) {
	fake := emporixfake.New(emporixfake.Config{})
	_, err := fake.AddCustomer(emporixfake.Customer{Email: "owner@shop.example", Password: "correct horse"})
	require.NoError(t, err)
	status, stdout, _ := travel(t.Context(), t, tenantAt(serve(t, hidden(fake)), backend(), environment{envEmail: "owner@shop.example"}))
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, lastLine(stdout), " 1 failed, ")
	assert.Contains(t, lineOf(t, stdout, "Credentials.RequestPasswordReset"), "needs the account that was not opened")
	assert.Zero(t, fake.Calls("Credentials.RequestPasswordReset"))
	assert.Zero(t, fake.Calls("Auth.Login"))
	assert.Empty(t, fake.Outbox(emporixfake.MailFilter{}))
}

func TestRealTenantWithoutBackend(t *testing.T) {
	fake := emporixfake.New(emporixfake.Config{})
	status, stdout, _ := travel(t.Context(), t, tenantAt(serve(t, hidden(fake))))
	assert.Equal(t, exitSkipped, status, stdout)
	assert.Contains(t, lastLine(stdout), " 0 failed, ")
	assert.Contains(t, lineOf(t, stdout, "Customers.Activate"), emporix.EnvEmployeeSecret)
	assert.Contains(t, lineOf(t, stdout, "Auth.Login"), "needs an account that an employee activated; the tenant said: emporix: Auth.Login: 401")
	assert.Contains(t, lineOf(t, stdout, "Addresses.Add"), "needs a logged-in customer")
	assert.Regexp(t, `the account journey-jo-[a-z0-9]{10}@example\.com, number`, stdout)
}

// A tenant that wants no activation needs no backend credentials.
func TestRealTenantWithoutActivation(t *testing.T) {
	assumptions := emporixfake.DefaultAssumptions()
	assumptions.ActivationNeeded = false
	fake := emporixfake.New(emporixfake.Config{Assumptions: &assumptions})
	status, stdout, _ := travel(t.Context(), t, tenantAt(serve(t, hidden(fake))))
	assert.Equal(t, exitSkipped, status, stdout)
	assert.Equal(t, summary(all-7, "0 failed, 7 skipped"), lastLine(stdout))
}

func TestEnvironmentThatMakesNoSense(t *testing.T) {
	stranger := serve(t, http.NotFoundHandler())
	page := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>welcome</html>")) }))
	for name, tc := range map[string]struct {
		env  environment
		says string
	}{
		"another server":      {environment{emporix.EnvHost: stranger}, "EMPORIX_TENANT is not, so a fake Emporix should run there, but GET /__fake/health answers 404"},
		"a page":              {environment{emporix.EnvHost: page}, "no emporix-fake"},
		"nobody there":        {environment{emporix.EnvHost: "http://127.0.0.1:1"}, "can't be reached"},
		"no URL":              {environment{emporix.EnvHost: "http://%zz:hunter2@x"}, "no URL"},
		"credentials in it":   {environment{emporix.EnvHost: "http://jo:hunter2@127.0.0.1:1"}, "can't be reached"},
		"no client ID":        {environment{emporix.EnvTenant: "acme"}, emporix.EnvClientID + " is not set"},
		"no tenant":           {environment{emporix.EnvClientID: "storefront"}, emporix.EnvTenant + " is not set"},
		"half of the backend": {tenantAt(stranger, environment{emporix.EnvEmployeeID: "backend"}), emporix.EnvEmployeeSecret},
		"a tenant by http":    {tenantAt("http://shop.example"), "not encrypted"},
		"tenant and password": {tenantAt("https://jo:hunter2@shop.example"), "holds credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := travel(t.Context(), t, tc.env)
			assert.Equal(t, exitUsage, status)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, tc.says)
			assert.True(t, strings.HasPrefix(stderr, "journey: "), stderr)
			assert.NotContains(t, stderr, "hunter2")
		})
	}
}

// An interrupt ends the journey, but not before it is cleaned up after.
func TestInterrupt(t *testing.T) {
	fake := emporixfake.New(emporixfake.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/me/addresses") && fake.Calls("Addresses.Add") == 1 {
			cancel()
		}
		fake.ServeHTTP(w, r)
	}))
	status, stdout, _ := travel(ctx, t, environment{emporix.EnvHost: host})
	assert.Equal(t, exitInterrupted, status)
	assert.Contains(t, stdout, "interrupted; the rest of the journey was left out")
	assert.Contains(t, lastLine(stdout), " 0 failed, ")
	assert.Contains(t, stdout, "2 addresses left")
	assert.Equal(t, 1, fake.Calls("Auth.Logout"))
	assert.Equal(t, 2, fake.Calls("Addresses.Delete"))
	assert.Zero(t, fake.Calls("Addresses.Update"))
}

func TestInterruptedBeforeTheStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status, stdout, stderr := travel(ctx, t, nil)
	assert.Equal(t, exitInterrupted, status)
	assert.Empty(t, stdout+stderr)
}

// What a hostile server answers reaches no terminal as it is.
func TestTerminalControls(t *testing.T) {
	fake := emporixfake.New(emporixfake.Config{})
	city, err := json.Marshal("Paris\x1b]0;gotcha\x07\n")
	require.NoError(t, err)
	require.NoError(t, fake.Fail(emporixfake.Fault{Operation: "Addresses.Get", Set: map[string]json.RawMessage{"city": city}}))
	_, stdout, _ := travel(t.Context(), t, environment{emporix.EnvHost: serve(t, fake)})
	assert.Contains(t, lineOf(t, stdout, "Addresses.Get"), "10117 Paris ]0;gotcha")
	assert.NotContains(t, stdout, "\x1b")
	assert.NotContains(t, stdout, "\x07")
}

// An account that may have been made is named.
func TestSignUpWithAnUnusableAnswer(t *testing.T) {
	fake := emporixfake.New(emporixfake.Config{})
	require.NoError(t, fake.Fail(emporixfake.Fault{Operation: "Customers.SignUp", Body: emporixfake.BodyHTML}))
	status, stdout, _ := travel(t.Context(), t, environment{emporix.EnvHost: serve(t, fake)})
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stdout, "perhaps the account journey-jo-")
}

// net/http would answer it by itself, with 200.
func TestServerOptionsAreNoOperation(t *testing.T) {
	target, err := ownFake(t.Context())
	require.NoError(t, err)
	defer func() { assert.NoError(t, target.close(context.WithoutCancel(t.Context()))) }()
	conn, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(target.fake.url, "/__fake/"), "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: fake\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "HTTP/1.1 404 ")
}
