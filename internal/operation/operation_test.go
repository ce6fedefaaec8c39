package operation_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/internal/operation"
)

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
