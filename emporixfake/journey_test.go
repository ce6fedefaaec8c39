package emporixfake_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// The whole life of a customer, in the order of the vendor's tutorial.
func TestJourney(t *testing.T) {
	c := newFake(t)
	guest, first := c.visitor()
	assert.Equal(t, "tenant=acme", first.text("scope"))
	assert.Equal(t, 3599.0, first.body["expires_in"])
	assert.Equal(t, 86399.0, first.body["refresh_token_expires_in"])
	assert.Len(t, first.text("access_token"), 28)
	assert.Len(t, first.text("refresh_token"), 32)

	refreshed := c.must(200, "GET", anonymousPath+"refresh?tenant=acme&client_id=storefront&refresh_token="+first.text("refresh_token"), nil)
	assert.Equal(t, first.text("sessionId"), refreshed.text("sessionId"))
	assert.NotEqual(t, first.text("access_token"), refreshed.text("access_token"))

	id := guest.must(201, "POST", "/customer/acme/signup", object{
		"email": joEmail, "password": joPassword,
		"customerDetails": object{
			"firstName": "Jo", "lastName": "Doe", "company": "Emporix", "contactEmail": joEmail, "preferredCurrency": "EUR",
			"b2b":    object{"companyRegistrationId": "123-456-789", "legalEntities": []any{}},
			"mixins": object{"loyalty": object{"points": 7}},
		},
		"customerAddress": object{"contactName": "Jo Doe", "country": "DE", "tags": []string{"BILLING", "SHIPPING"}},
	}).text("id")
	assert.Regexp(t, `^[0-9]{8}$`, id)

	credentials := object{"email": joEmail, "password": joPassword}
	inactive := guest.must(401, "POST", "/customer/acme/login", credentials)
	assert.NotEmpty(t, inactive.text("message"))
	activated := c.employee().must(200, "PATCH", "/customer/acme/customers/"+id, object{"active": true, "onHold": false})
	assert.Empty(t, activated.raw)

	login := guest.must(200, "POST", "/customer/acme/login", credentials)
	assert.Equal(t, first.text("sessionId"), login.text("session_id"))
	assert.Equal(t, false, login.body["initialPassword"])
	assert.Regexp(t, `^[\w-]+\.[\w-]+\.[\w-]+$`, login.text("saas_token"))
	jo := c.as(login.text("access_token"))

	valid := jo.must(200, "GET", "/customer/acme/validateauthtoken", nil)
	assert.Equal(t, joEmail, valid.text("email"))
	assert.Equal(t, first.text("sessionId"), valid.text("sessionId"))
	assert.NotContains(t, valid.body, "legalEntityId")

	require.NoError(t, c.fake.AddCompany(emporixfake.Company{ID: "D165356", Name: "Emporix", Contacts: []emporixfake.Contact{{Email: joEmail, ContactAssignmentID: "D436432"}}}))
	scoped := guest.must(200, "GET", "/customer/acme/refreshauthtoken?legalEntityId=D165356&refreshToken="+login.text("refresh_token"), nil)
	assert.Equal(t, first.text("sessionId"), scoped.text("session_id"))
	assert.NotContains(t, scoped.body, "saas_token")
	assert.NotContains(t, scoped.body, "initialPassword")
	jo = c.as(scoped.text("access_token"))
	assert.Equal(t, "D165356", jo.must(200, "GET", "/customer/acme/validateauthtoken", nil).text("legalEntityId"))

	me := jo.must(200, "GET", "/customer/acme/me?expand=addresses,mixin:*", nil)
	assert.Equal(t, id, me.text("customerNumber"))
	assert.Equal(t, "B2B", me.text("businessModel"))
	assert.Equal(t, object{"loyalty": object{"points": 7.0}}, me.body["mixins"])
	assert.Len(t, me.body["addresses"], 1)
	assert.Equal(t, "Jo Doe", me.body["defaultAddress"].(object)["contactName"])
	assert.NotEmpty(t, me.text("lastLogin"))
	jo.must(200, "PATCH", "/customer/acme/me", object{"firstName": "Joanna", "metadata": object{"version": 2}})

	address := jo.must(201, "POST", "/customer/acme/me/addresses", object{"contactName": "Office", "city": "Berlin"}).text("id")
	path := "/customer/acme/me/addresses/" + address
	assert.Len(t, jo.must(200, "GET", "/customer/acme/me/addresses", nil).list, 2)
	jo.must(200, "PATCH", path, object{"street": "Platz", "isDefault": true})
	jo.must(204, "POST", path+"/tags?tags=BILLING,CUSTOM", nil)
	jo.must(204, "DELETE", path+"/tags?tags=BILLING", nil)
	got := jo.must(200, "GET", path, nil)
	assert.Equal(t, []any{"CUSTOM"}, got.body["tags"])
	assert.Equal(t, true, got.body["isDefault"])
	jo.must(204, "DELETE", path, nil)
	jo.must(404, "GET", path, nil)

	guest.must(204, "POST", "/customer/acme/password/reset", object{"email": joEmail, "site": "main"})
	guest.must(204, "POST", "/customer/acme/password/reset/update", object{"token": c.mailToken("password-reset", joEmail), "password": "second password"})
	jo.must(204, "POST", "/customer/acme/password/change", object{"currentPassword": "second password", "newPassword": "third password"})
	change := "/customer/acme/me/accounts/internal/email/change"
	jo.must(204, "POST", change, object{"email": joEmail, "password": "third password", "newEmail": "new@example.com", "syncContactEmail": true})
	guest.must(204, "POST", change+"/confirm", object{"token": c.mailToken("email-change", "new@example.com")})
	after := jo.must(200, "GET", "/customer/acme/me", nil)
	assert.Equal(t, "new@example.com", after.text("contactEmail"))
	assert.Equal(t, []any{object{"id": "new@example.com"}}, after.body["accounts"])

	guest.must(201, "POST", "/customer/acme/signup", object{"email": "opt@example.com", "password": "opt-password"})
	assert.Empty(t, guest.must(202, "POST", "/customer/acme/signup/optin/refresh_token", object{"email": "opt@example.com"}).raw)
	optIn := guest.must(200, "GET", "/customer/acme/signup/optin/"+c.mailToken("opt-in", "opt@example.com"), nil)
	assert.NotEmpty(t, optIn.text("access_token"))
	assert.NotContains(t, optIn.body, "session_id")

	social := guest.must(200, "POST", "/customer/acme/socialLogin?code=fake-code:so@example.com&redirect_uri=https://shop.example.com/cb", nil, "session-id", "my-session")
	assert.Equal(t, "2591999", social.body["expires_in"])
	assert.Equal(t, "86399", social.body["refresh_token_expires_in"])
	assert.Equal(t, 3600.0, social.body["session_idle_time"])
	assert.Equal(t, "my-session", c.as(social.text("access_token")).must(200, "GET", "/customer/acme/validateauthtoken", nil).text("sessionId"))
	exchanged := guest.must(200, "POST", "/customer/acme/exchangeauthtoken?subjectAccessToken=fake-subject:so@example.com", nil)
	assert.Equal(t, 14399.0, exchanged.body["expires_in"])
	assert.Equal(t, 15551999.0, exchanged.body["refresh_token_expires_in"])

	jo.must(204, "GET", "/customer/acme/logout?accessToken="+jo.bearer, nil)
	jo.must(401, "GET", "/customer/acme/me", nil)
	guest.must(401, "GET", "/customer/acme/refreshauthtoken?refreshToken="+scoped.text("refresh_token"), nil)

	assert.Empty(t, c.fake.Coverage().Missing(), "TestJourney in journey_test.go calls every operation")
	assert.Equal(t, fmt.Sprintf("%[1]d of %[1]d", len(emporixfake.Operations())), c.fake.Coverage().String())
}
