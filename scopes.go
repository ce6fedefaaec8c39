package emporix

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/emporix-community/emporix-go/internal/lifecycle"
	"github.com/emporix-community/emporix-go/internal/operation"
)

// grantedScopes are the scopes that the last token responses granted to the client's own
// API keys. A customer's scopes are in LoginResult and TokenDetails.
type grantedScopes struct {
	employee, anonymous atomic.Pointer[[]string]
}

// keep remembers what a token response says about scopes. A response that says
// nothing grants what was asked for.
func (g *grantedScopes) keep(op *operation.Operation, grant lifecycle.Grant) {
	kept := &g.anonymous
	switch {
	case op.Tokens == operation.EmployeeLogin:
		kept = &g.employee
	case op.Bearer != operation.None:
		return
	}
	if grant.Scopes != nil {
		kept.Store(&grant.Scopes)
	}
}

// explainScopes adds to a 403 which scope the call needs, and what was granted.
func (c *core) explainScopes(op *operation.Operation, err error) {
	if err == nil { // the usual case, for nothing
		return
	}
	var apiErr *APIError
	if !errors.As(err, &apiErr) || apiErr.StatusCode != http.StatusForbidden || apiErr.Operation != op.Name {
		return
	}
	switch {
	case op.Bearer == operation.Anonymous:
		if granted := c.scopes.anonymous.Load(); granted != nil {
			apiErr.scopes = "the anonymous token was granted " + scopeList(*granted) + "; what it may do is set at the storefront's API key"
		}
	case op.Scope == "":
	case op.Bearer != operation.Employee:
		apiErr.scopes = "it needs the scope " + op.Scope + "; Auth.Validate lists those that the customer has"
	case c.employeeToken != nil:
		apiErr.scopes = "it needs the scope " + op.Scope + "; the token came from the function given to WithEmployeeToken"
	default:
		apiErr.scopes = "it needs the scope " + op.Scope + ", which was asked for"
		if granted := c.scopes.employee.Load(); granted != nil && !slices.Contains(*granted, op.Scope) {
			apiErr.scopes += ", but the employee's token was granted " + scopeList(*granted) + "; add the scope to the API key of WithEmployeeCredentials"
		}
	}
}

// scopeList is for error texts: short, and of what looks like a scope.
func scopeList(scopes []string) string {
	const most = 5
	var shown []string
	for _, scope := range scopes {
		if len(scope) <= 64 && strings.Trim(scope, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/") == "" {
			shown = append(shown, scope)
		}
	}
	switch {
	case len(shown) == 0:
		return "no scope"
	case len(shown) > most:
		return "only " + strings.Join(shown[:most], ", ") + " and others"
	}
	return "only " + strings.Join(shown, ", ")
}
