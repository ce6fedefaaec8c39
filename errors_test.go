package emporix_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

const (
	ours = `{"status":%d,"type":"%s","message":"%s","details":[{"field":"signup.email","type":"invalid_value","message":"is taken"}]}`
	// cutOff is of a gateway to which the API has ended the connection.
	cutOff = `{"fault":{"faultstring":"The Service is temporarily unavailable","detail":{"errorcode":"messaging.adaptors.http.flow.ServiceUnavailable"}}}`
)

func TestErrorTable(t *testing.T) {
	shape := func(status int, kind, message string) string { return fmt.Sprintf(ours, status, kind, message) }
	for name, tt := range map[string]struct {
		call    func(context.Context, *emporix.Client) error
		status  int
		body    string
		headers []string
		is      []string
		text    string
	}{
		"400":            {fixture.Get, 400, shape(400, "bad_request", "No."), nil, []string{"invalid request"}, "emporix: Customers.Get: 400 bad_request: No. [signup.email is taken]"},
		"400 of others":  {fixture.Get, 400, `{"code":400,"status":"Bad Request","message":"No.","errorCode":"x.y","details":["one","two","three","four","five"]}`, nil, []string{"invalid request"}, "emporix: Customers.Get: 400 x.y: No. [one] [two] [three] (and 2 more)"},
		"401, message":   {fixture.Get, 401, shape(401, "unauthorized", "No."), nil, []string{"unauthorized"}, "emporix: Customers.Get: 401 unauthorized: No. [signup.email is taken]"},
		"403":            {fixture.Update, 403, shape(403, "forbidden", "Scope."), nil, []string{"forbidden"}, "emporix: Customers.Update: 403 forbidden: Scope. [signup.email is taken]"},
		"403, nothing":   {fixture.Update, 403, "", nil, []string{"forbidden"}, "emporix: Customers.Update: 403 Forbidden"},
		"404":            {fixture.Get, 404, "null", nil, []string{"not found"}, "emporix: Customers.Get: 404 Not Found"},
		"404, a fault":   {fixture.Get, 404, `{"fault":{"faultstring":"No route","detail":{"errorcode":"m.r.Unknown"}}}`, nil, []string{"not found"}, "emporix: Customers.Get: 404 m.r.Unknown: No route"},
		"409":            {fixture.SignUp, 409, shape(409, "conflict_resource", "Duplicate account"), nil, []string{"conflict"}, "emporix: Customers.SignUp: 409 conflict_resource: Duplicate account [signup.email is taken]"},
		"412":            {fixture.Update, 412, "{}", nil, []string{"conflict"}, "emporix: Customers.Update: 412 Precondition Failed"},
		"413":            {fixture.Update, 413, fixture.GatewayPage, nil, []string{"invalid request"}, "emporix: Customers.Update: 413 Request Entity Too Large"},
		"415":            {fixture.Update, 415, "", nil, []string{"invalid request"}, "emporix: Customers.Update: 415 Unsupported Media Type"},
		"422":            {fixture.Update, 422, `["?"]`, nil, []string{"invalid request"}, "emporix: Customers.Update: 422 Unprocessable Entity"},
		"429":            {fixture.Get, 429, `{"fault":{"faultstring":"Quota","detail":{"errorcode":"p.q.Exceeded"}}}`, []string{"Retry-After", "90"}, []string{"rate limited"}, "emporix: Customers.Get: 429 p.q.Exceeded: Quota; the server asks to wait 1m30s"},
		"500":            {fixture.Get, 500, shape(500, "internal", "Oops."), nil, []string{"unavailable"}, "emporix: Customers.Get: 500 internal: Oops. [signup.email is taken]"},
		"500, a page":    {fixture.Get, 500, fixture.GatewayPage, []string{"Content-Type", "text/html", "X-Correlation-Id", "abc-1"}, []string{"unavailable"}, "emporix: Customers.Get: 500 Internal Server Error (request ID abc-1)"},
		"502":            {fixture.Get, 502, fixture.GatewayPage, nil, []string{"unavailable"}, "emporix: Customers.Get: 502 Bad Gateway (3 tries)"},
		"502, a write":   {fixture.SignUp, 502, fixture.GatewayPage, nil, []string{"unavailable", "outcome unknown"}, "emporix: Customers.SignUp: 502 Bad Gateway; it may have been processed; look before sending it again"},
		"503":            {fixture.Get, 503, "Busy", []string{"Retry-After", "60"}, []string{"unavailable"}, "emporix: Customers.Get: 503 Service Unavailable; the server asks to wait 1m0s"},
		"503, a write":   {fixture.SignUp, 503, "", nil, []string{"unavailable"}, "emporix: Customers.SignUp: 503 Service Unavailable"},
		"503, cut off":   {fixture.SignUp, 503, cutOff, nil, []string{"unavailable", "outcome unknown"}, "emporix: Customers.SignUp: 503 messaging.adaptors.http.flow.ServiceUnavailable: The Service is temporarily unavailable; it may have been processed; look before sending it again"},
		"503, again":     {fixture.DeleteAddress, 503, cutOff, nil, []string{"unavailable", "outcome unknown"}, "emporix: Addresses.Delete: 503 messaging.adaptors.http.flow.ServiceUnavailable: The Service is temporarily unavailable; it may have been processed; sending it again does no harm (3 tries)"},
		"503, a read":    {fixture.Get, 503, cutOff, nil, []string{"unavailable"}, "emporix: Customers.Get: 503 messaging.adaptors.http.flow.ServiceUnavailable: The Service is temporarily unavailable (3 tries)"},
		"503, a policy":  {fixture.SignUp, 503, `{"fault":{"faultstring":"Spike","detail":{"errorcode":"policies.ratelimit.SpikeArrestViolation"}}}`, nil, []string{"unavailable"}, "emporix: Customers.SignUp: 503 policies.ratelimit.SpikeArrestViolation: Spike"},
		"504, a write":   {fixture.Update, 504, "", []string{"Retry-After", "60"}, []string{"unavailable", "outcome unknown"}, "emporix: Customers.Update: 504 Gateway Timeout; it may have been processed; look before sending it again; the server asks to wait 1m0s"},
		"408, a write":   {fixture.SignUp, 408, "", nil, []string{"unavailable", "outcome unknown"}, "emporix: Customers.SignUp: 408 Request Timeout; it may have been processed; look before sending it again"},
		"500, a write":   {fixture.SignUp, 500, "", nil, []string{"unavailable", "outcome unknown"}, "emporix: Customers.SignUp: 500 Internal Server Error; it may have been processed; look before sending it again"},
		"501, a write":   {fixture.SignUp, 501, "", nil, []string{"unavailable"}, "emporix: Customers.SignUp: 501 Not Implemented"},
		"300":            {fixture.Get, 300, "", nil, []string{"bad response"}, "emporix: Customers.Get: 300 Multiple Choices; redirects are never followed, because tokens would follow them; check the base URL"},
		"407":            {fixture.Get, 407, fixture.GatewayPage, nil, []string{"bad response"}, "emporix: Customers.Get: 407 Proxy Authentication Required"},
		"418":            {fixture.Get, 418, "", nil, []string{"bad response"}, "emporix: Customers.Get: 418 I'm a teapot"},
		"302":            {fixture.Get, 302, "", []string{"Location", "https://evil.example/"}, []string{"bad response"}, "emporix: Customers.Get: 302 Found; redirects are never followed, because tokens would follow them; check the base URL"},
		"304":            {fixture.Get, 304, "", nil, []string{"bad response"}, "emporix: Customers.Get: 304 Not Modified"},
		"205":            {fixture.Get, 205, "", nil, []string{"bad response"}, "emporix: Customers.Get: 205 Reset Content"},
		"599":            {fixture.Get, 599, "", nil, []string{"unavailable"}, "emporix: Customers.Get: 599"},
		"600":            {fixture.Get, 600, "", nil, []string{"bad response"}, "emporix: Customers.Get: 600"},
		"999":            {fixture.Get, 999, "", nil, []string{"bad response"}, "emporix: Customers.Get: 999"},
		"0":              {fixture.Get, 0, "", nil, []string{"bad response"}, "emporix: Customers.Get: 0"},
		"wrong password": {fixture.Login, 401, shape(401, "unauthorized", "Wrong."), nil, []string{"invalid credentials", "unauthorized"}, "emporix: Auth.Login: 401 unauthorized: Wrong. [signup.email is taken]"},
		"wrong, unsaid":  {fixture.Login, 401, "", nil, []string{"invalid credentials", "unauthorized"}, "emporix: Auth.Login: 401 Unauthorized"},
		"401, a page":    {fixture.Login, 401, fixture.GatewayPage, nil, []string{"unauthorized"}, "emporix: Auth.Login: 401 Unauthorized"},
		"401, no shape":  {fixture.ChangePassword, 401, `["?"]`, nil, []string{"unauthorized"}, "emporix: Credentials.ChangePassword: 401 Unauthorized"},
		"wrong old one":  {fixture.ChangePassword, 401, shape(401, "unauthorized", "Wrong."), nil, []string{"invalid credentials", "unauthorized"}, "emporix: Credentials.ChangePassword: 401 unauthorized: Wrong. [signup.email is taken]"},
		"echoes":         {fixture.ChangePassword, 400, shape(400, "bad_request", "Not from correct horse to battery+staple, customer-access!"), nil, []string{"invalid request"}, "emporix: Credentials.ChangePassword: 400 bad_request: Not from [redacted] to [redacted], [redacted]! [signup.email is taken]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fixture.LoggedIn(t, fixture.Always(tt.status, tt.body, tt.headers...))
				err := tt.call(t.Context(), client)
				require.Error(t, err)
				assert.Equal(t, tt.text, err.Error())
				assert.ElementsMatch(t, tt.is, fixture.Sentinels(err))
				var apiErr *emporix.APIError
				require.ErrorAs(t, fmt.Errorf("wrapped: %w", err), &apiErr)
				assert.Equal(t, tt.status, apiErr.StatusCode)
				assert.NotContains(t, err.Error(), "example.com")
			})
		})
	}
}

// A write that is answered with any 2xx was done.
func TestEverySuccessIsOne(t *testing.T) {
	for _, status := range []int{200, 299} {
		assert.NoError(t, fixture.Update(t.Context(), fixture.LoggedIn(t, fixture.Always(status, ""))), status)
	}
}

// The fields of an APIError, from each shape.
func TestAPIErrorFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fixture.LoggedIn(t, fixture.Always(409, `{"status":409,"type":"conflict_resource","message":"Duplicate account 'jo@example.com'","moreInfo":"see the guide","details":[{"field":"email","type":"t","message":"m","moreInfo":"i"},"text"]}`,
			"X-Request-Id", "r-1", "Retry-After", "2"))
		err := fixture.SignUp(t.Context(), client)
		var got *emporix.APIError
		require.ErrorAs(t, err, &got)
		assert.Equal(t, "Customers.SignUp", got.Operation)
		assert.Equal(t, 409, got.StatusCode)
		assert.Equal(t, "conflict_resource", got.Code)
		assert.Equal(t, "Duplicate account 'jo@example.com'", got.Message)
		assert.Equal(t, "see the guide", got.MoreInfo)
		assert.Equal(t, []emporix.ErrorDetail{{Field: "email", Type: "t", Message: "m", MoreInfo: "i"}, {Message: "text"}}, got.Details)
		assert.Equal(t, "r-1", got.RequestID)
		assert.Equal(t, 2*time.Second, got.RetryAfter)
		assert.Equal(t, 1, got.Attempts)
	})
	// Made by hand, as tests of users do, it matches by its status.
	assert.ErrorIs(t, &emporix.APIError{StatusCode: 404}, emporix.ErrNotFound)
	assert.NotErrorIs(t, &emporix.APIError{StatusCode: 404}, emporix.ErrConflict)
}

func TestARequestIDIsShownOnlyIfItLooksLikeOne(t *testing.T) {
	for value, want := range map[string]string{
		"abc-1": "abc-1", "": "", "<script>": "", strings.Repeat("a", 128): strings.Repeat("a", 128), strings.Repeat("a", 129): "", "a b": "", "customer-access": "",
	} {
		client := fixture.LoggedIn(t, fixture.Always(404, "", "X-Correlation-Id", value))
		var got *emporix.APIError
		require.ErrorAs(t, fixture.Get(t.Context(), client), &got)
		assert.Equal(t, want, got.RequestID)
	}
}

func TestErrorsWithoutAnAnswer(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, tt := range map[string]struct {
		call func(context.Context, *emporix.Client) error
		err  error
		is   []string
		text string
	}{
		"read, refused":  {fixture.Get, refused, []string{"unavailable"}, "emporix: Customers.Get: no response (3 tries): dial tcp: connection refused"},
		"write, refused": {fixture.SignUp, refused, []string{"unavailable"}, "emporix: Customers.SignUp: no response (3 tries): dial tcp: connection refused"},
		"read, lost":     {fixture.Get, io.ErrUnexpectedEOF, []string{"unavailable"}, "emporix: Customers.Get: no response (3 tries): unexpected EOF"},
		"write, lost":    {fixture.SignUp, io.ErrUnexpectedEOF, []string{"outcome unknown"}, "emporix: Customers.SignUp: the response was lost: unexpected EOF; it may have been processed; look before sending it again"},
		"delete, lost":   {fixture.DeleteAddress, io.ErrUnexpectedEOF, []string{"unavailable", "outcome unknown"}, "emporix: Addresses.Delete: the response was lost (3 tries): unexpected EOF; it may have been processed; sending it again does no harm"},
		"login, lost":    {fixture.Login, io.ErrUnexpectedEOF, []string{"outcome unknown"}, "emporix: Auth.Login: the response was lost: unexpected EOF; it may have been processed; look before sending it again"},
		"logout, lost": {func(ctx context.Context, c *emporix.Client) error { return c.Auth.Logout(ctx) }, io.ErrUnexpectedEOF, []string{"outcome unknown"},
			"emporix: Auth.Logout: the session is removed, but the server did not confirm it: the response was lost: unexpected EOF; it may have been processed; look before sending it again"},
		"refresh, lost": {func(ctx context.Context, c *emporix.Client) error { _, err := c.Auth.Refresh(ctx); return err }, io.ErrUnexpectedEOF, []string{"outcome unknown"},
			"emporix: Auth.Refresh: token (refresh): the response was lost: unexpected EOF; it may have been processed; look before sending it again"},
		"a URL in it": {fixture.Get, errors.New(`Get "https://api.emporix.io/customer/acme/me": proxy said no`), []string{"unavailable"},
			`emporix: Customers.Get: no response (3 tries): Get "/customer/{tenant}/me": proxy said no`},
		"a token in it": {fixture.Get, errors.New("can't send customer-access"), []string{"unavailable"}, "emporix: Customers.Get: no response (3 tries): can't send [redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fixture.LoggedIn(t, func(*http.Request) (*http.Response, error) { return nil, tt.err })
				err := tt.call(t.Context(), client)
				require.Error(t, err)
				// The words of the standard library are its own to change.
				text := strings.NewReplacer("dial tcp: connection refused", refused.Error(), "unexpected EOF", io.ErrUnexpectedEOF.Error()).Replace(tt.text)
				assert.Equal(t, text, err.Error())
				assert.ElementsMatch(t, tt.is, fixture.Sentinels(err))
				assert.ErrorIs(t, err, tt.err, "the cause")
				var transportErr *emporix.TransportError
				assert.ErrorAs(t, err, &transportErr)
			})
		})
	}
}

func TestCancelledContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fixture.LoggedIn(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		for name, call := range map[string]func(context.Context, *emporix.Client) error{"get": fixture.Get, "update": fixture.Update, "remove": fixture.DeleteAddress, "login": fixture.Login} {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			assert.ErrorIs(t, call(ctx, client), context.Canceled, name)
			assert.ErrorIs(t, call(ctx, client), context.Canceled, "%s: it was over before", name)
			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			err := call(ctx, client)
			cancel()
			assert.ErrorIs(t, err, context.DeadlineExceeded, name)
			assert.NotErrorIs(t, err, emporix.ErrUnavailable, "%s: nobody knows", name)
			assert.Equal(t, name != "get", errors.Is(err, emporix.ErrOutcomeUnknown), name)
		}
		// Without a deadline the SDK's own ends a hung server.
		began := time.Now()
		err := fixture.Update(t.Context(), client)
		assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "the caller set none")
		var timeout net.Error
		require.ErrorAs(t, fmt.Errorf("%w", &url.Error{Err: err}), &timeout)
		assert.True(t, timeout.Timeout())
		assert.Equal(t, "emporix: Customers.Update: the response was lost: timed out after 10s; it may have been processed; look before sending it again", err.Error())
		assert.Equal(t, 10*time.Second, time.Since(began))
		info, err := client.DefaultSession().Info(t.Context())
		require.NoError(t, err)
		assert.Equal(t, emporix.SessionCustomer, info.Kind, "the session is still there")
	})
}

// A deadline that leaves no time for another try says both: the deadline, and
// what the last try met.
func TestALateDeadlineTellsWhatItMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fixture.LoggedIn(t, fixture.Always(503, ""))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := fixture.Get(ctx, client)
		assert.Equal(t, "emporix: Customers.Get: 503 Service Unavailable; after 1 try the deadline leaves no time for another", err.Error())
		assert.ElementsMatch(t, []string{"unavailable", "deadline"}, fixture.Sentinels(err))
	})
}

// What a response is said to be is repeated if it is short.
func TestAnAnswerOfAnotherTypeIsNamed(t *testing.T) {
	for given, want := range map[string]string{
		"": "unknown type", "text/plain; charset=utf-8": "text/plain", strings.Repeat("t", 64): strings.Repeat("t", 64), strings.Repeat("t", 65): "unknown type",
	} {
		err := fixture.Get(t.Context(), fixture.LoggedIn(t, fixture.Always(200, "7x", "Content-Type", given), fixture.Patient))
		assert.EqualError(t, err, "emporix: Customers.Get: bad response: the response is not the JSON that the API promises (2 bytes of "+want+")")
	}
}

// A write whose response can't be read was probably done.
func TestABadAnswerToAWriteLeavesTheOutcomeOpen(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		why    string
	}{
		"empty":     {201, "", "the response is empty"},
		"null":      {201, "null", "the response is null"},
		"an object": {201, "{}", "the response is {}"},
		"truncated": {201, `{"id":"1`, "the response is not the JSON that the API promises (8 bytes of application/json)"},
		"a page":    {201, fixture.GatewayPage, "the response is a web page; something between here and the API answered, such as a login page or a firewall"},
		"a fault":   {201, fixture.GatewayFault, "the response is an error of the API's gateway, with the status of a success"},
		"too large": {201, strings.Repeat(" ", 9<<20), "the response is larger than 8388608 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fixture.LoggedIn(t, fixture.Always(tt.status, tt.body), fixture.Patient)
			err := fixture.SignUp(t.Context(), client)
			assert.Equal(t, "emporix: Customers.SignUp: bad response: "+tt.why+"; it may have been processed; look before sending it again", err.Error())
			assert.ElementsMatch(t, []string{"bad response", "outcome unknown"}, fixture.Sentinels(err))
		})
	}
}

// What is wrong with the configuration is said where it shows first.
func TestARefusedTokenCallSaysWhatToCheck(t *testing.T) {
	fake := emporixtest.New(t)
	client, err := emporix.NewClient("acme", "nobody", emporix.WithBaseURL(fake.URL()), emporix.WithTransport(fake.Transport()),
		emporix.WithEmployeeCredentials("backend", "wrong"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
	assert.EqualError(t, fixture.Get(t.Context(), client),
		"emporix: Customers.Get: token (anonymous): 401 oauth.v2.InvalidApiKey: Invalid ApiKey; check the tenant and the storefront's client ID")
	assert.EqualError(t, client.Customers.Activate(t.Context(), "1"),
		"emporix: Customers.Activate: token (employee): 401 invalid_client; check the employee's client ID and secret")
}

func TestARedirectIsExplainedBesideTheWait(t *testing.T) {
	err := fixture.Get(t.Context(), fixture.LoggedIn(t, fixture.Always(301, "", "Retry-After", "40")))
	assert.EqualError(t, err, "emporix: Customers.Get: 301 Moved Permanently; the server asks to wait 40s; "+
		"redirects are never followed, because tokens would follow them; check the base URL")
}

func TestErrorsInALog(t *testing.T) {
	client := fixture.LoggedIn(t, fixture.Always(400, `{"status":400,"type":"bad_request","message":"Not correct horse"}`))
	err := fixture.SignUp(t.Context(), client)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Error("failed", "err", err)
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	assert.Equal(t, map[string]any{"operation": "Customers.SignUp", "status": 400.0, "code": "bad_request", "message": "Not [redacted]", "request_id": "", "attempts": 1.0}, line["err"])
}

// The SDK's own lines leave out the server's words, which may name the customer.
func TestS06_LogLinesRepeatNoMessage(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client := fixture.LoggedIn(t, fixture.Always(409, `{"status":409,"type":"conflict_resource","message":"jo@example.com exists","details":[{"field":"email","message":"jo@example.com"}]}`), emporix.WithLogger(logger))
	require.ErrorContains(t, fixture.SignUp(t.Context(), client), "jo@example.com exists")
	assert.Contains(t, log.String(), "conflict_resource")
	assert.NotContains(t, log.String(), "jo@")
}

// A peer may repeat the request's body where its status or a header should be: no line
// shows it, and no error an address.
func TestS06_LogLinesRepeatNothingOfAMalformedPeer(t *testing.T) {
	for _, answer := range []string{
		"%s\r\n\r\n", "HTTP/1.1 200 OK\r\n%s\r\n\r\n", "HTTP/1.1 200 OK\r\n %s\r\n\r\n", "HTTP/1.1 %s\r\n\r\n", "HTTP/%s 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
		"HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nX-Request-Id: jo.private@example.com\r\nConnection: close\r\n\r\n" + `{"status":409,"type":"jo.private@example.com","message":%q}`,
	} {
		t.Run(answer, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { _ = listener.Close() })
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go repeatBody(conn, answer)
				}
			}()
			var log bytes.Buffer
			client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL("http://"+listener.Addr().String()),
				emporix.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
			require.NoError(t, err)
			defer func() { assert.NoError(t, client.Close(context.Background())) }()
			const email = "jo.private@example.com"
			resetErr := client.Credentials.RequestPasswordReset(t.Context(), email)
			_, signUpErr := client.Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: email, Password: "x1234567", CustomerDetails: emporix.CustomerDetails{FirstName: "Jo-Private"}})
			for _, err := range []error{resetErr, signUpErr} {
				var apiErr *emporix.APIError
				require.Error(t, err)
				if !errors.As(err, &apiErr) { // whose words are the server's
					assert.NotContains(t, err.Error(), "jo.private")
				}
			}
			assert.Contains(t, log.String(), "Customers.SignUp")
			assert.NotContains(t, strings.ToLower(log.String()), "jo.private")
			if !strings.Contains(answer, "Encoding") && !strings.Contains(answer, "Content-Length") { // which net/http quotes in part
				assert.NotContains(t, log.String(), "Jo-Private")
			}
		})
	}
}

// repeatBody is a server that answers the anonymous login, and other requests with
// their own body.
func repeatBody(conn net.Conn, answer string) {
	defer func() { _ = conn.Close() }()
	for r := bufio.NewReader(conn); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		if strings.HasSuffix(req.URL.Path, "/anonymous/login") {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(fixture.AnonymousTokens), fixture.AnonymousTokens)
			continue
		}
		_, _ = fmt.Fprintf(conn, answer, body)
		return
	}
}

// The packages below name the same errors: a text that differs here would break
// errors.Is.
func TestErrorsAreThoseOfThePackagesBelow(t *testing.T) {
	for below, public := range map[sentinel.Error]emporix.Error{
		sentinel.Unauthorized:       emporix.ErrUnauthorized,
		sentinel.Forbidden:          emporix.ErrForbidden,
		sentinel.NotFound:           emporix.ErrNotFound,
		sentinel.Conflict:           emporix.ErrConflict,
		sentinel.InvalidRequest:     emporix.ErrInvalidRequest,
		sentinel.RateLimited:        emporix.ErrRateLimited,
		sentinel.Unavailable:        emporix.ErrUnavailable,
		sentinel.NotLoggedIn:        emporix.ErrNotLoggedIn,
		sentinel.LoggedIn:           emporix.ErrLoggedIn,
		sentinel.SessionExpired:     emporix.ErrSessionExpired,
		sentinel.InvalidCredentials: emporix.ErrInvalidCredentials,
		sentinel.AccountInactive:    emporix.ErrAccountInactive,
		sentinel.NotRefreshable:     emporix.ErrNotRefreshable,
		sentinel.OutcomeUnknown:     emporix.ErrOutcomeUnknown,
		sentinel.BadResponse:        emporix.ErrBadResponse,
		sentinel.StoreUnavailable:   emporix.ErrStoreUnavailable,
		sentinel.StoreCorrupt:       emporix.ErrStoreCorrupt,
		sentinel.EmptyPatch:         emporix.ErrEmptyPatch,
		sentinel.Closed:             emporix.ErrClosed,
		sentinel.NoEmployee:         emporix.ErrNoEmployee,
	} {
		assert.Equal(t, below, public)
	}
}

// An error tells both: what failed, and that the caller's context ended.
func TestTheEndOfTheContextIsJoinedToTheFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken wire")
		client := fixture.LoggedIn(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, broken // and not the context's own error
		})
		for name, call := range map[string]func(context.Context, *emporix.Client) error{"get": fixture.Get, "update": fixture.Update} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := call(ctx, client)
			cancel()
			assert.ErrorIs(t, err, context.DeadlineExceeded, name)
			assert.ErrorIs(t, err, broken, name)
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			err = call(ctx, client)
			assert.ErrorIs(t, err, context.Canceled, name)
			assert.ErrorIs(t, err, broken, name)
			assert.ErrorContains(t, err, "broken wire")
		}
	})
}

// Attempts counts what was sent, with the bearer that was refused as well.
func TestAttemptsCountTheRefusedBearer(t *testing.T) {
	requests := 0
	client := fixture.LoggedIn(t, func(r *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(r.URL.Path, "/me") {
			return fixture.Reply(200, strings.Replace(fixture.CustomerTokens, "customer-access", "renewed-access", 1)), nil
		}
		requests++
		return fixture.Reply(401, fixture.GatewayFault), nil
	})
	var apiErr *emporix.APIError
	require.ErrorAs(t, fixture.Get(t.Context(), client), &apiErr)
	assert.Equal(t, requests, apiErr.Attempts)
	assert.Equal(t, 2, requests)

	fake := emporixtest.New(t)
	fake.Fail(t, emporixtest.Fault{Operation: "Auth.Login", Status: 401, Body: emporixfake.BodyGatewayFault, Times: 9})
	_, err := fake.Client(t).Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "p"})
	logins := fake.Calls(t, "Auth.Login")
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, logins, apiErr.Attempts)
	assert.Equal(t, 2, logins)

	nothing := ""
	client = fake.Client(t)
	fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Body: emporixfake.BodyGatewayFault}, emporixtest.Fault{Operation: "Customers.Get", Call: 1, RawBody: &nothing})
	var transportErr *emporix.TransportError
	require.ErrorAs(t, fixture.Get(t.Context(), client), &transportErr)
	assert.Equal(t, 2, transportErr.Attempts, "also when the renewed bearer's answer is a success that can't be read")
}

// An argument's error names the operation, wherever the argument is refused.
func TestArgumentErrorsNameTheirOperation(t *testing.T) {
	fake, client := fixture.Shop(t)
	ctx, calls := t.Context(), len(fake.Journal())
	for want, call := range map[string]func() error{
		"emporix: Auth.Login: invalid argument: email is empty": func() error {
			_, err := client.Auth.Login(ctx, emporix.LoginRequest{})
			return err
		},
		"emporix: Customers.SignUp: invalid argument: signup.password is empty": func() error {
			_, err := client.Customers.SignUp(ctx, emporix.SignUpRequest{Email: "a", Password: "b", SignUp: emporix.SignUpCredentials{Email: "c"}})
			return err
		},
		"emporix: Customers.Get: invalid argument: option is nil": func() error {
			_, err := client.Customers.Get(ctx, nil)
			return err
		},
		"emporix: Customers.Activate: invalid argument: customerNumber is empty": func() error { return client.Customers.Activate(ctx, "") },
		"emporix: Addresses.RemoveTags: invalid argument: tags are missing":      func() error { return client.Addresses.RemoveTags(ctx, "1") },
		"emporix: Addresses.Get: invalid argument: addressId is a relative path; give the identifier that the API returned": func() error {
			_, err := client.Addresses.Get(ctx, "..")
			return err
		},
		"emporix: Credentials.ChangePassword: invalid argument: newPassword is not valid UTF-8": func() error {
			return client.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "a", NewPassword: "\xff"})
		},
		"emporix: Customers.Update: empty patch; set at least one field, with Set or Null": func() error { return client.Customers.Update(ctx, emporix.CustomerPatch{}) },
	} {
		err := call()
		assert.EqualError(t, err, want)
		var argument *emporix.ArgumentError
		if errors.As(err, &argument) {
			assert.Equal(t, strings.Split(want, ": ")[1], argument.Operation)
		}
	}
	_, err := client.Session("").Customers.Get(ctx)
	assert.ErrorContains(t, err, "emporix: Customers.Get: invalid argument: session key ")
	assert.Len(t, fake.Journal(), calls)
}

// What a newcomer gets wrong first says what to check.
func TestRefusedTokenCallsSayWhatToCheck(t *testing.T) {
	fake := emporixtest.New(t)
	for name, tt := range map[string]struct{ tenant, clientID, baseURL, want string }{
		"client ID": {"acme", "x", fake.URL(), "Invalid ApiKey; check the tenant and the storefront's client ID"},
		"tenant":    {"other", "storefront", fake.URL(), "is not valid; check the tenant's name"},
		"base URL":  {"acme", "storefront", fake.URL() + "/v1", "does not exist; check the base URL: it ends before /customerlogin and /customer"},
	} {
		client, err := emporix.NewClient(tt.tenant, tt.clientID, emporix.WithBaseURL(tt.baseURL), emporix.WithTransport(fake.Transport()))
		require.NoError(t, err, name)
		_, err = client.Customers.Get(t.Context())
		assert.ErrorContains(t, err, tt.want, name)
		require.NoError(t, client.Close(t.Context()))
	}
	client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(fake.URL()), emporix.WithTransport(fake.Transport()), emporix.WithEmployeeCredentials("backend", "wrong"))
	require.NoError(t, err)
	assert.ErrorContains(t, client.Customers.Activate(t.Context(), "1"), "check the employee's client ID and secret")
	require.NoError(t, client.Close(t.Context()))
}

// An account that can't be used is told apart from a wrong password, and is one for
// shops that must not tell.
func TestAnInactiveAccountAtLogin(t *testing.T) {
	login := func(client *emporix.Client, email, password string) error {
		_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: email, Password: password})
		return err
	}
	for _, status := range []int{401, 403} {
		fake := emporixtest.New(t, emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.InactiveLoginStatus = status }))
		fake.AddCustomer(t, emporixtest.Customer{Email: "new@example.com", Password: "correct horse", Inactive: true})
		fake.AddCustomer(t, emporixtest.Customer{Email: "held@example.com", Password: "correct horse", OnHold: true})
		client := fake.Client(t)
		for _, email := range []string{"new@example.com", "held@example.com"} {
			err := login(client, email, "correct horse")
			assert.ErrorIs(t, err, emporix.ErrAccountInactive, "%s %d", email, status)
			assert.ErrorIs(t, err, emporix.ErrInvalidCredentials, "%s %d", email, status)
			assert.NotErrorIs(t, login(client, email, "wrong horse"), emporix.ErrAccountInactive, "%s %d", email, status)
		}
	}
	for message, inactive := range map[string]bool{
		"Account is not activated": true, "User account has been disabled.": true, "The customer is suspended": true, "Inactive account": true,
		"Customer account not yet confirmed": true, "Your account is on hold": true, "account_blocked": true,
		"Wrong e-mail address or password": false, "Inactive API product": false, "The customer does not exist": false, "Active account required": false,
		"The session is inactive": false,
	} {
		fake := emporixtest.New(t)
		fake.AddCustomer(t, emporixtest.Customer{Email: fixture.Jo.Email, Password: fixture.Jo.Password})
		body := fmt.Sprintf(`{"status":401,"type":"unauthorized","message":%q}`, message)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Login", Status: 401, RawBody: &body})
		err := login(fake.Client(t), fixture.Jo.Email, fixture.Jo.Password)
		assert.Equal(t, inactive, errors.Is(err, emporix.ErrAccountInactive), message)
		assert.ErrorIs(t, err, emporix.ErrInvalidCredentials, message)
	}
	// What else is refused with such words is about something else.
	fake, client := fixture.Shop(t)
	body := `{"status":403,"type":"forbidden","message":"The customer account is not active."}`
	fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Status: 403, RawBody: &body})
	_, err := client.Customers.Get(t.Context())
	assert.ErrorIs(t, err, emporix.ErrForbidden)
	assert.NotErrorIs(t, err, emporix.ErrAccountInactive)
}
