package emporix_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/fixture"
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
			fake := fixture.Fake(t)
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
			_, err = client.Auth.Login(t.Context(), fixture.Jo)
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

// Close leaves no connection of the client's own behind.
func TestCloseClosesIdleConnections(t *testing.T) {
	idle, closed := make(chan struct{}, 1), make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(fixture.AnonymousTokens))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateIdle:
			idle <- struct{}{}
		case http.StateClosed:
			closed <- struct{}{}
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL(server.URL))
	require.NoError(t, err)
	_, err = client.Auth.StartAnonymous(t.Context(), emporix.SessionContext{})
	require.NoError(t, err)
	<-idle
	require.NoError(t, client.Close(t.Context()))
	select {
	case <-closed:
	case <-t.Context().Done():
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
}

// Who forgot to look at NewClient's error is told so.
func TestAClientThatNobodyMade(t *testing.T) {
	for name, client := range map[string]*emporix.Client{"nil": nil, "zero": {}} {
		for call, do := range map[string]func(){
			"Session": func() { client.Session("v") }, "DefaultSession": func() { client.DefaultSession() },
			"HTTPClient": func() { client.HTTPClient() }, "Settings": func() { client.Settings() },
			"Close": func() { _ = client.Close(t.Context()) },
		} {
			assert.PanicsWithValue(t, "emporix: this Client was not made by NewClient; check the error that NewClient returned", do, name+" "+call)
		}
	}
}
