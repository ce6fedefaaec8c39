package emporix_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

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
