package emporixfake

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

type bearerNeed int

const (
	noBearer bearerNeed = iota
	anonymousBearer
	customerBearer
	customerOrAnonymousBearer
	employeeBearer
)

// operation is a row of the API.
type operation struct {
	name       string
	method     string
	pattern    []string // segments; "{name}" matches one that is not empty
	bearer     bearerNeed
	query      []string          // declared parameters; a trailing "?" marks an optional one
	instead    map[string]string // the optional parameter that may stand for a required one
	tolerated  []string          // parameters that are not declared, but sent by other SDKs
	body       *schema
	mergePatch bool // application/merge-patch+json is accepted too
	form       bool
	handle     func(*tenant, *call) answer
}

// tokenOperation is the one operation of the fake that is not of the Customer
// Service.
const tokenOperation = "OAuth.Token" // #nosec G101 -- a name

func operationTable() []*operation {
	const (
		login   = "/customerlogin/auth/anonymous/"
		service = "/customer/{tenant}"
		me      = service + "/me"
		address = me + "/addresses/{addressId}"
		email   = me + "/accounts/internal/email/change"
	)
	var table []*operation
	add := func(name, method, path string, bearer bearerNeed, handle func(*tenant, *call) answer, query ...string) *operation {
		op := &operation{name: name, method: method, pattern: strings.Split(path[1:], "/"), bearer: bearer, query: query, handle: handle}
		table = append(table, op)
		return op
	}
	takes := func(op *operation, body *schema) *operation {
		op.body = body
		return op
	}

	add("Auth.StartAnonymous", "GET", login+"login", noBearer, (*tenant).anonymousLogin,
		"tenant", "client_id", "currency?", "siteCode?", "language?", "targetLocation?")
	refresh := add("Auth.RefreshAnonymous", "GET", login+"refresh", noBearer, (*tenant).anonymousRefresh,
		"tenant", "client_id", "refresh_token", "anonymous_token?")
	refresh.instead = map[string]string{"refresh_token": "anonymous_token"}
	refresh.tolerated = []string{"currency?", "siteCode?", "language?", "targetLocation?"}
	takes(add("Auth.Login", "POST", service+"/login", anonymousBearer, (*tenant).login), credentialsSchema)
	add("Auth.SocialLogin", "POST", service+"/socialLogin", anonymousBearer, (*tenant).socialLogin,
		"code", "redirect_uri", "code_verifier?")
	add("Auth.ExchangeToken", "POST", service+"/exchangeauthtoken", anonymousBearer, (*tenant).exchangeToken,
		"subjectAccessToken", "config?")
	add("Auth.Refresh", "GET", service+"/refreshauthtoken", anonymousBearer, (*tenant).customerRefresh,
		"refreshToken", "legalEntityId?")
	add("Auth.Validate", "GET", service+"/validateauthtoken", customerBearer, (*tenant).validateToken)
	add("Auth.Logout", "GET", service+"/logout", customerBearer, (*tenant).logout, "accessToken")

	takes(add("Customers.SignUp", "POST", service+"/signup", anonymousBearer, (*tenant).signUp), signupSchema)
	add("Customers.ConfirmSignUp", "GET", service+"/signup/optin/{token}", anonymousBearer, (*tenant).confirmSignUp)
	takes(add("Customers.ResendActivation", "POST", service+"/signup/optin/refresh_token", anonymousBearer, (*tenant).resendActivation), resendSchema)
	add("Customers.Get", "GET", me, customerOrAnonymousBearer, (*tenant).getProfile, "expand?")
	takes(add("Customers.Update", "PATCH", me, customerBearer, (*tenant).updateProfile), profileSchema).mergePatch = true
	takes(add("Customers.Activate", "PATCH", service+"/customers/{customerNumber}", employeeBearer, (*tenant).employeeUpdate), employeeSchema).mergePatch = true

	add("Addresses.List", "GET", me+"/addresses", customerBearer, (*tenant).listAddresses)
	add("Addresses.Get", "GET", address, customerBearer, (*tenant).getAddress)
	takes(add("Addresses.Add", "POST", me+"/addresses", customerBearer, (*tenant).addAddress), addressSchema)
	takes(add("Addresses.Update", "PATCH", address, customerBearer, (*tenant).updateAddress), addressPatchSchema)
	add("Addresses.Delete", "DELETE", address, customerBearer, (*tenant).deleteAddress)
	add("Addresses.AddTags", "POST", address+"/tags", customerBearer, (*tenant).addTags, "tags")
	add("Addresses.RemoveTags", "DELETE", address+"/tags", customerBearer, (*tenant).removeTags, "tags")

	takes(add("Credentials.RequestPasswordReset", "POST", service+"/password/reset", anonymousBearer, (*tenant).requestPasswordReset), resetSchema)
	takes(add("Credentials.ResetPassword", "POST", service+"/password/reset/update", anonymousBearer, (*tenant).resetPassword), resetUpdateSchema)
	takes(add("Credentials.ChangePassword", "POST", service+"/password/change", customerBearer, (*tenant).changePassword), passwordChangeSchema)
	takes(add("Credentials.RequestEmailChange", "POST", email, customerBearer, (*tenant).requestEmailChange), emailChangeSchema)
	takes(add("Credentials.ConfirmEmailChange", "POST", email+"/confirm", anonymousBearer, (*tenant).confirmEmailChange), emailConfirmSchema)

	add(tokenOperation, "POST", "/oauth/token", noBearer, (*tenant).employeeToken).form = true
	return table
}

// Operations lists the names of the operations of the Customer Service, in
// the order of the API. They name calls in faults, journal and coverage.
// Besides them there is "OAuth.Token", which issues an employee's bearer.
func Operations() []string {
	var names []string
	for _, op := range operationTable() {
		if op.name != tokenOperation {
			names = append(names, op.name)
		}
	}
	return names
}

// route finds the operation of a request with a method. The path is taken as it
// was sent: nothing is cleaned, and no route redirects. Of two patterns that match
// the one with fewer variables counts, whatever the method, as OpenAPI says.
func (s *Server) route(r *http.Request, method string) (*operation, map[string]string) {
	path := r.URL.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		return nil, nil
	}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil || plain == "" {
			return nil, nil
		}
		segments[i] = plain
	}
	var found *operation
	var foundVars map[string]string
	fewest := len(segments) + 1
	for _, op := range s.operations {
		vars, matches := op.match(segments)
		if !matches || len(vars) > fewest {
			continue
		}
		if len(vars) < fewest {
			fewest, found, foundVars = len(vars), nil, nil
		}
		if op.method == method {
			found, foundVars = op, vars
		}
	}
	return found, foundVars
}

func (op *operation) match(segments []string) (map[string]string, bool) {
	if len(op.pattern) != len(segments) {
		return nil, false
	}
	vars := map[string]string{}
	for i, want := range op.pattern {
		if name, isVar := variable(want); isVar {
			vars[name] = segments[i]
		} else if want != segments[i] {
			return nil, false
		}
	}
	return vars, true
}

func variable(segment string) (string, bool) {
	if strings.HasPrefix(segment, "{") {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

// takesNoBearer is set for the two anonymous operations; OAuth has its own use
// of the header.
func (op *operation) takesNoBearer() bool { return op.bearer == noBearer && !op.form }

// declares says whether a query parameter is one of the operation.
func (op *operation) declares(name string) bool {
	return slices.Contains(op.query, name) || slices.Contains(op.query, name+"?") || slices.Contains(op.tolerated, name+"?")
}
