package emporixfake_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

const customerRefresh = "/customer/acme/refreshauthtoken?refreshToken="

func (c client) refreshGuest(token string) reply {
	c.t.Helper()
	return c.as("").send("GET", anonymousPath+"refresh?tenant=acme&client_id=storefront&refresh_token="+token, nil)
}

func (c client) refreshCustomer(token string) reply {
	c.t.Helper()
	guest, _ := c.visitor()
	return guest.send("GET", customerRefresh+token, nil)
}

func (c client) profile() int { return c.send("GET", "/customer/acme/me", nil).status }

func TestRefreshRotation(t *testing.T) {
	c := newFake(t)
	_, guest := c.visitor()
	again := c.refreshGuest(guest.text("refresh_token"))
	assert.Equal(t, guest.text("refresh_token"), again.text("refresh_token"), "anonymous: the same, and it goes on working")
	assert.Equal(t, 200, c.refreshGuest(guest.text("refresh_token")).status)

	jo, login := c.loggedIn()
	next := c.refreshCustomer(login.text("refresh_token"))
	require.Equal(t, 200, next.status, next.raw)
	assert.NotEqual(t, login.text("refresh_token"), next.text("refresh_token"))
	used := c.refreshCustomer(login.text("refresh_token"))
	assert.Equal(t, 401, used.status)
	assert.Empty(t, used.faultCode(), "a fault would be about the bearer")
	assert.NotEmpty(t, used.text("message"))
	assert.Equal(t, 200, jo.profile(), "the old access token lives on")
	assert.Equal(t, 200, c.refreshCustomer(next.text("refresh_token")).status, "reuse harms nobody by default")
	assert.Equal(t, 401, c.refreshCustomer(guest.text("refresh_token")).status, "a guest's is no customer's")
	assert.Equal(t, 401, c.refreshGuest(next.text("refresh_token")).status)
}

func TestRefreshSwitches(t *testing.T) {
	t.Run("anonymous rotates", func(t *testing.T) {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.AnonymousRefreshRotates = true }))
		_, guest := c.visitor()
		next := c.refreshGuest(guest.text("refresh_token"))
		assert.NotEqual(t, guest.text("refresh_token"), next.text("refresh_token"))
		assert.Equal(t, 401, c.refreshGuest(guest.text("refresh_token")).status)
		assert.Equal(t, 200, c.refreshGuest(next.text("refresh_token")).status)
	})
	t.Run("customer does not rotate", func(t *testing.T) {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.CustomerRefreshRotates = false }))
		_, login := c.loggedIn()
		assert.Equal(t, login.text("refresh_token"), c.refreshCustomer(login.text("refresh_token")).text("refresh_token"))
	})
	t.Run("grace", func(t *testing.T) {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.RotationGrace = 30 * time.Second }))
		_, login := c.loggedIn()
		for _, want := range []int{200, 200, 200, 401} {
			assert.Equal(t, want, c.refreshCustomer(login.text("refresh_token")).status)
			c.fake.Advance(10 * time.Second) // the grace does not start anew
		}
	})
	t.Run("reuse kills the family", func(t *testing.T) {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.ReuseKillsFamily = true }))
		jo, login := c.loggedIn()
		other, _ := c.loggedIn()
		next := c.refreshCustomer(login.text("refresh_token"))
		assert.Equal(t, 401, c.refreshCustomer(login.text("refresh_token")).status)
		assert.Equal(t, 401, c.refreshCustomer(next.text("refresh_token")).status)
		assert.Equal(t, 401, c.as(next.text("access_token")).profile())
		assert.Equal(t, 401, jo.profile())
		assert.Equal(t, 200, other.profile())
	})
	t.Run("old access token ends", func(t *testing.T) {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.RefreshInvalidatesAccess = true }))
		jo, login := c.loggedIn()
		next := c.refreshCustomer(login.text("refresh_token"))
		assert.Equal(t, 401, jo.profile())
		assert.Equal(t, 200, c.as(next.text("access_token")).profile())
	})
	t.Run("life is not renewed", func(t *testing.T) {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.RefreshRenewsRefreshLife = false }))
		_, login := c.loggedIn()
		c.fake.Advance(9 * time.Second)
		assert.Equal(t, 86390.0, c.refreshCustomer(login.text("refresh_token")).body["refresh_token_expires_in"])
	})
	t.Run("refused status", func(t *testing.T) {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.RefreshRefusedStatus = 400 }))
		assert.Equal(t, 400, c.refreshCustomer("x").status)
		assert.Equal(t, 400, c.refreshGuest("x").status)
	})
}

func TestRefreshTokensExpire(t *testing.T) {
	c := newFake(t)
	_, guest := c.visitor()
	_, login := c.loggedIn()
	c.fake.Advance(86398 * time.Second)
	assert.Equal(t, 200, c.refreshGuest(guest.text("refresh_token")).status)
	next := c.refreshCustomer(login.text("refresh_token"))
	assert.Equal(t, 86399.0, next.body["refresh_token_expires_in"])
	c.fake.Advance(86398 * time.Second)
	assert.Equal(t, 200, c.refreshGuest(guest.text("refresh_token")).status, "each refresh renews it")
	c.fake.Advance(2 * time.Second)
	assert.Equal(t, 401, c.refreshCustomer(next.text("refresh_token")).status)
	assert.Equal(t, 200, c.as(next.text("access_token")).profile(), "the access token outlives its refresh token by weeks")
	c.fake.Advance(30 * 24 * time.Hour)
	assert.Equal(t, 401, c.as(next.text("access_token")).profile())
}

func TestLegalEntities(t *testing.T) {
	c := newFake(t)
	_, login := c.loggedIn()
	require.NoError(t, c.fake.AddCompany(emporixfake.Company{ID: "D1", Name: "Emporix", Contacts: []emporixfake.Contact{{Email: joEmail}}}))
	require.NoError(t, c.fake.AddCompany(emporixfake.Company{ID: "D2", Name: "Other"}))
	token := login.text("refresh_token")
	assert.Equal(t, 403, c.refreshCustomer(token+"&legalEntityId=D2").status)
	assert.Equal(t, 403, c.refreshCustomer(token+"&legalEntityId=nope").status)
	scoped := c.refreshCustomer(token + "&legalEntityId=D1")
	require.Equal(t, 200, scoped.status, "a refused company must not use up the token")
	entity := func(r reply) any {
		return c.as(r.text("access_token")).must(200, "GET", "/customer/acme/validateauthtoken", nil).body["legalEntityId"]
	}
	assert.Equal(t, "D1", entity(scoped))
	assert.Nil(t, entity(c.refreshCustomer(scoped.text("refresh_token"))), "without legalEntityId it is gone")
}

func TestLoginRefusals(t *testing.T) {
	c := newFake(t)
	for email, change := range map[string]func(*emporixfake.Customer){
		"inactive@example.com": func(cu *emporixfake.Customer) { cu.Inactive = true },
		"held@example.com":     func(cu *emporixfake.Customer) { cu.OnHold = true },
		"social@example.com":   func(cu *emporixfake.Customer) { cu.Password = "" },
		joEmail:                func(*emporixfake.Customer) {},
	} {
		cu := emporixfake.Customer{Email: email, Password: joPassword}
		change(&cu)
		_, err := c.fake.AddCustomer(cu)
		require.NoError(t, err)
	}
	guest, session := c.visitor()
	for email, password := range map[string]string{
		joEmail: "wrong password", "nobody@example.com": joPassword, "inactive@example.com": joPassword,
		"held@example.com": joPassword, "social@example.com": joPassword,
	} {
		got := guest.must(401, "POST", "/customer/acme/login", object{"email": email, "password": password})
		assert.NotEmpty(t, got.text("message"), email)
		assert.Empty(t, got.faultCode(), email)
	}
	guest.must(400, "POST", "/customer/acme/login", object{"email": joEmail, "password": "short"})
	guest.must(200, "GET", "/customer/acme/me", nil)
	got := guest.must(200, "POST", "/customer/acme/login", object{"email": "JO@example.com", "password": joPassword})
	assert.Equal(t, session.text("sessionId"), got.text("session_id"))
	guest.must(200, "GET", "/customer/acme/me", nil)
}

func TestAnonymousEndsAtLogin(t *testing.T) {
	c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.AnonymousEndsAtLogin = true }))
	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: joEmail, Password: joPassword, InitialPassword: true})
	require.NoError(t, err)
	guest, session := c.visitor()
	got := guest.must(200, "POST", "/customer/acme/login", object{"email": joEmail, "password": joPassword})
	assert.Equal(t, true, got.body["initialPassword"])
	assert.Equal(t, 401, guest.profile())
	assert.Equal(t, 401, c.refreshGuest(session.text("refresh_token")).status)
}

func TestAnonymousProfile(t *testing.T) {
	guest, _ := newFake(t).visitor()
	assert.JSONEq(t, `{"firstName":"Anonymous","lastName":"Anonymous","preferredSite":"default","customerNumber":"00000000","id":"00000000","accounts":[]}`,
		guest.must(200, "GET", "/customer/acme/me?expand=addresses", nil).raw)
}

func TestLogout(t *testing.T) {
	for name, kills := range map[string]bool{"kills the refresh token": true, "leaves it": false} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.LogoutKillsRefresh = kills }))
			jo, login := c.loggedIn()
			other, _ := c.loggedIn()
			jo.must(400, "GET", "/customer/acme/logout?accessToken="+other.bearer, nil)
			got := jo.must(204, "GET", "/customer/acme/logout?accessToken="+jo.bearer, nil)
			assert.Empty(t, got.raw)
			assert.Equal(t, 401, jo.profile())
			assert.Equal(t, 401, jo.send("GET", "/customer/acme/logout?accessToken="+jo.bearer, nil).status)
			assert.Equal(t, 200, other.profile())
			want := http.StatusOK
			if kills {
				want = http.StatusUnauthorized
			}
			assert.Equal(t, want, c.refreshCustomer(login.text("refresh_token")).status)
		})
	}
}

func TestSocialLogin(t *testing.T) {
	c := newFake(t)
	guest, session := c.visitor()
	login := func(code string) reply {
		return guest.send("POST", "/customer/acme/socialLogin?redirect_uri=https://shop.example.com&code="+code, nil)
	}
	first := login("fake-code:so@example.com")
	require.Equal(t, 200, first.status)
	assert.NotContains(t, first.body, "session_id")
	so := c.as(first.text("access_token"))
	assert.Equal(t, session.text("sessionId"), so.must(200, "GET", "/customer/acme/validateauthtoken", nil).text("sessionId"))
	assert.Equal(t, []any{object{"id": "so@example.com", "providerId": "fake|so@example.com"}}, so.must(200, "GET", "/customer/acme/me", nil).body["accounts"])

	assert.Equal(t, 401, login("fake-code:so@example.com").status, "a code works once")
	again := login("fake-code:so@example.com:2")
	assert.Equal(t, so.must(200, "GET", "/customer/acme/me", nil).text("id"), c.as(again.text("access_token")).must(200, "GET", "/customer/acme/me", nil).text("id"))
	for _, code := range []string{"unknown", "fake-code:", "fake-code:nobody"} {
		assert.Equal(t, 401, login(code).status, code)
	}

	require.NoError(t, c.fake.AddSocialIdentity("pkce", emporixfake.Identity{Email: "pk@example.com", FirstName: "P", LastName: "K", CodeVerifier: "verifier"}))
	assert.Equal(t, 401, login("pkce&code_verifier=wrong").status)
	assert.Equal(t, 401, login("pkce").status)
	pk := c.as(login("pkce&code_verifier=verifier").text("access_token"))
	assert.Equal(t, "P", pk.must(200, "GET", "/customer/acme/me", nil).text("firstName"))
	pk.must(401, "POST", "/customer/acme/password/change", object{"currentPassword": "", "newPassword": "x"})
}

func TestExchange(t *testing.T) {
	c := newFake(t)
	guest, session := c.visitor()
	exchange := func(query string) reply {
		return guest.send("POST", "/customer/acme/exchangeauthtoken?subjectAccessToken="+query, nil)
	}
	got := exchange("fake-subject:ex@example.com")
	require.Equal(t, 200, got.status)
	assert.Equal(t, session.text("sessionId"), got.text("session_id"))
	assert.Equal(t, "fake-subject:ex@example.com", got.text("subject_access_token"))
	assert.Equal(t, 120.0, got.body["session_idle_time"])
	assert.Contains(t, got.text("scope"), "tenant=acme")
	next := c.refreshCustomer(got.text("refresh_token"))
	assert.Equal(t, 14399.0, next.body["expires_in"], "a refresh keeps the lifetimes of the exchange")

	assert.Equal(t, 400, exchange("fake-subject:ex@example.com&config=site_PL").status)
	require.NoError(t, c.fake.AddSubjectToken("pl-token", emporixfake.Identity{Email: "pl@example.com"}, "site_PL"))
	require.NoError(t, c.fake.AddSubjectToken("dead", emporixfake.Identity{Email: "pl@example.com", Inactive: true}, ""))
	assert.Equal(t, 200, exchange("pl-token&config=site_PL").status)
	assert.Equal(t, 200, exchange("fake-subject:ex@example.com&config=site_PL").status)
	assert.Equal(t, 200, exchange("fake-subject:ex@example.com:2&config=site_PL").status)
	for _, query := range []string{"pl-token", "dead", "unknown"} {
		assert.Equal(t, 401, exchange(query).status, query)
	}
	strict := newFake(t, assume(func(a *emporixfake.Assumptions) { a.ExchangeProvisions = false }))
	visitor, _ := strict.visitor()
	visitor.must(404, "POST", "/customer/acme/exchangeauthtoken?subjectAccessToken=fake-subject:ex@example.com", nil)
}

func TestOptIn(t *testing.T) {
	signUp := object{"email": joEmail, "password": joPassword}
	t.Run("on", func(t *testing.T) {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.DoubleOptIn = true }))
		guest, _ := c.visitor()
		guest.must(201, "POST", "/customer/acme/signup", signUp)
		first := c.mailToken(emporixfake.MailOptIn, joEmail)
		guest.must(202, "POST", "/customer/acme/signup/optin/refresh_token", object{"email": joEmail})
		second := c.mailToken(emporixfake.MailOptIn, joEmail)
		guest.must(400, "GET", "/customer/acme/signup/optin/"+first, nil)
		got := guest.must(200, "GET", "/customer/acme/signup/optin/"+second, nil)
		assert.Equal(t, 200, c.as(got.text("access_token")).profile())
		guest.must(400, "GET", "/customer/acme/signup/optin/"+second, nil)
		guest.must(202, "POST", "/customer/acme/signup/optin/refresh_token", object{"email": joEmail})
		guest.must(202, "POST", "/customer/acme/signup/optin/refresh_token", object{"email": "nobody@example.com"})
		assert.Len(t, c.fake.Outbox(emporixfake.MailFilter{}), 2, "no mail for the active and the unknown")
	})
	t.Run("does not log in", func(t *testing.T) {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.DoubleOptIn, a.OptInLogsIn = true, false }))
		guest, _ := c.visitor()
		guest.must(201, "POST", "/customer/acme/signup", signUp)
		got := guest.must(200, "GET", "/customer/acme/signup/optin/"+c.mailToken(emporixfake.MailOptIn, joEmail), nil)
		assert.Empty(t, got.raw)
		assert.Empty(t, got.header.Get("Content-Type"))
		guest.must(200, "POST", "/customer/acme/login", signUp)
	})
	t.Run("not needed", func(t *testing.T) {
		c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.ActivationNeeded = false }))
		guest, _ := c.visitor()
		guest.must(201, "POST", "/customer/acme/signup", signUp)
		guest.must(200, "POST", "/customer/acme/login", signUp)
		assert.Empty(t, c.fake.Outbox(emporixfake.MailFilter{}))
	})
}

// Whether a refresh token is good comes before whether the company is.
func TestRefreshTokenIsCheckedBeforeTheCompany(t *testing.T) {
	c := newFake(t, assume(func(a *emporixfake.Assumptions) { a.ReuseKillsFamily = true }))
	_, login := c.loggedIn()
	old := login.text("refresh_token")
	require.Equal(t, 403, c.refreshCustomer(old+"&legalEntityId=D1").status)
	next := c.refreshCustomer(old)
	require.Equal(t, 200, next.status, "asking for a foreign company uses nothing up")
	assert.Equal(t, 401, c.refreshCustomer(old+"&legalEntityId=D1").status)
	assert.Equal(t, 401, c.refreshCustomer(next.text("refresh_token")).status, "the reuse was noticed")
	_, login = c.loggedIn()
	c.fake.Advance(48 * time.Hour)
	assert.Equal(t, 401, c.refreshCustomer(login.text("refresh_token")+"&legalEntityId=D1").status, "expired")
}
