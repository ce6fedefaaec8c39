package contract_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// send is a request as any client would make it, not only the SDK.
func (c *court) send(t *testing.T, method, path, bearer, body string) (status int, answer map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if len(raw) > 0 && raw[0] == '{' {
		require.NoError(t, json.Unmarshal(raw, &answer))
	}
	return resp.StatusCode, answer
}

func (c *court) token(t *testing.T, method, path, bearer, body string) string {
	t.Helper()
	status, answer := c.send(t, method, path, bearer, body)
	require.Equal(t, http.StatusOK, status)
	token, _ := answer["access_token"].(string)
	require.NotEmpty(t, token)
	return token
}

const anonymousLogin = "/customerlogin/auth/anonymous/login?tenant=acme&client_id=storefront"

// bearers of all kinds that a request can come with.
func (c *court) bearers(t *testing.T) map[string]string {
	t.Helper()
	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: joEmail, Password: joFirst})
	require.NoError(t, err)
	guest := c.token(t, "GET", anonymousLogin, "", "")
	return map[string]string{
		"": "", "anonymous": guest, "unknown": "nobody-issued-this", "employee": c.employee(t, "customer.customer_manage"),
		"customer": c.token(t, "POST", "/customer/acme/login", guest, `{"email":"`+joEmail+`","password":"`+joFirst+`"}`),
	}
}

func (c *court) employee(t *testing.T, scope string) string {
	t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"backend"}, "client_secret": {"backend-secret-for-tests"}, "scope": {scope},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/oauth/token", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var employee struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&employee))
	require.NotEmpty(t, employee.Token)
	return employee.Token
}

// What the fake refuses, the description refuses too or can't know; and every
// refusal has a shape that is described.
func TestRefusalsKeepTheContract(t *testing.T) {
	const me, jo, fault, own = "/customer/acme/me", `{"email":"jo@example.com","password":"a first password"}`, "gateway", "own"
	tests := []struct {
		name, method, path, bearer, body string
		status                           int
		shape                            string
		legal                            bool // by the description, which can't know the state
	}{
		{"a wrong password", "POST", "/customer/acme/login", "anonymous", `{"email":"jo@example.com","password":"not this one"}`, 401, own, true},
		{"no bearer", "GET", me, "", "", 401, fault, false},
		{"an unknown bearer", "GET", me, "unknown", "", 401, fault, false},
		{"an anonymous bearer for a customer's call", "GET", me + "/addresses", "anonymous", "", 401, fault, false},
		{"a customer's bearer for an employee's call", "PATCH", "/customer/acme/customers/10000000", "customer", `{"active":true}`, 401, fault, false},
		{"a customer's bearer for a login", "POST", "/customer/acme/login", "customer", jo, 401, fault, false},
		{"an unknown refresh token", "GET", "/customer/acme/refreshauthtoken?refreshToken=unknown", "anonymous", "", 401, own, true},
		{"no refresh token", "GET", "/customer/acme/refreshauthtoken", "anonymous", "", 400, own, false},
		{"no bearer at all for validation", "GET", "/customer/acme/validateauthtoken", "", "", 401, fault, false},
		{"a used-up code", "POST", "/customer/acme/socialLogin?code=none&redirect_uri=x", "anonymous", "", 401, own, true},
		{"no code", "POST", "/customer/acme/socialLogin?redirect_uri=x", "anonymous", "", 400, own, false},
		{"a subject token of nobody", "POST", "/customer/acme/exchangeauthtoken?subjectAccessToken=none", "anonymous", "", 401, own, true},
		{"an unknown configuration", "POST", "/customer/acme/exchangeauthtoken?subjectAccessToken=none&config=none", "anonymous", "", 400, own, true},
		{"a sign-up without a password", "POST", "/customer/acme/signup", "anonymous", `{"email":"x@example.com"}`, 400, own, false},
		{"a sign-up with a number for a name", "POST", "/customer/acme/signup", "anonymous", `{"email":"x@example.com","password":"p","customerDetails":{"firstName":1}}`, 400, own, false},
		{"a sign-up that is not JSON", "POST", "/customer/acme/signup", "anonymous", `{"email":`, 400, own, false},
		{"a sign-up with a currency of four letters", "POST", "/customer/acme/signup", "anonymous", `{"email":"x@example.com","password":"p","customerDetails":{"preferredCurrency":"EURO"}}`, 400, own, false},
		{"a second sign-up", "POST", "/customer/acme/signup", "anonymous", jo, 409, own, true},
		{"a null under application/json", "PATCH", me, "customer", `{"firstName":null}`, 400, own, false},
		{"an unknown address", "GET", me + "/addresses/none", "customer", "", 404, own, true},
		{"an unknown address to delete", "DELETE", me + "/addresses/none", "customer", "", 404, own, true},
		{"an address with a number for a name", "POST", me + "/addresses", "customer", `{"contactName":1}`, 400, own, false},
		{"tags of an unknown address", "POST", me + "/addresses/none/tags?tags=A", "customer", "", 404, own, true},
		{"no tags", "POST", me + "/addresses/none/tags", "customer", "", 400, own, false},
		{"no tags to remove", "DELETE", me + "/addresses/none/tags?tags=", "customer", "", 400, own, false},
		{"an unknown customer to activate", "PATCH", "/customer/acme/customers/99999999", "employee", `{"active":true}`, 404, own, true},
		{"an unknown mail token", "POST", "/customer/acme/password/reset/update", "anonymous", `{"token":"none","password":"p"}`, 400, own, true},
		{"no mail token", "POST", "/customer/acme/password/reset/update", "anonymous", `{"password":"p"}`, 400, own, false},
		{"a password change with a wrong password", "POST", "/customer/acme/password/change", "customer", `{"currentPassword":"no","newPassword":"p"}`, 401, own, true},
		{"an e-mail change without a new address", "POST", me + "/accounts/internal/email/change", "customer", `{"email":"jo@example.com","password":"p"}`, 400, own, false},
		{"an e-mail confirmation without a token", "POST", me + "/accounts/internal/email/change/confirm", "anonymous", `{}`, 400, own, false},
		{"an unknown opt-in", "GET", "/customer/acme/signup/optin/none", "anonymous", "", 400, own, true},
		{"a resend without an address", "POST", "/customer/acme/signup/optin/refresh_token", "anonymous", `{}`, 400, own, false},
		{"a reset without an address", "POST", "/customer/acme/password/reset", "anonymous", `{}`, 400, own, false},
		{"a tenant that can't be one", "GET", "/customer/ACME/me", "customer", "", 400, own, false},
		{"an anonymous login without a client", "GET", "/customerlogin/auth/anonymous/login?tenant=acme", "", "", 400, own, false},
		{"an anonymous refresh with an unknown token", "GET", "/customerlogin/auth/anonymous/refresh?tenant=acme&client_id=storefront&refresh_token=none", "", "", 401, own, true},
	}
	c := newCourt(t)
	bearers := c.bearers(t)
	assert.Empty(t, c.Verdict().Violations)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, answer := c.send(t, tt.method, tt.path, bearers[tt.bearer], tt.body)
			all := c.Exchanges()
			last := all[len(all)-1]
			assert.Equal(t, tt.status, status)
			assert.Empty(t, last.Answer)
			assert.Equal(t, tt.legal, len(last.Request) == 0, "the request by the description: %q", last.Request)
			assert.Contains(t, answer, map[string]string{own: "message", fault: "fault"}[tt.shape])
		})
	}
}

// An expired bearer has a fault of its own, and a bearer without the scope is
// refused as such.
func TestRefusalsThatNeedAState(t *testing.T) {
	c := newCourt(t)
	bearers := c.bearers(t)
	const path, body = "/customer/acme/customers/10000000", `{"active":true}`
	status, answer := c.send(t, "PATCH", path, c.employee(t, "other.scope"), body)
	assert.Equal(t, http.StatusForbidden, status)
	assert.NotEmpty(t, answer["message"])

	c.fake.Advance(31 * 24 * time.Hour)
	for _, r := range []struct{ method, path, bearer, body string }{
		{"GET", "/customer/acme/me", "customer", ""},
		{"GET", "/customer/acme/me", "anonymous", ""},
		{"PATCH", path, "employee", body},
	} {
		status, answer = c.send(t, r.method, r.path, bearers[r.bearer], r.body)
		assert.Equal(t, http.StatusUnauthorized, status)
		assert.Contains(t, answer, "fault")
	}
	assert.Empty(t, c.Verdict().Violations)
}

// Two refusals are not described at all. The fake assumes a status for each,
// which a switch changes; all else about them is as described.
func TestAssumptionsBeyondTheContract(t *testing.T) {
	c := newCourt(t)
	bearers := c.bearers(t)
	require.NoError(t, c.fake.AddCompany(emporixfake.Company{ID: "D1", Name: "Others"}))
	_, login := c.send(t, "POST", "/customer/acme/login", bearers["anonymous"], `{"email":"`+joEmail+`","password":"`+joFirst+`"}`)
	refresh, _ := login["refresh_token"].(string)
	require.NotEmpty(t, refresh)

	status, _ := c.send(t, "GET", "/customer/acme/refreshauthtoken?legalEntityId=D1&refreshToken="+refresh, bearers["anonymous"], "")
	assert.Equal(t, http.StatusForbidden, status)
	status, _ = c.send(t, "PATCH", "/customer/acme/me", bearers["customer"], `{"metadata":{"version":99}}`)
	assert.Equal(t, http.StatusConflict, status)
	assert.Equal(t, []string{
		"Auth.Refresh: the answer 403 has status 403, which is not described",
		"Customers.Update: the answer 409 has status 409, which is not described",
	}, c.Verdict().Violations)
}
