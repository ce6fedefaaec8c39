package emporix_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

// sent is a request as the server got it.
type sent struct {
	request     string // method, escaped path and query
	bearer      string
	contentType string
	body        string
}

// scripted is a client whose visitor is logged in, over a transport that knows
// the token calls and gives one answer to everything else.
func scripted(t *testing.T, status int, answer string) (*emporix.Client, func() []sent) {
	t.Helper()
	var mu sync.Mutex
	var calls []sent
	mock := httpmock.NewMockTransport()
	mock.RegisterResponder("GET", "=~/customerlogin/auth/anonymous/login",
		httpmock.NewStringResponder(200, `{"access_token":"anon","refresh_token":"anonR","expires_in":3599,"refresh_token_expires_in":86399,"token_type":"Bearer","sessionId":"s1"}`))
	mock.RegisterResponder("POST", "=~/customer/acme/login$",
		httpmock.NewStringResponder(200, `{"access_token":"cust","refresh_token":"custR","saas_token":"saas","expires_in":2591999,"refresh_token_expires_in":86399,"token_type":"Bearer","session_id":"s1"}`))
	mock.RegisterNoResponder(func(r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			var err error
			if body, err = io.ReadAll(r.Body); err != nil {
				return nil, err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, sent{
			request: r.Method + " " + r.URL.RequestURI(), bearer: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "),
			contentType: r.Header.Get("Content-Type"), body: string(body),
		})
		response := httpmock.NewStringResponse(status, answer)
		response.Header.Set("Content-Type", "application/json")
		return response, nil
	})
	client, err := emporix.NewClient("acme", "storefront", emporix.WithTransport(mock),
		emporix.WithEmployeeToken(func(context.Context) (emporix.Secret, error) { return emporix.NewSecret("staff"), nil }))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
	_, err = client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "secret"})
	require.NoError(t, err)
	return client, func() []sent {
		mu.Lock()
		defer mu.Unlock()
		return calls
	}
}

// Each call of the three services makes exactly the request that the API
// describes.
func TestCallsMakeTheRequestsThatTheAPIDescribes(t *testing.T) {
	const plain, merge = "application/json", "application/merge-patch+json"
	tests := map[string]struct {
		status int
		answer string
		call   func(context.Context, *emporix.Client) error
		want   sent
	}{
		"sign up": {201, `{"id":"13730481"}`, func(ctx context.Context, c *emporix.Client) error {
			id, err := c.Customers.SignUp(ctx, emporix.SignUpRequest{Email: "a@b.c", Password: "p", CustomerDetails: emporix.CustomerDetails{
				FirstName: "Jo", B2B: emporix.B2B{LegalEntities: []emporix.LegalEntity{{ID: "L"}}}}})
			assert.Equal(t, "13730481", id)
			return err
		}, sent{"POST /customer/acme/signup", "anon", plain, `{"email":"a@b.c","password":"p","customerDetails":{"firstName":"Jo","b2b":{"legalEntities":[{"id":"L"}]}}}`}},
		"sign up with an address and a login": {201, `{"id":7}`, func(ctx context.Context, c *emporix.Client) error {
			id, err := c.Customers.SignUp(ctx, emporix.SignUpRequest{Email: "a@b.c", Password: "p",
				CustomerAddress: emporix.AddressRequest{ContactName: "Jo", IsDefault: true}, SignUp: emporix.SignUpCredentials{Email: "l@b.c", Password: "q"}})
			assert.Equal(t, "7", id)
			return err
		}, sent{"POST /customer/acme/signup", "anon", plain, `{"email":"a@b.c","password":"p","customerAddress":{"contactName":"Jo","isDefault":true},"signup":{"email":"l@b.c","password":"q"}}`}},
		"resend": {202, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.ResendActivation(ctx, "a@b.c")
		}, sent{"POST /customer/acme/signup/optin/refresh_token", "anon", plain, `{"email":"a@b.c"}`}},
		"get": {200, `{"id":"1","firstName":"Jo"}`, func(ctx context.Context, c *emporix.Client) error {
			me, err := c.Customers.Get(ctx)
			if err == nil {
				assert.Equal(t, "Jo", me.FirstName)
			}
			return err
		}, sent{"GET /customer/acme/me", "cust", "", ``}},
		"get expanded": {200, `{"id":"1"}`, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Customers.Get(ctx, emporix.Expand("addresses", "mixin:*"))
			return err
		}, sent{"GET /customer/acme/me?expand=addresses%2Cmixin%3A%2A", "cust", "", ``}},
		"expand stays one value": {200, `{"id":"1"}`, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Customers.Get(ctx, emporix.Expand("addresses"), emporix.Expand("x&refresh_token=y"))
			return err
		}, sent{"GET /customer/acme/me?expand=addresses%2Cx%26refresh_token%3Dy", "cust", "", ``}},
		"update": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Update(ctx, emporix.CustomerPatch{FirstName: emporix.Set("Joanna"), Company: emporix.Set("")})
		}, sent{"PATCH /customer/acme/me", "cust", plain, `{"firstName":"Joanna","company":""}`}},
		"update with null": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Update(ctx, emporix.CustomerPatch{FirstName: emporix.Set("Joanna"), MiddleName: emporix.Null[string]()})
		}, sent{"PATCH /customer/acme/me", "cust", merge, `{"firstName":"Joanna","middleName":null}`}},
		"update with null inside": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Update(ctx, emporix.CustomerPatch{B2B: emporix.Set(emporix.B2BPatch{CompanyRegistrationID: emporix.Null[string]()})})
		}, sent{"PATCH /customer/acme/me", "cust", merge, `{"b2b":{"companyRegistrationId":null}}`}},
		"update as merge patch": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Update(ctx, emporix.CustomerPatch{Metadata: emporix.Set(emporix.MetadataPatch{Version: emporix.Set(2)})}, emporix.AsMergePatch())
		}, sent{"PATCH /customer/acme/me", "cust", merge, `{"metadata":{"version":2}}`}},
		"activate": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Activate(ctx, "138 69/0")
		}, sent{"PATCH /customer/acme/customers/138%2069%2F0", "staff", plain, `{"active":true,"onHold":false}`}},
		"update as an employee": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.UpdateAsEmployee(ctx, "1", emporix.EmployeeCustomerPatch{OnHold: emporix.Set(true), Restriction: emporix.Null[string]()})
		}, sent{"PATCH /customer/acme/customers/1", "staff", merge, `{"restriction":null,"onHold":true}`}},
		"list addresses": {200, `[{"id":"a1"},{"id":"a2"}]`, func(ctx context.Context, c *emporix.Client) error {
			addresses, err := c.Addresses.List(ctx)
			assert.Len(t, addresses, 2)
			return err
		}, sent{"GET /customer/acme/me/addresses", "cust", "", ``}},
		"get address": {200, `{"id":"a/1","city":"Berlin"}`, func(ctx context.Context, c *emporix.Client) error {
			address, err := c.Addresses.Get(ctx, "a/1")
			if err == nil {
				assert.Equal(t, "Berlin", address.City)
			}
			return err
		}, sent{"GET /customer/acme/me/addresses/a%2F1", "cust", "", ``}},
		"add address": {201, `{"id":"b05c20e034"}`, func(ctx context.Context, c *emporix.Client) error {
			id, err := c.Addresses.Add(ctx, emporix.AddressRequest{ContactName: "Jo Doe", City: "Berlin", Country: "DE", Tags: []string{"BILLING"}})
			assert.Equal(t, "b05c20e034", id)
			return err
		}, sent{"POST /customer/acme/me/addresses", "cust", plain, `{"contactName":"Jo Doe","city":"Berlin","country":"DE","tags":["BILLING"]}`}},
		"update address": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.Update(ctx, "a1", emporix.AddressPatch{City: emporix.Set("Potsdam"), IsDefault: emporix.Set(false), Tags: emporix.Set([]string{})})
		}, sent{"PATCH /customer/acme/me/addresses/a1", "cust", plain, `{"city":"Potsdam","isDefault":false,"tags":[]}`}},
		"delete address": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.Delete(ctx, "a1")
		}, sent{"DELETE /customer/acme/me/addresses/a1", "cust", "", ``}},
		"delete address, 200": {200, `{}`, func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.Delete(ctx, "a1")
		}, sent{"DELETE /customer/acme/me/addresses/a1", "cust", "", ``}},
		"add tags": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.AddTags(ctx, "a1", "BILLING", "SHIP&PING")
		}, sent{"POST /customer/acme/me/addresses/a1/tags?tags=BILLING%2CSHIP%26PING", "cust", "", ``}},
		"remove tags": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.RemoveTags(ctx, "a1", "BILLING")
		}, sent{"DELETE /customer/acme/me/addresses/a1/tags?tags=BILLING", "cust", "", ``}},
		"request reset": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.RequestPasswordReset(ctx, "a@b.c", emporix.ForSite("main"))
		}, sent{"POST /customer/acme/password/reset", "anon", plain, `{"email":"a@b.c","site":"main"}`}},
		"reset": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: "t", Password: "p"})
		}, sent{"POST /customer/acme/password/reset/update", "anon", plain, `{"token":"t","password":"p"}`}},
		"change password": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "p", NewPassword: "q"})
		}, sent{"POST /customer/acme/password/change", "cust", plain, `{"currentPassword":"p","newPassword":"q"}`}},
		"request e-mail change": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{Password: "p", NewEmail: "n@b.c"})
		}, sent{"POST /customer/acme/me/accounts/internal/email/change", "cust", plain, `{"password":"p","newEmail":"n@b.c"}`}},
		"request e-mail change in full": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{Email: "a@b.c", Password: "p", NewEmail: "n@b.c", SyncContactEmail: true})
		}, sent{"POST /customer/acme/me/accounts/internal/email/change", "cust", plain, `{"email":"a@b.c","password":"p","newEmail":"n@b.c","syncContactEmail":true}`}},
		"confirm e-mail change": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.ConfirmEmailChange(ctx, "t")
		}, sent{"POST /customer/acme/me/accounts/internal/email/change/confirm", "anon", plain, `{"token":"t"}`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			client, calls := scripted(t, tt.status, tt.answer)
			var raw emporix.RawResponse
			require.NoError(t, tt.call(emporix.WithRawResponse(t.Context(), &raw), client))
			require.Len(t, calls(), 1)
			assert.Equal(t, tt.status, raw.StatusCode(), "each call keeps its answer on request")
			assert.NotEmpty(t, raw.Operation())
			got := calls()[0]
			if tt.want.body != "" {
				assert.JSONEq(t, tt.want.body, got.body)
				got.body = tt.want.body
			}
			assert.Equal(t, tt.want, got)
		})
	}
}
