package emporixfake_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// The requests of the vendor's tutorial as they stand there, in its order. {name}
// stands for a value of an answer, as in the tutorial.
func TestTheTutorial(t *testing.T) {
	const address = `"contactName": "John Doe", "companyName": "Emporix", "street": "Platz der Republik", "streetNumber": "1",
		"streetAppendix": "", "extraLine1": "", "extraLine2": "", "extraLine3": "", "extraLine4": "", "zipCode": "11011", "city": "Berlin",
		"country": "DE", "state": "Berlin", "contactPhone": "123456789", "tags": ["BILLING", "SHIPPING"]`
	const profile = `"title": "MR", "firstName": "John", "lastName": "Doe", "contactEmail": "example@customer.com", "contactPhone": "123456789",
		"company": "Emporix", "preferredLanguage": "en_US", "preferredCurrency": "EUR"`
	c := newFake(t)
	values := map[string]string{}
	bearers := map[string]string{}
	step := func(status int, bearer, request, body string, save ...string) reply {
		t.Helper()
		var pairs []string
		for name, value := range values {
			pairs = append(pairs, "{"+name+"}", value)
		}
		fill := strings.NewReplacer(pairs...).Replace
		method, path, _ := strings.Cut(fill(request), " ")
		var payload any
		if body != "" {
			payload = fill(body)
		}
		got := c.as(bearers[bearer]).must(status, method, path, payload)
		for i := 0; i+1 < len(save); i += 2 {
			values[save[i+1]] = got.text(save[i])
		}
		return got
	}

	// Authentication.
	const login = "GET /customerlogin/auth/anonymous/login?tenant=acme&client_id=storefront"
	step(200, "", login, "", "access_token", "anonymous", "refresh_token", "refresh", "sessionId", "session")
	step(200, "", "GET /customerlogin/auth/anonymous/refresh?tenant=acme&refresh_token={refresh}&client_id=storefront", "", "access_token", "anonymous")
	bearers["anonymous"] = values["anonymous"]
	step(201, "anonymous", "POST /customer/acme/signup", `{"email": "example@customer.com", "password": "password123",
		"customerDetails": {`+profile+`, "middleName": "", "preferredSite": "main", "b2b": {"companyRegistrationId": "123-456-789",
		"legalEntities": [{"id": "67e162a3ad4e2f12bc4f9306", "name": "ABC", "contactAssignmentId": "91033918"}]}},
		"customerAddress": {`+address+`}}`, "id", "number")
	bearers["employee"] = c.employee().bearer
	const credentials = `{"email": "example@customer.com", "password": "password123"}`
	step(401, "anonymous", "POST /customer/acme/login", credentials)
	step(200, "employee", "PATCH /customer/acme/customers/{number}", `{"active": true, "onHold": false}`)
	got := step(200, "anonymous", "POST /customer/acme/login", credentials, "access_token", "customer", "refresh_token", "customer_refresh")
	assert.Equal(t, values["session"], got.text("session_id"))
	bearers["customer"] = values["customer"]
	step(200, "anonymous", "GET /customer/acme/refreshauthtoken?refreshToken={customer_refresh}&legalEntityId=67e162a3ad4e2f12bc4f9306", "", "access_token", "customer")
	bearers["customer"] = values["customer"]
	got = step(200, "customer", "GET /customer/acme/validateauthtoken", "")
	assert.Equal(t, "67e162a3ad4e2f12bc4f9306", got.text("legalEntityId"))
	step(200, "anonymous", "POST /customer/acme/socialLogin?code=fake-code:so@example.com&redirect_uri=https%3A%2F%2Fshop.example.com&code_verifier=v", "")

	// Profile and addresses.
	got = step(200, "customer", "GET /customer/acme/me?expand=addresses,mixin:*", "")
	metadata, _ := got.body["metadata"].(object)
	assert.Equal(t, 2.0, metadata["version"])
	assert.Equal(t, "B2B", got.text("businessModel"))
	assert.Contains(t, got.body, "mixins")
	update := `{` + profile + `, "preferredSite": "DE", "b2b": {"companyRegistrationId": "123-456-789"}, "metadata": {"version": `
	step(409, "customer", "PATCH /customer/acme/me", update+`1}}`) // a slip of the tutorial: the profile it shows has version 2
	step(200, "customer", "PATCH /customer/acme/me", update+`2}}`)
	got = step(200, "customer", "GET /customer/acme/me", "")
	assert.Equal(t, "B2B", got.text("businessModel"), "a patch of b2b keeps the companies")
	step(201, "customer", "POST /customer/acme/me/addresses", `{`+address+`}`, "id", "address")
	assert.Len(t, step(200, "customer", "GET /customer/acme/me/addresses", "").list, 2)
	step(200, "customer", "GET /customer/acme/me/addresses/{address}", "")
	step(200, "customer", "PATCH /customer/acme/me/addresses/{address}", `{`+address+`, "isDefault": true}`)
	step(204, "customer", "POST /customer/acme/me/addresses/{address}/tags?tags=BILLING,SHIPPING,CUSTOM", "")
	step(204, "customer", "DELETE /customer/acme/me/addresses/{address}", "")

	// Credentials, with an anonymous bearer where the tutorial says so.
	step(204, "anonymous", "POST /customer/acme/password/reset", `{"email": "example@customer.com", "site": "main"}`)
	values["mail"] = c.mailToken(emporixfake.MailPasswordReset, "example@customer.com")
	step(204, "anonymous", "POST /customer/acme/password/reset/update", `{"token": "{mail}", "password": "password123"}`)
	step(204, "customer", "POST /customer/acme/password/change", `{"currentPassword": "password123", "newPassword": "P@ssw0rd123"}`)
	step(204, "customer", "POST /customer/acme/me/accounts/internal/email/change",
		`{"email": "example@customer.com", "password": "P@ssw0rd123", "newEmail": "example@emporix.com", "syncContactEmail": true}`)
	values["mail"] = c.mailToken(emporixfake.MailEmailChange, "example@emporix.com")
	step(204, "anonymous", "POST /customer/acme/me/accounts/internal/email/change/confirm", `{"token": "{mail}"}`)
	assert.Equal(t, "example@emporix.com", step(200, "customer", "GET /customer/acme/me", "").text("contactEmail"))
	step(204, "customer", "GET /customer/acme/logout?accessToken={customer}", "")
	step(401, "customer", "GET /customer/acme/validateauthtoken", "")
}
