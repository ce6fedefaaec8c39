package emporix

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/sentinel"
	"github.com/emporix-community/emporix-go/internal/transport"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// AuthService logs customers in and out and keeps their tokens: the first call of
// any service obtains an anonymous one, a login upgrades it, and both are renewed
// in time.
type AuthService service

// LoginRequest is how a customer logs in. Printed by fmt or slog, it masks
// the password; see the package documentation for what doesn't.
type LoginRequest struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// Format prints the request with the password masked.
func (r LoginRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

// LogValue returns the request with the password masked.
func (r LoginRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

func (r LoginRequest) masked() any {
	type plain LoginRequest
	r.Password = mask(r.Password)
	return plain(r)
}

// LoginResult tells what a storefront needs after a login. The tokens stay in
// the session.
type LoginResult struct {
	// LoggedIn is true after every login. Customers.ConfirmSignUp sets it only if
	// the tenant logs the customer in with the confirmation.
	LoggedIn bool
	// InitialPassword is set when an employee chose the password; ask the
	// customer to change it.
	InitialPassword bool
	// SessionID is the session that the customer's cart is bound to.
	SessionID string
	// SessionChanged is set when that is not the session the visitor had before:
	// what was bound to it, such as a cart, is not in the new one.
	SessionChanged bool
	// Scopes are what the customer's token may be used for, without the tenant.
	// It is nil where the response does not say; Validate then tells.
	Scopes []string
}

// StartAnonymous begins a new anonymous session with the given session context, in
// place of the visitor's present anonymous one; a cart of the old session is
// left behind. There is seldom a reason to call it: sessions begin by
// themselves. A zero session context stands for the one of WithSessionContext.
//
// Bearer: none. Errors: ErrLoggedIn, and as *AuthError ErrRateLimited,
// ErrUnavailable, ErrBadResponse.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/authentication-and-authorization#get-customerlogin-auth-anonymous-login
func (s *AuthService) StartAnonymous(ctx context.Context, sc SessionContext) (SessionInfo, error) {
	if s.on().invalid != nil {
		return SessionInfo{}, s.on().invalid
	}
	if name, reason := sc.invalidField(); reason != "" {
		return SessionInfo{}, &ArgumentError{Field: "SessionContext." + name, Reason: reason}
	}
	if err := s.on().visitor.Start(ctx, sc.internal()); err != nil {
		return SessionInfo{}, failedCall(ctx, operation.AuthStartAnonymous.Name, err)
	}
	return s.on().Info(ctx)
}

// Refresh renews the session's tokens now, whichever kind it is. There is
// seldom a reason to call it: sessions are renewed in time by themselves.
//
// Bearer: none for an anonymous session, an anonymous one for a customer's; the
// customer's own where the server refuses two anonymous ones. Errors:
// ErrSessionExpired, ErrNotRefreshable, and as *AuthError ErrRateLimited,
// ErrUnavailable, ErrOutcomeUnknown, ErrBadResponse, and ErrUnauthorized or
// ErrInvalidRequest for a definite no about the refresh token while the access
// token lives. Only ErrSessionExpired ends the session.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/authentication-and-authorization#get-customer-tenant-refreshauthtoken
func (s *AuthService) Refresh(ctx context.Context) (SessionInfo, error) {
	return s.refresh(ctx, "Auth.Refresh", nil)
}

// SwitchLegalEntity makes the customer act for the given company, one that they
// are assigned to; "" switches back to none. The choice is kept over later
// renewals. If the server refuses, the session stays as it is.
//
// Bearer: as Refresh. Errors: ErrNotLoggedIn, ErrSessionExpired,
// ErrNotRefreshable, and as *AuthError ErrForbidden, ErrInvalidRequest,
// ErrUnauthorized, ErrUnavailable, ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/authentication-and-authorization#get-customer-tenant-refreshauthtoken
func (s *AuthService) SwitchLegalEntity(ctx context.Context, legalEntityID string) (SessionInfo, error) {
	if err := optionalIdentifier("legalEntityId", legalEntityID, maxIdentifier); err != nil {
		return SessionInfo{}, err
	}
	return s.refresh(ctx, "Auth.SwitchLegalEntity", &legalEntityID)
}

func (s *AuthService) refresh(ctx context.Context, name string, legalEntity *string) (SessionInfo, error) {
	if s.on().invalid != nil {
		return SessionInfo{}, s.on().invalid
	}
	if err := s.on().visitor.Refresh(ctx, legalEntity); err != nil {
		return SessionInfo{}, failedCall(ctx, name, err)
	}
	return s.on().Info(ctx)
}

// Login logs a customer in with e-mail address and password. The visitor's
// session goes on as the customer's, and so does the cart. Over another
// customer who is logged in, nothing of their session is carried over.
//
// Bearer: the visitor's own anonymous one. Errors: ErrInvalidCredentials (the
// session stays as it was), with it ErrAccountInactive for an account that is not
// activated or on hold, ErrInvalidRequest, ErrRateLimited, ErrUnavailable,
// ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/authentication-and-authorization#post-customer-tenant-login
func (s *AuthService) Login(ctx context.Context, req LoginRequest) (*LoginResult, error) {
	if err := requireText("email", req.Email); err != nil {
		return nil, named(operation.AuthLogin, err)
	}
	if err := requirePassword("password", req.Password); err != nil {
		return nil, named(operation.AuthLogin, err)
	}
	login, err := s.on().login(ctx, request{op: operation.AuthLogin, body: req})
	if err != nil {
		return nil, err
	}
	result := loginResult(login)
	return &result, nil
}

// SocialLoginRequest is how a customer logs in with what an identity provider
// returned to the redirect URI. Printed by fmt or slog, it masks code
// and verifier.
type SocialLoginRequest struct {
	Code         string `url:"code"`                    // the authorization code; works once
	RedirectURI  string `url:"redirect_uri"`            // the one that the code was asked for with
	CodeVerifier string `url:"code_verifier,omitempty"` // of PKCE, if it was used
	// NewSession leaves out the session ID of the visitor's anonymous session,
	// which the API lets a client choose: the customer then begins with a session
	// of their own, and a cart of the old one is left behind.
	NewSession bool `url:"-"`
}

// Format prints the request with code and verifier masked.
func (r SocialLoginRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

// LogValue returns the request with code and verifier masked.
func (r SocialLoginRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

func (r SocialLoginRequest) masked() any {
	type plain SocialLoginRequest
	r.Code, r.CodeVerifier = mask(r.Code), mask(r.CodeVerifier)
	return plain(r)
}

// SocialLoginResult is a LoginResult with what the identity provider added.
type SocialLoginResult struct {
	LoginResult
	// SocialAccessToken and SocialIDToken are the identity provider's own tokens.
	// The SDK does not keep them.
	SocialAccessToken, SocialIDToken Secret
	// SessionIdleTime is how long the session may be idle, if the server said so.
	SessionIdleTime time.Duration
}

// SocialLogin logs a customer in with the code of an identity provider. Check
// the state parameter of the redirect before; the SDK can't. The session goes
// on as with Login.
//
// Bearer: the visitor's own anonymous one. Errors: ErrUnauthorized,
// ErrInvalidRequest, ErrRateLimited, ErrUnavailable, ErrOutcomeUnknown (the
// code is spent: begin anew).
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/authentication-and-authorization#post-customer-tenant-sociallogin
func (s *AuthService) SocialLogin(ctx context.Context, req SocialLoginRequest) (*SocialLoginResult, error) {
	if err := identifier("code", req.Code, maxMailToken); err != nil {
		return nil, named(operation.AuthSocialLogin, err)
	}
	if err := requireText("redirect_uri", req.RedirectURI); err != nil {
		return nil, named(operation.AuthSocialLogin, err)
	}
	if err := optionalIdentifier("code_verifier", req.CodeVerifier, maxIdentifier); err != nil {
		return nil, named(operation.AuthSocialLogin, err)
	}
	login, err := s.on().login(ctx, request{op: operation.AuthSocialLogin, query: req, withSession: !req.NewSession})
	if err != nil {
		return nil, err
	}
	return &SocialLoginResult{
		LoginResult: loginResult(login), SocialAccessToken: login.Grant.SocialAccess, SocialIDToken: login.Grant.SocialID,
		SessionIdleTime: login.Grant.SessionIdle.Duration,
	}, nil
}

// ExchangeTokenRequest is how a customer logs in with a token of an external
// identity provider. Printed by fmt or slog, it masks the token.
type ExchangeTokenRequest struct {
	SubjectAccessToken string `url:"subjectAccessToken"` // a JWT; request URLs hold at most 10 KiB
	Config             string `url:"config,omitempty"`   // such as "site_PL"; "" for the tenant's default
}

// Format prints the request with the token masked.
func (r ExchangeTokenRequest) Format(f fmt.State, verb rune) { formatMasked(f, verb, r.masked()) }

// LogValue returns the request with the token masked.
func (r ExchangeTokenRequest) LogValue() slog.Value { return slog.AnyValue(r.masked()) }

func (r ExchangeTokenRequest) masked() any {
	type plain ExchangeTokenRequest
	r.SubjectAccessToken = mask(r.SubjectAccessToken)
	return plain(r)
}

// ExchangeTokenResult is a LoginResult with what the exchange added.
type ExchangeTokenResult struct {
	LoginResult
	// SubjectAccessToken is the token that was exchanged, if the server returns it.
	SubjectAccessToken Secret
	// SessionIdleTime is how long the session may be idle, if the server said so.
	SessionIdleTime time.Duration
}

// ExchangeToken logs a customer in with a token of an external identity
// provider. The session goes on as with Login.
//
// Bearer: the visitor's own anonymous one. Errors: ErrUnauthorized (the subject
// token is not active), ErrNotFound (the customer is unknown and the tenant
// does not create customers by itself), ErrInvalidRequest (also: no such
// configuration), ErrForbidden, ErrRateLimited, ErrUnavailable,
// ErrOutcomeUnknown.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/authentication-and-authorization#post-customer-tenant-exchangeauthtoken
func (s *AuthService) ExchangeToken(ctx context.Context, req ExchangeTokenRequest) (*ExchangeTokenResult, error) {
	if err := identifier("subjectAccessToken", req.SubjectAccessToken, maxJWT); err != nil {
		return nil, named(operation.AuthExchangeToken, err)
	}
	if err := optionalIdentifier("config", req.Config, maxIdentifier); err != nil {
		return nil, named(operation.AuthExchangeToken, err)
	}
	login, err := s.on().login(ctx, request{op: operation.AuthExchangeToken, query: req})
	if err != nil {
		return nil, err
	}
	return &ExchangeTokenResult{
		LoginResult: loginResult(login), SubjectAccessToken: login.Grant.Subject, SessionIdleTime: login.Grant.SessionIdle.Duration,
	}, nil
}

func loginResult(l lifecycle.Login) LoginResult {
	return LoginResult{
		LoggedIn: l.Established, InitialPassword: l.Grant.InitialPassword, SessionID: l.SessionID, SessionChanged: l.SessionChanged,
		Scopes: l.Grant.Scopes,
	}
}

// login runs a request whose response can hold a customer's tokens.
func (s *Session) login(ctx context.Context, r request) (lifecycle.Login, error) {
	call, err := s.prepare(r)
	if err != nil {
		return lifecycle.Login{}, named(r.op, err)
	}
	c, began := s.core(), time.Now()
	login, err := s.visitor.Login(ctx, func(ctx context.Context, bearer lifecycle.Token) (lifecycle.Grant, error) {
		auth := transport.Authorization{Bearer: bearer.Bearer}
		if r.withSession {
			auth.SessionID = bearer.SessionID
		}
		grant, err := c.loginGrant(ctx, call, auth)
		if f := failure.Of(err); f != nil {
			call = call.After(f)
		}
		return grant, err
	})
	c.explainScopes(r.op, err)
	c.log(ctx, r.op, nil, err, began)
	if err != nil {
		return lifecycle.Login{}, failedCall(ctx, r.op.Name, unsent(err))
	}
	return login, nil
}

// loginGrant is grant for a response that may hold no tokens.
func (c *core) loginGrant(ctx context.Context, call transport.Prepared, auth transport.Authorization) (lifecycle.Grant, error) {
	if !call.Op.MayAnswerNothing {
		return c.grant(ctx, call, auth)
	}
	began := time.Now()
	resp, err := c.send(ctx, call, auth)
	if err != nil {
		return lifecycle.Grant{}, err
	}
	defer resp.Release()
	grant, err := optInGrant(call.Op, resp, began)
	c.logOdd(ctx, call.Op, grant.Odd)
	return grant, err
}

// TokenDetails is what the server says about the customer's token.
type TokenDetails struct {
	TokenType     string
	ExpiresIn     time.Duration
	Scopes        []string // without the tenant
	SessionID     string
	Email         string
	LegalEntityID string // of B2B customers
}

// MarshalJSON writes the server's form.
func (d TokenDetails) MarshalJSON() ([]byte, error) {
	out := struct {
		TokenType     string  `json:"token_type,omitzero"`
		ExpiresIn     float64 `json:"expires_in,omitzero"`
		Scope         any     `json:"scope,omitzero"` // nil is not known, "" is none
		SessionID     string  `json:"sessionId,omitzero"`
		Email         string  `json:"email,omitzero"`
		LegalEntityID string  `json:"legalEntityId,omitzero"`
	}{TokenType: d.TokenType, ExpiresIn: d.ExpiresIn.Seconds(), SessionID: d.SessionID, Email: d.Email, LegalEntityID: d.LegalEntityID}
	if d.Scopes != nil {
		out.Scope = strings.Join(d.Scopes, " ")
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads the server's form.
func (d *TokenDetails) UnmarshalJSON(data []byte) error {
	var in struct {
		TokenType      string        `json:"token_type"`
		ExpiresIn      wire.Lifetime `json:"expires_in"`
		Scope          wire.Scopes   `json:"scope"`
		SessionID      string        `json:"sessionId"`
		OtherSessionID string        `json:"session_id"`
		Email          string        `json:"email"`
		LegalEntityID  string        `json:"legalEntityId"`
	}
	if err := wire.Decode(data, &in); err != nil {
		return err
	}
	*d = TokenDetails{
		TokenType: in.TokenType, ExpiresIn: in.ExpiresIn.Duration, Scopes: in.Scope,
		SessionID: cmp.Or(in.SessionID, in.OtherSessionID), Email: in.Email, LegalEntityID: in.LegalEntityID,
	}
	return nil
}

// Validate asks the server about the customer's token. A token that the server
// no longer takes is renewed like with any other call, so an error means that
// the session is over or the server can't tell.
//
// Bearer: customer. Errors: ErrNotLoggedIn, ErrSessionExpired, ErrUnauthorized,
// ErrRateLimited, ErrUnavailable, ErrBadResponse.
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/authentication-and-authorization#get-customer-tenant-validateauthtoken
func (s *AuthService) Validate(ctx context.Context) (*TokenDetails, error) {
	details := new(TokenDetails)
	if err := s.on().do(ctx, request{op: operation.AuthValidate, into: details}); err != nil {
		return nil, err
	}
	return details, nil
}

type logoutQuery struct {
	AccessToken string `url:"accessToken"`
}

// Logout ends the customer's session. It is removed here whatever the server
// says; an error other than ErrNotLoggedIn, ErrStoreUnavailable and ErrClosed means
// that the server did not confirm. The visitor's next call begins an anonymous session.
// After an expired session it clears that state without a request.
//
// Bearer: customer. Errors: ErrNotLoggedIn, ErrStoreUnavailable (the session
// could not be removed; with the context's error as well if that ended first, and
// then the removal goes on), ErrClosed (it stays), ErrForbidden, ErrUnavailable, ErrOutcomeUnknown,
// ErrUnauthorized (a 401 that is not about the access token).
//
// https://developer.emporix.io/api-references/api-guides/companies-and-customers/customer-management/api-reference/authentication-and-authorization#get-customer-tenant-logout
func (s *AuthService) Logout(ctx context.Context) error {
	if s.on().invalid != nil {
		return s.on().invalid
	}
	c, began := s.on().core(), time.Now()
	err := s.on().visitor.Logout(ctx, func(ctx context.Context, token lifecycle.Token) error {
		return c.logout(ctx, token.Access, token.Bearer)
	})
	c.log(ctx, operation.AuthLogout, nil, err, began)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, sentinel.StoreUnavailable) && failure.Of(err) != nil:
		return &callError{op: operation.AuthLogout.Name, err: &unconfirmed{err}}
	}
	return failedCall(ctx, operation.AuthLogout.Name, err)
}

// unconfirmed is a logout that the server did not answer with yes.
type unconfirmed struct{ err error }

func (e *unconfirmed) Error() string {
	return "the session is removed, but the server did not confirm it: " + textOf(e.err)
}

func (e *unconfirmed) Unwrap() error { return e.err }

// logout invalidates an access token. A token that is dead already is fine, if
// it is the API that says so.
func (c *core) logout(ctx context.Context, access, bearer Secret) error {
	call, err := c.prepare(transport.Call{Op: operation.AuthLogout, Query: logoutQuery{AccessToken: access.Reveal()}})
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, call, transport.Authorization{Bearer: bearer})
	if f := failure.Of(err); f != nil && f.IsDeadToken() {
		return nil
	}
	if err != nil {
		return err
	}
	defer resp.Release()
	return decode(operation.AuthLogout, resp, nil)
}

// optInGrant reads the response of a confirmation: tokens, or nothing.
func optInGrant(op *operation.Operation, resp *transport.Response, began time.Time) (lifecycle.Grant, error) {
	body := bytes.TrimSpace(resp.Body)
	var members map[string]json.RawMessage
	switch {
	case len(body) == 0 || bytes.Equal(body, []byte("null")):
		return lifecycle.Grant{}, nil
	case json.Unmarshal(body, &members) == nil && isAbsent(members["access_token"]) && isAbsent(members["accessToken"]):
		return lifecycle.Grant{}, decode(op, resp, nil)
	}
	return tokenGrant(op, resp, began)
}

func isAbsent(member json.RawMessage) bool {
	return len(member) == 0 || string(member) == "null" || string(member) == `""`
}
