package acceptance_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

func TestBadInputIDsAndTokens(t *testing.T) {
	fake, client := fixture.Shop(t)
	before := len(fake.Journal())
	ctx := t.Context()
	calls := map[string]func(string) error{
		"Addresses.Get": func(v string) error { _, err := client.Addresses.Get(ctx, v); return err },
		"Addresses.Update": func(v string) error {
			return client.Addresses.Update(ctx, v, emporix.AddressPatch{City: emporix.Set("x")})
		},
		"Addresses.Delete":        func(v string) error { return client.Addresses.Delete(ctx, v) },
		"Addresses.AddTags":       func(v string) error { return client.Addresses.AddTags(ctx, v, "T") },
		"Addresses.RemoveTags":    func(v string) error { return client.Addresses.RemoveTags(ctx, v, "T") },
		"Customers.Activate":      func(v string) error { return client.Customers.Activate(ctx, v) },
		"Customers.ConfirmSignUp": func(v string) error { _, err := client.Customers.ConfirmSignUp(ctx, v); return err },
	}
	for name, value := range map[string]string{
		"empty": "", "blank": " \t", "dot": ".", "dots": "..", "blank dots": " .. ", "NUL": "CANARY\x00", "newline": "CANARY\r\nX: y", "DEL": "CANARY\x7f",
		"no UTF-8": "CANARY\xff", "long": strings.Repeat("CANARY", 5000),
		"right to left": "CANARY\u202e1", "isolate": "CANARY\u20661", "mark": "CANARY\u200e", "zero width": "CANARY\u200b", "joiner": "CAN\u200dARY CANARY",
		"byte order mark": "\ufeffCANARY", "soft hyphen": "CANARY\u00ad1", "line separator": "CANARY\u2028",
	} {
		for op, call := range calls {
			err := call(value)
			var argument *emporix.ArgumentError
			if assert.ErrorAs(t, err, &argument, "%s %s", op, name) {
				assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
				assert.NotContains(t, err.Error(), "CANARY")
				assert.Less(t, len(err.Error()), 150)
				assert.NotEmpty(t, argument.Field)
			}
		}
	}
	assert.Len(t, fake.Journal(), before, "not even a token is asked for")
	for _, id := range []string{"a/b", "%2e%2e", "a?b", "a#b", "a;b", `a\b`, "../me", "..%2f"} {
		assert.ErrorIs(t, calls["Addresses.Delete"](id), emporix.ErrNotFound, id)
	}
	fixture.StillLoggedIn(t, client)
}

func TestBadInputTags(t *testing.T) {
	fake, client := fixture.Shop(t)
	before := len(fake.Journal())
	for name, tags := range map[string][]string{"comma": {"A", "B,C"}, "empty": {"A", ""}, "blank": {" "}, "none": nil} {
		assert.ErrorIs(t, client.Addresses.AddTags(t.Context(), "a1", tags...), emporix.ErrInvalidRequest, name)
		assert.ErrorIs(t, client.Addresses.RemoveTags(t.Context(), "a1", tags...), emporix.ErrInvalidRequest, name)
	}
	_, err := client.Addresses.Add(t.Context(), emporix.AddressRequest{ContactName: "Jo", Tags: []string{"A,B"}})
	assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	assert.Len(t, fake.Journal(), before)
	assert.NoError(t, client.Addresses.AddTags(t.Context(), "a1", "A", "A", "B&C"))
	fixture.StillLoggedIn(t, client)
}

func TestBadInputLongQueries(t *testing.T) {
	fake, client := fixture.Shop(t)
	before := len(fake.Journal())
	for name, value := range map[string]string{"12 KiB": strings.Repeat("x", 12<<10), "20 KiB": strings.Repeat("x", 20<<10), "control": "a\nb"} {
		_, err := client.Session("x").Auth.ExchangeToken(t.Context(), emporix.ExchangeTokenRequest{SubjectAccessToken: value})
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest, name)
		assert.NotContains(t, err.Error(), "xxx")
		assert.NotErrorIs(t, err, emporix.ErrOutcomeUnknown)
	}
	fake.AssertCalls(t, "Auth.ExchangeToken", 0)
	assert.Len(t, fake.Journal(), before)
}

func TestBadInputSessionKeys(t *testing.T) {
	fake, client := fixture.Shop(t)
	before := len(fake.Journal())
	for name, key := range map[string]string{"empty": "", "long": strings.Repeat("CANARY", 43)[:257], "control": "CANARY\n", "no UTF-8": "CANARY\xff",
		"delete": "CANARY\x7f", "C1": "CANARY\u0080", "the last of C1": "CANARY\u009f", "the last of C0": "CANARY\x1f"} {
		session := client.Session(key)
		_, err := session.Customers.Get(t.Context())
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest, name)
		assert.NotContains(t, err.Error(), "CANARY")
		_, err = session.Info(t.Context())
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest, name)
		assert.ErrorIs(t, session.Auth.Logout(t.Context()), emporix.ErrInvalidRequest, name)
		_, err = session.Auth.Login(t.Context(), emporix.LoginRequest{Email: "e", Password: "p"})
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest, name)
		_, err = client.DefaultSession().MoveTo(t.Context(), key)
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest, name)
	}
	assert.Len(t, fake.Journal(), before)
	for _, key := range []string{strings.Repeat("x", 256), strings.Repeat("é", 128), "\u00a0 ~"} {
		_, err := client.Session(key).Info(t.Context())
		assert.NoError(t, err, key)
	}
	assert.ErrorContains(t, client.Session(strings.Repeat("x", 257)).Auth.Logout(t.Context()), ": invalid argument: session key has 257 bytes; at most 256 are allowed")
}

// A call that needs a customer is refused without a request.
func TestL15_ACustomersCallWithoutALogin(t *testing.T) {
	fake := emporixtest.New(t)
	client := fake.Client(t)
	for name, call := range map[string]func(context.Context, *emporix.Client) error{
		"update": fixture.Update, "remove": fixture.DeleteAddress, "change": fixture.ChangePassword, "validate": fixture.Reads["Auth.Validate"], "list": fixture.Reads["Addresses.List"],
		"get": fixture.Reads["Addresses.Get"], "add": fixture.Writes["Addresses.Add"], "tags": fixture.Reads["Addresses.AddTags"], "logout": fixture.Writes["Auth.Logout"],
		"e-mail": fixture.Writes["Credentials.RequestEmailChange"], "address": fixture.Writes["Addresses.Update"],
	} {
		assert.ErrorIs(t, call(t.Context(), client), emporix.ErrNotLoggedIn, name)
	}
	assert.Empty(t, fake.Journal())
	assert.EqualError(t, fixture.Update(t.Context(), client), "emporix: Customers.Update: not logged in; call Auth.Login first")
}

func TestAWrongPassword(t *testing.T) {
	fake, client := fixture.Shop(t)
	logins, total := fake.Calls(t, "Auth.Login"), len(fake.Journal())
	before, err := client.DefaultSession().Info(t.Context())
	require.NoError(t, err)
	visitor := client.Session("v")
	_, err = visitor.Customers.Get(t.Context())
	require.NoError(t, err)
	guest, err := visitor.Info(t.Context())
	require.NoError(t, err)
	_, err = visitor.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "wrong horse"})
	assert.ErrorIs(t, err, emporix.ErrInvalidCredentials)
	assert.EqualError(t, err, "emporix: Auth.Login: 401 unauthorized: The e-mail address or the password is wrong.")
	fake.AssertCalls(t, "Auth.Login", logins+1)
	assert.Len(t, fake.Journal(), total+3, "a session, a profile, one login")
	after, err := visitor.Info(t.Context())
	require.NoError(t, err)
	assert.Equal(t, guest, after)
	own, err := client.DefaultSession().Info(t.Context())
	require.NoError(t, err)
	assert.Equal(t, before, own)
	fixture.StillLoggedIn(t, client)
}

func zippedJSON(size int) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, `{"padding":"`)
	for range size >> 20 {
		_, _ = w.Write(bytes.Repeat([]byte("a"), 1<<20))
	}
	_ = w.Close()
	return out.String()
}

// Answers that are none. The session survives each, and each is told in a line.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"mixins":`, 100_000)
	for name, tt := range map[string]struct {
		body    string
		headers []string
	}{
		"a page": {fixture.GatewayPage, []string{"Content-Type", "text/html"}}, "a page without a type": {fixture.GatewayPage, []string{"Content-Type", ""}}, "empty": {"", nil}, "blank": {" \n", nil},
		"null": {"null", nil}, "an array": {"[]", nil}, "a string": {`"CANARY"`, nil}, "an empty object": {"{}", nil}, "a number": {"7", nil},
		"truncated": {`{"id":"CANARY`, nil}, "more after it": {`{"id":"1"}CANARY`, nil}, "a BOM": {"\ufeff{\"id\":\"1\"}", nil},
		"UTF-16": {"\xff\xfe{\x00}\x00", nil}, "of another shape": {`{"id":{"CANARY":1}}`, nil}, "a fault": {fixture.GatewayFault, nil}, "a fault with an ID": {`{"id":"1","email":"e","fault":{}}`, nil}, "a fault with spaces": {"{ \"a\":1,\n\"fault\" : {\"faultstring\":\"CANARY\"}}", nil}, "another object": {`{"foo":"CANARY"}`, nil},
		"an OAuth error": {`{"error":"CANARY","message":"CANARY"}`, nil}, "an error": {`{"code":401,"status":"UNAUTHORIZED","message":"CANARY"}`, nil}, "nulls": {"[null]", nil}, "objects": {"[{}]", nil}, "deep": {deep, nil},
		"too large": {`{"x":"` + strings.Repeat("a", 9<<20) + `"}`, nil}, "another encoding": {"CANARY", []string{"Content-Encoding", "br"}},
		"gzip without a label": {zippedJSON(1 << 20), nil},
	} {
		t.Run(name, func(t *testing.T) {
			headers := map[string]string{}
			for i := 0; i+1 < len(tt.headers); i += 2 {
				headers[tt.headers[i]] = tt.headers[i+1]
			}
			for op, call := range map[string]func(context.Context, *emporix.Client) error{
				"Customers.Get": fixture.Get, "Addresses.Get": fixture.Reads["Addresses.Get"], "Customers.SignUp": fixture.SignUp, "Auth.Validate": fixture.Reads["Auth.Validate"],
				"Addresses.List": fixture.Reads["Addresses.List"],
			} {
				if op == "Addresses.List" && name == "an array" {
					continue // a customer without addresses
				}
				fake, client := fixture.Shop(t, fixture.Patient)
				fake.Fail(t, emporixtest.Fault{Operation: op, RawBody: &tt.body, Status: 200, Headers: headers})
				before := fake.Calls(t, op)
				err := call(t.Context(), client)
				require.ErrorIs(t, err, emporix.ErrBadResponse, op)
				assert.NotContains(t, err.Error(), "CANARY")
				assert.NotContains(t, err.Error(), "jo@example.com")
				assert.Less(t, len(err.Error()), 240)
				fake.AssertCalls(t, op, before+1)
				fixture.StillLoggedIn(t, client)
			}
		})
	}
}

// Where no body is promised, none is read; but a firewall's page is no success.
func TestBadAnswersWithoutABody(t *testing.T) {
	for body, fine := range map[string]bool{
		"": true, "{}": true, "ok": true, `{"id":"1"}`: true, `{"id":"1`: true, `{"status":204,"message":"done"}`: true, "[]": true,
		fixture.GatewayPage: false, fixture.GatewayFault: false, "{\n \"fault\" : {}}": false, `{"a":{"b":1},"fault":{"faultst`: false,
		`{"error":"invalid_client"}`: false, `{"status":400,"type":"bad_re`: false, `{"code":"401","message":"x"}`: false,
	} {
		fake, client := fixture.Shop(t)
		fake.Fail(t, emporixtest.Fault{Operation: "Customers.Update", RawBody: &body, Status: 200})
		err := fixture.Update(t.Context(), client)
		assert.Equal(t, fine, err == nil, "%s: %v", body, err)
		fixture.StillLoggedIn(t, client)
	}
}

// The same for answers that should hold tokens: nothing is stored, and the
// session that was there goes on.
func TestBadTokenAnswers(t *testing.T) {
	token := func(change string) string {
		var members map[string]any
		_ = json.Unmarshal([]byte(fixture.CustomerTokens), &members)
		var changes map[string]any
		_ = json.Unmarshal([]byte(change), &changes)
		for name, value := range changes {
			members[name] = value
		}
		out, _ := json.Marshal(members)
		return string(out)
	}
	for name, body := range map[string]string{
		"a page": fixture.GatewayPage, "empty": "", "null": "null", "an array": "[]", "an object": "{}", "truncated": fixture.CustomerTokens[:50], "a fault": fixture.GatewayFault, "an error": `{"error":"invalid_client"}`,
		"no token": token(`{"access_token":""}`), "a blank token": token(`{"access_token":" "}`), "an unprintable token": token(`{"access_token":"CANARY\n"}`),
		"a token with a space": token(`{"access_token":"CANARY x"}`), "a huge token": token(`{"access_token":"` + strings.Repeat("CANARY", 4000) + `"}`),
		"a token that is a number": token(`{"access_token":7}`), "expires now": token(`{"expires_in":0}`), "expired": token(`{"expires_in":-1}`),
		"expires in words": token(`{"expires_in":"CANARY"}`), "another type": token(`{"token_type":"mac"}`), "too large": fixture.CustomerTokens + strings.Repeat(" ", 2<<20),
	} {
		t.Run(name, func(t *testing.T) {
			fake, client := fixture.Shop(t, fixture.Patient)
			visitor := client.Session("v")
			_, err := visitor.Customers.Get(t.Context())
			require.NoError(t, err)
			before, err := visitor.Info(t.Context())
			require.NoError(t, err)
			for _, op := range []string{"Auth.Login", "Auth.Refresh", "Auth.SocialLogin", "Auth.ExchangeToken"} {
				fake.Fail(t, emporixtest.Fault{Operation: op, RawBody: &body, Status: 200})
				switch op {
				case "Auth.Login":
					_, err = visitor.Auth.Login(t.Context(), fixture.Jo)
				case "Auth.Refresh":
					_, err = client.Auth.Refresh(t.Context())
				case "Auth.SocialLogin":
					_, err = visitor.Auth.SocialLogin(t.Context(), emporix.SocialLoginRequest{Code: "fake-code:jo@example.com", RedirectURI: "u"})
				case "Auth.ExchangeToken":
					_, err = visitor.Auth.ExchangeToken(t.Context(), emporix.ExchangeTokenRequest{SubjectAccessToken: "fake-subject:jo@example.com"})
				}
				require.ErrorIs(t, err, emporix.ErrBadResponse, op)
				assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown, "%s: a code or a refresh token may be spent", op)
				assert.Equal(t, name == "a page", strings.Contains(err.Error(), "is a web page"), err)
				assert.NotContains(t, err.Error(), "CANARY")
				after, err := visitor.Info(t.Context())
				require.NoError(t, err)
				assert.Equal(t, before, after, op)
			}
			fixture.StillLoggedIn(t, client)
		})
	}
}

// Lifetimes that a server may send, and that must not hurt.
func TestStrangeLifetimes(t *testing.T) {
	for _, expires := range []string{`"2591999"`, "2591999.5", "99999999999999999999", "1e30", "absent", "null"} {
		synctest.Test(t, func(t *testing.T) {
			fake, client := fixture.Shop(t)
			fake.Fail(t, emporixtest.Fault{Operation: "Auth.Login", ExpiresIn: json.RawMessage(expires)})
			require.NoError(t, fixture.Login(t.Context(), client), expires)
			fixture.StillLoggedIn(t, client)
			info, err := client.DefaultSession().Info(t.Context())
			require.NoError(t, err)
			assert.True(t, info.AccessExpires.After(time.Now()), expires)
			assert.True(t, info.AccessExpires.Before(time.Now().Add(10*366*24*time.Hour)), expires)
		})
	}
}

// Bombs and floods end at the limit.
func TestS05_HugeAnswers(t *testing.T) {
	t.Parallel()
	for _, body := range []string{emporixfake.BodyHuge, emporixfake.BodyGzipBomb} {
		fake := emporixtest.New(t, emporixtest.WithSocket())
		client := fake.Client(t, fixture.Patient)
		fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Body: body})
		_, err := client.Customers.Get(t.Context())
		assert.ErrorIs(t, err, emporix.ErrBadResponse)
		assert.EqualError(t, err, "emporix: Customers.Get: bad response: the response is larger than 8388608 bytes")
		if body == emporixfake.BodyGzipBomb {
			continue // slow to make
		}
		fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Body: body, Status: 404})
		_, err = client.Customers.Get(t.Context())
		assert.ErrorIs(t, err, emporix.ErrNotFound, "the status is what counts")
		_, err = client.Customers.Get(t.Context())
		assert.NoError(t, err)
	}
}

func TestAHungServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := fixture.Shop(t, emporix.WithTimeouts(emporix.Timeouts{Attempt: time.Second}))
		fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Delay: time.Hour, Times: 3})
		began := time.Now()
		err := fixture.Get(t.Context(), client)
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "that is for the caller's own")
		assert.ErrorIs(t, err, emporix.ErrUnavailable)
		assert.EqualError(t, err, "emporix: Customers.Get: no response (3 tries): timed out after 1s")
		assert.Less(t, time.Since(began), 4*time.Second)
		fixture.StillLoggedIn(t, client)
	})
}

func TestS03_RedirectsAreAnError(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for op, call := range map[string]func(context.Context, *emporix.Client) error{"Customers.Get": fixture.Get, "Customers.Update": fixture.Update, "Auth.Refresh": fixture.Writes["Auth.Refresh"]} {
			fake, client := fixture.Shop(t)
			fake.Fail(t, emporixtest.Fault{Operation: op, Status: status, Redirect: fake.URL() + "/customer/acme/me?CANARY"})
			total := len(fake.Journal())
			err := call(t.Context(), client)
			require.ErrorIs(t, err, emporix.ErrBadResponse)
			assert.ErrorContains(t, err, "redirects are never followed")
			assert.NotContains(t, err.Error(), "CANARY")
			assert.LessOrEqual(t, len(fake.Journal()), total+2)
			fake.AssertCalls(t, op, 1)
			fixture.StillLoggedIn(t, client)
		}
	}
}

// A user's own transport may do anything.
func TestStrangeTransportsOfUsers(t *testing.T) {
	for name, do := range map[string]fixture.RoundTripper{
		"nothing":   func(*http.Request) (*http.Response, error) { return nil, nil },
		"no body":   func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil },
		"no header": func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 401}, nil },
		"a url.Error": func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: io.EOF}
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := fixture.LoggedIn(t, do)
			for op, call := range fixture.Reads {
				if name == "no body" && (strings.Contains(op, "Tags") || op == "Addresses.Delete") {
					continue
				}
				err := call(t.Context(), client)
				assert.Error(t, err, op)
			}
			for op, call := range fixture.Writes {
				if op == "Auth.Logout" || name == "no body" {
					continue
				}
				assert.Error(t, call(t.Context(), client), op)
			}
		})
	}
}

// A token call belongs to no caller, and neither does the end of its time.
func TestAHungTokenCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.StartAnonymous", Delay: time.Hour, Times: 9})
		client := fake.Client(t, emporix.WithTimeouts(emporix.Timeouts{Refresh: 15 * time.Second}))
		err := fixture.Get(t.Context(), client)
		assert.ErrorIs(t, err, emporix.ErrUnavailable)
		assert.NotErrorIs(t, err, context.DeadlineExceeded)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = fixture.Get(ctx, client)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, emporix.ErrUnavailable)
		time.Sleep(time.Minute) // the renewal goes on without its caller
	})
}

func TestURLsHoldTenKiB(t *testing.T) {
	t.Parallel()
	longest := 0
	client := fixture.LoggedIn(t, func(r *http.Request) (*http.Response, error) {
		longest = max(longest, len(r.URL.String()))
		return nil, io.ErrUnexpectedEOF
	})
	refused := false
	for size := 10<<10 - 100; size <= 10<<10; size++ {
		_, err := client.Auth.ExchangeToken(t.Context(), emporix.ExchangeTokenRequest{SubjectAccessToken: strings.Repeat("x", size)})
		require.Error(t, err)
		assert.False(t, refused && !errors.Is(err, emporix.ErrInvalidRequest), size)
		refused = errors.Is(err, emporix.ErrInvalidRequest)
	}
	assert.True(t, refused)
	assert.LessOrEqual(t, longest, 10<<10)
	assert.Greater(t, longest, 10<<10-100)
}
