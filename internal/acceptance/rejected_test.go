package acceptance_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

func TestLife_L08_ARevokedToken(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		fixture.LogIn(t, client.Session("jo"))
		session := fixture.Info(t, client.Session("jo")).SessionID
		assert.Positive(t, fake.Server().RevokeAccess(""))
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Delay: time.Second})
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				assert.NoError(t, fixture.CustomerCall(t.Context(), client.Session("jo")))
			})
		}
		all.Wait()
		fake.AssertCalls(t, "Auth.Refresh", 1)
		assert.Equal(t, session, fixture.Info(t, client.Session("jo")).SessionID)
	})
}

func TestLife_L08_RejectedForever(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		own := client.DefaultSession()
		fixture.LogIn(t, own)
		fake.Fail(t, emporixtest.Fault{Operation: "Addresses.List", Status: 401, Body: emporixfake.BodyGatewayFault, Times: -1})
		for range 60 {
			require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnauthorized)
			time.Sleep(time.Second)
		}
		assert.LessOrEqual(t, fake.Calls(t, "Auth.Refresh"), 2)
		assert.LessOrEqual(t, fake.Calls(t, "Addresses.List"), 62)
		assert.Equal(t, emporix.SessionCustomer, fixture.Info(t, own).Kind)
	})
}

// A renewal that fails while the token is rejected is tried again with the next
// call, and no customer is told to log in.
func TestLife_L08_TheRenewalFailsForAMoment(t *testing.T) {
	for operation, call := range map[string]func(context.Context, *emporix.Session) error{"Auth.Refresh": fixture.CustomerCall, "Auth.RefreshAnonymous": fixture.AnonymousCall} {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			visitor := client.Session("jo")
			require.NoError(t, fixture.AnonymousCall(t.Context(), visitor))
			if operation == "Auth.Refresh" {
				fixture.LogIn(t, visitor)
			}
			fake.Server().RevokeAccess("")
			fake.Fail(t, emporixtest.Fault{Operation: operation, Status: 503, Times: 2})
			for range 2 {
				err := call(t.Context(), visitor)
				require.ErrorIs(t, err, emporix.ErrUnavailable)
				require.NotErrorIs(t, err, emporix.ErrUnauthorized)
			}
			require.NoError(t, call(t.Context(), visitor))
			fake.AssertCalls(t, operation, 3)
		})
	}
}

// A 401 that is about what the customer typed is theirs.
func TestLife_L08_AWrongPasswordIsTheCustomers(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: fixture.Jo.Email, Password: "wrong horse"})
		require.ErrorIs(t, err, emporix.ErrInvalidCredentials)
		fake.AssertCalls(t, "Auth.Login", 1)
		fixture.LogIn(t, client.DefaultSession())
		require.Error(t, client.Credentials.ChangePassword(t.Context(), emporix.ChangePasswordRequest{CurrentPassword: "wrong horse", NewPassword: "battery staple"}))
		fake.AssertCalls(t, "Credentials.ChangePassword", 1)
		fake.AssertCalls(t, "Auth.Refresh", 0)
		fake.AssertCalls(t, "Auth.RefreshAnonymous", 0)
		require.NoError(t, fixture.CustomerCall(t.Context(), client.DefaultSession()))
	})
}

func TestLife_L10_TheUtilityBearerIsReplaced(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
		own := client.DefaultSession()
		fixture.LogIn(t, own)
		_, err := client.Auth.Refresh(t.Context())
		require.NoError(t, err)
		before := fixture.Info(t, own)
		fake.Server().RevokeAccess("")
		seen.Kinds()
		after, err := client.Auth.Refresh(t.Context())
		require.NoError(t, err)
		assert.Equal(t, before.SessionID, after.SessionID)
		require.NoError(t, fixture.CustomerCall(t.Context(), own))
		assert.Equal(t, []emporix.EventKind{emporix.EventSessionRefreshed}, seen.Kinds())
	}, emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
}

// 401s of other services, and of the API, that are not about the bearer.
var notTheBearer = map[string]string{
	"product":       faultBody("Invalid API call as no apiproduct match found", "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound"),
	"product, text": `{"fault":{"faultstring":"Invalid API call as no apiproduct match found"}}`,
	"key":           faultBody("Invalid ApiKey", "oauth.v2.InvalidApiKey"),
	"quota":         faultBody("Rate limit quota violation", "policies.ratelimit.QuotaViolation"),
	"scope":         faultBody("Required scope(s): x", "steps.oauth.v2.InsufficientScope"),
	"unheard of":    faultBody("Something", "steps.raisefault.RaiseFault"),
	"message":       `{"status":401,"type":"unauthorized","message":"Access token expired"}`,
	"SaaS token":    `{"message":"Saas TOKEN is invalid"}`,
	"OAuth":         `{"error":"invalid_client"}`,
	"page":          fixture.GatewayPage,
}

// A customer who was idle for 30 hours has an access token and no refresh token:
// what another service says about itself must not end the session.
func TestLife_L08_OtherServicesEndNoSession(t *testing.T) {
	bodies := map[string]string{"empty": ""}
	for name, body := range notTheBearer {
		bodies[name] = body
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shop := fixture.NewCartShop(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(401)
					_, _ = io.WriteString(w, body)
				})
				for _, idle := range []time.Duration{0, 30 * time.Hour} {
					own := shop.Client.DefaultSession()
					fixture.LogIn(t, own)
					before := fixture.Info(t, own)
					time.Sleep(idle)
					sent, refreshes := len(shop.Seen), shop.Fake.Calls(t, "Auth.Refresh")
					resp, err := own.HTTPClient().Get(shop.URL("/cart/acme/carts"))
					require.NoError(t, err)
					assert.Equal(t, 401, resp.StatusCode)
					assert.Equal(t, body, fixture.Text(t, resp), "it is that service's response")
					if name != "empty" || idle > 0 {
						assert.Len(t, shop.Seen[sent:], 1)
						shop.Fake.AssertCalls(t, "Auth.Refresh", refreshes)
					}
					after := fixture.Info(t, own)
					assert.Equal(t, before.Kind, after.Kind)
					assert.Equal(t, before.SessionID, after.SessionID)
					require.NoError(t, fixture.CustomerCall(t.Context(), own))
				}
			})
		})
	}
}

// The same for a guest: the cart stays.
func TestLife_L08_OtherServicesReplaceNoGuest(t *testing.T) {
	for name, body := range notTheBearer {
		t.Run(name, func(t *testing.T) {
			shop := fixture.NewCartShop(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(401)
				_, _ = io.WriteString(w, body)
			})
			resp, err := shop.Client.HTTPClient().Get(shop.URL("/cart/acme/carts"))
			require.NoError(t, err)
			assert.Equal(t, body, fixture.Text(t, resp))
			shop.Fake.AssertCalls(t, "Auth.RefreshAnonymous", 0)
			shop.Fake.AssertCalls(t, "Auth.StartAnonymous", 1)
		})
	}
}

// The API's own operations: a 401 that is not about the bearer renews nothing.
func TestLife_L08_AnAnswerOfTheAPIsOwn(t *testing.T) {
	for name, body := range notTheBearer {
		t.Run(name, func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
				own := client.DefaultSession()
				fixture.LogIn(t, own)
				before := fixture.Info(t, own).SessionID
				time.Sleep(30 * time.Hour)
				fails(t, fake, 401, body, 1, "Addresses.List")
				require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnauthorized)
				fake.AssertCalls(t, "Auth.Refresh", 0)
				require.NoError(t, fixture.CustomerCall(t.Context(), own))
				assert.Equal(t, before, fixture.Info(t, own).SessionID)
			})
		})
	}
}

// A password call's 401 is about the password only if the API says so.
func TestLife_L08_AWrongPasswordIsTheAPIsWord(t *testing.T) {
	wrong := map[string]bool{"message": true, "SaaS token": true, "locked": true, "empty": true, "as frameworks answer": true}
	bodies := map[string]string{
		"outage": `{"status":401,"type":"unauthorized","message":"Identity service temporarily unavailable"}`, "outage by its status": `{"status":503,"type":"x","message":"Try again."}`,
		"empty": "", "locked": `{"status":401,"type":"unauthorized","message":"Too many attempts. Try again later."}`,
		"as frameworks answer": `{"timestamp":1,"status":401,"error":"Unauthorized","message":"Bad credentials","path":"/login"}`,
	}
	maps.Copy(bodies, notTheBearer)
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
				fails(t, fake, 401, body, 1, "Auth.Login")
				_, err := client.Auth.Login(t.Context(), fixture.Jo)
				require.ErrorIs(t, err, emporix.ErrUnauthorized)
				assert.Equal(t, wrong[name], errors.Is(err, emporix.ErrInvalidCredentials))
				fake.AssertCalls(t, "Auth.Login", 1)
			})
		})
	}
}
