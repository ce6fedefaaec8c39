package emporixfake_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

// Tests in parallel share one process: a tenant each, with a clock of its own.
func TestSeveralTenants(t *testing.T) {
	tenants := emporixfake.NewTenants(func(string) emporixfake.Config {
		return emporixfake.Config{Seed: emporixfake.Seed{Customers: []emporixfake.Customer{{Email: joEmail, Password: joPassword}}}}
	})
	server := httptest.NewServer(tenants)
	defer server.Close()
	visitor := func(tenant string) *emporix.Client {
		client, err := emporix.NewClient(tenant, "storefront", emporix.WithBaseURL(server.URL),
			emporix.WithEmployeeCredentials(tenant+"-backend", "backend-secret-for-tests"))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, client.Close(context.WithoutCancel(t.Context()))) })
		_, err = client.Auth.Login(t.Context(), emporix.LoginRequest{Email: joEmail, Password: joPassword})
		require.NoError(t, err)
		return client
	}
	one, two := visitor("worker1"), visitor("worker2")
	require.NoError(t, one.Customers.Update(t.Context(), emporix.CustomerPatch{FirstName: emporix.Set("Joanna")}))
	me, err := two.Customers.Get(t.Context())
	require.NoError(t, err)
	assert.Empty(t, me.FirstName)
	require.NoError(t, one.Customers.Activate(t.Context(), me.CustomerNumber), "the employee's token is the tenant's")

	call := func(method, path, body string, header ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		return resp.StatusCode, readAll(t, resp)
	}
	status, text := call("GET", "/__fake/tenants/worker1/", "", "Accept", "text/html")
	assert.Equal(t, 200, status)
	assert.Contains(t, text, "tenant <code>worker1</code>")
	status, _ = call("POST", "/__fake/tenants/worker1/", "do=advance&duration=1h", "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html")
	assert.Equal(t, 200, status, "back on the page")

	before := tenants.Server("worker2").Now()
	status, text = call("POST", "/__fake/tenants/worker1/clock", `{"advance":"40d"}`)
	assert.Equal(t, 200, status, text)
	assert.Less(t, tenants.Server("worker2").Now().Sub(before), time.Hour)
	assert.Greater(t, tenants.Server("worker1").Now().Sub(before), 39*24*time.Hour)
	status, text = call("GET", "/__fake/tenants", "")
	assert.Equal(t, 200, status)
	assert.Contains(t, text, `["worker1","worker2"]`)
	status, text = call("GET", "/__fake/tenants/worker1/journal?operation=Customers.Activate", "")
	assert.Equal(t, 200, status)
	assert.Contains(t, text, "Customers.Activate")

	status, _ = call("GET", "/__fake/tenants", "", "Origin", "https://elsewhere.example")
	assert.Equal(t, 403, status)
	status, _ = call("DELETE", "/__fake/tenants/worker1", "", "Origin", "https://elsewhere.example")
	assert.Equal(t, 403, status)
	status, _ = call("DELETE", "/__fake/tenants/worker1", "")
	assert.Equal(t, 200, status)
	status, _ = call("DELETE", "/__fake/tenants/worker1", "")
	assert.Equal(t, 404, status)
	for path, want := range map[string]int{
		"/__fake/clock": 404, "/__fake/health": 200, "/customer/Not-A-Tenant/me": 404, "/": 404, "/customerlogin/auth/anonymous/login": 404,
		"/__fake/tenants/x/clock": 404,
	} {
		status, text := call("GET", path, "")
		assert.Equal(t, want, status, "%s: %s", path, text)
	}
	status, _ = call("POST", "/oauth/token", "client_id=nobody&client_secret=x&grant_type=client_credentials", "Content-Type", "application/x-www-form-urlencoded")
	assert.NotEqual(t, 200, status)
	assert.Panics(t, func() { tenants.Server("Not-A-Tenant") })
}

func TestTenantsAreBounded(t *testing.T) {
	tenants := emporixfake.NewTenants(func(string) emporixfake.Config { return emporixfake.Config{} })
	name := func(i int) string {
		return "t" + string(rune('a'+i/676)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))
	}
	for i := range 1_000 {
		tenants.Server(name(i))
	}
	assert.PanicsWithValue(t, "emporixfake: there are 1000 tenants already; forget one with DELETE /__fake/tenants/{tenant}", func() { tenants.Server("another") })
}
