// Package operation is the whole API on one page: which requests exist, what
// authorises each, which may be repeated, which statuses mean success, which responses
// hold tokens and which inputs are secret. Everything that has to know an operation
// reads this table.
package operation

import "slices"

// Operation is one line of the table. It is never changed after start-up.
type Operation struct {
	// Name is the service and the method, such as "Customers.Get". Logs, spans
	// and errors use it.
	Name string
	// Method is the HTTP method.
	Method string
	// Path is the path template with its placeholders in braces; {tenant} comes
	// first where there is one.
	Path string
	// Bearer is the kind of token that authorises the request.
	Bearer Bearer
	// Retry says when the request may be sent again.
	Retry Class
	// Success lists the accepted status codes, the documented one first. An
	// empty success may come as 200 or 204, whichever of them is documented.
	Success []int
	// Secrets names the inputs that may not be printed, as place and name:
	// "query:code", "path:token", "header:session-id", "body:signup.password".
	Secrets []string
	// Scope is what the bearer needs, where the vendor names one.
	Scope string
	// Tokens says which tokens the response holds, if any.
	Tokens TokenCall
	// MayAnswerNothing is set where tokens are documented and an empty success too.
	MayAnswerNothing bool
	// GoneIsDone is set where the response "not found" means success, if an earlier
	// try may have arrived.
	GoneIsDone bool
	// PasswordCall is set where the request proves who the customer is with a
	// password. A 401 with a message then means a wrong password and not a bad
	// bearer.
	PasswordCall bool
	// Doc is the vendor's page about the operation.
	Doc string
}

// Bearer is the kind of token in the Authorization header.
type Bearer int

const (
	// None sends no Authorization header.
	None Bearer = iota
	// Anonymous is an anonymous token of the tenant.
	Anonymous
	// Customer is the token of a logged-in customer; without one the call is
	// refused locally.
	Customer
	// CustomerOrAnonymous is the customer's token when there is a customer, and
	// the anonymous one otherwise.
	CustomerOrAnonymous
	// Employee is a token of the tenant's own staff or backend.
	Employee
)

// Class says when a request may be sent more than once.
type Class int

// Repeatable reports whether a request may be sent again although it may have
// been processed.
func (c Class) Repeatable() bool { return c == Safe || c == Repeatable }

// TokenCall is what an operation that answers with tokens sends for them.
type TokenCall int

const (
	// NoTokens is every other operation.
	NoTokens TokenCall = iota
	// AnonymousLogin sends neither a bearer nor a refresh token.
	AnonymousLogin
	// AnonymousRefresh sends a refresh token without a bearer.
	AnonymousRefresh
	// CustomerLogin sends a bearer and what proves who the customer is: a password, a
	// code or another provider's token.
	CustomerLogin
	// CustomerRefresh sends a refresh token and a bearer.
	CustomerRefresh
	// EmployeeLogin sends the employee's client ID and secret.
	EmployeeLogin
)

// Redeems reports whether the call sends a refresh token.
func (t TokenCall) Redeems() bool { return t == AnonymousRefresh || t == CustomerRefresh }

const (
	// Once is exactly one request on the wire: it redeems something that the
	// server takes only once.
	Once Class = iota
	// Unsent repeats only what surely was not processed: the request never
	// reached the server, or was refused with 429.
	Unsent
	// Repeatable is Safe for requests that change something but end in the same
	// state however often they arrive.
	Repeatable
	// Safe repeats on connection errors and on the statuses of failure.IsRetryable.
	Safe
)

const (
	guides      = "https://developer.emporix.io/api-references/api-guides/"
	reference   = guides + "companies-and-customers/customer-management/api-reference/"
	authDoc     = reference + "authentication-and-authorization#"
	profileDoc  = reference + "account-and-profile#"
	addressDoc  = reference + "addresses#"
	passwordDoc = reference + "credentials#"
	optInDoc    = reference + "double-opt-in#"
	staffDoc    = guides + "companies-and-customers/customer-service/api-reference/account-and-profile#"
)

// Tokens.
var (
	AuthStartAnonymous = add(Operation{
		Name: "Auth.StartAnonymous", Method: "GET", Path: "/customerlogin/auth/anonymous/login",
		Bearer: None, Retry: Safe, Success: []int{200}, Tokens: AnonymousLogin,
		Doc: authDoc + "get-customerlogin-auth-anonymous-login",
	})
	AuthRefreshAnonymous = add(Operation{
		Name: "Auth.RefreshAnonymous", Method: "GET", Path: "/customerlogin/auth/anonymous/refresh",
		Bearer: None, Retry: Once, Success: []int{200}, Tokens: AnonymousRefresh,
		Secrets: []string{"query:refresh_token"},
		Doc:     authDoc + "get-customerlogin-auth-anonymous-refresh",
	})
	AuthLogin = add(Operation{
		Name: "Auth.Login", Method: "POST", Path: "/customer/{tenant}/login",
		Bearer: Anonymous, Retry: Unsent, Success: []int{200},
		Secrets: []string{"body:password"}, Tokens: CustomerLogin, PasswordCall: true,
		Doc: authDoc + "post-customer-tenant-login",
	})
	AuthSocialLogin = add(Operation{
		Name: "Auth.SocialLogin", Method: "POST", Path: "/customer/{tenant}/socialLogin",
		Bearer: Anonymous, Retry: Unsent, Success: []int{200},
		Secrets: []string{"query:code", "query:code_verifier", "header:session-id"}, Tokens: CustomerLogin,
		Doc: authDoc + "post-customer-tenant-sociallogin",
	})
	AuthExchangeToken = add(Operation{
		Name: "Auth.ExchangeToken", Method: "POST", Path: "/customer/{tenant}/exchangeauthtoken",
		Bearer: Anonymous, Retry: Unsent, Success: []int{200},
		Secrets: []string{"query:subjectAccessToken"}, Tokens: CustomerLogin,
		Doc: authDoc + "post-customer-tenant-exchangeauthtoken",
	})
	AuthRefresh = add(Operation{
		Name: "Auth.Refresh", Method: "GET", Path: "/customer/{tenant}/refreshauthtoken",
		Bearer: Anonymous, Retry: Once, Success: []int{200}, Tokens: CustomerRefresh,
		Secrets: []string{"query:refreshToken"},
		Doc:     authDoc + "get-customer-tenant-refreshauthtoken",
	})
	AuthValidate = add(Operation{
		Name: "Auth.Validate", Method: "GET", Path: "/customer/{tenant}/validateauthtoken",
		Bearer: Customer, Retry: Safe, Success: []int{200},
		Doc: authDoc + "get-customer-tenant-validateauthtoken",
	})
	AuthLogout = add(Operation{
		Name: "Auth.Logout", Method: "GET", Path: "/customer/{tenant}/logout",
		Bearer: Customer, Retry: Once, Success: []int{204, 200},
		Secrets: []string{"query:accessToken"},
		Doc:     authDoc + "get-customer-tenant-logout",
	})
)

// Accounts and profiles.
var (
	CustomersSignUp = add(Operation{
		Name: "Customers.SignUp", Method: "POST", Path: "/customer/{tenant}/signup",
		Bearer: Anonymous, Retry: Unsent, Success: []int{201, 200},
		Secrets: []string{"body:password", "body:signup.password"},
		Doc:     authDoc + "post-customer-tenant-signup",
	})
	CustomersConfirmSignUp = add(Operation{
		Name: "Customers.ConfirmSignUp", Method: "GET", Path: "/customer/{tenant}/signup/optin/{token}",
		Bearer: Anonymous, Retry: Unsent, Success: []int{200, 204},
		Secrets: []string{"path:token"}, Tokens: CustomerLogin, MayAnswerNothing: true,
		Doc: optInDoc + "get-customer-tenant-signup-optin-token",
	})
	CustomersResendActivation = add(Operation{
		Name: "Customers.ResendActivation", Method: "POST", Path: "/customer/{tenant}/signup/optin/refresh_token",
		Bearer: Anonymous, Retry: Unsent, Success: []int{202, 200, 204},
		Doc: optInDoc + "post-customer-tenant-signup-optin-refresh_token",
	})
	CustomersGet = add(Operation{
		Name: "Customers.Get", Method: "GET", Path: "/customer/{tenant}/me",
		Bearer: CustomerOrAnonymous, Retry: Safe, Success: []int{200},
		Doc: profileDoc + "get-customer-tenant-me",
	})
	CustomersUpdate = add(Operation{
		Name: "Customers.Update", Method: "PATCH", Path: "/customer/{tenant}/me",
		Bearer: Customer, Retry: Unsent, Success: []int{200, 204},
		Doc: profileDoc + "patch-customer-tenant-me",
	})
	CustomersActivate = add(Operation{
		Name: "Customers.Activate", Method: "PATCH", Path: "/customer/{tenant}/customers/{customerNumber}",
		Bearer: Employee, Retry: Unsent, Success: []int{200, 204},
		Scope: "customer.customer_manage",
		Doc:   staffDoc + "patch-customer-tenant-customers-customernumber",
	})
)

// Addresses.
var (
	AddressesList = add(Operation{
		Name: "Addresses.List", Method: "GET", Path: "/customer/{tenant}/me/addresses",
		Bearer: Customer, Retry: Safe, Success: []int{200},
		Doc: addressDoc + "get-customer-tenant-me-addresses",
	})
	AddressesGet = add(Operation{
		Name: "Addresses.Get", Method: "GET", Path: "/customer/{tenant}/me/addresses/{addressId}",
		Bearer: Customer, Retry: Safe, Success: []int{200},
		Doc: addressDoc + "get-customer-tenant-me-addresses-addressid",
	})
	AddressesAdd = add(Operation{
		Name: "Addresses.Add", Method: "POST", Path: "/customer/{tenant}/me/addresses",
		Bearer: Customer, Retry: Unsent, Success: []int{201, 200},
		Doc: addressDoc + "post-customer-tenant-me-addresses",
	})
	AddressesUpdate = add(Operation{
		Name: "Addresses.Update", Method: "PATCH", Path: "/customer/{tenant}/me/addresses/{addressId}",
		Bearer: Customer, Retry: Unsent, Success: []int{200, 204},
		Doc: addressDoc + "patch-customer-tenant-me-addresses-addressid",
	})
	AddressesDelete = add(Operation{
		Name: "Addresses.Delete", Method: "DELETE", Path: "/customer/{tenant}/me/addresses/{addressId}",
		Bearer: Customer, Retry: Repeatable, GoneIsDone: true, Success: []int{204, 200},
		Doc: addressDoc + "delete-customer-tenant-me-addresses-addressid",
	})
	AddressesAddTags = add(Operation{
		Name: "Addresses.AddTags", Method: "POST", Path: "/customer/{tenant}/me/addresses/{addressId}/tags",
		Bearer: Customer, Retry: Repeatable, Success: []int{204, 200},
		Doc: addressDoc + "post-customer-tenant-me-addresses-addressid-tags",
	})
	AddressesRemoveTags = add(Operation{
		Name: "Addresses.RemoveTags", Method: "DELETE", Path: "/customer/{tenant}/me/addresses/{addressId}/tags",
		Bearer: Customer, Retry: Repeatable, GoneIsDone: true, Success: []int{204, 200},
		Doc: addressDoc + "delete-customer-tenant-me-addresses-addressid-tags",
	})
)

// Credentials.
var (
	CredentialsRequestPasswordReset = add(Operation{
		Name: "Credentials.RequestPasswordReset", Method: "POST", Path: "/customer/{tenant}/password/reset",
		Bearer: Anonymous, Retry: Unsent, Success: []int{204, 200},
		Doc: passwordDoc + "post-customer-tenant-password-reset",
	})
	// CredentialsResetPassword carries a mail token and no proof by password: it
	// is no PasswordCall.
	CredentialsResetPassword = add(Operation{
		Name: "Credentials.ResetPassword", Method: "POST", Path: "/customer/{tenant}/password/reset/update",
		Bearer: Anonymous, Retry: Unsent, Success: []int{204, 200},
		Secrets: []string{"body:token", "body:password"},
		Doc:     passwordDoc + "post-customer-tenant-password-reset-update",
	})
	CredentialsChangePassword = add(Operation{
		Name: "Credentials.ChangePassword", Method: "POST", Path: "/customer/{tenant}/password/change",
		Bearer: Customer, Retry: Unsent, Success: []int{204, 200},
		Secrets: []string{"body:currentPassword", "body:newPassword"}, PasswordCall: true,
		Doc: passwordDoc + "post-customer-tenant-password-change",
	})
	CredentialsRequestEmailChange = add(Operation{
		Name: "Credentials.RequestEmailChange", Method: "POST", Path: "/customer/{tenant}/me/accounts/internal/email/change",
		Bearer: Customer, Retry: Unsent, Success: []int{204, 200},
		Secrets: []string{"body:password"}, PasswordCall: true,
		Scope: "customer.customerprofile_edit",
		Doc:   passwordDoc + "post-customer-tenant-me-accounts-internal-email-change",
	})
	CredentialsConfirmEmailChange = add(Operation{
		Name: "Credentials.ConfirmEmailChange", Method: "POST", Path: "/customer/{tenant}/me/accounts/internal/email/change/confirm",
		Bearer: Anonymous, Retry: Unsent, Success: []int{204, 200},
		Secrets: []string{"body:token"},
		Doc:     passwordDoc + "post-customer-tenant-me-accounts-internal-email-change-confirm",
	})
)

// OAuthToken gets the employee's bearer. It belongs to another service and is
// not in All. Asking again only issues one more token, hence Safe.
var OAuthToken = &Operation{
	Name: "OAuth.Token", Method: "POST", Path: "/oauth/token",
	Bearer: None, Retry: Safe, Success: []int{200}, Tokens: EmployeeLogin,
	Secrets: []string{"body:client_secret"},
	Doc:     guides + "authentication/oauth-service",
}

// all is the table, in the order of the declarations above.
var all []*Operation

// add puts an operation into the table.
func add(op Operation) *Operation {
	all = append(all, &op)
	return &op
}

// All returns the operations of the customer API. Whatever counts or lists
// operations reads it.
func All() []*Operation { return slices.Clone(all) }
