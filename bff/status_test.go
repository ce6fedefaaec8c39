package bff_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// A login helps only where the customer was refused, and "nothing is lost" is said
// only where nothing was done.
func TestStatusesOfAnswers(t *testing.T) {
	product := `{"fault":{"faultstring":"Invalid ApiKey for given resource","detail":{"errorcode":"oauth.v2.InvalidApiKeyForGivenResource"}}}`
	for name, tt := range map[string]struct {
		fault emporixtest.Fault
		want  int
	}{
		"the key":  {emporixtest.Fault{Operation: "Customers.Get", Status: 401, RawBody: &product, Times: -1}, http.StatusServiceUnavailable},
		"the user": {emporixtest.Fault{Operation: "Customers.Get", Status: 401, Times: -1}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			fake := emporixtest.New(t)
			fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "correct horse"})
			client := fake.Client(t, emporix.WithTimeouts(emporix.Timeouts{Attempt: time.Minute}))
			_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
			require.NoError(t, err)
			fake.Fail(t, tt.fault)
			_, err = client.Customers.Get(t.Context())
			require.ErrorIs(t, err, emporix.ErrUnauthorized)
			assert.Equal(t, tt.want, bff.Status(err), err.Error())
		})
	}
}

// A login that an outage refuses is no wrong password.
func TestTheStatusOfALoginDuringAnOutage(t *testing.T) {
	for body, want := range map[string]int{
		`{"status":401,"type":"unauthorized","message":"Identity service temporarily unavailable"}`: http.StatusServiceUnavailable,
		`{"status":503,"type":"internal_service_error","message":"Try again."}`:                     http.StatusServiceUnavailable,
		`{"status":401,"type":"unauthorized","message":"The login data are wrong."}`:                http.StatusUnauthorized,
	} {
		fake := emporixtest.New(t)
		client := fake.Client(t)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Login", Status: 401, RawBody: &body})
		_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
		require.ErrorIs(t, err, emporix.ErrUnauthorized)
		assert.Equal(t, want, bff.Status(err), body)
	}
}

// A browser is not sent back to an API that has asked for more time.
func TestHowLongABrowserIsAskedToWait(t *testing.T) {
	b, err := bff.New(emporixtest.New(t).Client(t), bff.Options{})
	require.NoError(t, err)
	for asked, want := range map[time.Duration]string{0: "5", time.Second: "5", 61500 * time.Millisecond: "62", time.Minute: "60", time.Minute + 1: "61", 1000 * time.Hour: "3600"} {
		fake := emporixtest.New(t)
		client := fake.Client(t)
		fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Status: 503, RetryAfter: "3000000", Times: -1})
		_, failed := client.Customers.Get(t.Context())
		var api *emporix.APIError
		require.ErrorAs(t, failed, &api)
		api.RetryAfter = asked
		w := httptest.NewRecorder()
		b.Error(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), failed)
		assert.Equal(t, want, w.Header().Get("Retry-After"), asked)
	}
}

func TestALostWriteIsNotNothingLost(t *testing.T) {
	for _, other := range []error{emporix.ErrUnavailable, emporix.ErrRateLimited} {
		err := errors.Join(other, emporix.ErrOutcomeUnknown)
		assert.Equal(t, http.StatusBadGateway, bff.Status(err), other.Error())
	}
}
