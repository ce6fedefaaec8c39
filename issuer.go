package emporix

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/emporix-community/emporix-go/internal/failure"
	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/operation"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/transport"
	"github.com/emporix-community/emporix-go/internal/wire"
)

// issuer makes the token calls of the life cycle over the pipeline.
type issuer struct{ core *core }

type anonymousQuery struct {
	Tenant   string `url:"tenant"`
	ClientID string `url:"client_id"`
	lifecycle.SessionContext
}

func (i issuer) Anonymous(ctx context.Context, sc lifecycle.SessionContext) (lifecycle.Grant, error) {
	return i.issue(ctx, "anonymous", transport.Call{
		Op:    operation.AuthStartAnonymous,
		Query: anonymousQuery{Tenant: i.core.baseHost.tenant, ClientID: i.core.clientID, SessionContext: sc},
	}, Secret{})
}

type refreshAnonymousQuery struct {
	Tenant       string `url:"tenant"`
	ClientID     string `url:"client_id"`
	RefreshToken string `url:"refresh_token"`
}

func (i issuer) RefreshAnonymous(ctx context.Context, refresh secret.Secret) (lifecycle.Grant, error) {
	return i.issue(ctx, "refresh anonymous", transport.Call{
		Op:    operation.AuthRefreshAnonymous,
		Query: refreshAnonymousQuery{Tenant: i.core.baseHost.tenant, ClientID: i.core.clientID, RefreshToken: refresh.Reveal()},
	}, Secret{})
}

type refreshCustomerQuery struct {
	RefreshToken  string `url:"refreshToken"`
	LegalEntityID string `url:"legalEntityId,omitempty"`
}

func (i issuer) RefreshCustomer(ctx context.Context, bearer, refresh secret.Secret, legalEntityID string) (lifecycle.Grant, error) {
	return i.issue(ctx, "refresh", transport.Call{
		Op:    operation.AuthRefresh,
		Query: refreshCustomerQuery{RefreshToken: refresh.Reveal(), LegalEntityID: legalEntityID},
	}, NewSecret("Bearer "+bearer.Reveal()))
}

func (i issuer) Employee(ctx context.Context) (lifecycle.Grant, error) {
	if i.core.employeeID == "" {
		return lifecycle.Grant{}, ErrNoEmployee
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {i.core.employeeID},
		"client_secret": {i.core.employeeSecret.Reveal()}, "scope": {operation.CustomersActivate.Scope},
	}
	return i.issue(ctx, "employee", transport.Call{
		Op: operation.OAuthToken, Body: []byte(form.Encode()), ContentType: "application/x-www-form-urlencoded",
		Hidden: []Secret{i.core.employeeSecret},
	}, Secret{})
}

func (i issuer) Revoke(ctx context.Context, access secret.Secret) error {
	return i.core.logout(ctx, access, NewSecret("Bearer "+access.Reveal()))
}

// issue makes one token call.
func (i issuer) issue(ctx context.Context, name string, call transport.Call, bearer Secret) (lifecycle.Grant, error) {
	began := time.Now()
	var grant lifecycle.Grant
	prepared, err := i.core.prepare(call)
	if err == nil {
		grant, err = i.core.grant(ctx, prepared, transport.Authorization{Bearer: bearer})
	}
	i.core.log(ctx, call.Op, nil, err, began)
	switch {
	case err == nil:
		return grant, nil
	case failure.Of(err) == nil: // an argument was refused
		return lifecycle.Grant{}, &failure.Failure{Op: call.Op, Token: failure.NotSent, Err: &AuthError{Operation: name, Err: err}}
	}
	return lifecycle.Grant{}, &AuthError{Operation: name, Err: err}
}

// grant sends a call that answers with tokens.
func (c *core) grant(ctx context.Context, call transport.Prepared, auth transport.Authorization) (lifecycle.Grant, error) {
	began := time.Now()
	resp, err := c.send(ctx, call, auth)
	if err != nil {
		return lifecycle.Grant{}, err
	}
	defer resp.Release()
	grant, err := tokenGrant(call.Op, resp, began)
	c.logOdd(ctx, call.Op, grant.Odd)
	c.scopes.keep(call.Op, grant)
	return grant, err
}

func tokenGrant(op *operation.Operation, resp *transport.Response, began time.Time) (lifecycle.Grant, error) {
	media := contentType(resp.Header)
	err := foreignBody(bytes.TrimSpace(resp.Body), media)
	var token wire.Token
	if err == nil {
		read := wire.DecodeToken
		if op.Tokens == operation.AnonymousLogin || op.Tokens == operation.AnonymousRefresh {
			read = wire.DecodeAnonymousToken
		}
		if token, err = read(resp.Body); err != nil {
			err = fmt.Errorf("no token in the response (%d bytes of %s): %w", len(resp.Body), media, err)
		}
	}
	if err != nil {
		return lifecycle.Grant{}, badResponse(op, resp, err)
	}
	date, _ := http.ParseTime(strings.TrimSpace(resp.Header.Get("Date"))) // zero if there is none
	return lifecycle.Grant{Token: token, SentAt: began, Date: date}, nil
}
