package emporix_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// granting is a tenant whose token responses grant the given scopes, and that
// refuses everything else with a 403.
type granting struct{ anonymous, employee string }

func (g granting) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := 403, `{"type":"Forbidden","status":403,"message":"User not authorized."}`
	switch {
	case strings.Contains(r.URL.Path, "/anonymous/"):
		status, body = 200, strings.Replace(fixture.AnonymousTokens, "{", "{"+g.anonymous, 1)
	case strings.HasSuffix(r.URL.Path, "/oauth/token"):
		status, body = 200, `{`+g.employee+`"access_token":"staff","expires_in":3599}`
	case strings.HasSuffix(r.URL.Path, "/acme/login"):
		status, body = 200, fixture.CustomerTokens
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// A 403 tells which scope the call needs, and what was granted, as far as the
// token responses said so.
func TestForbiddenTellsTheScopes(t *testing.T) {
	const refused = "emporix: Customers.Activate: 403 Forbidden: User not authorized.; it needs the scope customer.customer_manage"
	activate := func(ctx context.Context, c *emporix.Client) error { return c.Customers.Activate(ctx, "1") }
	credentials := emporix.WithEmployeeCredentials("employee", "secret")
	for name, tt := range map[string]struct {
		tenant granting
		opt    emporix.Option
		call   func(context.Context, *emporix.Client) error
		want   string
	}{
		"granted none":      {granting{employee: `"scope":"tenant=acme",`}, credentials, activate, refused + ", which was asked for, but the employee's token was granted no scope; add the scope to the API key of WithEmployeeCredentials"},
		"granted an empty":  {granting{employee: `"scope":"",`}, credentials, activate, refused + ", which was asked for, but the employee's token was granted no scope; add the scope to the API key of WithEmployeeCredentials"},
		"granted others":    {granting{employee: `"scope":"a.read b.read tenant=acme",`}, credentials, activate, refused + ", which was asked for, but the employee's token was granted only a.read, b.read; add the scope to the API key of WithEmployeeCredentials"},
		"granted long ones": {granting{employee: `"scope":"a b c d ` + strings.Repeat("e", 65) + " " + strings.Repeat("f", 64) + `",`}, credentials, activate, refused + ", which was asked for, but the employee's token was granted only a, b, c, d, " + strings.Repeat("f", 64) + "; add the scope to the API key of WithEmployeeCredentials"},
		"granted many":      {granting{employee: `"scope":"a b c d e f g <CANARY> ` + strings.Repeat("CANARY", 20) + `",`}, credentials, activate, refused + ", which was asked for, but the employee's token was granted only a, b, c, d, e and others; add the scope to the API key of WithEmployeeCredentials"},
		"granted":           {granting{employee: `"scope":"customer.customer_manage tenant=acme",`}, credentials, activate, refused + ", which was asked for"},
		"not told":          {granting{}, credentials, activate, refused + ", which was asked for"},
		"a supplied token":  {granting{}, emporix.WithEmployeeToken(func(context.Context) (emporix.Secret, error) { return emporix.NewSecret("staff"), nil }), activate, refused + "; the token came from the function given to WithEmployeeToken"},
		"a guest's":         {granting{anonymous: `"scope":"tenant=acme",`}, nil, resend, "emporix: Customers.ResendActivation: 403 Forbidden: User not authorized.; the anonymous token was granted no scope; what it may do is set at the storefront's API key"},
		"a guest's, untold": {granting{}, nil, resend, "emporix: Customers.ResendActivation: 403 Forbidden: User not authorized."},
		"a social login": {granting{anonymous: `"scope":"a.read",`}, nil, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "c", RedirectURI: "u"})
			return err
		}, "emporix: Auth.SocialLogin: 403 Forbidden: User not authorized.; the anonymous token was granted only a.read; what it may do is set at the storefront's API key"},
		"a customer's": {granting{}, nil, func(ctx context.Context, c *emporix.Client) error {
			if err := fixture.Login(ctx, c); err != nil {
				return err
			}
			return c.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{Password: "p", NewEmail: "n"})
		}, "emporix: Credentials.RequestEmailChange: 403 Forbidden: User not authorized.; it needs the scope customer.customerprofile_edit; Auth.Validate lists those that the customer has"},
		"a profile": {granting{anonymous: `"scope":"tenant=acme",`}, nil, fixture.Get, "emporix: Customers.Get: 403 Forbidden: User not authorized."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := []emporix.Option{emporix.WithTransport(tt.tenant)}
			if tt.opt != nil {
				opts = append(opts, tt.opt)
			}
			client, err := emporix.NewClient("acme", "storefront", opts...)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
			err = tt.call(t.Context(), client)
			assert.ErrorIs(t, err, emporix.ErrForbidden)
			assert.EqualError(t, err, tt.want)
		})
	}
}

func resend(ctx context.Context, c *emporix.Client) error {
	return c.Customers.ResendActivation(ctx, "jo@example.com")
}

// A login tells the scopes that its response names.
func TestLoginsTellTheirScopes(t *testing.T) {
	t.Parallel()
	for members, want := range map[string][]string{
		``: nil, `"scope":"tenant=acme",`: {}, `"scope":"a.b c.d tenant=acme",`: {"a.b", "c.d"}, `"scope":["a.b"],`: {"a.b"}, `"scope":null,`: nil, `"scope":7,`: nil,
	} {
		body := "{" + members + fixture.CustomerTokens[1:]
		tenant, client := fixture.NewServer(t, "/socialLogin")
		tenant.Body = body
		social, err := client.Session("v").Auth.SocialLogin(t.Context(), emporix.SocialLoginRequest{Code: "c", RedirectURI: "u"})
		require.NoError(t, err)
		assert.Equal(t, want, social.Scopes)
		tenant.Path = "/exchangeauthtoken"
		exchanged, err := client.Session("w").Auth.ExchangeToken(t.Context(), emporix.ExchangeTokenRequest{SubjectAccessToken: "s"})
		require.NoError(t, err)
		assert.Equal(t, want, exchanged.Scopes)
		tenant.Path = "/acme/login"
		result, err := client.Session("x").Auth.Login(t.Context(), emporix.LoginRequest{Email: "e", Password: "p"})
		require.NoError(t, err)
		assert.Equal(t, want, result.Scopes)
	}
}
