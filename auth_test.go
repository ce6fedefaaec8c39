package emporix_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// tokenAnswers are the calls that response with tokens, and what each documents.
var tokenAnswers = []struct {
	name, path, body string
	call             func(context.Context, *emporix.Client) (session string, initial bool, err error)
}{
	{"Auth.StartAnonymous", "/anonymous/login", fixture.AnonymousTokens, func(ctx context.Context, c *emporix.Client) (string, bool, error) {
		info, err := c.Session("v").Auth.StartAnonymous(ctx, emporix.SessionContext{})
		return info.SessionID, false, err
	}},
	{"Auth.RefreshAnonymous", "/anonymous/refresh", fixture.AnonymousTokens, func(ctx context.Context, c *emporix.Client) (string, bool, error) {
		guest := c.Session(rand.Text())
		if _, err := guest.Auth.StartAnonymous(ctx, emporix.SessionContext{}); err != nil {
			return "", false, err
		}
		info, err := guest.Auth.Refresh(ctx)
		return info.SessionID, false, err
	}},
	{"Auth.Login", "/acme/login", fixture.CustomerTokens, func(ctx context.Context, c *emporix.Client) (string, bool, error) {
		return ofLogin(c.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "secret"}))
	}},
	{"Auth.Refresh", "/refreshauthtoken", fixture.CustomerTokens, func(ctx context.Context, c *emporix.Client) (string, bool, error) {
		if err := fixture.Login(ctx, c); err != nil { // the refresh before may have failed
			return "", false, err
		}
		info, err := c.Auth.Refresh(ctx)
		return info.SessionID, false, err
	}},
	{"Auth.SocialLogin", "/socialLogin", `{"social_access_token":"fb","social_id_token":"fbid","refresh_token":"r","refresh_token_expires_in":"86399","session_idle_time":3600,"token_type":"Bearer","access_token":"a","saas_token":"s","expires_in":"2591999","scope":"tenant=acme","session_id":"s1"}`,
		func(ctx context.Context, c *emporix.Client) (string, bool, error) {
			result, err := c.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "code", RedirectURI: "https://x.example"})
			if err != nil {
				return "", false, err
			}
			return result.SessionID, result.InitialPassword, nil
		}},
	{"Auth.ExchangeToken", "/exchangeauthtoken", `{"subject_access_token":"sub","access_token":"a","saas_token":"s","refresh_token":"r","refresh_token_expires_in":15551999,"session_idle_time":120,"token_type":"Bearer","expires_in":14399,"scope":"a.b tenant=acme","session_id":"s1"}`,
		func(ctx context.Context, c *emporix.Client) (string, bool, error) {
			result, err := c.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: "subject"})
			if err != nil {
				return "", false, err
			}
			return result.SessionID, result.InitialPassword, nil
		}},
	{"Customers.ConfirmSignUp", "/optin/confirm", fixture.CustomerTokens, func(ctx context.Context, c *emporix.Client) (string, bool, error) {
		return ofLogin(c.Customers.ConfirmSignUp(ctx, "confirm"))
	}},
}

func ofLogin(result *emporix.LoginResult, err error) (string, bool, error) {
	if err != nil {
		return "", false, err
	}
	return result.SessionID, result.InitialPassword, nil
}

// The same for all responses with tokens: no member but the access token and its
// lifetime decides about a login.
func TestTokenAnswersAreReadMemberByMember(t *testing.T) {
	for _, tt := range tokenAnswers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tenant, client := fixture.NewServer(t, tt.path)
			var known map[string]any
			require.NoError(t, json.Unmarshal([]byte(tt.body), &known))
			known["initialPassword"], known["scope"] = false, "a.b tenant=acme"
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			build := func() any {
				var members []member
				for _, name := range names {
					members = append(members, member{name, known[name]})
				}
				return members
			}
			eachMemberOf(build, func(path []string, _ any, edit func(change) any) {
				for _, c := range memberChanges {
					tenant.Body = encodeDocument(edit(c))
					var raw emporix.RawResponse
					session, _, err := tt.call(emporix.WithRawResponse(t.Context(), &raw), client)
					if path[0] == "access_token" || path[0] == "expires_in" || path[0] == "token_type" && c.name == "a string" {
						require.True(t, err == nil || errors.Is(err, emporix.ErrBadResponse), "%s: %v", tenant.Body, err)
					} else {
						require.NoError(t, err, "%s", tenant.Body)
					}
					if err == nil && path[0] != "session_id" && path[0] != "sessionId" {
						assert.Equal(t, "s1", session, tenant.Body)
					}
					if raw.Operation() != tt.name {
						t.Fatalf("%s is not the response", raw.Operation())
					}
					require.True(t, json.Valid(raw.Body()), "%s", raw.Body())
					for _, name := range names {
						if text, _ := known[name].(string); strings.HasSuffix(name, "_token") {
							assert.NotContains(t, string(raw.Body()), strconv.Quote(text))
						}
					}
				}
			})
		})
	}
}

// What is legal or harmless in a token response costs no login, and is told to
// the log where it is odd, without a value.
func TestOddTokenAnswersLogIn(t *testing.T) {
	for name, members := range map[string]string{
		"BearerToken": `"token_type":"BearerToken"`, "lower case": `"token_type":"bearer"`, "no type": `"token_type":null`,
		"a numeric session": `"session_id":1,"sessionId":1`, "an empty error": `"error":""`, "no error": `"error":null,"fault":null`, "not an error": `"error":false`, "no error, as a number": `"error":0.0,"fault":-0`, "no errors": `"error":[ ],"fault":[ null ]`,
		"strings": `"expires_in":"2591999","refresh_token_expires_in":"86399"`, "floats": `"expires_in":2591999.0`, "an exponent": `"expires_in":2.592e6,"refresh_token_expires_in":"8.64e4"`,
		"a password as a string": `"initialPassword":"false"`, "every printable character": `"refresh_token":"a|b%c:d{e} f\"\\~"`,
		"camel-case twins": `"accessToken":"CANARY","refreshToken":"CANARY","expiresIn":7,"sessionId":"CANARY","saasToken":"CANARY"`,
		"doubled":          `"refresh_token":"CANARY"`, "twins that are null": `"accessToken":null,"saasToken":null`,
		"unknown": `"unknown":{"deep":{"fault":{"faultstring":"x"},"error":"y"}}`,
	} {
		for _, tt := range tokenAnswers {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				var log strings.Builder
				tenant, client := fixture.NewServer(t, tt.path, emporix.WithLogger(textLogger(&log)))
				tenant.Body = "{" + members + "," + tt.body[1:]
				_, initial, err := tt.call(t.Context(), client)
				require.NoError(t, err, tenant.Body)
				assert.False(t, initial)
				assert.NotContains(t, log.String(), "CANARY")
				if name == "camel-case twins" {
					assert.Contains(t, log.String(), "access_token and accessToken differ; access_token is used")
				}
				if name == "doubled" {
					assert.Contains(t, log.String(), "refresh_token came twice and differently")
				}
			})
		}
	}
}

// A refresh token of every character that RFC 6749 allows comes back to the
// server as it was.
func TestRefreshTokensOfEveryCharacter(t *testing.T) {
	var printable strings.Builder
	for c := rune(' '); c <= '~'; c++ {
		printable.WriteRune(c)
	}
	tenant, client := fixture.NewServer(t, "/acme/login")
	quoted, err := json.Marshal(printable.String())
	require.NoError(t, err)
	tenant.Body = `{"access_token":"a|b\"c","refresh_token":` + string(quoted) + `,"expires_in":3600,"saas_token":` + string(quoted) + `}`
	require.NoError(t, fixture.Login(t.Context(), client))
	saas, err := client.DefaultSession().SaaSToken(t.Context())
	require.NoError(t, err)
	assert.Equal(t, printable.String(), saas.Reveal())
	tenant.Path, tenant.Body = "/refreshauthtoken", fixture.CustomerTokens
	_, err = client.Auth.Refresh(t.Context())
	require.NoError(t, err)
	assert.Equal(t, printable.String(), tenant.Last.URL.Query().Get("refreshToken"))
	for _, bad := range []string{`a\nb`, `a\u0000`, `a b`, `é`} {
		tenant.Path, tenant.Body = "/acme/login", `{"access_token":"`+bad+`","expires_in":3600}`
		assert.ErrorIs(t, fixture.Login(t.Context(), client), emporix.ErrBadResponse, bad)
	}
}

// What Validate tells is read member by member as well.
func TestValidateIsReadMemberByMember(t *testing.T) {
	t.Parallel()
	tenant, client := fixture.NewServer(t, "/validateauthtoken")
	full := []member{{"token_type", "Bearer"}, {"expires_in", 60}, {"scope", "a.b tenant=acme c.d"}, {"sessionId", "s"}, {"email", "jo@example.com"}, {"legalEntityId", "l"}}
	fieldOf := map[string]string{"token_type": "TokenType", "expires_in": "ExpiresIn", "scope": "Scopes", "sessionId": "SessionID", "email": "Email", "legalEntityId": "LegalEntityID"}
	require.Len(t, fieldOf, reflect.TypeFor[emporix.TokenDetails]().NumField())
	want := emporix.TokenDetails{TokenType: "Bearer", ExpiresIn: time.Minute, Scopes: []string{"a.b", "c.d"}, SessionID: "s", Email: "jo@example.com", LegalEntityID: "l"}
	eachMemberOf(func() any { return slices.Clone(full) }, func(path []string, _ any, edit func(change) any) {
		for _, c := range memberChanges {
			tenant.Body = encodeDocument(edit(c))
			got, err := client.Auth.Validate(t.Context())
			require.NoError(t, err, tenant.Body)
			expected := want
			changed := fieldOf[path[0]]
			reflect.ValueOf(&expected).Elem().FieldByName(changed).Set(reflect.ValueOf(*got).FieldByName(changed))
			assert.Equal(t, expected, *got, tenant.Body)
			if strings.HasPrefix(c.name, "doubled") || strings.HasPrefix(c.name, "unknown") {
				assert.Equal(t, want, *got, tenant.Body)
			}
		}
	})
	for body, check := range map[string]func(*emporix.TokenDetails) bool{
		`{"expires_in":"2.592e6"}`:                      func(d *emporix.TokenDetails) bool { return d.ExpiresIn == 30*24*time.Hour },
		`{"sessionId":7,"expires_in":1}`:                func(d *emporix.TokenDetails) bool { return d.SessionID == "7" },
		`{"scope":["a.b","tenant=acme"],"error":null}`:  func(d *emporix.TokenDetails) bool { return len(d.Scopes) == 1 },
		`{"email":"e","fault":null,"legalEntityId":12}`: func(d *emporix.TokenDetails) bool { return d.LegalEntityID == "12" },
		`{"session_id":"s","email":"e"}`:                func(d *emporix.TokenDetails) bool { return d.SessionID == "s" },
	} {
		tenant.Body = body
		got, err := client.Auth.Validate(t.Context())
		require.NoError(t, err, body)
		assert.True(t, check(got), body)
	}
}

// What a program keeps as JSON, it reads as it was.
func TestValuesSurviveJSON(t *testing.T) {
	for _, kept := range []emporix.TokenDetails{
		{TokenType: "Bearer", ExpiresIn: 30 * 24 * time.Hour, Scopes: []string{"a.b", "c.d"}, SessionID: "s", Email: "jo@example.com", LegalEntityID: "l"},
		{ExpiresIn: 1500 * time.Millisecond, Scopes: []string{}},
		{},
	} {
		data, err := json.Marshal(kept)
		require.NoError(t, err)
		var read emporix.TokenDetails
		require.NoError(t, json.Unmarshal(data, &read))
		assert.Equal(t, kept, read, "%s", data)
	}
	kept := emporix.Customer{
		ID: "1", LastLogin: time.Date(2025, 2, 14, 10, 0, 0, 123456789, time.UTC), Accounts: []emporix.Account{{ID: "jo@example.com"}},
		Addresses: []emporix.Address{{ID: "a", Tags: []string{"x"}}}, Metadata: emporix.Metadata{Version: 3, Mixins: emporix.MixinSchemas{"m": "u"}},
	}
	data, err := json.Marshal(kept)
	require.NoError(t, err)
	var read emporix.Customer
	require.NoError(t, json.Unmarshal(data, &read))
	assert.Equal(t, kept, read)
}

// The caller leaves while the server is told: the session is gone, and the error
// says so.
func TestALogoutWhoseCallerLeaves(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		fixture.LogIn(t, client.DefaultSession())
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Logout", Delay: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := client.Auth.Logout(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
		assert.ErrorContains(t, err, "emporix: Auth.Logout: the session is removed, but the server did not confirm it: the response was lost")
		assert.Equal(t, emporix.SessionNone, fixture.Info(t, client.DefaultSession()).Kind)
	})
}
