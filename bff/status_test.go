package bff_test

import (
	"errors"
	"net/http"
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

func TestALostWriteIsNotNothingLost(t *testing.T) {
	for _, other := range []error{emporix.ErrUnavailable, emporix.ErrRateLimited} {
		err := errors.Join(other, emporix.ErrOutcomeUnknown)
		assert.Equal(t, http.StatusBadGateway, bff.Status(err), other.Error())
	}
}
