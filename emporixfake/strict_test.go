package emporixfake_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// Every operation refuses a query parameter that it does not declare, and a body
// where it declares none, unless a switch says otherwise.
func TestUndeclaredQueryAndBody(t *testing.T) {
	clients, all := tenantWithJo(t)
	lenient := newFake(t, assume(func(a *emporixfake.Assumptions) {
		a.UndeclaredQueryIsRefused, a.UndeclaredBodyIsRefused = false, false
	}))
	jo, _ := lenient.loggedIn()
	guest, _ := lenient.visitor()
	tolerant := map[string]client{"none": lenient, "anonymous": guest, "customer": jo, "employee": lenient.employee()}
	for _, r := range all {
		kind, _, _ := strings.Cut(r.bearers, " ")
		target := r.path + "?" + r.query + "&undeclared=1"
		got := clients[kind].must(400, r.method, target, r.payload())
		assert.Contains(t, got.fields(), "undeclared", r.op)
		assert.NotContains(t, tolerant[kind].send(r.method, target, r.payload()).fields(), "undeclared", r.op)
		if r.body != nil {
			continue
		}
		got = clients[kind].must(400, r.method, r.target(), "{}")
		assert.Contains(t, got.raw, "takes no request body", r.op)
		assert.NotContains(t, tolerant[kind].send(r.method, r.target(), "{}").raw, "takes no request body", r.op)
	}
}

// A client that sends a lot of nonsense does not get it all back.
func TestErrorsStayShort(t *testing.T) {
	c := newFake(t)
	query := strings.Builder{}
	for i := range 60 {
		fmt.Fprintf(&query, "&undeclared%d=1", i)
	}
	login := anonymousPath + "login?tenant=acme&client_id=storefront"
	assert.Len(t, c.must(400, "GET", login+query.String(), nil).fields(), 50)
	assert.Len(t, c.must(400, "GET", login+"&"+strings.Repeat("x", 5000)+"=1", nil).fields()[0], 64)
}

// Other SDKs repeat the session context when they refresh a guest's session.
func TestAnonymousRefreshToleratesTheSessionContext(t *testing.T) {
	c := newFake(t)
	_, started := c.visitor()
	refresh := anonymousPath + "refresh?tenant=acme&client_id=storefront&refresh_token=" + started.text("refresh_token")
	c.must(200, "GET", refresh+"&currency=EUR&siteCode=main&language=de&targetLocation=DE", nil)
	c.must(400, "GET", refresh+"&country=DE", nil)
	c.must(400, "GET", refresh+"&currency=EUR&currency=USD", nil)
}

// The two anonymous operations declare no bearer. By default they ignore one.
func TestUndeclaredBearer(t *testing.T) {
	for refused, status := range map[bool]int{false: 200, true: 400} {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.UndeclaredBearerIsRefused = refused }))
		guest, started := c.visitor()
		guest.must(status, "GET", anonymousPath+"login?tenant=acme&client_id=storefront", nil)
		guest.must(status, "GET", anonymousPath+"refresh?tenant=acme&client_id=storefront&refresh_token="+started.text("refresh_token"), nil)
		form := "grant_type=client_credentials&client_id=backend&client_secret=backend-secret-for-tests"
		guest.must(200, "POST", "/oauth/token", form, "Content-Type", "application/x-www-form-urlencoded")
	}
}

func TestUndeclaredMembers(t *testing.T) {
	body := func(email string) object {
		return object{
			"email": email, "password": "a password", "firstName": "Jo", // as another SDK sends it
			"customerDetails": object{
				"nick": "J", "mixins": object{"any": 1}, "metadata": object{"mixins": object{"any": "x"}, "other": 1},
				"b2b": object{"legalEntities": []any{object{"id": "D1", "kind": "x"}}},
			},
		}
	}
	c := newFake(t)
	guest, _ := c.visitor()
	guest.must(201, "POST", "/customer/acme/signup", body("jo@example.com"))

	c = newFake(t, assume(func(a *emporixfake.Assumptions) { a.UndeclaredMembersAreRefused = true }))
	guest, _ = c.visitor()
	got := guest.must(400, "POST", "/customer/acme/signup", body("jo@example.com"))
	assert.ElementsMatch(t, []string{
		"firstName", "customerDetails.nick", "customerDetails.metadata.other", "customerDetails.b2b.legalEntities[0].kind",
	}, got.fields())
	both := body("jo@example.com")
	both["password"] = 7 // what is wrong otherwise is said too
	assert.Subset(t, guest.must(400, "POST", "/customer/acme/signup", both).fields(), []string{"firstName", "password"})
	guest.must(201, "POST", "/customer/acme/signup", object{"email": "x@example.com", "password": "p", "customerDetails": object{"mixins": object{"any": 1}}})
	jo, _ := c.loggedIn()
	jo.must(400, "POST", "/customer/acme/me/addresses", object{"contactName": "Jo", "isDefault": true})
	jo.must(400, "PATCH", "/customer/acme/me", object{"id": "1"})
}

// OAuth forbids a parameter that comes twice, and has further ones ignored.
func TestTokenParameters(t *testing.T) {
	c := newFake(t)
	const form, kind = "grant_type=client_credentials&client_id=backend&client_secret=backend-secret-for-tests", "application/x-www-form-urlencoded"
	c.must(200, "POST", "/oauth/token?a=b", form+"&c=d", "Content-Type", kind)
	assert.Equal(t, "invalid_request", c.must(400, "POST", "/oauth/token", form+"&client_id=backend", "Content-Type", kind).text("error"))
}

// Either scope lets an employee change a customer.
func TestEmployeeScopes(t *testing.T) {
	c := newFake(t)
	added, err := c.fake.AddCustomer(emporixfake.Customer{Email: joEmail, Password: joPassword})
	require.NoError(t, err)
	for scope, status := range map[string]int{
		"customer.customer_manage": 200, "customer.customer_manage_own": 200, "other customer.customer_manage_own": 200, "other": 403,
	} {
		form := "grant_type=client_credentials&client_id=backend&client_secret=backend-secret-for-tests&scope=" + strings.ReplaceAll(scope, " ", "+")
		got := c.must(200, "POST", "/oauth/token", form, "Content-Type", "application/x-www-form-urlencoded")
		for _, name := range strings.Fields(scope) {
			assert.Equal(t, name != "other", strings.Contains(got.text("scope")+" ", name+" "), "%s: %s", scope, got.text("scope"))
		}
		c.as(got.text("access_token")).must(status, "PATCH", "/customer/acme/customers/"+added.CustomerNumber, object{"active": true})
	}
}

// The deprecated anonymous_token is the access token of the session.
func TestAnonymousTokenInPlaceOfTheRefreshToken(t *testing.T) {
	const refresh = anonymousPath + "refresh?tenant=acme&client_id=storefront"
	for _, rotates := range []bool{false, true} {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.AnonymousRefreshRotates = rotates }))
		guest, first := c.visitor()
		second := c.must(200, "GET", refresh+"&anonymous_token="+first.text("access_token"), nil)
		assert.Equal(t, first.text("sessionId"), second.text("sessionId"))
		assert.NotEqual(t, first.text("access_token"), second.text("access_token"))
		assert.Equal(t, rotates, first.text("refresh_token") != second.text("refresh_token"))

		c.fake.Advance(2 * time.Hour) // the access token is over, the session is not
		third := c.must(200, "GET", refresh+"&refresh_token=&anonymous_token="+second.text("access_token"), nil)
		assert.Equal(t, first.text("sessionId"), third.text("sessionId"))
		c.must(401, "GET", refresh+"&refresh_token=unknown&anonymous_token="+third.text("access_token"), nil)

		c.must(401, "GET", refresh+"&anonymous_token=unknown", nil)
		assert.Equal(t, []string{"refresh_token"}, c.must(400, "GET", refresh, nil).fields())
		assert.Equal(t, []string{"refresh_token"}, c.must(400, "GET", refresh+"&anonymous_token=", nil).fields())
		_, login := c.loggedIn()
		c.must(401, "GET", refresh+"&anonymous_token="+login.text("access_token"), nil)
		c.must(401, "GET", refresh+"&anonymous_token="+login.text("refresh_token"), nil)
		c.must(401, "GET", refresh+"&anonymous_token="+c.employee().bearer, nil)
		c.fake.RevokeAccess(first.text("sessionId"))
		c.must(401, "GET", refresh+"&anonymous_token="+third.text("access_token"), nil)

		c.fake.Advance(25 * time.Hour)
		guest.must(401, "GET", refresh+"&anonymous_token="+third.text("access_token"), nil)
	}
}

// The sign-up of the vendor's tutorial, and what becomes of its company.
func TestSignUpAssignsLegalEntities(t *testing.T) {
	signUp := func(email string, entities any) object {
		return object{"email": email, "password": "password123", "customerDetails": object{
			"firstName": "John", "lastName": "Doe", "company": "Emporix",
			"b2b": object{"companyRegistrationId": "123-456-789", "legalEntities": entities},
		}}
	}
	company := object{"id": "67e162a3ad4e2f12bc4f9306", "name": "ABC", "contactAssignmentId": "91033918"}
	join := func(c client, email string, entities any) (me client, refresh string) {
		guest, _ := c.visitor()
		number := guest.must(201, "POST", "/customer/acme/signup", signUp(email, entities)).text("id")
		c.employee().must(200, "PATCH", "/customer/acme/customers/"+number, object{"active": true, "onHold": false})
		got := guest.must(200, "POST", "/customer/acme/login", object{"email": email, "password": "password123"})
		return c.as(got.text("access_token")), got.text("refresh_token")
	}

	c := newFake(t)
	me, refresh := join(c, "one@example.com", []any{company, company, object{"id": "D2"}})
	profile := me.must(200, "GET", "/customer/acme/me", nil)
	assert.Equal(t, "B2B", profile.text("businessModel"))
	b2b, _ := profile.body["b2b"].(object)
	assert.Equal(t, "123-456-789", b2b["companyRegistrationId"])
	entities, _ := b2b["legalEntities"].([]any)
	require.Len(t, entities, 2, "a company that comes twice is one")
	assert.Equal(t, company, entities[0])
	assert.NotEmpty(t, entities[1].(object)["contactAssignmentId"])
	guest, _ := c.visitor()
	scoped := guest.must(200, "GET", customerRefresh+refresh+"&legalEntityId=67e162a3ad4e2f12bc4f9306", nil)
	details := c.as(scoped.text("access_token")).must(200, "GET", "/customer/acme/validateauthtoken", nil)
	assert.Equal(t, "67e162a3ad4e2f12bc4f9306", details.text("legalEntityId"))

	other, _ := join(c, "two@example.com", []any{object{"id": "67e162a3ad4e2f12bc4f9306", "name": "Another name"}})
	assert.Contains(t, other.must(200, "GET", "/customer/acme/me", nil).raw, `"name":"ABC"`, "a known company keeps its name")

	for _, wrong := range []any{"ABC", []any{"ABC"}, []any{object{"name": "ABC"}}, []any{object{"id": ""}}, []any{object{"id": 7}}, object{}, nil} {
		guest.must(400, "POST", "/customer/acme/signup", signUp("three@example.com", wrong))
	}

	off := newFake(t, assume(func(a *emporixfake.Assumptions) { a.SignUpAssignsLegalEntities = false }))
	me, _ = join(off, "one@example.com", []any{company})
	profile = me.must(200, "GET", "/customer/acme/me", nil)
	assert.Equal(t, "B2C", profile.text("businessModel"))
	assert.NotContains(t, profile.raw, "legalEntities")
}

func TestLegalEntitiesAreBounded(t *testing.T) {
	c := newFake(t)
	guest, _ := c.visitor()
	made := 0
	signUp := func(entities int) object {
		list := make([]any, entities)
		for i := range list {
			list[i] = object{"id": fmt.Sprint("D", made)}
			made++
		}
		return object{"email": fmt.Sprintf("%d@example.com", made), "password": "p", "customerDetails": object{"b2b": object{"legalEntities": list}}}
	}
	guest.must(400, "POST", "/customer/acme/signup", signUp(101))
	guest.must(201, "POST", "/customer/acme/signup", signUp(99))
	for range 99 {
		guest.must(201, "POST", "/customer/acme/signup", signUp(100))
	}
	guest.must(507, "POST", "/customer/acme/signup", signUp(2))
	guest.must(201, "POST", "/customer/acme/signup", signUp(1))
	guest.must(507, "POST", "/customer/acme/signup", signUp(1))
	guest.must(201, "POST", "/customer/acme/signup", signUp(0))
}

func TestContactEmailCannotBeEmptied(t *testing.T) {
	jo, _ := newFake(t).loggedIn()
	jo.must(400, "PATCH", "/customer/acme/me", object{"contactEmail": ""})
	assert.Equal(t, joEmail, jo.must(200, "GET", "/customer/acme/me", nil).text("contactEmail"))
	jo.must(200, "PATCH", "/customer/acme/me", object{"contactEmail": "new@example.com"})
}

// The vendor says both: the bearer of a customer refresh is anonymous, and it is
// the customer's.
func TestBearerOfACustomerRefresh(t *testing.T) {
	for takesCustomer, status := range map[bool][2]int{false: {200, 401}, true: {401, 200}} {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.RefreshWantsCustomerBearer = takesCustomer }))
		jo, login := c.loggedIn()
		guest, _ := c.visitor()
		guest.must(status[0], "GET", customerRefresh+login.text("refresh_token"), nil)
		_, login = c.loggedIn()
		jo.must(status[1], "GET", customerRefresh+login.text("refresh_token"), nil)
	}
}

// A status of 0 is one that nobody set.
func TestAssumptionsWithoutStatuses(t *testing.T) {
	c := client{t: t, fake: emporixfake.New(emporixfake.Config{Assumptions: &emporixfake.Assumptions{}})}
	jo, _ := c.loggedIn()
	jo.must(409, "PATCH", "/customer/acme/me", object{"metadata": object{"version": 99}})
}

func TestLenientRows(t *testing.T) {
	lenient := func(a emporixfake.Assumptions) (names []string) {
		for _, row := range a.Table() {
			if row.Lenient && row.Name != "" {
				names = append(names, row.Name)
			}
		}
		return names
	}
	assumptions := emporixfake.DefaultAssumptions()
	assert.Equal(t, []string{"sign-up-assigns-legal-entities", "undeclared-members-refused", "undeclared-bearer-refused"}, lenient(assumptions))
	for name, value := range map[string]string{
		"sign-up-assigns-legal-entities": "false", "undeclared-members-refused": "true", "undeclared-bearer-refused": "true",
	} {
		require.NoError(t, assumptions.Set(name, value))
	}
	assert.Empty(t, lenient(assumptions))
	require.NoError(t, assumptions.Set("undeclared-query-refused", "false"))
	require.NoError(t, assumptions.Set("undeclared-body-refused", "false"))
	assert.Equal(t, []string{"undeclared-query-refused", "undeclared-body-refused"}, lenient(assumptions))
}
