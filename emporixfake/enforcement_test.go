package emporixfake_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// route is a request that is right but for what a test changes.
type route struct {
	op, method, path string
	bearers          string // kinds that are right, of "none", "anonymous", "customer" and "employee"
	query            string // required, as it must be; joined with "?"
	body             object
	required         []string // of the body
}

func routes(addressID, number string) []route {
	const (
		service = "/customer/acme"
		email   = service + "/me/accounts/internal/email/change"
	)
	address := service + "/me/addresses/" + addressID
	return []route{
		{"Auth.StartAnonymous", "GET", anonymousPath + "login", "none", "tenant=acme&client_id=storefront", nil, nil},
		{"Auth.RefreshAnonymous", "GET", anonymousPath + "refresh", "none", "tenant=acme&client_id=storefront&refresh_token=x", nil, nil},
		{"Auth.Login", "POST", service + "/login", "anonymous", "", object{"email": joEmail, "password": "wrong password"}, []string{"email", "password"}},
		{"Auth.SocialLogin", "POST", service + "/socialLogin", "anonymous", "code=x&redirect_uri=y", nil, nil},
		{"Auth.ExchangeToken", "POST", service + "/exchangeauthtoken", "anonymous", "subjectAccessToken=x", nil, nil},
		{"Auth.Refresh", "GET", service + "/refreshauthtoken", "anonymous", "refreshToken=x", nil, nil},
		{"Auth.Validate", "GET", service + "/validateauthtoken", "customer", "", nil, nil},
		{"Auth.Logout", "GET", service + "/logout", "customer", "accessToken=x", nil, nil},
		{"Customers.SignUp", "POST", service + "/signup", "anonymous", "", object{"email": joEmail, "password": "p"}, []string{"email", "password"}},
		{"Customers.ConfirmSignUp", "GET", service + "/signup/optin/unknown", "anonymous", "", nil, nil},
		{"Customers.ResendActivation", "POST", service + "/signup/optin/refresh_token", "anonymous", "", object{"email": "x@example.com"}, []string{"email"}},
		{"Customers.Get", "GET", service + "/me", "anonymous customer", "", nil, nil},
		{"Customers.Update", "PATCH", service + "/me", "customer", "", object{"firstName": "Jo"}, nil},
		{"Customers.Activate", "PATCH", service + "/customers/" + number, "employee", "", object{"active": true}, nil},
		{"Addresses.List", "GET", service + "/me/addresses", "customer", "", nil, nil},
		{"Addresses.Get", "GET", address, "customer", "", nil, nil},
		{"Addresses.Add", "POST", service + "/me/addresses", "customer", "", object{"contactName": "Jo"}, nil},
		{"Addresses.Update", "PATCH", address, "customer", "", object{"city": "Berlin"}, nil},
		{"Addresses.AddTags", "POST", address + "/tags", "customer", "tags=A,B", nil, nil},
		{"Addresses.RemoveTags", "DELETE", address + "/tags", "customer", "tags=A,B", nil, nil},
		{"Addresses.Delete", "DELETE", address, "customer", "", nil, nil},
		{"Credentials.RequestPasswordReset", "POST", service + "/password/reset", "anonymous", "", object{"email": joEmail}, []string{"email"}},
		{"Credentials.ResetPassword", "POST", service + "/password/reset/update", "anonymous", "", object{"token": "x", "password": "y"}, []string{"token", "password"}},
		{"Credentials.ChangePassword", "POST", service + "/password/change", "customer", "", object{"currentPassword": "x", "newPassword": "y"}, []string{"currentPassword", "newPassword"}},
		{"Credentials.RequestEmailChange", "POST", email, "customer", "", object{"password": "x", "newEmail": "y"}, []string{"password", "newEmail"}},
		{"Credentials.ConfirmEmailChange", "POST", email + "/confirm", "anonymous", "", object{"token": "x"}, []string{"token"}},
	}
}

func (r route) target() string {
	if r.query == "" {
		return r.path
	}
	return r.path + "?" + r.query
}

func (r route) payload() any {
	if r.body == nil {
		return nil
	}
	return r.body
}

// tenantWithJo answers a client for each kind of bearer and the routes to Jo's
// things.
func tenantWithJo(t *testing.T) (map[string]client, []route) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	guest, _ := c.visitor()
	id := jo.must(201, "POST", "/customer/acme/me/addresses", object{"contactName": "Jo"}).text("id")
	number := jo.must(200, "GET", "/customer/acme/me", nil).text("customerNumber")
	return map[string]client{"none": c.as(""), "anonymous": guest, "customer": jo, "employee": c.employee()}, routes(id, number)
}

func TestRoutesAreComplete(t *testing.T) {
	var names []string
	for _, r := range routes("a", "1") {
		names = append(names, r.op)
	}
	assert.ElementsMatch(t, emporixfake.Operations(), names, "the operations that routes in enforcement_test.go tries")
}

// Every operation with every kind of bearer: the right ones get past the
// gateway, all others get its fault.
func TestBearers(t *testing.T) {
	clients, all := tenantWithJo(t)
	for _, r := range all {
		for kind, c := range clients {
			got := c.send(r.method, r.target(), r.payload())
			if strings.Contains(r.bearers, kind) || r.bearers == "none" {
				assert.Empty(t, got.faultCode(), "%s as %s: %s", r.op, kind, got.raw)
				continue
			}
			assert.Equal(t, 401, got.status, "%s as %s", r.op, kind)
			assert.Equal(t, "oauth.v2.InvalidAccessToken", got.faultCode(), "%s as %s", r.op, kind)
			assert.Equal(t, "application/json", got.header.Get("Content-Type"))
		}
		if r.bearers == "none" {
			continue
		}
		for _, header := range []string{"Bearer", "Bearer ", "Bearer unknown", "Basic eDp5", "unknown"} {
			got := clients["none"].send(r.method, r.target(), r.payload(), "Authorization", header)
			assert.Equal(t, "oauth.v2.InvalidAccessToken", got.faultCode(), "%s with %q", r.op, header)
		}
	}
}

func TestBearersExpireAndAreRevoked(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	guest, session := c.visitor()
	employee := c.employee()
	number := jo.must(200, "GET", "/customer/acme/me", nil).text("customerNumber")
	activate := func() reply {
		return employee.send("PATCH", "/customer/acme/customers/"+number, object{"active": true})
	}
	require.Equal(t, 200, activate().status)

	c.fake.Advance(3599 * time.Second)
	assert.Equal(t, "keymanagement.service.access_token_expired", guest.send("GET", "/customer/acme/me", nil).faultCode())
	jo.must(200, "GET", "/customer/acme/me", nil)
	c.fake.Advance(4 * time.Hour)
	assert.Equal(t, "keymanagement.service.access_token_expired", activate().faultCode())
	assert.Equal(t, 1, c.fake.RevokeAccess(number))
	assert.Equal(t, "oauth.v2.InvalidAccessToken", jo.send("GET", "/customer/acme/me", nil).faultCode())

	assert.Equal(t, 1, c.fake.RevokeRefresh(session.text("sessionId")))
	c.must(401, "GET", anonymousPath+"refresh?tenant=acme&client_id=storefront&refresh_token="+session.text("refresh_token"), nil)
}

func TestMissingScope(t *testing.T) {
	c := newFake(t)
	token := c.must(200, "POST", "/oauth/token", "grant_type=client_credentials&client_id=backend&client_secret=backend-secret-for-tests&scope=customer.customer_read",
		"Content-Type", "application/x-www-form-urlencoded").text("access_token")
	got := c.as(token).must(403, "PATCH", "/customer/acme/customers/13869000", object{"active": true})
	assert.Equal(t, object{"status": 403.0, "type": "Forbidden", "message": "User not authorized."}, got.body)
}

func TestTenants(t *testing.T) {
	clients, all := tenantWithJo(t)
	for _, r := range all {
		path := strings.Replace(r.target(), "acme", "other", 1)
		for _, c := range clients { // checked before the bearer
			got := c.must(400, r.method, path, r.payload())
			assert.Equal(t, "The tenant information provided with the request is not valid.", got.text("message"), r.op)
		}
	}
	jo := clients["customer"]
	jo.must(400, "GET", "/customer/acme/me", nil, "Emporix-Tenant", "other")
	jo.must(200, "GET", "/customer/acme/me", nil, "Emporix-Tenant", "acme")
}

// Every required query parameter: absent, empty and twice.
func TestQueries(t *testing.T) {
	clients, all := tenantWithJo(t)
	for _, r := range all {
		if r.query == "" {
			continue
		}
		c := clients[strings.Fields(r.bearers)[0]]
		parts := strings.Split(r.query, "&")
		for i, part := range parts {
			name, _, _ := strings.Cut(part, "=")
			without := append(append([]string{}, parts[:i]...), parts[i+1:]...)
			for _, query := range []string{
				strings.Join(without, "&"),
				strings.Join(append(without, name+"="), "&"),
				r.query + "&" + part,
			} {
				got := c.send(r.method, r.path+"?"+query, nil)
				assert.Equal(t, 400, got.status, "%s?%s", r.op, query)
				assert.Contains(t, got.fields(), name, "%s?%s", r.op, query)
			}
		}
		assert.Equal(t, 400, c.send(r.method, r.path+"?"+r.query+"&%zz", nil).status)
	}
	assert.Equal(t, 400, clients["customer"].send("GET", "/customer/acme/me?expand="+strings.Repeat("a", 11<<10), nil).status)
}

// A header that the API reads is refused when it is empty or comes twice: what a server
// makes of it is anybody's guess.
func TestHeadersThatAreEmptyOrComeTwice(t *testing.T) {
	clients, _ := tenantWithJo(t)
	anonymous := clients["anonymous"]
	const reset, social = "/customer/acme/password/reset", "/customer/acme/socialLogin?code=fake-code:jo@example.com&redirect_uri=https://shop.example.com/cb"
	body := object{"email": "jo@example.com"}
	for name, headers := range map[string][]string{
		"another tenant":       {"Emporix-Tenant", "other"},
		"two tenants":          {"Emporix-Tenant", "acme", "Emporix-Tenant", "other"},
		"the tenant twice":     {"Emporix-Tenant", "acme", "Emporix-Tenant", "acme"},
		"an empty tenant":      {"Emporix-Tenant", ""},
		"two content types":    {"Content-Type", "application/json", "Content-Type", "text/plain"},
		"an empty type":        {"Content-Type", ""},
		"two encodings":        {"Content-Encoding", "identity", "Content-Encoding", "gzip"},
		"the type of two":      {"Content-Type", "application/json", "Content-Type", "application/json"},
		"a tenant in a list":   {"Emporix-Tenant", "acme,acme"},
		"a tenant and nothing": {"Emporix-Tenant", "acme", "Emporix-Tenant", ""},
	} {
		assert.Equal(t, 400, anonymous.send("POST", reset, body, headers...).status, name)
	}
	for name, headers := range map[string][]string{"twice": {"session-id", "a", "session-id", "b"}, "empty": {"session-id", ""}, "blank": {"session-id", " "}} {
		got := anonymous.must(400, "POST", social, nil, headers...)
		assert.Equal(t, []string{"session-id"}, got.fields(), name)
	}
	anonymous.must(204, "POST", reset, body, "Emporix-Tenant", "acme", "Content-Encoding", "identity")
	anonymous.must(200, "POST", social, nil, "session-id", "mine")
	lenient := newFake(t, assume(func(a *emporixfake.Assumptions) { a.ForeignTenantHeaderIsRefused = false }))
	lenient.must(200, "GET", "/customerlogin/auth/anonymous/login?tenant=acme&client_id=storefront", nil, "Emporix-Tenant", "acme", "Emporix-Tenant", "other")
}

// Every operation with a body: junk, absent and null members, content types.
func TestBodies(t *testing.T) {
	clients, all := tenantWithJo(t)
	for _, r := range all {
		if r.body == nil {
			continue
		}
		c := clients[strings.Fields(r.bearers)[0]]
		refused := func(what string, got reply) {
			t.Helper()
			assert.Equal(t, 400, got.status, "%s: %s", r.op, what)
			assert.Equal(t, 400.0, got.body["status"], "%s: %s", r.op, what)
			assert.Equal(t, "bad_request", got.body["type"], "%s: %s", r.op, what)
			assert.NotEmpty(t, got.body["details"], "%s: %s", r.op, what)
		}
		for _, junk := range []string{"", " ", "{", `{"a":1} x`, "null", "[]", `"x"`, "1", "\ufeff{}", "{\"email\":\"\xff\"}", "<html>"} {
			refused(junk, c.send(r.method, r.target(), junk))
		}
		for _, contentType := range []string{"text/plain", "application/xml", "application/json; charset=latin1", "x", "application/x-www-form-urlencoded"} {
			refused(contentType, c.send(r.method, r.target(), r.body, "Content-Type", contentType))
		}
		refused("gzip", c.send(r.method, r.target(), r.body, "Content-Encoding", "gzip"))
		for _, name := range r.required {
			less := object{}
			for member, value := range r.body {
				less[member] = value
			}
			delete(less, name)
			got := c.send(r.method, r.target(), less)
			refused("without "+name, got)
			assert.Equal(t, []string{name}, got.fields())
		}
		for name := range r.body {
			for _, value := range []any{nil, 1, []any{}, object{}} {
				more := object{"unknown": object{"allowed": true}}
				for member, v := range r.body {
					more[member] = v
				}
				more[name] = value
				got := c.send(r.method, r.target(), more)
				refused("null or wrong type of "+name, got)
				assert.Equal(t, []string{name}, got.fields())
			}
		}
	}
	huge := `{"email":"` + strings.Repeat("a", 11<<20) + `"}`
	got := clients["anonymous"].must(400, "POST", "/customer/acme/password/reset", huge)
	assert.Contains(t, got.text("message"), "too large")
}

func TestUnknownRoutes(t *testing.T) {
	clients, all := tenantWithJo(t)
	c := clients["customer"]
	for _, path := range []string{
		"/", "/customer", "/customer/acme", "/customer/acme/", "/customer/acme/me/", "//customer/acme/me", "/customer//me",
		"/customer/acme/me/addresses//tags", "/customer/acme/password", "/customer/acme/password/reset/confirm", "/anonymous/token",
		"/customer/acme/ME", "/customer/acme/me/addresses/a/b", "/customer/acme/signup/optin", "/oauth", "/customer/acme/me%2Faddresses",
	} {
		got := c.send("GET", path, nil)
		assert.Equal(t, 404, got.status, path)
		assert.Equal(t, "resource_not_found", got.text("type"), path)
	}
	known := map[string]bool{}
	for _, r := range all {
		known[r.method+r.path] = true
	}
	for _, r := range all {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			// The path of a resent activation is an opt-in token too.
			if known[method+r.path] || method == "GET" && r.op == "Customers.ResendActivation" {
				continue
			}
			assert.Equal(t, 404, c.send(method, r.path, nil).status, "%s %s", method, r.path)
		}
	}
}

func TestUnknownIDs(t *testing.T) {
	clients, _ := tenantWithJo(t)
	jo := clients["customer"]
	for _, r := range routes("0000000000", "99999999") {
		if strings.Contains(r.path, "/addresses/") {
			got := jo.must(404, r.method, r.target(), r.payload())
			assert.Regexp(t, `^Address 0000000000 of customer \d{8} not found\.$`, got.text("message"), r.op)
		}
	}
	got := clients["employee"].must(404, "PATCH", "/customer/acme/customers/99999999", object{"active": true})
	assert.Equal(t, object{
		"status": 404.0, "type": "application/json", "message": "Customer not Found",
		"details": []any{object{"message": "Couldn't find a customer with customerNumber '99999999'"}},
	}, got.body)
}

func TestNullIsForMergePatchesOnly(t *testing.T) {
	clients, all := tenantWithJo(t)
	const merge = "application/merge-patch+json"
	for _, r := range all {
		if r.method != "PATCH" {
			continue
		}
		c := clients[r.bearers]
		null := object{"city": nil}
		if r.op != "Addresses.Update" {
			null = object{"middleName": nil, "b2b": object{"companyRegistrationId": nil}, "metadata": object{"version": nil, "mixins": nil}, "mixins": nil}
			c.must(200, r.method, r.path, null, "Content-Type", merge)
			assert.Equal(t, []string{"contactEmail"}, c.must(400, r.method, r.path, object{"contactEmail": nil}, "Content-Type", merge).fields())
		} else {
			c.must(400, r.method, r.path, object{"city": "x"}, "Content-Type", merge)
		}
		got := c.must(400, r.method, r.path, null)
		assert.NotEmpty(t, got.fields(), r.op)
	}
	employee := clients["employee"]
	for _, r := range all {
		if r.op == "Customers.Activate" {
			employee.must(200, "PATCH", r.path, object{"restriction": nil, "active": true})
			employee.must(400, "PATCH", r.path, object{"active": nil}, "Content-Type", merge)
		}
	}
}

func TestClientCredentials(t *testing.T) {
	c := newFake(t)
	const form = "application/x-www-form-urlencoded"
	good := "grant_type=client_credentials&client_id=backend&client_secret=backend-secret-for-tests"
	got := c.must(200, "POST", "/oauth/token", good, "Content-Type", form)
	assert.Equal(t, "", got.body["refresh_token"])
	assert.Equal(t, 0.0, got.body["refresh_token_expires_in"])
	assert.Equal(t, 14399.0, got.body["expires_in"])
	assert.Equal(t, "customer.customer_manage tenant=acme", got.text("scope"))
	c.must(200, "POST", "/oauth/token", "grant_type=client_credentials", "Content-Type", form,
		"Authorization", "Basic YmFja2VuZDpiYWNrZW5kLXNlY3JldC1mb3ItdGVzdHM=")
	for body, want := range map[string]string{
		good + "x": "invalid_client", "grant_type=client_credentials": "invalid_client",
		strings.Replace(good, "backend&", "storefront&", 1): "invalid_client", "grant_type=password": "unsupported_grant_type",
		"": "unsupported_grant_type", "%zz": "invalid_request",
	} {
		assert.Equal(t, want, c.send("POST", "/oauth/token", body, "Content-Type", form).text("error"), body)
	}
	assert.Equal(t, 401, c.send("POST", "/oauth/token", good+"x", "Content-Type", form).status)
	c.must(400, "POST", "/oauth/token", good, "Content-Type", "application/json")
	c.must(401, "GET", anonymousPath+"login?tenant=acme&client_id=other", nil)
}
