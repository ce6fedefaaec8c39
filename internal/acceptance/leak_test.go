package acceptance_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// sink collects everything that anybody could have printed.
type sink struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *sink) Errorf(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

func (s *sink) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.out.Bytes())
}

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%o", "%p"}

// print dumps a value with all of fmt, slog and json.
func (s *sink) print(v any) {
	for _, verb := range verbs {
		fmt.Fprintf(s, verb+"\n", v)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(s, nil), slog.NewJSONHandler(s, nil)} {
		slog.New(handler).Info("value", "v", v, slog.Group("g", "v", v))
	}
}

// reflected dumps a value as printers do that look into everything: unexported
// fields, maps, slices, pointers; also encoders.
func (s *sink) reflected(v any) {
	type user struct {
		hidden any
		Shown  any
	}
	for _, nested := range []any{v, &v, []any{v}, map[string]any{"k": v}, user{v, v}, &user{v, v}, struct{ in *user }{&user{v, v}}} {
		s.print(nested)
		assert.Equal(s, struct{ other any }{1}, nested) // spews both, with methods off
	}
	if data, err := json.Marshal(v); err == nil {
		_, _ = s.Write(data)
	}
	_ = gob.NewEncoder(s).Encode(v)
}

// watched is a client over a fake with every ear that the SDK offers.
func watched(t *testing.T, fake *emporixtest.Fake, s *sink, opts ...emporix.Option) *emporix.Client {
	t.Helper()
	level := &slog.HandlerOptions{Level: slog.LevelDebug - 10, AddSource: true}
	both := slog.New(slog.NewMultiHandler(slog.NewTextHandler(s, level), slog.NewJSONHandler(s, level)))
	return fake.Client(t, append([]emporix.Option{
		emporix.WithLogger(both),
		emporix.WithObserver(func(e emporix.Event) { s.reflected(e) }),
		emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
				fmt.Fprintf(s, "%+v %#v %+v %+v %s\n", r, r.URL, r.Header, r.Context(), r.URL)
				if raw, err := httputil.DumpRequest(r, true); err == nil {
					_, _ = s.Write(raw)
				}
				resp, err := next.RoundTrip(r)
				fmt.Fprintf(s, "%+v %v\n", resp, err)
				if resp != nil {
					fmt.Fprintf(s, "%+v %+v %s\n", resp.Header, resp.Request, resp.Request.URL)
				}
				return resp, err
			})
		}),
	}, opts...)...)
}

const (
	canaryMail     = "jo@example.com"
	canaryPassword = "corr3ct h0rse+/\"<b>"
)

// everything walks through all operations, and dumps what it is given.
func everything(ctx context.Context, fake *emporixtest.Fake, client *emporix.Client, s *sink) []error {
	var failed []error
	note := func(result any, err error) {
		if err != nil {
			failed = append(failed, err)
			s.reflected(err)
			fmt.Fprintf(s, "%+v %+v", fmt.Errorf("wrapped: %w", err), errors.Join(err, err))
			return
		}
		if result != nil {
			s.reflected(result)
		}
	}
	mail := func(kind, email string) string {
		if mails := fake.Outbox(emporixtest.MailFilter{Kind: kind, Email: email}); len(mails) > 0 {
			return mails[0].Token
		}
		return "no-mail-was-sent-CANARY"
	}
	visitor := client.Session("cookie-of-the-visitor-CANARY")
	session, err := visitor.Auth.StartAnonymous(ctx, emporix.SessionContext{Currency: "EUR"})
	note(session, err)
	session, err = visitor.Auth.Refresh(ctx)
	note(session, err)
	number, err := visitor.Customers.SignUp(ctx, emporix.SignUpRequest{Email: canaryMail, Password: canaryPassword})
	note(number, err)
	note(nil, visitor.Customers.ResendActivation(ctx, canaryMail))
	result, err := client.Session("other").Customers.ConfirmSignUp(ctx, mail(emporixfake.MailOptIn, canaryMail))
	note(result, err)
	if number == "" {
		number = "00000001"
	}
	note(nil, client.Customers.Activate(ctx, number))
	_, err = visitor.Auth.Login(ctx, emporix.LoginRequest{Email: canaryMail, Password: "wr0ng passw0rd"})
	note(nil, err)
	result, err = visitor.Auth.Login(ctx, emporix.LoginRequest{Email: canaryMail, Password: canaryPassword})
	note(result, err)
	details, err := visitor.Auth.Validate(ctx)
	note(details, err)
	session, err = visitor.Auth.Refresh(ctx)
	note(session, err)
	_, err = visitor.Auth.SwitchLegalEntity(ctx, "not-theirs")
	note(nil, err)
	me, err := visitor.Customers.Get(ctx, emporix.Expand("addresses", "mixin:*"))
	note(me, err)
	note(nil, visitor.Customers.Update(ctx, emporix.CustomerPatch{FirstName: emporix.Set("Jo")}))
	id, err := visitor.Addresses.Add(ctx, emporix.AddressRequest{ContactName: "Jo"})
	note(id, err)
	if id == "" {
		id = "a1"
	}
	addresses, err := visitor.Addresses.List(ctx)
	note(addresses, err)
	address, err := visitor.Addresses.Get(ctx, id)
	note(address, err)
	note(nil, visitor.Addresses.Update(ctx, id, emporix.AddressPatch{City: emporix.Set("Berlin")}))
	note(nil, visitor.Addresses.AddTags(ctx, id, "BILLING"))
	note(nil, visitor.Addresses.RemoveTags(ctx, id, "BILLING"))
	note(nil, visitor.Addresses.Delete(ctx, id))
	note(nil, visitor.Credentials.RequestPasswordReset(ctx, canaryMail))
	note(nil, visitor.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: mail(emporixfake.MailPasswordReset, canaryMail), Password: "s3cond password"}))
	note(nil, visitor.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "s3cond password", NewPassword: "th1rd password"}))
	note(nil, visitor.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{Password: "th1rd password", NewEmail: "new@example.com"}))
	note(nil, visitor.Credentials.ConfirmEmailChange(ctx, mail(emporixfake.MailEmailChange, "new@example.com")))
	saas, err := visitor.SaaSToken(ctx)
	note(saas, err)
	if resp, err := visitor.HTTPClient().Get(fake.URL() + "/cart/acme/carts"); err == nil {
		note(resp.Header, nil)
		_ = resp.Body.Close()
	} else {
		note(nil, err)
	}
	note(nil, visitor.Auth.Logout(ctx))
	social, err := client.Session("social").Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "fake-code:so@example.com", RedirectURI: "https://shop.example/cb", CodeVerifier: "ver1fier-CANARY"})
	note(social, err)
	exchanged, err := client.Session("exchange").Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: "fake-subject:so@example.com:canary"})
	note(exchanged, err)
	s.reflected(client)
	s.reflected(visitor)
	info, err := visitor.Info(ctx)
	note(info, err)
	return failed
}

func assertNoLeak(t *testing.T, fake *emporixtest.Fake, s *sink) {
	t.Helper()
	data := s.bytes()
	fake.AssertNoSecrets(t, data)
	for _, canary := range []string{"cookie-of-the-visitor-CANARY", "wr0ng passw0rd", "ver1fier-CANARY", "no-mail-was-sent-CANARY"} {
		if at := bytes.Index(data, []byte(canary)); at >= 0 {
			t.Errorf("leak of %s: …%s…", canary, data[max(0, at-150):at])
		}
	}
	assert.Greater(t, len(data), 20_000)
}

func newCanaryFake(t *testing.T, opts ...emporixtest.Option) *emporixtest.Fake {
	return emporixtest.New(t, append(opts, emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.DoubleOptIn = true }))...)
}

// The whole journey, with all ears open.
func TestS01_NothingLeaksOnTheJourney(t *testing.T) {
	s, fake := &sink{}, newCanaryFake(t)
	client := watched(t, fake, s)
	failed := everything(t.Context(), fake, client, s)
	assert.LessOrEqual(t, len(failed), 2, "a wrong password, another's company: %v", failed)
	assertNoLeak(t, fake, s)
}

// The same, with everything failing in every way that there is.
func TestS06_NothingLeaksWhenThingsFail(t *testing.T) {
	var reached int
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	t.Cleanup(elsewhere.Close)
	echo := func(r *http.Request) string {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		text, _ := json.Marshal(fmt.Sprintf("%s %s %s %s %s", body, r.URL, r.URL.Query(), r.Header.Get("Authorization"), r.Header.Get("session-id")))
		return string(text)
	}
	// What is done instead of sending, to all but what begins a session.
	for name, do := range map[string]func(*http.Request) (*http.Response, error){
		"an echo as 400": func(r *http.Request) (*http.Response, error) {
			return fixture.Reply(400, `{"status":400,"type":"bad","message":`+echo(r)+`,"details":[{"field":"f","message":`+echo(r.Clone(r.Context()))+`}]}`), nil
		},
		"an echo as 401 fault": func(r *http.Request) (*http.Response, error) {
			return fixture.Reply(401, `{"fault":{"faultstring":`+echo(r)+`,"detail":{"errorcode":"x"}}}`), nil
		},
		"an echo as 500 page": func(r *http.Request) (*http.Response, error) {
			return fixture.Reply(500, "<html>"+echo(r), "Content-Type", "text/html"), nil
		},
		"an echo as 200": func(r *http.Request) (*http.Response, error) { return fixture.Reply(200, echo(r)), nil },
		"a redirect": func(r *http.Request) (*http.Response, error) {
			return fixture.Reply(307, "", "Location", elsewhere.URL+r.URL.RequestURI()), nil
		},
		"a redirect to nowhere": func(r *http.Request) (*http.Response, error) {
			return fixture.Reply(302, "", "Location", "http://%zz/"+r.URL.RawQuery), nil
		},
		"a transport that tells all": func(r *http.Request) (*http.Response, error) {
			return nil, &tellAllError{Request: r, Text: fmt.Sprintf("%s %v %s", r.URL, r.Header, echo(r))}
		},
		"a timeout": func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%s: %w", r.URL, context.DeadlineExceeded)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, fake := &sink{}, newCanaryFake(t)
			var mu sync.Mutex
			calls := 0
			client := watched(t, fake, s, emporix.WithRetries(emporix.Retries{MaxAttempts: 1}), emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				calls++
				n := calls
				mu.Unlock()
				// Tokens come from the fake, so that there is something to leak.
				issues := strings.Contains(r.URL.Path, "/anonymous/login") || strings.HasSuffix(r.URL.Path, "/oauth/token") || r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/customer/acme/login") && n > 8
				if issues {
					return fake.Transport().RoundTrip(r)
				}
				// The fake learns what the request carried, without doing it.
				again := r.Clone(context.WithoutCancel(r.Context()))
				if r.Body != nil {
					data, err := io.ReadAll(r.Body)
					if err != nil {
						return nil, err
					}
					r.Body, again.Body = io.NopCloser(bytes.NewReader(data)), io.NopCloser(bytes.NewReader(data))
				}
				fake.Fail(t, emporixtest.Fault{Status: 418})
				resp, err := fake.Transport().RoundTrip(again)
				if err != nil {
					return nil, err
				}
				_ = resp.Body.Close()
				return do(r)
			})))
			fake.AddCustomer(t, emporixtest.Customer{Email: canaryMail, Password: canaryPassword})
			failed := everything(t.Context(), fake, client, s)
			assert.Greater(t, len(failed), 12)
			assertNoLeak(t, fake, s)
		})
	}
	t.Cleanup(func() { assert.Zero(t, reached, "requests at the redirect's target") })
}

// tellAllError is the worst error that a transport can return.
type tellAllError struct {
	Request *http.Request
	Text    string
}

func (e *tellAllError) Error() string { return e.Text }

// Over a socket, with the SDK's own transport, the same.
func TestS02_NothingLeaksOverASocket(t *testing.T) {
	s, fake := &sink{}, newCanaryFake(t, emporixtest.WithSocket())
	client := watched(t, fake, s)
	fake.Fail(t,
		emporixtest.Fault{Operation: "Addresses.Get", Cut: emporixfake.CutAfter}, emporixtest.Fault{Operation: "Customers.Update", Cut: emporixfake.CutBefore},
		emporixtest.Fault{Operation: "Auth.Validate", Body: emporixfake.BodyHTML, Status: 502}, emporixtest.Fault{Operation: "Addresses.List", Body: emporixfake.BodyTruncated})
	everything(t.Context(), fake, client, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	everything(ctx, fake, client, s)
	dead, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL("http://127.0.0.1:1"), emporix.WithRetries(emporix.Retries{MaxAttempts: 1}))
	require.NoError(t, err)
	everything(t.Context(), fake, dead, s)
	s.reflected(dead)
	require.NoError(t, dead.Close(t.Context()))
	assertNoLeak(t, fake, s)
}

// A server repeats in its headers what it was sent, or names a token there:
// middleware sees none of it.
func TestS02_NothingLeaksThroughTheHeadersOfAnAnswer(t *testing.T) {
	secrets := map[string]string{
		"the guest's bearer": "GUEST/token+1", "the guest's refresh token": "GUEST/refresh+1", "the customer's bearer": "JO/token+1",
		"the customer's refresh token": "JO/refresh+1", "a password": canaryPassword, "a mail token": "MAIL/token+1",
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Content-Location": r.URL.RequestURI(), "X-Seen": r.Header.Get("Authorization"), "X-Body": string(body), "Trailer": "X-End",
		} {
			w.Header().Set(name, value)
		}
		const tokens = `{"access_token":"%s/token+1","refresh_token":"%[1]s/refresh+1","expires_in":3599,"refresh_token_expires_in":86399}`
		switch who := "GUEST"; {
		case strings.Contains(r.URL.Path, "logout") || r.Method == "POST" && !strings.HasSuffix(r.URL.Path, "/login"):
			w.WriteHeader(204)
		case strings.Contains(r.URL.Path, "/me/"):
			_, _ = io.WriteString(w, "[]")
		default:
			if !strings.Contains(r.URL.Path, "anonymous") {
				who = "JO"
			}
			w.Header().Set("X-Access-Token", who+"/token+1")
			w.Header().Set("Set-Cookie", "s="+who+"/refresh+1")
			fmt.Fprintf(w, tokens, who)
		}
		w.Header().Set("X-End", r.URL.RequestURI())
	}))
	t.Cleanup(server.Close)
	var seen strings.Builder
	client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(server.URL), emporix.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				fmt.Fprintln(&seen, resp.Status, resp.Header, resp.Trailer)
			}
			return resp, err
		})
	}))
	require.NoError(t, err)
	_, err = client.Auth.Refresh(t.Context())
	require.NoError(t, err)
	_, err = client.Auth.Login(t.Context(), emporix.LoginRequest{Email: canaryMail, Password: canaryPassword})
	require.NoError(t, err)
	_, err = client.Auth.Refresh(t.Context())
	require.NoError(t, err)
	require.NoError(t, client.Credentials.ResetPassword(t.Context(), emporix.ResetPasswordRequest{Token: "MAIL/token+1", Password: canaryPassword}))
	_, _ = client.Addresses.List(t.Context())
	require.NoError(t, client.Auth.Logout(t.Context()))
	require.NoError(t, client.Close(t.Context()))
	text := seen.String()
	for name, value := range secrets {
		inJSON, _ := json.Marshal(value)
		for _, form := range []string{value, url.QueryEscape(value), strings.Trim(string(inJSON), `"`)} {
			assert.NotContains(t, text, form, name)
		}
	}
	assert.Contains(t, text, "/customer/acme/refreshauthtoken?refreshToken=[redacted]", "the rest stays")
}

// Every exported type that holds a secret, in every position that a user's own
// types can put it in.
func TestS01_SecretsAreNotPrintable(t *testing.T) {
	const canary = "CANARY-secret"
	held := emporix.NewSecret(canary)
	s := &sink{}
	for _, v := range []any{
		held, &held, emporix.Event{Key: held}, emporix.SocialLoginResult{SocialAccessToken: held, SocialIDToken: held},
		&emporix.ExchangeTokenResult{SubjectAccessToken: held}, emporix.WithEmployeeCredentials("id", canary),
		[]emporix.Secret{held}, map[string]emporix.Secret{"k": held}, [1]emporix.Secret{held},
	} {
		s.reflected(v)
	}
	assert.NotContains(t, string(s.bytes()), "CANARY")
	assert.NotContains(t, string(s.bytes()), fmt.Sprintf("%x", "CANARY"))
	assert.Contains(t, string(s.bytes()), "[redacted]")
	assert.Equal(t, canary, held.Reveal())
}

// Requests are written as literals, so their secrets are strings. All that
// prints a value through its methods masks them. What does not is out of reach:
// unexported fields of other types, and verbs that fmt has no use for (%p).
func TestS01_RequestsMaskTheirSecrets(t *testing.T) {
	const canary = "CANARY"
	s := &sink{}
	type order struct{ Request any }
	for _, v := range []any{
		emporix.LoginRequest{Email: "e", Password: canary},
		emporix.SocialLoginRequest{Code: canary, RedirectURI: "u", CodeVerifier: canary},
		emporix.ExchangeTokenRequest{SubjectAccessToken: canary},
		emporix.SignUpRequest{Email: "e", Password: canary, SignUp: emporix.SignUpCredentials{Email: "e", Password: canary}},
		emporix.SignUpCredentials{Email: "e", Password: canary},
		emporix.ResetPasswordRequest{Token: canary, Password: canary},
		emporix.ChangePasswordRequest{CurrentPassword: canary, NewPassword: canary},
		emporix.EmailChangeRequest{Password: canary, NewEmail: "e"},
	} {
		for _, handler := range []slog.Handler{slog.NewTextHandler(s, nil), slog.NewJSONHandler(s, nil)} {
			slog.New(handler).Info("value", "v", v, slog.Group("g", "v", v))
		}
		for _, nested := range []any{v, &v, []any{v}, map[string]any{"k": v}, order{v}, &order{v}} {
			for _, verb := range verbs {
				if verb != "%p" {
					fmt.Fprintf(s, verb+"\n", nested)
				}
			}
		}
		if strings.Contains(string(s.bytes()), canary) || strings.Contains(string(s.bytes()), fmt.Sprintf("%x", canary)) {
			t.Fatalf("%T shows its secret", v)
		}
	}
	assert.Contains(t, string(s.bytes()), "[redacted]")
}

// The search finds what is planted, in each of the places it looks at.
func TestTheSearchFindsPlantedLeaks(t *testing.T) {
	fake := emporixtest.New(t)
	fake.AddCustomer(t, emporixtest.Customer{Email: canaryMail, Password: canaryPassword})
	finds := func(s *sink) bool { return !fake.AssertNoSecrets(&quiet{TB: t}, s.bytes()) }
	type holder struct{ hidden string }
	plants := map[string]func(*sink){
		"fmt":       func(s *sink) { s.print(canaryPassword) },
		"reflected": func(s *sink) { s.reflected(holder{canaryPassword}) },
		"error":     func(s *sink) { s.reflected(errors.New(canaryPassword)) },
		"json":      func(s *sink) { require.NoError(t, json.NewEncoder(s).Encode(canaryPassword)) },
		"gob":       func(s *sink) { require.NoError(t, gob.NewEncoder(s).Encode(canaryPassword)) },
		"hex":       func(s *sink) { fmt.Fprintf(s, "%x", canaryPassword) },
		"testify":   func(s *sink) { assert.Equal(s, holder{canaryPassword}, 1) },
		"log": func(s *sink) {
			client := watched(t, fake, s, emporix.WithTransport(fixture.RoundTripper(func(*http.Request) (*http.Response, error) {
				return nil, errors.New("planted: " + canaryPassword)
			})), emporix.WithRetries(emporix.Retries{MaxAttempts: 1}))
			_, err := client.Customers.Get(t.Context())
			require.Error(t, err)
		},
		"observer": func(s *sink) { s.reflected(emporix.Event{Err: errors.New(canaryPassword)}) },
		"middleware": func(s *sink) {
			client := watched(t, fake, s)
			req, err := http.NewRequest("GET", fake.URL()+"/x", nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", canaryPassword)
			resp, err := client.HTTPClient().Do(req)
			require.NoError(t, err)
			_ = resp.Body.Close()
		},
	}
	for name, plant := range plants {
		s := &sink{}
		plant(s)
		assert.True(t, finds(s), name)
	}
	assert.False(t, finds(&sink{}))
}

// quiet is a test that may fail.
type quiet struct{ testing.TB }

func (*quiet) Helper()               {}
func (*quiet) Errorf(string, ...any) {}

// Visitors who share a client, a transport and pooled memory never see each
// other's data.
func TestNothingIsMixedUpBetweenVisitors(t *testing.T) {
	fake := emporixtest.New(t)
	const visitors, rounds = 24, 12
	client := fake.Client(t)
	for n := range visitors {
		fake.AddCustomer(t, emporixtest.Customer{Email: fmt.Sprintf("v%d@example.com", n), Password: "correct horse", FirstName: fmt.Sprint("name-", n),
			Mixins: map[string]any{"own": map[string]any{"text": strings.Repeat(fmt.Sprint(n, "."), 100+n)}}})
	}
	var all sync.WaitGroup
	for n := range visitors {
		all.Go(func() {
			session := client.Session(fmt.Sprint("visitor-", n))
			_, err := session.Auth.Login(t.Context(), emporix.LoginRequest{Email: fmt.Sprintf("v%d@example.com", n), Password: "correct horse"})
			assert.NoError(t, err)
			var kept []*emporix.Customer
			for range rounds {
				me, err := session.Customers.Get(t.Context(), emporix.Expand("mixin:*"))
				if !assert.NoError(t, err) {
					return
				}
				kept = append(kept, me)
				_, err = session.Addresses.Get(t.Context(), "none")
				assert.ErrorIs(t, err, emporix.ErrNotFound)
			}
			for _, me := range kept {
				assert.Equal(t, fmt.Sprint("name-", n), me.FirstName)
				assert.Contains(t, string(me.Mixins["own"]), strings.Repeat(fmt.Sprint(n, "."), 100+n))
			}
		})
	}
	all.Wait()
}
