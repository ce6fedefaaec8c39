package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

const (
	outcomeGuest    = `{"access_token":"guest","refresh_token":"guest-refresh","expires_in":3599,"refresh_token_expires_in":86399,"token_type":"Bearer","sessionId":"s1"}`
	outcomeCustomer = `{"access_token":"customer","refresh_token":"customer-refresh","saas_token":"saas","expires_in":2591999,"refresh_token_expires_in":86399,"token_type":"Bearer","session_id":"s1"}`
	outcomeError    = `{"status":%d,"type":"some_type","message":"Some words."}`
	outcomeFault    = `{"fault":{"faultstring":"Invalid Access Token","detail":{"errorcode":"oauth.v2.InvalidAccessToken"}}}`
	outcomePage     = `<!DOCTYPE html><html><head><title>Sign in</title></head><body></body></html>`
)

// outcomeOperation is one operation: how the API answers it, and how a program
// calls it.
type outcomeOperation struct {
	request string // method and path
	success string // the documented body; "" where none is
	guest   bool   // called without a customer
	call    func(context.Context, *emporix.Session) error
}

var outcomeOperations = map[string]outcomeOperation{
	"Auth.StartAnonymous": {"GET /customerlogin/auth/anonymous/login", outcomeGuest, true, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Auth.StartAnonymous(ctx, emporix.SessionContext{})
		return err
	}},
	"Auth.RefreshAnonymous": {"GET /customerlogin/auth/anonymous/refresh", outcomeGuest, true, outcomeRefresh},
	"Auth.Login": {"POST /customer/acme/login", outcomeCustomer, true, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
		return err
	}},
	"Auth.SocialLogin": {"POST /customer/acme/socialLogin", outcomeCustomer, true, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "code", RedirectURI: "https://shop.example/back"})
		return err
	}},
	"Auth.ExchangeToken": {"POST /customer/acme/exchangeauthtoken", outcomeCustomer, true, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: "subject"})
		return err
	}},
	"Auth.Refresh": {"GET /customer/acme/refreshauthtoken", outcomeCustomer, false, outcomeRefresh},
	"Auth.Validate": {"GET /customer/acme/validateauthtoken", `{"token_type":"Bearer","expires_in":2591999,"scope":"tenant=acme","email":"jo@example.com"}`, false, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Auth.Validate(ctx)
		return err
	}},
	"Auth.Logout": {"GET /customer/acme/logout", "", false, func(ctx context.Context, s *emporix.Session) error { return s.Auth.Logout(ctx) }},
	"Customers.SignUp": {"POST /customer/acme/signup", `{"id":"1"}`, true, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Customers.SignUp(ctx, emporix.SignUpRequest{Email: "jo@example.com", Password: "correct horse"})
		return err
	}},
	"Customers.ConfirmSignUp": {"GET /customer/acme/signup/optin/token", outcomeCustomer, true, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Customers.ConfirmSignUp(ctx, "token")
		return err
	}},
	"Customers.ResendActivation": {"POST /customer/acme/signup/optin/refresh_token", "", true, func(ctx context.Context, s *emporix.Session) error {
		return s.Customers.ResendActivation(ctx, "jo@example.com")
	}},
	"Customers.Get": {"GET /customer/acme/me", `{"id":"1","customerNumber":"1","firstName":"Jo"}`, false, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Customers.Get(ctx)
		return err
	}},
	"Customers.Update": {"PATCH /customer/acme/me", "", false, func(ctx context.Context, s *emporix.Session) error {
		return s.Customers.Update(ctx, emporix.CustomerPatch{FirstName: emporix.Set("Jo")})
	}},
	"Customers.Activate": {"PATCH /customer/acme/customers/1", "", true, func(ctx context.Context, s *emporix.Session) error {
		return s.Customers.Activate(ctx, "1")
	}},
	"Addresses.List": {"GET /customer/acme/me/addresses", `[{"id":"a1","contactName":"Jo"}]`, false, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Addresses.List(ctx)
		return err
	}},
	"Addresses.Get": {"GET /customer/acme/me/addresses/a1", `{"id":"a1","contactName":"Jo"}`, false, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Addresses.Get(ctx, "a1")
		return err
	}},
	"Addresses.Add": {"POST /customer/acme/me/addresses", `{"id":"a1"}`, false, func(ctx context.Context, s *emporix.Session) error {
		_, err := s.Addresses.Add(ctx, emporix.AddressRequest{ContactName: "Jo"})
		return err
	}},
	"Addresses.Update": {"PATCH /customer/acme/me/addresses/a1", "", false, func(ctx context.Context, s *emporix.Session) error {
		return s.Addresses.Update(ctx, "a1", emporix.AddressPatch{City: emporix.Set("Berlin")})
	}},
	"Addresses.Delete":     {"DELETE /customer/acme/me/addresses/a1", "", false, func(ctx context.Context, s *emporix.Session) error { return s.Addresses.Delete(ctx, "a1") }},
	"Addresses.AddTags":    {"POST /customer/acme/me/addresses/a1/tags", "", false, func(ctx context.Context, s *emporix.Session) error { return s.Addresses.AddTags(ctx, "a1", "T") }},
	"Addresses.RemoveTags": {"DELETE /customer/acme/me/addresses/a1/tags", "", false, func(ctx context.Context, s *emporix.Session) error { return s.Addresses.RemoveTags(ctx, "a1", "T") }},
	"Credentials.RequestPasswordReset": {"POST /customer/acme/password/reset", "", true, func(ctx context.Context, s *emporix.Session) error {
		return s.Credentials.RequestPasswordReset(ctx, "jo@example.com")
	}},
	"Credentials.ResetPassword": {"POST /customer/acme/password/reset/update", "", true, func(ctx context.Context, s *emporix.Session) error {
		return s.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: "token", Password: "new password"})
	}},
	"Credentials.ChangePassword": {"POST /customer/acme/password/change", "", false, func(ctx context.Context, s *emporix.Session) error {
		return s.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "correct horse", NewPassword: "battery staple"})
	}},
	"Credentials.RequestEmailChange": {"POST /customer/acme/me/accounts/internal/email/change", "", false, func(ctx context.Context, s *emporix.Session) error {
		return s.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{Password: "correct horse", NewEmail: "n@example.com"})
	}},
	"Credentials.ConfirmEmailChange": {"POST /customer/acme/me/accounts/internal/email/change/confirm", "", true, func(ctx context.Context, s *emporix.Session) error {
		return s.Credentials.ConfirmEmailChange(ctx, "token")
	}},
}

func outcomeRefresh(ctx context.Context, s *emporix.Session) error {
	_, err := s.Auth.Refresh(ctx)
	return err
}

// outcomeBodies are the bodies that a response may have.
var outcomeBodies = map[string]func(op outcomeOperation, status int) string{
	"documented": func(op outcomeOperation, status int) string {
		if status >= 300 {
			return fmt.Sprintf(outcomeError, status)
		}
		return op.success
	},
	"empty":         func(outcomeOperation, int) string { return "" },
	"another shape": func(outcomeOperation, int) string { return `{"unexpected":[true]}` },
	"a page":        func(outcomeOperation, int) string { return outcomePage },
	"cut":           func(outcomeOperation, int) string { return `{"id":"1","access_token":"abc` },
}

// outcomeServer answers like the API, but for one operation.
type outcomeServer struct {
	mu     sync.Mutex
	target string // method and path
	answer func() (*http.Response, error)
	seen   int
}

func (s *outcomeServer) arm(target string, answer func() (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target, s.answer, s.seen = target, answer, 0
}

func (s *outcomeServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// RoundTrip answers a request.
func (s *outcomeServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method+" "+r.URL.Path == s.target {
		s.seen++
		return s.answer()
	}
	if strings.HasPrefix(r.URL.Path, "/customerlogin/") {
		return outcomeReply(200, outcomeGuest, false), nil
	}
	if strings.HasSuffix(r.URL.Path, "/refreshauthtoken") {
		return outcomeReply(200, strings.Replace(outcomeCustomer, `"customer"`, `"renewed"`, 1), false), nil
	}
	return outcomeReply(200, outcomeCustomer, false), nil
}

func outcomeReply(status int, body string, cut bool) *http.Response {
	media := "application/json"
	if strings.HasPrefix(body, "<") {
		media = "text/html; charset=utf-8"
	}
	resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {media}}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
	if cut {
		resp.ContentLength += 10
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(body), outcomeBroken{}))
	}
	return resp
}

// outcomeBroken is where a body breaks off.
type outcomeBroken struct{}

func (outcomeBroken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func outcomeClient(t *testing.T, opts ...emporix.Option) (*emporix.Client, *outcomeServer) {
	t.Helper()
	server := new(outcomeServer)
	client, err := emporix.NewClient("acme", "storefront", append([]emporix.Option{emporix.WithTransport(server),
		emporix.WithEmployeeToken(func(context.Context) (emporix.Secret, error) { return emporix.NewSecret("staff"), nil })}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
	return client, server
}

// outcomeSame is the visitor again where the operation leaves sessions alone, and
// else a new one.
func outcomeSame(t *testing.T, client *emporix.Client, server *outcomeServer, op outcomeOperation, now *emporix.Session, key string) *emporix.Session {
	t.Helper()
	if now != nil && op.success != outcomeGuest && op.success != outcomeCustomer && op.request != outcomeOperations["Auth.Logout"].request {
		return now
	}
	return outcomeVisitor(t, client, server, op, key)
}

// outcomeVisitor is a new visitor, logged in if the operation needs it.
func outcomeVisitor(t *testing.T, client *emporix.Client, server *outcomeServer, op outcomeOperation, key string) *emporix.Session {
	t.Helper()
	server.arm("", nil)
	visitor := client.Session(key)
	if !op.guest {
		_, err := visitor.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
		require.NoError(t, err)
	} else if op.request != outcomeOperations["Auth.StartAnonymous"].request {
		_, err := visitor.Auth.StartAnonymous(t.Context(), emporix.SessionContext{})
		require.NoError(t, err)
	}
	return visitor
}

// outcome is what a call came to.
type outcome string

const (
	result  outcome = "result"  // done, and the program has what it asked for
	refused outcome = "refused" // not done, and the server says why
	nothing outcome = "nothing" // not done, or nothing to be done: it may be sent again
	unknown outcome = "unknown" // perhaps done
)

// expectedOutcome is the whole rule.
func expectedOutcome(class string, op outcomeOperation, status int, body string) outcome {
	reads := class == "safe"
	open := unknown
	if reads {
		open = nothing // to a read nothing can happen
	}
	switch {
	case status < 300:
		usable := body == "documented" || op.success == "" && body != "a page" && body != "cut"
		if op.request == outcomeOperations["Customers.ConfirmSignUp"].request && (body == "empty" || body == "another shape") {
			usable = true // a tenant may answer the confirmation without tokens
		}
		if usable {
			return result
		}
		return open
	case status < 400, status == 408:
		return open
	case status < 500:
		return refused
	case status == 501, status == 503, status == 505:
		return nothing
	default:
		return open
	}
}

func actualOutcome(err error) outcome {
	var answered *emporix.APIError
	switch {
	case err == nil:
		return result
	case errors.Is(err, emporix.ErrOutcomeUnknown):
		return unknown
	case errors.As(err, &answered) && answered.StatusCode >= 400 && answered.StatusCode < 500 && answered.StatusCode != 408:
		return refused
	default:
		return nothing
	}
}

// All operations, all statuses, all bodies: a program is told that a write may
// have been done wherever it may have been, and that it was where it was.
func TestOutcome_OfEveryAnswer(t *testing.T) {
	classes := classesInDoc(t)
	assert.ElementsMatch(t, emporixfake.Operations(), outcomeNames(), "outcomeOperations in outcome_test.go")
	for name, op := range outcomeOperations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := outcomeClient(t, emporix.WithRetries(emporix.Retries{MaxAttempts: 1}))
			var visitor *emporix.Session
			for status := 200; status <= 599; status++ {
				for kind, body := range outcomeBodies {
					visitor = outcomeSame(t, client, server, op, visitor, fmt.Sprint(status, kind))
					server.arm(op.request, func() (*http.Response, error) { return outcomeReply(status, body(op, status), kind == "cut"), nil })
					err := op.call(t.Context(), visitor)
					want, got := expectedOutcome(classes[name], op, status, kind), actualOutcome(err)
					if want == refused && endsSession(name, status) {
						assert.NotEqual(t, unknown, got, "%d, %s: %v", status, kind, err)
						continue
					}
					if !assert.Equal(t, want, got, "%d, %s: %v; if the response is a struct, give it a method missing in response.go", status, kind, err) {
						return // the other statuses would say the same
					}
				}
			}
		})
	}
}

// Statuses that HTTP does not have as a final answer decide nothing, and a
// connection that is offered instead of a response is not read.
func TestOutcome_OfStatusesThatAreNone(t *testing.T) {
	classes := classesInDoc(t)
	for _, status := range []int{-1, 0, 1, 100, 101, 102, 103, 199, 600, 777, 999, 1000} {
		for name, op := range outcomeOperations {
			client, server := outcomeClient(t, emporix.WithRetries(emporix.Retries{MaxAttempts: 1}))
			visitor := outcomeVisitor(t, client, server, op, "v")
			server.arm(op.request, func() (*http.Response, error) {
				resp := outcomeReply(status, op.success, false)
				if status == http.StatusSwitchingProtocols {
					resp.Body = outcomeSilent{make(chan struct{})}
				}
				return resp, nil
			})
			err := op.call(t.Context(), visitor)
			assert.ErrorIs(t, err, emporix.ErrBadResponse, "%s, %d", name, status)
			assert.Equal(t, classes[name] != "safe", errors.Is(err, emporix.ErrOutcomeUnknown), "%s, %d: %v", name, status, err)
		}
	}
}

// outcomeSilent is a connection on which nothing comes.
type outcomeSilent struct{ closed chan struct{} }

func (s outcomeSilent) Read([]byte) (int, error) { <-s.closed; return 0, io.EOF }
func (s outcomeSilent) Close() error             { close(s.closed); return nil }

// endsSession reports where a refusal is no error of the API's to the caller: a
// session that is over is replaced, and logged out already is logged out.
func endsSession(name string, status int) bool {
	switch name {
	case "Auth.Refresh", "Auth.RefreshAnonymous": // TestLife_L06_ATokenCallsStatusIsNotTheCallers has the other statuses
		return status >= 400 && status < 500 && status != 408 && status != 429
	case "Auth.Logout":
		return status == 401
	}
	return false
}

func outcomeNames() (names []string) {
	for name := range outcomeOperations {
		names = append(names, name)
	}
	return names
}
