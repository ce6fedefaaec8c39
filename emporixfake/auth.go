package emporixfake

import (
	"fmt"
	"net/http"
)

func (t *tenant) anonymousAllowed(c *call) *answer {
	var refusal answer
	switch {
	case c.query.Get("tenant") != t.cfg.Tenant:
		refusal = invalidTenant()
	case c.query.Get("client_id") != t.cfg.ClientID:
		refusal = gatewayFault("Invalid ApiKey", "oauth.v2.InvalidApiKey")
	default:
		return nil
	}
	return &refusal
}

func (t *tenant) anonymousLogin(c *call) answer {
	if refusal := t.anonymousAllowed(c); refusal != nil {
		return *refusal
	}
	l := t.cfg.Lifetimes
	f := &family{session: randomUUID(), accessLife: l.Anonymous, refreshLife: l.AnonymousRefresh}
	access := t.issueAccess(anonymousToken, f, "", t.tenantScope(), l.Anonymous, c.now)
	refresh := t.issueRefresh(anonymousToken, f, access, c.now.Add(l.AnonymousRefresh))
	return ok(anonymousAnswer(c, access, refresh))
}

func (t *tenant) anonymousRefresh(c *call) answer {
	if refusal := t.anonymousAllowed(c); refusal != nil {
		return *refusal
	}
	refreshToken := c.query.Get("refresh_token")
	if refreshToken == "" {
		refreshToken = t.refreshTokenOf(c.query.Get("anonymous_token"))
	}
	old, good := t.redeem(refreshToken, anonymousToken, c.now)
	if !good {
		return t.refreshRefused()
	}
	access, refresh := t.renew(old, t.cfg.Assumptions.AnonymousRefreshRotates, "", t.tenantScope(), c.now)
	return ok(anonymousAnswer(c, access, refresh))
}

func anonymousAnswer(c *call, access *accessToken, refresh *refreshToken) object {
	return object{
		"token_type":               "Bearer",
		"access_token":             access.value,
		"expires_in":               seconds(access.expires, c.now),
		"refresh_token":            refresh.value,
		"refresh_token_expires_in": seconds(refresh.expires, c.now),
		"sessionId":                access.family.session,
		"scope":                    access.scope,
	}
}

// customerAnswer has what every customer token answer has.
func customerAnswer(c *call, access *accessToken, refresh *refreshToken) object {
	return object{
		"token_type":               "Bearer",
		"access_token":             access.value,
		"expires_in":               seconds(access.expires, c.now),
		"refresh_token":            refresh.value,
		"refresh_token_expires_in": seconds(refresh.expires, c.now),
	}
}

// startSession logs a customer in, in the session of the anonymous bearer
// unless another is given.
func (t *tenant) startSession(c *call, cu *customer, session string) (object, *accessToken) {
	l := t.cfg.Lifetimes
	accessLife, refreshLife := l.Customer, l.CustomerRefresh
	if c.op.name == "Auth.ExchangeToken" {
		accessLife, refreshLife = l.Exchange, l.ExchangeRefresh
	}
	if session == "" {
		session = c.token.family.session
	}
	access, refresh := t.issueCustomer(cu, session, accessLife, refreshLife, c.now)
	body := customerAnswer(c, access, refresh)
	body["saas_token"] = t.saasToken(cu, accessLife, c.now)
	if t.cfg.Assumptions.AnonymousEndsAtLogin {
		c.token.family.revoked = true
	}
	return body, access
}

// refusedLogin answers for an account that can't log in, and nil for one that
// can.
func (t *tenant) refusedLogin(cu *customer) *answer {
	var refusal answer
	switch {
	case !cu.active:
		refusal = problem(t.cfg.Assumptions.InactiveLoginStatus, "The customer account is not active.")
	case cu.onHold:
		refusal = problem(t.cfg.Assumptions.InactiveLoginStatus, "The customer account is on hold.")
	default:
		return nil
	}
	return &refusal
}

func (t *tenant) login(c *call) answer {
	cu := t.byLogin(c.text("email"))
	if cu == nil || cu.password == "" || cu.password != c.text("password") {
		return problem(http.StatusUnauthorized, "The e-mail address or the password is wrong.")
	}
	if refusal := t.refusedLogin(cu); refusal != nil {
		return *refusal
	}
	body, access := t.startSession(c, cu, "")
	body["session_id"] = access.family.session
	body["initialPassword"] = cu.initialPassword
	return ok(body)
}

func (t *tenant) socialLogin(c *call) answer {
	if refusal := c.headerOnce("session-id"); refusal != nil {
		return *refusal
	}
	code := c.query.Get("code")
	identity, known := t.socialIdentity(code)
	if !known || t.usedCodes[code] {
		return problem(http.StatusUnauthorized, "The authorization code is not valid.")
	}
	if !identity.verifies(c.query.Get("code_verifier")) {
		return problem(http.StatusUnauthorized, "The code verifier is not the right one.")
	}
	if len(t.usedCodes) >= maxTokens {
		clear(t.usedCodes)
	}
	t.usedCodes[code] = true
	cu, refusal := t.customerOf(identity, true)
	if refusal != nil {
		return *refusal
	}
	body, access := t.startSession(c, cu, c.header.Get("session-id"))
	body["expires_in"] = fmt.Sprint(body["expires_in"])
	body["refresh_token_expires_in"] = fmt.Sprint(body["refresh_token_expires_in"])
	body["session_idle_time"] = socialIdleSeconds
	body["scope"] = access.scope
	body["social_access_token"] = t.signed(object{"sub": identity.providerID(), "jti": randomUUID()})
	body["social_id_token"] = t.signed(object{"sub": identity.providerID(), "email": identity.Email, "jti": randomUUID()})
	return ok(body)
}

func (t *tenant) exchangeToken(c *call) answer {
	token, config := c.query.Get("subjectAccessToken"), c.query.Get("config")
	if !t.configs[config] {
		return badField("config", "invalid_value", "is not the name of a configuration")
	}
	subject, known := t.subjectOf(token, config)
	if !known || subject.config != config || subject.identity.Inactive {
		return problem(http.StatusUnauthorized, "The subject token is not active.")
	}
	cu, refusal := t.customerOf(subject.identity, t.cfg.Assumptions.ExchangeProvisions)
	if refusal != nil {
		return *refusal
	}
	body, access := t.startSession(c, cu, "")
	body["subject_access_token"] = token
	body["session_idle_time"] = exchangeIdleSeconds
	body["scope"] = access.scope
	body["session_id"] = access.family.session
	return ok(body)
}

func (t *tenant) customerRefresh(c *call) answer {
	entity := c.query.Get("legalEntityId")
	old, good := t.redeem(c.query.Get("refreshToken"), customerToken, c.now)
	if !good {
		return t.refreshRefused()
	}
	// Asking for another customer's company does not use up the refresh token:
	// only renew does.
	if entity != "" && !old.customer().assigned(entity) {
		return problem(t.cfg.Assumptions.ForeignLegalEntityStatus, "The customer is not assigned to the legal entity.")
	}
	scope := customerScopes + " " + t.tenantScope()
	access, refresh := t.renew(old, t.cfg.Assumptions.CustomerRefreshRotates, entity, scope, c.now)
	body := customerAnswer(c, access, refresh)
	body["session_id"] = access.family.session
	return ok(body)
}

func (t *tenant) validateToken(c *call) answer {
	body := object{
		"token_type": "Bearer",
		"expires_in": seconds(c.token.expires, c.now),
		"scope":      c.token.scope,
		"sessionId":  c.token.family.session,
		"email":      c.token.customer.login,
	}
	if c.token.entity != "" {
		body["legalEntityId"] = c.token.entity
	}
	return ok(body)
}

func (t *tenant) logout(c *call) answer {
	if c.query.Get("accessToken") != c.token.value {
		return badField("accessToken", "invalid_value", "is not the token that authorizes the request")
	}
	c.token.revoked = true
	if t.cfg.Assumptions.LogoutKillsRefresh {
		c.token.family.loggedOut = true
	}
	return empty(http.StatusNoContent)
}

// employeeToken grants client credentials. It answers in the shape of OAuth.
func (t *tenant) employeeToken(c *call) answer {
	refuse := func(status int, code string) answer {
		return answer{status: status, body: object{"error": code}}
	}
	form, wellFormed := c.form()
	if !wellFormed {
		return refuse(http.StatusBadRequest, "invalid_request")
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if basicID, basicSecret, given := basicAuth(c.header); given {
		id, secret = basicID, basicSecret
	}
	t.secrets.given(secret)
	if form.Get("grant_type") != "client_credentials" {
		return refuse(http.StatusBadRequest, "unsupported_grant_type")
	}
	if id != t.cfg.BackendClientID || secret != t.cfg.BackendSecret {
		return refuse(http.StatusUnauthorized, "invalid_client")
	}
	scope := t.tenantScope()
	asked := form.Get("scope")
	setDefault(&asked, employeeScopes[0])
	for _, name := range employeeScopes {
		if hasScope(asked, name) {
			scope = name + " " + scope
		}
	}
	access := t.issueAccess(employeeToken, nil, "", scope, t.cfg.Lifetimes.Employee, c.now)
	return ok(object{
		"token_type":               "Bearer",
		"access_token":             access.value,
		"expires_in":               seconds(access.expires, c.now),
		"refresh_token":            "",
		"refresh_token_expires_in": 0,
		"scope":                    scope,
	})
}
