package emporix_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// Someone who looks for a mistake at night sets one variable, and sees every
// call, and no secret.
func TestTheEnvironmentTurnsLoggingOn(t *testing.T) {
	for level, lines := range map[string][]string{
		"debug": {"emporix: call", "operation=Customers.Get", "emporix: logged in", "operation=Auth.Login", "operation=Auth.Logout", "operation=Auth.StartAnonymous"},
		"info":  {"emporix: logged in"},
		"error": nil,
		"":      nil,
	} {
		t.Run("level "+level, func(t *testing.T) {
			fake := emporixtest.New(t)
			fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "correct horse"})
			stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			require.NoError(t, err)
			before := os.Stderr
			os.Stderr = stderr
			t.Cleanup(func() { os.Stderr = before; _ = stderr.Close() })
			t.Setenv(emporix.EnvTenant, fake.Server().Config().Tenant)
			t.Setenv(emporix.EnvClientID, fake.Server().Config().ClientID)
			t.Setenv(emporix.EnvLog, level)
			client, err := emporix.NewClientFromEnv(emporix.WithBaseURL(fake.URL()), emporix.WithTransport(fake.Transport()))
			require.NoError(t, err)
			_, err = client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
			require.NoError(t, err)
			_, err = client.Customers.Get(t.Context())
			require.NoError(t, err)
			require.NoError(t, client.Auth.Logout(t.Context()))
			require.NoError(t, client.Close(t.Context()))

			written, err := os.ReadFile(stderr.Name())
			require.NoError(t, err)
			for _, line := range lines {
				assert.Contains(t, string(written), line)
			}
			if lines == nil {
				assert.Empty(t, string(written))
			}
			fake.AssertNoSecrets(t, written)
		})
	}
	t.Setenv(emporix.EnvTenant, "acme")
	t.Setenv(emporix.EnvClientID, "id")
	t.Setenv(emporix.EnvLog, "verbose")
	_, err := emporix.NewClientFromEnv()
	assert.Equal(t, []string{emporix.EnvLog}, fields(t, err))
}
