package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
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

// Whatever the renewal is answered with, short of a definite no, the session
// goes on when the server is well again.
func TestLife_L06_AnswersThatEndNothing(t *testing.T) {
	t.Parallel()
	for _, fault := range []emporixtest.Fault{
		{Status: 500}, {Status: 502}, {Status: 503}, {Status: 403}, {Status: 404}, {Status: 429}, {Status: 429, RetryAfter: "86400"},
		{Cut: emporixfake.CutBefore}, {Status: 401, Body: emporixfake.BodyHTML}, {Status: 400, Body: emporixfake.BodyHTML}, {Redirect: "https://elsewhere.example/"},
		{Status: 200, Body: emporixfake.BodyHTML}, {Status: 200, Body: emporixfake.BodyEmpty}, {Status: 200, Body: emporixfake.BodyNull},
		{Status: 200, Body: emporixfake.BodyArray}, {Status: 200, Body: emporixfake.BodyObject}, {Status: 200, Body: emporixfake.BodyGatewayFault},
		{Status: 200, Body: emporixfake.BodyMalformed}, {Status: 200, Body: emporixfake.BodyHuge}, {Delay: time.Hour, Status: 200},
	} {
		for _, operation := range []string{"Auth.Refresh", "Auth.RefreshAnonymous"} {
			t.Run(fmt.Sprint(operation, " ", fault.String()), func(t *testing.T) {
				fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
					own, call := client.DefaultSession(), fixture.AnonymousCall
					require.NoError(t, fixture.AnonymousCall(t.Context(), own))
					if operation == "Auth.Refresh" {
						fixture.LogIn(t, own)
						call = fixture.CustomerCall
					}
					session := fixture.Info(t, own).SessionID
					time.Sleep(90 * time.Minute)
					seen.Kinds()
					fault.Operation, fault.Times = operation, -1
					fake.Fail(t, fault)
					require.Error(t, call(t.Context(), own))
					assert.Positive(t, fake.Calls(t, operation))
					fake.Server().ClearFaults()
					require.NoError(t, call(t.Context(), own))
					assert.Equal(t, session, fixture.Info(t, own).SessionID)
					events := seen.Kinds()
					assert.NotContains(t, events, emporix.EventSessionExpired)
					assert.NotContains(t, events, emporix.EventSessionReplaced)
				}, emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour}))
			})
		}
	}
}

func TestLife_L06_ADefiniteNo(t *testing.T) {
	for _, status := range []int{400, 401} {
		assume := emporixtest.WithAssumptions(func(a *emporixtest.Assumptions) { a.RefreshRefusedStatus = status })
		lives := emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour})
		t.Run(fmt.Sprint("guest ", status), func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
				own := client.DefaultSession()
				require.NoError(t, fixture.AnonymousCall(t.Context(), own))
				session := fixture.Info(t, own).SessionID
				fake.Server().RevokeRefresh("")
				time.Sleep(90 * time.Minute)
				require.NoError(t, fixture.AnonymousCall(t.Context(), own))
				assert.NotEqual(t, session, fixture.Info(t, own).SessionID)
				assert.Equal(t, []emporix.EventKind{emporix.EventSessionStarted, emporix.EventSessionReplaced}, seen.Kinds())
			}, assume, lives)
		})
		t.Run(fmt.Sprint("customer ", status), func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
				own := client.DefaultSession()
				fixture.LogIn(t, own)
				fake.Server().RevokeRefresh("")
				time.Sleep(90 * time.Minute)
				require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrSessionExpired)
				assert.Contains(t, seen.Kinds(), emporix.EventSessionExpired)
				fake.AssertCalls(t, "Auth.Refresh", 1)
				require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrSessionExpired)
				fake.AssertCalls(t, "Auth.Refresh", 1)
			}, assume, lives)
		})
	}
}

// The response to a renewal is lost after the server has rotated.
func TestLife_L07_LostAnswers(t *testing.T) {
	strict := func(a *emporixtest.Assumptions) {
		a.AnonymousRefreshRotates, a.ReuseKillsFamily = true, true
	}
	graceful := func(a *emporixtest.Assumptions) { strict(a); a.RotationGrace = 30 * time.Second }
	guest := func(kept bool) func(*testing.T, *emporixtest.Fake, *emporix.Client, *fixture.Watcher) {
		return func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
			own := client.DefaultSession()
			require.NoError(t, fixture.AnonymousCall(t.Context(), own))
			session := fixture.Info(t, own).SessionID
			time.Sleep(90 * time.Minute)
			fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Cut: emporixfake.CutAfter})
			require.NoError(t, fixture.AnonymousCall(t.Context(), own))
			fake.AssertCalls(t, "Auth.RefreshAnonymous", 2)
			assert.Equal(t, kept, fixture.Info(t, own).SessionID == session)
			if !kept {
				assert.Contains(t, seen.Kinds(), emporix.EventSessionReplaced)
			}
		}
	}
	t.Run("guest, the server has a grace", func(t *testing.T) { fixture.InVirtualTime(t, guest(true), emporixtest.WithAssumptions(graceful)) })
	t.Run("guest, the server is strict", func(t *testing.T) { fixture.InVirtualTime(t, guest(false), emporixtest.WithAssumptions(strict)) })
	for name, assume := range map[string]func(*emporixtest.Assumptions){"strict": strict, "grace": graceful} {
		t.Run("customer, "+name, func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
				own := client.DefaultSession()
				fixture.LogIn(t, own)
				time.Sleep(13 * time.Hour)
				fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Cut: emporixfake.CutAfter})
				for range 28 * 2 {
					require.NoError(t, fixture.CustomerCall(t.Context(), own), "the access token holds for 30 days")
					time.Sleep(12 * time.Hour)
				}
				fake.AssertCalls(t, "Auth.Refresh", 1)
				assert.NotContains(t, seen.Kinds(), emporix.EventSessionExpired)
			}, emporixtest.WithAssumptions(assume))
		})
	}
}

// A middleware or a transport that panics after a refresh was answered: the token has
// been spent, and is not sent again while the customer's access token lives.
func TestLife_L07_APanicAfterARefresh(t *testing.T) {
	for _, where := range []string{"middleware", "transport"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := emporixtest.New(t)
				fake.AddCustomer(t, emporixtest.Customer{Email: fixture.Jo.Email, Password: fixture.Jo.Password})
				var armed atomic.Bool
				wrap := func(next http.RoundTripper) http.RoundTripper {
					return fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
						resp, err := next.RoundTrip(r)
						if strings.Contains(r.URL.Path, "refreshauthtoken") && armed.Swap(false) {
							panic("bug")
						}
						return resp, err
					})
				}
				option := emporix.WithMiddleware(wrap)
				if where == "transport" {
					option = emporix.WithTransport(wrap(fake.Transport()))
				}
				session := fake.Client(t, option).Session("jo")
				fixture.LogIn(t, session)
				time.Sleep(20 * time.Hour)
				armed.Store(true)
				_, err := session.Auth.Refresh(t.Context())
				require.ErrorIs(t, err, emporix.ErrUnavailable)
				assert.NotContains(t, err.Error(), "bug")
				for range 20 {
					time.Sleep(time.Hour)
					require.NoError(t, fixture.CustomerCall(t.Context(), session))
				}
				assert.Equal(t, emporix.SessionCustomer, fixture.Info(t, session).Kind)
				fake.AssertCalls(t, "Auth.Refresh", 1)
			})
		})
	}
}

// A renewal with an unknown outcome leaves no doubt about the call that needed the
// token: it was not processed.
func TestLife_L07_ALostRenewalLeavesNoWriteInDoubt(t *testing.T) {
	address := emporix.AddressRequest{ContactName: "Jo Doe", City: "Berlin", Country: "DE"}
	for _, lost := range []emporixtest.Fault{{Status: 500}, {Status: 502}, {Redirect: "https://elsewhere.example/"}, {Cut: emporixfake.CutBefore}} {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			ctx, guest := t.Context(), client.Session("guest")
			fixture.LogIn(t, client.DefaultSession())
			require.NoError(t, fixture.AnonymousCall(ctx, guest))
			fake.Server().RevokeAccess("")
			lost.Times = -1
			for _, lost.Operation = range []string{"Auth.Refresh", "Auth.RefreshAnonymous"} {
				fake.Fail(t, lost)
			}
			_, add := client.Addresses.Add(ctx, address)
			_, login := guest.Auth.Login(ctx, fixture.Jo)
			time.Sleep(2 * time.Hour) // the guest's token is over
			resp, post := guest.HTTPClient().Post(fake.URL()+"/cart/acme/carts", "", nil)
			assert.Nil(t, resp)
			for _, err := range []error{add, login, post} {
				require.ErrorIs(t, err, emporix.ErrUnavailable)
				require.NotErrorIs(t, err, emporix.ErrOutcomeUnknown)
				assert.NotContains(t, err.Error(), "may have been processed")
				require.ErrorAs(t, err, new(*emporix.AuthError))
			}
		})
	}
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		fixture.LogIn(t, client.DefaultSession())
		id, err := client.Addresses.Add(t.Context(), address)
		require.NoError(t, err)
		fake.Server().RevokeAccess("")
		fake.Fail(t, emporixtest.Fault{Operation: "Addresses.Delete", Cut: emporixfake.CutBefore}, emporixtest.Fault{Operation: "Auth.Refresh", Status: 503})
		err = client.Addresses.Delete(t.Context(), id)
		require.ErrorIs(t, err, emporix.ErrUnavailable)
		require.ErrorIs(t, err, emporix.ErrOutcomeUnknown, "the try before the one that was rejected")
	})
}

// Who leaves while the company is being switched is told that it may have been.
func TestLife_L04_WhoLeavesDuringASwitch(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		fake.AddCompany(t, emporixtest.Company{ID: "company", Contacts: []emporixtest.Contact{{Email: fixture.Jo.Email}}})
		own := client.DefaultSession()
		fixture.LogIn(t, own)
		require.NoError(t, fixture.AnonymousCall(t.Context(), own)) // there is a bearer for the switch
		for _, delay := range []time.Duration{0, 5 * time.Second} { // of a renewal before it, or of the switch itself
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Delay: 5 * time.Second})
			if delay == 0 {
				go func() { _, _ = own.Auth.Refresh(t.Context()) }()
				time.Sleep(time.Second)
			}
			_, err := own.Auth.SwitchLegalEntity(ctx, "company")
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, delay != 0, errors.Is(err, emporix.ErrOutcomeUnknown), err)
			time.Sleep(time.Minute)
			assert.Equal(t, delay != 0, fixture.Info(t, own).LegalEntityID == "company")
		}
	})
}

// A switch that no URL can hold is not sent, and says nothing about the session.
func TestLife_ASwitchThatIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refreshes := 0
		long := strings.Repeat("r", 9950)
		tokens := `{"access_token":"customer","refresh_token":"` + long + `","expires_in":2591999,"refresh_token_expires_in":86399,"session_id":"s1"}`
		client, err := emporix.NewClient("acme", "storefront", emporix.WithTransport(fixture.RoundTripper(func(r *http.Request) (*http.Response, error) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/anonymous/login"):
				return fixture.Reply(200, fixture.AnonymousTokens), nil
			case strings.HasSuffix(r.URL.Path, "/refreshauthtoken"):
				refreshes++
			case strings.HasSuffix(r.URL.Path, "/me"):
				return fixture.Reply(200, `{"id":"1"}`), nil
			}
			return fixture.Reply(200, tokens), nil
		})))
		require.NoError(t, err)
		defer func() { assert.NoError(t, client.Close(t.Context())) }()
		_, err = client.Auth.Login(t.Context(), fixture.Jo)
		require.NoError(t, err)
		_, err = client.Auth.SwitchLegalEntity(t.Context(), strings.Repeat("e", 256))
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
		assert.NotErrorIs(t, err, emporix.ErrOutcomeUnknown)
		time.Sleep(20 * time.Hour)
		_, err = client.Customers.Get(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, 1, refreshes)
	})
}

// aloneStore is a store that says that no other process uses it.
type aloneStore struct{ emporix.ConditionalTokenStore }

func (aloneStore) OneProcess() {}

// Where no other process can have renewed the session, its end is told at once.
func TestLife_L14_AStoreOfOneProcessTellsAnEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fixture.Fake(t, emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour}))
		session := fake.Client(t, emporix.WithTokenStore(aloneStore{emporix.NewMemoryStore(0)})).Session("jo")
		fixture.LogIn(t, session)
		time.Sleep(61 * time.Minute)
		require.Positive(t, fake.Server().RevokeRefresh(""))
		began := time.Now()
		require.ErrorIs(t, fixture.CustomerCall(t.Context(), session), emporix.ErrSessionExpired)
		assert.Zero(t, time.Since(began))
	})
}
