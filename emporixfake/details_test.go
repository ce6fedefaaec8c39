package emporixfake_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

func TestRefreshOfAnAccountThatIsNotUsable(t *testing.T) {
	for name, switchOff := range map[string]object{"inactive": {"active": false}, "on hold": {"onHold": true}} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t)
			jo, login := c.loggedIn()
			number := jo.must(200, "GET", "/customer/acme/me", nil).text("id")
			c.employee().must(200, "PATCH", "/customer/acme/customers/"+number, switchOff)
			assert.Equal(t, 401, c.refreshCustomer(login.text("refresh_token")).status)
			c.employee().must(200, "PATCH", "/customer/acme/customers/"+number, object{"active": true, "onHold": false})
			assert.Equal(t, 200, c.refreshCustomer(login.text("refresh_token")).status)
		})
	}
}

func TestTwoAuthorizationHeaders(t *testing.T) {
	c := newFake(t)
	guest, _ := c.visitor()
	for _, second := range []string{guest.bearer, "x"} {
		r := httptest.NewRequest("GET", "/customer/acme/me", nil)
		r.Header.Add("Authorization", "Bearer "+guest.bearer)
		r.Header.Add("Authorization", "Bearer "+second)
		w := httptest.NewRecorder()
		c.fake.ServeHTTP(w, r)
		assert.Equal(t, 401, w.Code)
	}
}

// IDs of addresses are the tenant's to choose, at sign-up too.
func TestSignUpChoosesTheAddressID(t *testing.T) {
	c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.ActivationNeeded = false }))
	guest, _ := c.visitor()
	credentials := object{"email": joEmail, "password": joPassword}
	guest.must(201, "POST", "/customer/acme/signup", object{
		"email": joEmail, "password": joPassword, "customerAddress": object{"id": "mine", "contactName": "Jo"},
	})
	jo := c.as(guest.must(200, "POST", "/customer/acme/login", credentials).text("access_token"))
	list := jo.must(200, "GET", "/customer/acme/me/addresses", nil).list
	require.Len(t, list, 1)
	assert.NotEmpty(t, list[0].(object)["id"])
	assert.NotEqual(t, "mine", list[0].(object)["id"])
}

func TestNewEmailIsTakenMeanwhile(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	guest, _ := c.visitor()
	jo.must(204, "POST", "/customer/acme/me/accounts/internal/email/change", object{"password": joPassword, "newEmail": "new@example.com"})
	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: "NEW@example.com", Password: joPassword})
	require.NoError(t, err)
	token := c.mailToken(emporixfake.MailEmailChange, "new@example.com")
	got := guest.must(400, "POST", "/customer/acme/me/accounts/internal/email/change/confirm", object{"token": token})
	assert.Equal(t, []string{"newEmail"}, got.fields())
	guest.must(200, "POST", "/customer/acme/login", object{"email": joEmail, "password": joPassword})
	guest.must(200, "POST", "/customer/acme/login", object{"email": "new@example.com", "password": joPassword})
}

// A password that its owner chose is no initial one.
func TestInitialPassword(t *testing.T) {
	const chosen = "chosen by Jo"
	for name, choose := range map[string]func(c, jo client){
		"changed": func(_, jo client) {
			jo.must(204, "POST", "/customer/acme/password/change", object{"currentPassword": joPassword, "newPassword": chosen})
		},
		"reset": func(c, _ client) {
			guest, _ := c.visitor()
			guest.must(204, "POST", "/customer/acme/password/reset", object{"email": joEmail})
			token := c.mailToken(emporixfake.MailPasswordReset, joEmail)
			guest.must(204, "POST", "/customer/acme/password/reset/update", object{"token": token, "password": chosen})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t)
			_, err := c.fake.AddCustomer(emporixfake.Customer{Email: joEmail, Password: joPassword, InitialPassword: true})
			require.NoError(t, err)
			jo, login := c.loggedIn()
			assert.Equal(t, true, login.body["initialPassword"])
			choose(c, jo)
			guest, _ := c.visitor()
			login = guest.must(200, "POST", "/customer/acme/login", object{"email": joEmail, "password": chosen})
			assert.Equal(t, false, login.body["initialPassword"])
		})
	}
}

func TestAddressesAreBounded(t *testing.T) {
	c := newFake(t)
	addresses := make([]map[string]any, 999)
	for i := range addresses {
		addresses[i] = map[string]any{"contactName": "Jo"}
	}
	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: joEmail, Password: joPassword, Addresses: addresses})
	require.NoError(t, err)
	jo, _ := c.loggedIn()
	jo.must(201, "POST", "/customer/acme/me/addresses", object{"city": "Berlin"})
	assert.Contains(t, jo.must(400, "POST", "/customer/acme/me/addresses", object{"city": "Berlin"}).raw, "1000")
	assert.Len(t, jo.must(200, "GET", "/customer/acme/me/addresses", nil).list, 1000)
}

func TestTagsRaiseTheVersion(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	path := "/customer/acme/me/addresses/" + jo.must(201, "POST", "/customer/acme/me/addresses", object{"city": "Berlin"}).text("id")
	for want, method := range []string{"", "POST", "DELETE"} {
		if method != "" {
			jo.must(204, method, path+"/tags?tags=HOME", nil)
		}
		metadata := jo.must(200, "GET", path, nil).body["metadata"].(object)
		assert.Equal(t, float64(want+1), metadata["version"])
	}
	jo.must(409, "PATCH", path, object{"metadata": object{"version": 1}})
}

// The API takes any country with an address, and has two letters in a profile.
func TestCountriesInAProfile(t *testing.T) {
	c := newFake(t)
	jo, _ := c.loggedIn()
	for _, country := range []string{"Germany", "DE"} {
		jo.must(201, "POST", "/customer/acme/me/addresses", object{"country": country})
	}
	me := jo.must(200, "GET", "/customer/acme/me?expand=addresses", nil)
	assert.NotContains(t, me.body["defaultAddress"], "country")
	assert.NotContains(t, me.body["addresses"].([]any)[0], "country")
	assert.Equal(t, "DE", me.body["addresses"].([]any)[1].(object)["country"])
	assert.Equal(t, "Germany", jo.must(200, "GET", "/customer/acme/me/addresses", nil).list[0].(object)["country"])
}
