package operation_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/operation"
)

// contract holds, in the vendor's words, what the API description says about
// each operation: method, path, bearer and the documented success.
var contract = []struct {
	op      *operation.Operation
	name    string
	request string
	bearer  operation.Bearer
	retry   operation.Class
	success int
}{
	{operation.AuthStartAnonymous, "Auth.StartAnonymous", "GET /customerlogin/auth/anonymous/login", operation.None, operation.Safe, 200},
	{operation.AuthRefreshAnonymous, "Auth.RefreshAnonymous", "GET /customerlogin/auth/anonymous/refresh", operation.None, operation.Once, 200},
	{operation.AuthLogin, "Auth.Login", "POST /customer/{tenant}/login", operation.Anonymous, operation.Unsent, 200},
	{operation.AuthSocialLogin, "Auth.SocialLogin", "POST /customer/{tenant}/socialLogin", operation.Anonymous, operation.Unsent, 200},
	{operation.AuthExchangeToken, "Auth.ExchangeToken", "POST /customer/{tenant}/exchangeauthtoken", operation.Anonymous, operation.Unsent, 200},
	{operation.AuthRefresh, "Auth.Refresh", "GET /customer/{tenant}/refreshauthtoken", operation.Anonymous, operation.Once, 200},
	{operation.AuthValidate, "Auth.Validate", "GET /customer/{tenant}/validateauthtoken", operation.Customer, operation.Safe, 200},
	{operation.AuthLogout, "Auth.Logout", "GET /customer/{tenant}/logout", operation.Customer, operation.Once, 204},
	{operation.CustomersSignUp, "Customers.SignUp", "POST /customer/{tenant}/signup", operation.Anonymous, operation.Unsent, 201},
	{operation.CustomersConfirmSignUp, "Customers.ConfirmSignUp", "GET /customer/{tenant}/signup/optin/{token}", operation.Anonymous, operation.Unsent, 200},
	{operation.CustomersResendActivation, "Customers.ResendActivation", "POST /customer/{tenant}/signup/optin/refresh_token", operation.Anonymous, operation.Unsent, 202},
	{operation.CustomersGet, "Customers.Get", "GET /customer/{tenant}/me", operation.CustomerOrAnonymous, operation.Safe, 200},
	{operation.CustomersUpdate, "Customers.Update", "PATCH /customer/{tenant}/me", operation.Customer, operation.Unsent, 200},
	{operation.CustomersActivate, "Customers.Activate", "PATCH /customer/{tenant}/customers/{customerNumber}", operation.Employee, operation.Unsent, 200},
	{operation.AddressesList, "Addresses.List", "GET /customer/{tenant}/me/addresses", operation.Customer, operation.Safe, 200},
	{operation.AddressesGet, "Addresses.Get", "GET /customer/{tenant}/me/addresses/{addressId}", operation.Customer, operation.Safe, 200},
	{operation.AddressesAdd, "Addresses.Add", "POST /customer/{tenant}/me/addresses", operation.Customer, operation.Unsent, 201},
	{operation.AddressesUpdate, "Addresses.Update", "PATCH /customer/{tenant}/me/addresses/{addressId}", operation.Customer, operation.Unsent, 200},
	{operation.AddressesDelete, "Addresses.Delete", "DELETE /customer/{tenant}/me/addresses/{addressId}", operation.Customer, operation.Repeatable, 204},
	{operation.AddressesAddTags, "Addresses.AddTags", "POST /customer/{tenant}/me/addresses/{addressId}/tags", operation.Customer, operation.Repeatable, 204},
	{operation.AddressesRemoveTags, "Addresses.RemoveTags", "DELETE /customer/{tenant}/me/addresses/{addressId}/tags", operation.Customer, operation.Repeatable, 204},
	{operation.CredentialsRequestPasswordReset, "Credentials.RequestPasswordReset", "POST /customer/{tenant}/password/reset", operation.Anonymous, operation.Unsent, 204},
	{operation.CredentialsResetPassword, "Credentials.ResetPassword", "POST /customer/{tenant}/password/reset/update", operation.Anonymous, operation.Unsent, 204},
	{operation.CredentialsChangePassword, "Credentials.ChangePassword", "POST /customer/{tenant}/password/change", operation.Customer, operation.Unsent, 204},
	{operation.CredentialsRequestEmailChange, "Credentials.RequestEmailChange", "POST /customer/{tenant}/me/accounts/internal/email/change", operation.Customer, operation.Unsent, 204},
	{operation.CredentialsConfirmEmailChange, "Credentials.ConfirmEmailChange", "POST /customer/{tenant}/me/accounts/internal/email/change/confirm", operation.Anonymous, operation.Unsent, 204},
}

func TestTableSaysWhatTheContractSays(t *testing.T) {
	all := operation.All()
	require.Len(t, all, len(contract))
	for _, want := range contract {
		t.Run(want.name, func(t *testing.T) {
			assert.Contains(t, all, want.op)
			assert.Equal(t, want.name, want.op.Name)
			assert.Equal(t, want.request, want.op.Method+" "+want.op.Path)
			assert.Equal(t, want.bearer, want.op.Bearer)
			assert.Equal(t, want.retry, want.op.Retry)
			assert.Equal(t, want.success, want.op.Success[0], "the documented success comes first")
		})
	}
}

func TestOperationsAreUnique(t *testing.T) {
	names, requests := map[string]bool{}, map[string]bool{}
	for _, op := range append(operation.All(), operation.OAuthToken) {
		request := op.Method + " " + op.Path
		assert.False(t, names[op.Name], op.Name)
		assert.False(t, requests[request], request)
		names[op.Name], requests[request] = true, true
	}
}

func TestOperationsAreWellFormed(t *testing.T) {
	secret := regexp.MustCompile(`^(query|path|header|body):[A-Za-z][\w.-]*$`)
	placeholder := regexp.MustCompile(`\{(\w+)\}`)
	known := []string{"tenant", "addressId", "customerNumber", "token"}
	for _, op := range append(operation.All(), operation.OAuthToken) {
		t.Run(op.Name, func(t *testing.T) {
			assert.Regexp(t, `^https://developer\.emporix\.io/.`, op.Doc)
			assert.True(t, strings.HasPrefix(op.Path, "/"))
			for i, m := range placeholder.FindAllStringSubmatch(op.Path, -1) {
				assert.Contains(t, known, m[1])
				assert.Equal(t, i == 0, m[1] == "tenant", "the tenant comes first")
			}
			for _, name := range op.Secrets {
				assert.Regexp(t, secret, name)
				if place, id, _ := strings.Cut(name, ":"); place == "path" {
					assert.Contains(t, op.Path, "{"+id+"}")
				}
			}
			for _, status := range op.Success {
				assert.Contains(t, []int{200, 201, 202, 204}, status)
			}
		})
	}
}

func TestWhereAnEmptySuccessIsDocumentedBothEmptyAndOKAreAccepted(t *testing.T) {
	for _, op := range operation.All() {
		if slices.Contains(op.Success, 204) {
			assert.Contains(t, op.Success, 200, op.Name)
		}
	}
}

func TestFlags(t *testing.T) {
	flagged := func(has func(*operation.Operation) bool) (names []string) {
		for _, op := range append(operation.All(), operation.OAuthToken) {
			if has(op) {
				names = append(names, op.Name)
			}
		}
		return names
	}
	for call, want := range map[operation.TokenCall][]string{
		operation.AnonymousLogin:   {"Auth.StartAnonymous"},
		operation.AnonymousRefresh: {"Auth.RefreshAnonymous"},
		operation.CustomerLogin:    {"Auth.Login", "Auth.SocialLogin", "Auth.ExchangeToken", "Customers.ConfirmSignUp"},
		operation.CustomerRefresh:  {"Auth.Refresh"},
		operation.EmployeeLogin:    {"OAuth.Token"},
	} {
		assert.Equal(t, want, flagged(func(op *operation.Operation) bool { return op.Tokens == call }))
	}
	assert.Equal(t, []string{"Auth.Login", "Credentials.ChangePassword", "Credentials.RequestEmailChange"},
		flagged(func(op *operation.Operation) bool { return op.PasswordCall }))
	assert.Equal(t, []string{"Customers.ConfirmSignUp"}, flagged(func(op *operation.Operation) bool { return op.MayAnswerNothing }))
	assert.Equal(t, []string{"Addresses.Delete", "Addresses.RemoveTags"}, flagged(func(op *operation.Operation) bool { return op.GoneIsDone }))
	for _, op := range append(operation.All(), operation.OAuthToken) {
		if op.Tokens.Redeems() {
			assert.Equal(t, operation.Once, op.Retry, "%s: a refresh token is good for one request", op.Name)
		}
		if op.GoneIsDone {
			assert.Equal(t, operation.Repeatable, op.Retry, op.Name)
		}
	}
}

// Every secret that the API description puts into a URL, a header or a body.
func TestSecretInputs(t *testing.T) {
	want := map[string][]string{
		"Auth.RefreshAnonymous":          {"query:refresh_token"},
		"Auth.Login":                     {"body:password"},
		"Auth.SocialLogin":               {"query:code", "query:code_verifier", "header:session-id"},
		"Auth.ExchangeToken":             {"query:subjectAccessToken"},
		"Auth.Refresh":                   {"query:refreshToken"},
		"Auth.Logout":                    {"query:accessToken"},
		"Customers.SignUp":               {"body:password", "body:signup.password"},
		"Customers.ConfirmSignUp":        {"path:token"},
		"Credentials.ResetPassword":      {"body:token", "body:password"},
		"Credentials.ChangePassword":     {"body:currentPassword", "body:newPassword"},
		"Credentials.RequestEmailChange": {"body:password"},
		"Credentials.ConfirmEmailChange": {"body:token"},
	}
	for _, op := range operation.All() {
		assert.ElementsMatch(t, want[op.Name], op.Secrets, op.Name)
	}
}

func TestAllReturnsACopy(t *testing.T) {
	operation.All()[0] = nil
	assert.NotNil(t, operation.All()[0])
}
