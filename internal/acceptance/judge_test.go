package acceptance_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

func faultBody(text, code string) string {
	return fmt.Sprintf(`{"fault":{"faultstring":%q,"detail":{"errorcode":%q}}}`, text, code)
}

// undecided are refusals that say nothing about the refresh token.
var undecided = map[string]struct {
	status int
	body   string
}{
	"key":                  {401, faultBody("Invalid ApiKey", "oauth.v2.InvalidApiKey")},
	"key management":       {401, faultBody("", "keymanagement.service.consumer_key_missing_api_product_mapping")},
	"product":              {401, faultBody("Invalid API call as no apiproduct match found", "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound")},
	"quota":                {401, faultBody("Rate limit quota violation", "policies.ratelimit.QuotaViolation")},
	"unheard of":           {400, faultBody("Something", "steps.raisefault.RaiseFault")},
	"bearer":               {401, faultBody("Invalid access token", "oauth.v2.InvalidAccessToken")},
	"bearer expired":       {401, faultBody("Access Token expired", "keymanagement.service.access_token_expired")},
	"invalid tenant":       {400, `{"status":400,"type":"bad_request","message":"Invalid tenant.","details":[{"field":"tenant","message":"is not known"}]}`},
	"invalid_client":       {401, `{"error":"invalid_client"}`},
	"temporarily":          {400, `{"error":"temporarily_unavailable"}`},
	"empty, unauthorized":  {401, ""},
	"empty, bad request":   {400, ""},
	"outage, refresh":      {400, `{"status":400,"type":"bad_request","message":"Could not refresh token: upstream timeout"}`},
	"outage, field":        {400, `{"status":400,"message":"No.","details":[{"field":"refreshToken","message":"could not be checked: service temporarily unavailable"}]}`},
	"refused by its state": {400, `{"status":503,"type":"internal_service_error","message":"Try again."}`},
}

func fails(t *testing.T, fake *emporixtest.Fake, status int, body string, times int, operations ...string) {
	t.Helper()
	for _, op := range operations {
		fake.Fail(t, emporixtest.Fault{Operation: op, Status: status, RawBody: &body, Times: times})
	}
}

// For 20 minutes the tenant's key is refused: the cart is still there afterwards.
func TestLife_L06_TwentyBadMinutesKeepTheCart(t *testing.T) {
	for name, refusal := range undecided {
		for _, alive := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " alive ", alive), func(t *testing.T) {
				fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
					own := client.DefaultSession()
					require.NoError(t, fixture.AnonymousCall(t.Context(), own))
					session := fixture.Info(t, own).SessionID
					if alive { // early renewals fail, and then the access token ends
						time.Sleep(3599*time.Second - 5*time.Minute)
					} else {
						time.Sleep(90 * time.Minute)
					}
					seen.Kinds()
					fails(t, fake, refusal.status, refusal.body, -1, "Auth.RefreshAnonymous", "Auth.StartAnonymous")
					for range 40 {
						time.Sleep(30 * time.Second)
						if err := fixture.AnonymousCall(t.Context(), own); err != nil {
							require.ErrorIs(t, err, emporix.ErrUnavailable)
							require.NotErrorIs(t, err, emporix.ErrUnauthorized, "it is no reason to log in")
							require.NotErrorIs(t, err, emporix.ErrInvalidRequest)
							var apiErr *emporix.APIError
							require.ErrorAs(t, err, &apiErr)
							assert.Equal(t, refusal.status, apiErr.StatusCode)
						}
					}
					require.Error(t, fixture.AnonymousCall(t.Context(), own))
					fake.Server().ClearFaults()
					require.NoError(t, fixture.AnonymousCall(t.Context(), own))
					assert.Equal(t, session, fixture.Info(t, own).SessionID, "the cart")
					assert.NotContains(t, seen.Kinds(), emporix.EventSessionReplaced)
				})
			})
		}
	}
}

// The replacement's login fails after a definite no: the refresh token stays.
func TestLife_L06_AGuestsRefreshTokenStaysUntilTheReplacementIsStored(t *testing.T) {
	for _, alive := range []bool{true, false} {
		t.Run(fmt.Sprint("alive ", alive), func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
				own := client.DefaultSession()
				require.NoError(t, fixture.AnonymousCall(t.Context(), own))
				session := fixture.Info(t, own).SessionID
				no := `{"status":401,"type":"unauthorized","message":"The refresh token is not valid."}`
				fails(t, fake, 401, no, -1, "Auth.RefreshAnonymous")
				fails(t, fake, 503, "", -1, "Auth.StartAnonymous")
				if alive {
					time.Sleep(3599*time.Second - 2*time.Minute)
					for range 3 {
						require.NoError(t, fixture.AnonymousCall(t.Context(), own))
						time.Sleep(30 * time.Second)
					}
					fake.AssertCalls(t, "Auth.RefreshAnonymous", 1)
				}
				time.Sleep(90 * time.Minute)
				require.ErrorIs(t, fixture.AnonymousCall(t.Context(), own), emporix.ErrUnavailable)
				fake.Server().ClearFaults()
				require.NoError(t, fixture.AnonymousCall(t.Context(), own))
				assert.Equal(t, session, fixture.Info(t, own).SessionID)
			})
		})
	}
}

// Where logins work and the refresh does not, a guest is not locked out; one
// refusal alone costs no cart.
func TestLife_L06_AGuestWhoseRefreshAloneIsRefused(t *testing.T) {
	for name, refusal := range undecided {
		for times, kept := range map[int]bool{1: true, -1: false} {
			t.Run(fmt.Sprint(name, " times ", times), func(t *testing.T) {
				fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
					own := client.DefaultSession()
					require.NoError(t, fixture.AnonymousCall(t.Context(), own))
					session := fixture.Info(t, own).SessionID
					time.Sleep(90 * time.Minute)
					seen.Kinds()
					fails(t, fake, refusal.status, refusal.body, times, "Auth.RefreshAnonymous")
					require.NoError(t, fixture.AnonymousCall(t.Context(), own))
					fake.AssertCalls(t, "Auth.RefreshAnonymous", 2)
					fake.AssertCalls(t, "Auth.StartAnonymous", 2)
					assert.Equal(t, kept, fixture.Info(t, own).SessionID == session)
					if kept {
						assert.Equal(t, []emporix.EventKind{emporix.EventSessionRefreshed}, seen.Kinds())
					} else {
						assert.Equal(t, []emporix.EventKind{emporix.EventSessionReplaced}, seen.Kinds())
					}
				})
			})
		}
	}
}

// A renewal that fails says nothing about the call that waited for it.
func TestLife_L06_ATokenCallsStatusIsNotTheCallers(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 409, 412, 422} {
		for _, op := range []string{"Auth.Refresh", "Auth.StartAnonymous"} { // of the customer, and of what authorises that
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
				own := client.DefaultSession()
				fixture.LogIn(t, own)
				time.Sleep(90 * time.Minute)
				fails(t, fake, status, faultBody("No", "x.y.No"), -1, op)
				_, err := own.Addresses.Get(t.Context(), "a1")
				require.ErrorIs(t, err, emporix.ErrUnavailable, "%s %d", op, status)
				for _, other := range []error{emporix.ErrUnauthorized, emporix.ErrForbidden, emporix.ErrNotFound, emporix.ErrConflict, emporix.ErrInvalidRequest, emporix.ErrSessionExpired} {
					require.NotErrorIs(t, err, other, "%s %d", op, status)
				}
				var auth *emporix.AuthError
				require.ErrorAs(t, err, &auth)
				var apiErr *emporix.APIError
				require.ErrorAs(t, err, &apiErr)
				assert.Equal(t, status, apiErr.StatusCode)
				fake.Server().ClearFaults()
				require.NoError(t, fixture.CustomerCall(t.Context(), own))
			}, hourOfCustomer)
		}
	}
}

// The same over a real connection.
func TestARefusalOverASocket(t *testing.T) {
	fake := fixture.Fake(t, emporixtest.WithSocket())
	client := fake.Client(t)
	own := client.DefaultSession()
	fixture.LogIn(t, own)
	session := fixture.Info(t, own).SessionID
	for name, refusal := range undecided {
		times := 1
		if strings.HasPrefix(name, "bearer") || name == "empty, unauthorized" {
			times = 3
		}
		fails(t, fake, refusal.status, refusal.body, times, "Auth.Refresh")
		_, err := client.Auth.Refresh(t.Context())
		require.ErrorIs(t, err, emporix.ErrUnavailable, name)
		fake.Server().ClearFaults()
		_, err = client.Auth.Refresh(t.Context())
		require.NoError(t, err, name)
	}
	for name, body := range notTheBearer {
		refreshes := fake.Calls(t, "Auth.Refresh")
		fails(t, fake, 401, body, 1, "Customers.Get")
		resp, err := own.HTTPClient().Get(fake.URL() + "/customer/acme/me")
		require.NoError(t, err)
		assert.Equal(t, 401, resp.StatusCode)
		assert.Equal(t, body, fixture.Text(t, resp))
		fake.AssertCalls(t, "Auth.Refresh", refreshes)
		require.NoError(t, fixture.CustomerCall(t.Context(), own), name)
	}
	assert.Equal(t, session, fixture.Info(t, own).SessionID)
}

var hourOfCustomer = emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour})

// One refusal that is not about the refresh token ends no session, whether the
// access token lives or not.
func TestLife_L06_OneUndecidedRefusalLogsNobodyOut(t *testing.T) {
	for name, refusal := range undecided {
		for _, alive := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " alive ", alive), func(t *testing.T) {
				fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
					own := client.DefaultSession()
					fixture.LogIn(t, own)
					session := fixture.Info(t, own).SessionID
					times := 1
					if strings.HasPrefix(name, "bearer") || name == "empty, unauthorized" {
						times = 3 // of all bearers that are tried
					}
					if alive {
						time.Sleep(57 * time.Minute)
					} else {
						time.Sleep(90 * time.Minute)
					}
					fails(t, fake, refusal.status, refusal.body, times, "Auth.Refresh")
					_, err := client.Auth.Refresh(t.Context())
					require.ErrorIs(t, err, emporix.ErrUnavailable)
					fake.Server().ClearFaults()
					if alive {
						require.NoError(t, fixture.CustomerCall(t.Context(), own))
					}
					time.Sleep(30 * time.Minute)
					require.NoError(t, fixture.CustomerCall(t.Context(), own))
					assert.Equal(t, session, fixture.Info(t, own).SessionID)
					assert.NotContains(t, seen.Kinds(), emporix.EventSessionExpired)
				}, hourOfCustomer)
			})
		}
	}
}

// A customer whose access token is over is not locked out by a refusal that
// stays: three times over two minutes, with anonymous tokens to be had, is a no.
func TestLife_L06_TheSameRefusalAgainAndAgain(t *testing.T) {
	start := func(t *testing.T, client *emporix.Client) *emporix.Session {
		own := client.DefaultSession()
		fixture.LogIn(t, own)
		time.Sleep(90 * time.Minute)
		return own
	}
	for name, refusal := range undecided {
		t.Run(name, func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
				own := start(t, client)
				fails(t, fake, refusal.status, refusal.body, -1, "Auth.Refresh")
				for range 6 {
					require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnavailable)
					time.Sleep(19 * time.Second)
				}
				assert.NotContains(t, seen.Kinds(), emporix.EventSessionExpired)
				time.Sleep(10 * time.Second)
				require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrSessionExpired)
				assert.Contains(t, seen.Kinds(), emporix.EventSessionExpired)
				require.NoError(t, fixture.AnonymousCall(t.Context(), own))
			}, hourOfCustomer)
		})
	}
	refuse := func(t *testing.T, fake *emporixtest.Fake, code string) {
		fake.Server().ClearFaults()
		fails(t, fake, 401, faultBody("", code), -1, "Auth.Refresh")
	}
	t.Run("twice is not enough, however long", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			own := start(t, client)
			refuse(t, fake, "oauth.v2.InvalidApiKey")
			for range 2 {
				require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnavailable)
				time.Sleep(time.Hour)
			}
			fake.Server().ClearFaults()
			require.NoError(t, fixture.CustomerCall(t.Context(), own))
		}, hourOfCustomer)
	})
	t.Run("not the same refusal", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			own := start(t, client)
			for i := range 6 {
				refuse(t, fake, []string{"oauth.v2.InvalidApiKey", "policies.ratelimit.QuotaViolation"}[i%2])
				require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnavailable)
				time.Sleep(time.Minute)
			}
		}, hourOfCustomer)
	})
	t.Run("no anonymous tokens in between", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			own := start(t, client)
			require.NoError(t, fixture.CustomerCall(t.Context(), own)) // there is a bearer for refreshes
			time.Sleep(58 * time.Minute)
			_, err := client.Auth.Refresh(t.Context()) // and a new one
			require.NoError(t, err)
			fails(t, fake, 401, faultBody("", "oauth.v2.InvalidApiKey"), -1, "Auth.Refresh", "Auth.StartAnonymous", "Auth.RefreshAnonymous")
			time.Sleep(61 * time.Minute)
			for range 30 {
				require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnavailable)
				time.Sleep(time.Minute)
			}
			fake.Server().ClearFaults()
			require.NoError(t, fixture.CustomerCall(t.Context(), own))
		}, emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour, Anonymous: 3 * time.Hour}))
	})
	t.Run("an outage in between begins the count again", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			own := start(t, client)
			refuse(t, fake, "oauth.v2.InvalidApiKey")
			require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnavailable)
			fails(t, fake, 503, "", -1, "Auth.StartAnonymous")
			time.Sleep(3 * time.Minute)
			require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnavailable)
			refuse(t, fake, "oauth.v2.InvalidApiKey")
			for range 3 {
				require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnavailable)
				time.Sleep(time.Second)
			}
		}, hourOfCustomer)
	})
}

// The count is the session's: scripts are new processes, and a shop has several.
func TestLife_L06_TheCountOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fixture.Fake(t, hourOfCustomer)
		store := emporix.NewMemoryStore(0)
		run := func(do func(*emporix.Session) error) error {
			client := fake.Client(t, emporix.WithTokenStore(store))
			defer func() { require.NoError(t, client.Close(t.Context())) }()
			return do(client.Session("jo"))
		}
		call := func(s *emporix.Session) error { return fixture.CustomerCall(t.Context(), s) }
		require.NoError(t, run(func(s *emporix.Session) error { fixture.LogIn(t, s); return nil }))
		time.Sleep(90 * time.Minute)
		fails(t, fake, 401, `{"error":"invalid_client"}`, -1, "Auth.Refresh")
		for range 2 {
			require.ErrorIs(t, run(call), emporix.ErrUnavailable)
			time.Sleep(time.Minute)
		}
		require.ErrorIs(t, run(call), emporix.ErrSessionExpired)
	})
}

// A success forgets the count.
func TestLife_L06_ASuccessForgetsTheRefusals(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		own := client.DefaultSession()
		fixture.LogIn(t, own)
		for range 3 {
			time.Sleep(90 * time.Minute)
			fails(t, fake, 401, `{"error":"invalid_client"}`, 2, "Auth.Refresh")
			require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnavailable)
			time.Sleep(3 * time.Minute)
			require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnavailable)
			require.NoError(t, fixture.CustomerCall(t.Context(), own))
		}
	}, hourOfCustomer)
}

func TestLife_L10_AServerThatWantsTheCustomersBearer(t *testing.T) {
	wants := emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) {
		a.RefreshWantsCustomerBearer, a.ReuseKillsFamily = true, true
	})
	t.Run("what worked comes first", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			sessions := []*emporix.Session{client.Session("jo"), client.Session("mo")}
			for _, s := range sessions {
				fixture.LogIn(t, s)
			}
			for i := range 60 {
				time.Sleep(13 * time.Hour)
				before := fake.Calls(t, "Auth.Refresh")
				require.NoError(t, fixture.CustomerCall(t.Context(), sessions[i%2]))
				synctest.Wait()
				require.NoError(t, fixture.CustomerCall(t.Context(), sessions[(i+1)%2]))
				synctest.Wait()
				if i == 0 {
					assert.Equal(t, 4, fake.Calls(t, "Auth.Refresh")-before, "two anonymous bearers are refused, the customer's works, and then comes first")
				} else {
					assert.Equal(t, 2, fake.Calls(t, "Auth.Refresh")-before)
				}
			}
		}, wants)
	})
	t.Run("an anonymous one that works comes first again", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			own := client.DefaultSession()
			fixture.LogIn(t, own)
			fails(t, fake, 401, faultBody("Invalid access token", "oauth.v2.InvalidAccessToken"), 2, "Auth.Refresh")
			refresh := func() int {
				before := fake.Calls(t, "Auth.Refresh")
				_, err := client.Auth.Refresh(t.Context())
				require.NoError(t, err)
				return fake.Calls(t, "Auth.Refresh") - before
			}
			time.Sleep(time.Minute)
			require.Error(t, func() error { _, err := client.Auth.Refresh(t.Context()); return err }(), "the fake wants an anonymous one")
			assert.Equal(t, 1, refresh())
			assert.Equal(t, 1, refresh())
		})
	})
	t.Run("a company switch", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			fixture.LogIn(t, client.DefaultSession())
			_, err := client.Auth.Refresh(t.Context())
			require.NoError(t, err)
		}, wants)
	})
	t.Run("the access token is over", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
			own := client.DefaultSession()
			fixture.LogIn(t, own)
			time.Sleep(90 * time.Minute)
			require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrUnavailable)
			assert.NotContains(t, seen.Kinds(), emporix.EventSessionExpired)
			for range 2 {
				time.Sleep(time.Minute)
				_ = fixture.CustomerCall(t.Context(), own)
			}
			require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrSessionExpired)
		}, wants, hourOfCustomer)
	})
	t.Run("a revoked refresh token", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			own := client.DefaultSession()
			fixture.LogIn(t, own)
			_, err := client.Auth.Refresh(t.Context())
			require.NoError(t, err)
			fake.Server().RevokeRefresh("")
			time.Sleep(90 * time.Minute)
			for range 3 {
				_ = fixture.CustomerCall(t.Context(), own)
				time.Sleep(time.Minute)
			}
			require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrSessionExpired)
		}, wants, hourOfCustomer)
	})
}

// An employee's token that can't be sent is not sent.
func TestAnEmployeeTokenThatCannotBeSent(t *testing.T) {
	for name, tt := range map[string]struct {
		token string
		sent  int
	}{
		"empty": {"", 0}, "a line break": {"abc\r\nX-Admin: 1", 0}, "NUL": {"abc\x00", 0}, "DEL": {"abc\x7f", 0}, "a tab": {"a\tbc", 0},
		"not ASCII": {"tökén", 0}, "too long": {strings.Repeat("a", 16<<10+1), 0}, "as long as may be": {strings.Repeat("a", 16<<10), 1},
	} {
		t.Run(name, func(t *testing.T) {
			sent := 0
			client, err := emporix.NewClient("acme", "storefront",
				emporix.WithEmployeeToken(func(context.Context) (emporix.Secret, error) { return emporix.NewSecret(tt.token), nil }),
				emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
					sent++
					assert.Equal(t, "Bearer "+tt.token, r.Header.Get("Authorization"))
					return httptest.NewRecorder().Result(), nil
				})))
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, client.Close(context.Background())) })
			err = client.Customers.Activate(t.Context(), "1")
			assert.Equal(t, tt.sent, sent)
			if tt.sent > 0 {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, emporix.ErrInvalidRequest)
			require.ErrorContains(t, err, "returned no usable token")
			var auth *emporix.AuthError
			require.ErrorAs(t, err, &auth)
		})
	}
}
