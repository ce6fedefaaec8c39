package acceptance_test

import (
	"context"
	"errors"
	"fmt"
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

func TestLife_L09_LoginKeepsTheSession(t *testing.T) {
	logins := map[string]func(context.Context, *emporix.Session) (emporix.LoginResult, error){
		"password": func(ctx context.Context, s *emporix.Session) (emporix.LoginResult, error) {
			result, err := s.Auth.Login(ctx, fixture.Jo)
			return *result, err
		},
		"social": func(ctx context.Context, s *emporix.Session) (emporix.LoginResult, error) {
			result, err := s.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "fake-code:" + fixture.Jo.Email, RedirectURI: "https://shop.example/back"})
			return result.LoginResult, err
		},
		"exchange": func(ctx context.Context, s *emporix.Session) (emporix.LoginResult, error) {
			result, err := s.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: "fake-subject:" + fixture.Jo.Email})
			return result.LoginResult, err
		},
	}
	for name, login := range logins {
		for _, age := range []time.Duration{0, 58 * time.Minute, 3 * time.Hour} {
			t.Run(fmt.Sprint(name, " after ", age), func(t *testing.T) {
				fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
					own := client.DefaultSession()
					require.NoError(t, fixture.AnonymousCall(t.Context(), own))
					session := fixture.Info(t, own).SessionID
					time.Sleep(age)
					result, err := login(t.Context(), own)
					require.NoError(t, err)
					synctest.Wait()
					assert.True(t, result.LoggedIn)
					assert.Equal(t, session, result.SessionID)
					assert.False(t, result.SessionChanged)
					assert.Equal(t, session, fixture.Info(t, own).SessionID)
					require.NoError(t, fixture.CustomerCall(t.Context(), own))
					details, err := client.Auth.Validate(t.Context())
					require.NoError(t, err)
					assert.Equal(t, session, details.SessionID, "the server sees it the same")
					fake.AssertCalls(t, "Auth.StartAnonymous", 1)
				})
			})
		}
	}
}

func TestLife_L11_TheLegalEntityStays(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		fake.AddCompany(t, emporixtest.Company{ID: "company", Contacts: []emporixtest.Contact{{Email: fixture.Jo.Email}}})
		own := client.DefaultSession()
		fixture.LogIn(t, own)
		_, err := client.Auth.SwitchLegalEntity(t.Context(), "foreign")
		require.ErrorIs(t, err, emporix.ErrForbidden)
		require.NoError(t, fixture.CustomerCall(t.Context(), own))
		switched, err := client.Auth.SwitchLegalEntity(t.Context(), "company")
		require.NoError(t, err)
		assert.Equal(t, "company", switched.LegalEntityID)
		for range 5 {
			time.Sleep(11 * time.Hour)
			require.NoError(t, fixture.CustomerCall(t.Context(), own))
			time.Sleep(time.Hour)
			require.NoError(t, fixture.CustomerCall(t.Context(), own))
			synctest.Wait()
		}
		details, err := client.Auth.Validate(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "company", details.LegalEntityID)
		assert.Greater(t, fake.Calls(t, "Auth.Refresh"), 4)
	})
}

func TestLife_L12_LogoutAndALateRefresh(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *fixture.Watcher) {
		visitor := client.Session("jo")
		fixture.LogIn(t, visitor)
		time.Sleep(13 * time.Hour)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", After: true, Delay: 5 * time.Second})
		require.NoError(t, fixture.CustomerCall(t.Context(), client.Session("jo")))
		synctest.Wait()
		fake.AssertCalls(t, "Auth.Refresh", 1)
		require.NoError(t, visitor.Auth.Logout(t.Context()))
		for range 10 {
			require.ErrorIs(t, fixture.CustomerCall(t.Context(), client.Session("jo")), emporix.ErrNotLoggedIn)
			time.Sleep(time.Second)
		}
		assert.NotContains(t, seen.Kinds(), emporix.EventSessionRefreshed)
		fake.AssertCalls(t, "Auth.Logout", 2) // the late token too
	})
}

func TestLife_L12_LogoutWhateverTheServerSays(t *testing.T) {
	for name, fault := range map[string]emporixtest.Fault{
		"500": {Status: 500}, "cut": {Cut: emporixfake.CutAfter}, "slow": {Delay: time.Hour}, "403": {Status: 403},
		"a proxy's 401": {Status: 401, Body: emporixfake.BodyHTML},
	} {
		t.Run(name, func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
				own := client.DefaultSession()
				session := fixture.LogIn(t, own).SessionID
				fault.Operation = "Auth.Logout"
				fake.Fail(t, fault)
				err := client.Auth.Logout(t.Context())
				require.ErrorContains(t, err, "the session is removed")
				require.ErrorIs(t, fixture.CustomerCall(t.Context(), own), emporix.ErrNotLoggedIn)
				assert.Equal(t, emporix.SessionNone, fixture.Info(t, own).Kind)
				require.NoError(t, fixture.AnonymousCall(t.Context(), own))
				assert.NotEqual(t, session, fixture.Info(t, own).SessionID)
			})
		})
	}
	t.Run("dead already", func(t *testing.T) {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			fixture.LogIn(t, client.DefaultSession())
			fake.Server().RevokeAccess("")
			require.NoError(t, client.Auth.Logout(t.Context()))
		})
	})
}

func TestLife_L13_AnotherCustomer(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		fake.AddCustomer(t, emporixtest.Customer{Email: "mo@example.com", Password: "battery staple", FirstName: "Mo"})
		own := client.DefaultSession()
		first := fixture.LogIn(t, own)
		saas, err := own.SaaSToken(t.Context())
		require.NoError(t, err)
		second, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "mo@example.com", Password: "battery staple"})
		require.NoError(t, err)
		assert.NotEqual(t, first.SessionID, second.SessionID)
		assert.True(t, second.SessionChanged)
		me, err := client.Customers.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "Mo", me.FirstName)
		other, err := own.SaaSToken(t.Context())
		require.NoError(t, err)
		assert.NotEqual(t, saas.Reveal(), other.Reveal())
	})
}

func TestLife_L15_NoCustomerNoRequest(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		require.ErrorIs(t, fixture.CustomerCall(t.Context(), client.DefaultSession()), emporix.ErrNotLoggedIn)
		_, err := client.Auth.Validate(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotLoggedIn)
		require.ErrorIs(t, client.Auth.Logout(t.Context()), emporix.ErrNotLoggedIn)
		_, err = client.DefaultSession().SaaSToken(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotLoggedIn)
		assert.Empty(t, fake.Journal())
	})
}

func TestLife_L15_AVanishedRowBeginsNoSessionForACustomersCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fixture.Fake(t)
		client := fake.Client(t)
		_, err := client.Auth.Login(t.Context(), fixture.Jo)
		require.NoError(t, err)
		time.Sleep(61 * 24 * time.Hour) // longer than any store keeps the row

		_, err = client.Addresses.List(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotLoggedIn)
		fake.AssertCalls(t, "Auth.StartAnonymous", 1) // the one before the login
	})
}

// A visitor's new key has the session, and the old one nothing, also for values
// that were made and used before.
func TestLife_L12_TheOldKeyIsDeadAfterMoveTo(t *testing.T) {
	fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
		old := client.Session("old")
		session := fixture.LogIn(t, old).SessionID
		require.NoError(t, fixture.CustomerCall(t.Context(), old))
		moved, err := old.MoveTo(t.Context(), "new")
		require.NoError(t, err)
		for _, s := range []*emporix.Session{moved, client.Session("new")} {
			require.NoError(t, fixture.CustomerCall(t.Context(), s))
			assert.Equal(t, session, fixture.Info(t, s).SessionID)
		}
		for _, s := range []*emporix.Session{old, client.Session("old")} {
			require.ErrorIs(t, fixture.CustomerCall(t.Context(), s), emporix.ErrNotLoggedIn)
		}
		require.NoError(t, fixture.AnonymousCall(t.Context(), old))
		assert.NotEqual(t, session, fixture.Info(t, old).SessionID)

		_, err = moved.MoveTo(t.Context(), "old")
		require.ErrorIs(t, err, emporix.ErrConflict)
		var argument *emporix.ArgumentError
		_, err = moved.MoveTo(t.Context(), "")
		require.ErrorAs(t, err, &argument)
		require.NoError(t, fixture.CustomerCall(t.Context(), moved))
		fake.AssertCalls(t, "Auth.Login", 1)
	})
}

// What is not about the legal entity is no response to the switch.
func TestLife_L11_ARefusedSwitch(t *testing.T) {
	for body, unavailable := range map[string]bool{
		notTheBearer["key"]: true, notTheBearer["product"]: true, notTheBearer["OAuth"]: true,
		`{"status":400,"type":"bad_request","message":"No.","details":[{"field":"legalEntityId"}]}`: false,
	} {
		fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
			fixture.LogIn(t, client.DefaultSession())
			fails(t, fake, 400, body, -1, "Auth.Refresh")
			_, err := client.Auth.SwitchLegalEntity(t.Context(), "company")
			assert.Equal(t, unavailable, errors.Is(err, emporix.ErrUnavailable), body)
			assert.Equal(t, !unavailable, errors.Is(err, emporix.ErrInvalidRequest), body)
			assert.Equal(t, emporix.SessionCustomer, fixture.Info(t, client.DefaultSession()).Kind)
		})
	}
}

// Another process has logged the visitor in, and this one does not know yet. The
// login here is then one over a customer, with an anonymous session of its own: that
// of the client's own renewals would be shared by all who come this way.
func TestALoginOverACustomerOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		store := emporix.NewMemoryStore(0)
		here, there := fake.Client(t, emporix.WithTokenStore(store)), fake.Client(t, emporix.WithTokenStore(store))
		sessions := map[string]bool{}
		for _, name := range []string{"ann", "bob", "cem"} {
			who := emporix.LoginRequest{Email: name + "@example.com", Password: "correct horse"}
			fake.AddCustomer(t, emporixtest.Customer{Email: who.Email, Password: who.Password})
			visitor := here.Session(name)
			require.NoError(t, fixture.AnonymousCall(t.Context(), visitor))
			_, err := there.Session(name).Auth.Login(t.Context(), who)
			require.NoError(t, err)
			time.Sleep(90 * time.Minute) // the guest's token is over
			result, err := visitor.Auth.Login(t.Context(), who)
			require.NoError(t, err)
			sessions[result.SessionID] = true
		}
		assert.Len(t, sessions, 3, "each has a session of their own")
	})
}

// Another process has logged the visitor in since this one last looked. That nobody is
// logged in is then no response, least of all to a logout.
func TestNobodyIsLoggedInIsLookedUp(t *testing.T) {
	for name, call := range map[string]func(context.Context, *emporix.Session) error{
		"a call":   fixture.CustomerCall,
		"a logout": func(ctx context.Context, s *emporix.Session) error { return s.Auth.Logout(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := fixture.Fake(t)
				store := emporix.NewMemoryStore(0)
				here, there := fake.Client(t, emporix.WithTokenStore(store)), fake.Client(t, emporix.WithTokenStore(store))
				visitor := here.Session("v")
				require.ErrorIs(t, call(t.Context(), visitor), emporix.ErrNotLoggedIn)
				require.NoError(t, fixture.AnonymousCall(t.Context(), visitor))
				time.Sleep(time.Minute)
				require.ErrorIs(t, call(t.Context(), visitor), emporix.ErrNotLoggedIn)
				fixture.LogIn(t, there.Session("v"))
				time.Sleep(time.Minute)
				require.NoError(t, call(t.Context(), visitor))
				if name == "a logout" {
					assert.Equal(t, emporix.SessionNone, fixture.Info(t, here.Session("v")).Kind)
					assert.Equal(t, emporix.SessionNone, fixture.Info(t, fake.Client(t, emporix.WithTokenStore(store)).Session("v")).Kind)
					fake.AssertCalls(t, "Auth.Logout", 1)
				}
			})
		})
	}
}

// Logging out is confirmed by a 401 only if that is about the access token.
func TestLife_L12_WhatConfirmsALogout(t *testing.T) {
	for body, confirmed := range map[string]bool{
		"": true, faultBody("Access Token expired", "keymanagement.service.access_token_expired"): true,
		`{"status":401,"type":"unauthorized","message":"No such session."}`: true,
		notTheBearer["product"]: false, notTheBearer["key"]: false, notTheBearer["quota"]: false, notTheBearer["OAuth"]: false, fixture.GatewayPage: false,
		`{"status":401,"type":"unauthorized","message":"The tenant is not known."}`: false,
	} {
		t.Run(body, func(t *testing.T) {
			fixture.InVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *fixture.Watcher) {
				own := client.DefaultSession()
				fixture.LogIn(t, own)
				fails(t, fake, 401, body, 1, "Auth.Logout")
				err := client.Auth.Logout(t.Context())
				if confirmed {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, emporix.ErrUnauthorized)
				}
				assert.Equal(t, emporix.SessionNone, fixture.Info(t, own).Kind)
			})
		})
	}
}
