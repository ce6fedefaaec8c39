package emporixfake_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

func TestSignUpRules(t *testing.T) {
	c := newFake(t)
	guest, _ := c.visitor()
	guest.must(201, "POST", "/customer/acme/signup", object{"email": joEmail, "password": "p"})
	got := guest.must(409, "POST", "/customer/acme/signup", object{"email": "Jo@Example.com", "password": "q"})
	assert.Equal(t, object{"status": 409.0, "type": "conflict_resource", "message": "Duplicate account 'Jo@Example.com' for tenant 'acme'."}, got.body)

	for name, tc := range map[string]struct {
		more   object
		fields []string
	}{
		"another contact e-mail": {object{"customerDetails": object{"contactEmail": "x@example.com"}}, []string{"customerDetails.contactEmail"}},
		"currency":               {object{"customerDetails": object{"preferredCurrency": "EURO"}}, []string{"customerDetails.preferredCurrency"}},
		"country":                {object{"customerAddress": object{"contactName": "x", "country": "DEU"}}, []string{"customerAddress.country"}},
		"no contact name":        {object{"customerAddress": object{"city": "x"}}, []string{"customerAddress.contactName"}},
		"tags":                   {object{"customerAddress": object{"contactName": "x", "tags": []any{1}}}, []string{"customerAddress.tags[0]"}},
		"short sign-up password": {object{"signup": object{"email": "x@example.com", "password": "short"}}, []string{"signup.password"}},
		"half sign-up":           {object{"signup": object{}}, []string{"signup.email", "signup.password"}},
		"company without names": {object{"customerDetails": object{"lastName": "x", "b2b": object{"companyRegistrationId": "1"}}},
			[]string{"customerDetails.firstName", "customerDetails.company"}},
	} {
		t.Run(name, func(t *testing.T) {
			body := object{"email": "new@example.com", "password": "password"}
			for member, value := range tc.more {
				body[member] = value
			}
			assert.Equal(t, tc.fields, guest.must(400, "POST", "/customer/acme/signup", body).fields())
		})
	}

	id := guest.must(201, "POST", "/customer/acme/signup", object{
		"email": "contact@example.com", "password": "unused", "signup": object{"email": "login@example.com", "password": "password"},
	}).text("id")
	c.employee().must(200, "PATCH", "/customer/acme/customers/"+id, object{"active": true, "onHold": false})
	guest.must(401, "POST", "/customer/acme/login", object{"email": "contact@example.com", "password": "unused"})
	login := guest.must(200, "POST", "/customer/acme/login", object{"email": "login@example.com", "password": "password"})
	me := c.as(login.text("access_token")).must(200, "GET", "/customer/acme/me", nil)
	assert.Equal(t, "contact@example.com", me.text("contactEmail"))
	assert.Equal(t, []any{object{"id": "login@example.com"}}, me.body["accounts"])
	assert.Equal(t, "B2C", me.text("businessModel"))
	assert.Equal(t, "en_US", me.text("preferredLanguage"))
}

func TestProfileMerge(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	me := func(query string) object { return jo.must(200, "GET", "/customer/acme/me"+query, nil).body }
	before := me("")["metadata"].(object)["version"].(float64)
	assert.Empty(t, jo.must(200, "PATCH", "/customer/acme/me", object{
		"company": "Emporix", "b2b": object{"companyRegistrationId": "1"}, "unknown": "ignored",
		"mixins":   object{"a": object{"x": 1, "y": 2}, "b": object{}},
		"metadata": object{"version": before, "mixins": object{"a": "https://example.com/a.json"}},
	}).raw)
	after := me("?expand=mixin:*")
	assert.Equal(t, before+1, after["metadata"].(object)["version"])
	assert.Equal(t, object{"a": "https://example.com/a.json"}, after["metadata"].(object)["mixins"])
	assert.Equal(t, object{"a": object{"x": 1.0, "y": 2.0}, "b": object{}}, after["mixins"])
	assert.Equal(t, "Jo", after["firstName"], "the rest stays")
	assert.NotContains(t, after, "unknown")
	assert.NotContains(t, after, "addresses")
	assert.NotContains(t, me(""), "mixins")
	assert.Equal(t, object{"b": object{}}, me("?expand=mixin:b")["mixins"])

	for _, version := range []any{before, 99, 0} {
		got := jo.must(409, "PATCH", "/customer/acme/me", object{"firstName": "X", "metadata": object{"version": version}})
		assert.Equal(t, []string{"metadata.version"}, got.fields())
	}
	jo.must(400, "PATCH", "/customer/acme/me", object{"metadata": object{"version": 1.5}})
	assert.Equal(t, []string{"company"}, jo.must(400, "PATCH", "/customer/acme/me", object{"company": ""}).fields(), "it has a registration number")

	jo.must(200, "PATCH", "/customer/acme/me", object{"mixins": object{"a": object{"x": nil}}, "b2b": nil, "company": nil}, "Content-Type", "application/merge-patch+json")
	after = me("?expand=mixin:*")
	assert.Equal(t, object{"a": object{"y": 2.0}, "b": object{}}, after["mixins"])
	assert.NotContains(t, after, "company")
	assert.NotContains(t, after, "b2b")

	number := after["id"].(string)
	c.employee().must(200, "PATCH", "/customer/acme/customers/"+number, object{"title": "DR", "restriction": "DE", "onHold": true})
	after = me("")
	assert.Equal(t, "DR", after["title"])
	assert.NotContains(t, after, "restriction", "it is the tenant's")
	guest, _ := c.visitor()
	guest.must(401, "POST", "/customer/acme/login", object{"email": joEmail, "password": joPassword})
}

func TestStaleVersionStatus(t *testing.T) {
	c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.StaleVersionStatus = 412 }))
	jo, _ := c.loggedIn()
	jo.must(412, "PATCH", "/customer/acme/me", object{"metadata": object{"version": 7}})
}

func TestAddresses(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	const path = "/customer/acme/me/addresses"
	add := func(body object) string { return jo.must(201, "POST", path, body).text("id") }
	assert.Equal(t, "[]", jo.must(200, "GET", path, nil).raw)
	first := add(object{"contactName": "one", "country": "Germany", "tags": []string{"A", "A", "B"}})
	second := add(object{"street": "two", "metadata": object{"mixins": object{"m": "url"}}, "mixins": object{"m": object{"k": "v"}}})
	get := func(id string) object { return jo.must(200, "GET", path+"/"+id, nil).body }
	assert.Equal(t, []any{"A", "B"}, get(first)["tags"])
	assert.Equal(t, true, get(first)["isDefault"])
	assert.Equal(t, false, get(second)["isDefault"])
	assert.Equal(t, "", get(second)["contactName"])
	assert.Equal(t, object{"mixins": object{"m": "url"}, "version": 1.0}, get(second)["metadata"])

	jo.must(200, "PATCH", path+"/"+second, object{"isDefault": true, "mixins": object{"m": object{"l": "w"}}, "metadata": object{"version": 1}})
	assert.Equal(t, false, get(first)["isDefault"], "there is one default")
	assert.Equal(t, object{"m": object{"k": "v", "l": "w"}}, get(second)["mixins"])
	jo.must(409, "PATCH", path+"/"+second, object{"street": "x", "metadata": object{"version": 1}})

	jo.must(204, "POST", path+"/"+first+"/tags?tags=B,C%20D", nil)
	assert.Equal(t, []any{"A", "B", "C D"}, get(first)["tags"])
	jo.must(204, "DELETE", path+"/"+first+"/tags?tags=A,unknown", nil)
	assert.Equal(t, []any{"B", "C D"}, get(first)["tags"])
	for _, tags := range []string{",", "A,,B", "%20"} {
		jo.must(400, "POST", path+"/"+first+"/tags?tags="+tags, nil)
	}

	me := jo.must(200, "GET", "/customer/acme/me?expand=addresses", nil)
	assert.Len(t, me.body["addresses"], 2)
	assert.Equal(t, second, me.body["defaultAddress"].(object)["id"])
	assert.NotContains(t, me.body["addresses"].([]any)[0], "country", "a profile's countries have two letters")

	jo.must(204, "DELETE", path+"/"+second, nil)
	assert.Equal(t, true, get(first)["isDefault"])
	jo.must(200, "PATCH", path+"/"+first, object{"isDefault": false})
	assert.Equal(t, false, get(first)["isDefault"])

	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: "other@example.com", Password: joPassword})
	require.NoError(t, err)
	guest, _ := c.visitor()
	other := c.as(guest.must(200, "POST", "/customer/acme/login", object{"email": "other@example.com", "password": joPassword}).text("access_token"))
	other.must(404, "GET", path+"/"+first, nil)
	other.must(404, "DELETE", path+"/"+first, nil)
}

func TestPasswords(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	other, otherLogin := c.loggedIn()
	guest, _ := c.visitor()
	can := func(password string) bool {
		return guest.send("POST", "/customer/acme/login", object{"email": joEmail, "password": password}).status == 200
	}
	got := jo.must(401, "POST", "/customer/acme/password/change", object{"currentPassword": "wrong", "newPassword": "second password"})
	assert.NotEmpty(t, got.text("message"))
	jo.must(400, "POST", "/customer/acme/password/change", object{"currentPassword": joPassword, "newPassword": ""})
	jo.must(204, "POST", "/customer/acme/password/change", object{"currentPassword": joPassword, "newPassword": "second password"})
	assert.False(t, can(joPassword))
	assert.True(t, can("second password"))
	assert.Equal(t, 200, other.profile(), "other sessions go on")

	guest.must(204, "POST", "/customer/acme/password/reset", object{"email": "nobody@example.com"})
	assert.Empty(t, c.fake.Outbox(emporixfake.MailFilter{}))
	guest.must(204, "POST", "/customer/acme/password/reset", object{"email": joEmail, "site": "main"})
	mail := c.fake.Outbox(emporixfake.MailFilter{Kind: emporixfake.MailPasswordReset, Email: joEmail})[0]
	assert.Equal(t, "main", mail.Site)
	assert.Len(t, mail.Token, 64)
	reset := func(token string) int {
		return guest.send("POST", "/customer/acme/password/reset/update", object{"token": token, "password": "third password"}).status
	}
	guest.must(400, "POST", "/customer/acme/me/accounts/internal/email/change/confirm", object{"token": mail.Token})
	assert.Equal(t, 400, reset("unknown"))
	assert.Equal(t, 204, reset(mail.Token))
	assert.Equal(t, 400, reset(mail.Token), "it works once")
	assert.True(t, can("third password"))

	guest.must(204, "POST", "/customer/acme/password/reset", object{"email": joEmail})
	c.fake.Advance(25 * time.Hour)
	guest, _ = c.visitor()
	assert.Equal(t, 400, reset(c.mailToken(emporixfake.MailPasswordReset, joEmail)), "it expires")
	assert.Equal(t, 401, c.refreshCustomer(otherLogin.text("refresh_token")).status)
}

func TestPasswordChangeEndsSessions(t *testing.T) {
	c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.PasswordChangeEndsSessions = true }))
	jo, _ := c.loggedIn()
	other, login := c.loggedIn()
	jo.must(204, "POST", "/customer/acme/password/change", object{"currentPassword": joPassword, "newPassword": "second password"})
	assert.Equal(t, 200, jo.profile())
	assert.Equal(t, 401, other.profile())
	assert.Equal(t, 401, c.refreshCustomer(login.text("refresh_token")).status)
	guest, _ := c.visitor()
	guest.must(204, "POST", "/customer/acme/password/reset", object{"email": joEmail})
	guest.must(204, "POST", "/customer/acme/password/reset/update", object{"token": c.mailToken(emporixfake.MailPasswordReset, joEmail), "password": "third password"})
	assert.Equal(t, 401, jo.profile())
}

func TestEmailChange(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	guest, _ := c.visitor()
	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: "taken@example.com"})
	require.NoError(t, err)
	const path = "/customer/acme/me/accounts/internal/email/change"
	jo.must(401, "POST", path, object{"email": joEmail, "password": "wrong", "newEmail": "new@example.com"})
	for field, body := range map[string]object{
		"email":    {"email": "x@example.com", "password": joPassword, "newEmail": "new@example.com"},
		"newEmail": {"email": joEmail, "password": joPassword, "newEmail": "taken@example.com"},
	} {
		assert.Equal(t, []string{field}, jo.must(400, "POST", path, body).fields())
	}
	jo.must(400, "POST", path, object{"password": joPassword, "newEmail": ""})
	jo.must(204, "POST", path, object{"password": joPassword, "newEmail": "new@example.com"})
	mail := c.fake.Outbox(emporixfake.MailFilter{Kind: emporixfake.MailEmailChange, Email: joEmail})[0]
	assert.Equal(t, "new@example.com", mail.NewEmail)
	jo.must(401, "POST", path+"/confirm", object{"token": mail.Token})
	guest.must(204, "POST", path+"/confirm", object{"token": mail.Token})
	guest.must(400, "POST", path+"/confirm", object{"token": mail.Token})
	guest.must(401, "POST", "/customer/acme/login", object{"email": joEmail, "password": joPassword})
	guest.must(200, "POST", "/customer/acme/login", object{"email": "new@example.com", "password": joPassword})
	me := jo.must(200, "GET", "/customer/acme/me", nil)
	assert.Equal(t, joEmail, me.text("contactEmail"), "it was not asked to follow")
	guest.must(201, "POST", "/customer/acme/signup", object{"email": joEmail, "password": "p"})
}
