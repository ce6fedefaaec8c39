package emporix_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	emporix "github.com/emporix-community/emporix-go"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/fixture"
)

// The SaaS token says itself when it ends, in any of the forms of a number.
func TestSaaSTokensTellTheirEnd(t *testing.T) {
	t.Parallel()
	tenant, client := fixture.NewServer(t, "/acme/login")
	end := time.Unix(1640444032, 0)
	for claims, want := range map[string]time.Time{
		`{"exp":1640444032}`: end, `{"exp":"1640444032"}`: end, `{"exp":1640444032.5}`: end, `{"exp":1.640444032e9}`: end, `{"exp":null,"sub":7}`: {}, `{"exp":-1}`: {}, `{"exp":{}}`: {}, `{}`: {}, `[]`: {},
	} {
		tenant.Body = strings.Replace(fixture.CustomerTokens, `"saas_token":"saas"`, `"saas_token":"h.`+base64.RawURLEncoding.EncodeToString([]byte(claims))+`.s"`, 1)
		require.NoError(t, fixture.Login(t.Context(), client))
		info, err := client.DefaultSession().Info(t.Context())
		require.NoError(t, err)
		assert.True(t, want.Equal(info.SaaSTokenExpires), "%s: %s", claims, info.SaaSTokenExpires)
	}
}

// What NewClient has not made says so, instead of a nil pointer.
func TestWhatNewClientHasNotMadePanicsWithWords(t *testing.T) {
	ctx := t.Context()
	var none *emporix.Client
	var noSession *emporix.Session
	for name, call := range map[string]func(){
		"nil client":        func() { none.Session("v") },
		"zero client":       func() { _, _ = new(emporix.Client).Customers.Get(ctx) },
		"zero client, auth": func() { _ = new(emporix.Client).Auth.Logout(ctx) },
		"zero service":      func() { _, _ = new(emporix.AddressesService).List(ctx) },
		"zero credentials":  func() { _ = new(emporix.CredentialsService).ConfirmEmailChange(ctx, "t") },
		"nil session":       func() { _, _ = noSession.Info(ctx) },
		"zero session":      func() { _, _ = new(emporix.Session).SaaSToken(ctx) },
		"moved":             func() { _, _ = noSession.MoveTo(ctx, "v") },
		"renewed":           func() { _ = noSession.RenewIfDue(ctx) },
		"HTTP client":       func() { noSession.HTTPClient() },
	} {
		func() {
			defer func() {
				text, _ := recover().(string)
				assert.Contains(t, text, "check the error that NewClient returned", name)
			}()
			call()
		}()
	}
}
