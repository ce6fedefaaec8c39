package acceptance_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

// Whoever mocks HTTP with httpmock gives a client a mock transport of its own:
// nothing global is replaced, and tests run in parallel.
func TestWithHTTPMock(t *testing.T) {
	t.Parallel()
	mock := httpmock.NewMockTransport()
	mock.RegisterResponder("GET", "https://api.emporix.io/customerlogin/auth/anonymous/login",
		httpmock.NewStringResponder(200, `{"access_token":"guest","refresh_token":"again","expires_in":3599,"refresh_token_expires_in":86399}`))
	mock.RegisterResponder("POST", "https://api.emporix.io/customer/acme/signup",
		func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			assert.JSONEq(t, `{"email":"jo@example.com","password":"correct horse"}`, string(body))
			assert.Equal(t, "Bearer guest", r.Header.Get("Authorization"))
			return httpmock.NewJsonResponse(201, map[string]string{"id": "13730481"})
		})
	mock.RegisterResponder("POST", "https://api.emporix.io/customer/acme/password/reset",
		httpmock.NewJsonResponderOrPanic(429, map[string]any{"status": 429, "type": "too_many_requests", "message": "Slow down."}).HeaderSet(http.Header{"Retry-After": {"120"}}))

	client, err := emporix.NewClient("acme", "storefront", emporix.WithTransport(mock))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })

	id, err := client.Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: "jo@example.com", Password: "correct horse"})
	require.NoError(t, err)
	assert.Equal(t, "13730481", id)

	err = client.Credentials.RequestPasswordReset(t.Context(), "jo@example.com")
	assert.ErrorIs(t, err, emporix.ErrRateLimited)
	assert.EqualError(t, err, "emporix: Credentials.RequestPasswordReset: 429 too_many_requests: Slow down.; the server asks to wait 2m0s")

	_, err = client.Addresses.List(t.Context())
	assert.ErrorIs(t, err, emporix.ErrNotLoggedIn)
	assert.Equal(t, map[string]int{
		"GET https://api.emporix.io/customerlogin/auth/anonymous/login": 1,
		"POST https://api.emporix.io/customer/acme/signup":              1,
		"POST https://api.emporix.io/customer/acme/password/reset":      1,
	}, mock.GetCallCountInfo())
}

// What no responder knows is an error like any other of a transport.
func TestHTTPMockWithoutAResponder(t *testing.T) {
	t.Parallel()
	mock := httpmock.NewMockTransport()
	client, err := emporix.NewClient("acme", "storefront", emporix.WithTransport(mock), emporix.WithRetries(emporix.Retries{MaxAttempts: 1}))
	require.NoError(t, err)
	_, err = client.Customers.Get(t.Context())
	assert.ErrorIs(t, err, httpmock.NoResponderFound)
	assert.ErrorIs(t, err, emporix.ErrUnavailable)
	var auth *emporix.AuthError
	require.ErrorAs(t, err, &auth)
	assert.Equal(t, "anonymous", auth.Operation)
}
