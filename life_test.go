package emporix_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
)

// The life of tokens, as a user of the package sees it: over the fake, in
// virtual time.

var jo = emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"}

// watcher keeps what an observer is told.
type watcher struct {
	mu     sync.Mutex
	events []emporix.Event
}

func (w *watcher) observe(e emporix.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// kinds returns the events so far, and forgets them.
func (w *watcher) kinds() (kinds []emporix.EventKind) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		kinds = append(kinds, e.Kind)
	}
	w.events = nil
	return kinds
}

// inVirtualTime runs a test against a fake of its own, with Jo as a customer.
func inVirtualTime(t *testing.T, test func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher), opts ...emporixtest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t, opts...)
		fake.AddCustomer(t, emporixtest.Customer{Email: jo.Email, Password: jo.Password, FirstName: "Jo"})
		seen := new(watcher)
		test(t, fake, fake.Client(t, emporix.WithObserver(seen.observe)), seen)
	})
}

func info(t *testing.T, s *emporix.Session) emporix.SessionInfo {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	return info
}

func logIn(t *testing.T, s *emporix.Session) *emporix.LoginResult {
	t.Helper()
	result, err := s.Auth.Login(t.Context(), jo)
	require.NoError(t, err)
	return result
}

// anonymousCall and customerCall are any calls that need such a bearer.
func anonymousCall(ctx context.Context, s *emporix.Session) error {
	return s.Credentials.RequestPasswordReset(ctx, emporix.PasswordResetRequest{Email: "nobody@example.com"})
}

func customerCall(ctx context.Context, s *emporix.Session) error {
	_, err := s.Addresses.List(ctx)
	return err
}

// noUnauthorized says that the server has rejected nothing.
func noUnauthorized(t *testing.T, fake *emporixtest.Fake) {
	t.Helper()
	for _, e := range fake.Journal() {
		require.NotEqual(t, 401, e.Status, e.String())
	}
}

func TestLife_L02_AGuestFor30Days(t *testing.T) {
	for _, rotates := range []bool{false, true} {
		inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
			require.NoError(t, anonymousCall(t.Context(), client.OwnSession()))
			first := info(t, client.OwnSession()).SessionID
			for range 30 * 24 * 4 {
				require.NoError(t, anonymousCall(t.Context(), client.OwnSession()))
				time.Sleep(15*time.Minute - time.Second)
			}
			assert.Equal(t, first, info(t, client.OwnSession()).SessionID)
			fake.AssertCalls(t, "Auth.Anonymous", 1)
			if !rotates { // else a call that is under way may lose its token, and gets the next one
				noUnauthorized(t, fake)
			}
			assert.NotContains(t, seen.kinds(), emporix.EventSessionReplaced)
		}, emporixtest.Assume(func(a *emporixtest.Assumptions) {
			a.AnonymousRefreshRotates, a.ReuseKillsFamily, a.RefreshInvalidatesAccess = rotates, rotates, rotates
		}))
	}
}

func TestLife_L02_AnActiveCustomerFor60Days(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
		session := logIn(t, client.OwnSession()).SessionID
		saas, err := client.OwnSession().SaaSToken(t.Context())
		require.NoError(t, err)
		for range 60 * 3 {
			require.NoError(t, customerCall(t.Context(), client.OwnSession()))
			time.Sleep(8 * time.Hour)
		}
		require.NoError(t, customerCall(t.Context(), client.OwnSession()))
		assert.Equal(t, session, info(t, client.OwnSession()).SessionID)
		kept, err := client.OwnSession().SaaSToken(t.Context())
		require.NoError(t, err)
		assert.Equal(t, saas.Reveal(), kept.Reveal(), "a renewal keeps it")
		fake.AssertCalls(t, "Auth.Login", 1)
		noUnauthorized(t, fake)
		assert.NotContains(t, seen.kinds(), emporix.EventSessionExpired)
	}, emporixtest.Assume(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
}

func TestLife_L02_AnIdleCustomer(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
		own := client.OwnSession()
		logIn(t, own)
		time.Sleep(25 * time.Hour)
		require.NoError(t, customerCall(t.Context(), own))
		assert.False(t, info(t, own).CanRefresh)
		fake.AssertCalls(t, "Auth.Refresh", 0)
		_, err := client.Auth.Refresh(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotRefreshable)

		time.Sleep(29 * 24 * time.Hour)
		require.ErrorIs(t, customerCall(t.Context(), own), emporix.ErrSessionExpired)
		require.ErrorIs(t, customerCall(t.Context(), own), emporix.ErrSessionExpired, "until somebody logs in")
		assert.True(t, info(t, own).Expired)
		assert.Contains(t, seen.kinds(), emporix.EventSessionExpired)
		require.NoError(t, anonymousCall(t.Context(), own), "anonymous calls go on")
		fake.AssertCalls(t, "Auth.Refresh", 0)
		logIn(t, own)
		require.NoError(t, customerCall(t.Context(), own))
		assert.False(t, info(t, own).Expired)
	})
}

func TestLife_L03_AFailedRenewalIsNotSeen(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
		own := client.OwnSession()
		require.NoError(t, anonymousCall(t.Context(), own))
		session := info(t, own).SessionID
		time.Sleep(55 * time.Minute)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Status: 500, Times: 6})
		for range 100 {
			took := time.Now()
			require.NoError(t, anonymousCall(t.Context(), own))
			assert.Zero(t, time.Since(took))
			time.Sleep(2500 * time.Millisecond)
		}
		assert.LessOrEqual(t, fake.Calls(t, "Auth.RefreshAnonymous"), 4)
		assert.Contains(t, seen.kinds(), emporix.EventRefreshFailed)
		fake.Server().ClearFaults()
		time.Sleep(time.Hour)
		require.NoError(t, anonymousCall(t.Context(), own))
		assert.Equal(t, session, info(t, own).SessionID)
	})
}

func TestLife_L01_AThousandGoroutines(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		logIn(t, client.Session("jo"))
		time.Sleep(90 * time.Minute)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Delay: 3 * time.Second})
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { assert.NoError(t, customerCall(t.Context(), client.Session("jo"))) })
		}
		all.Wait()
		fake.AssertCalls(t, "Auth.Refresh", 1)
	}, emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour}), emporixtest.Assume(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
}

func TestLife_L04_LeadersAndWaitersMayLeave(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		logIn(t, client.Session("jo"))
		time.Sleep(90 * time.Minute)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Delay: 5 * time.Second})
		leader, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { assert.ErrorIs(t, customerCall(leader, client.Session("jo")), context.Canceled) })
		synctest.Wait()
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			began := time.Now()
			assert.ErrorIs(t, customerCall(ctx, client.Session("jo")), context.DeadlineExceeded)
			assert.Equal(t, 2*time.Second, time.Since(began))
		})
		all.Go(func() { assert.NoError(t, customerCall(t.Context(), client.Session("jo"))) })
		time.Sleep(time.Second)
		cancel()
		all.Wait()
		assert.NoError(t, customerCall(t.Context(), client.Session("jo")))
		fake.AssertCalls(t, "Auth.Refresh", 1)
	}, emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour}), emporixtest.Assume(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
}

// Whatever the renewal is answered with, short of a definite no, the session
// goes on when the server is well again.
func TestLife_L06_AnswersThatEndNothing(t *testing.T) {
	for _, fault := range []emporixtest.Fault{
		{Status: 500}, {Status: 502}, {Status: 503}, {Status: 403}, {Status: 404}, {Status: 429}, {Status: 429, RetryAfter: "86400"},
		{Cut: emporixfake.CutBefore}, {Status: 401, Body: emporixfake.BodyHTML}, {Status: 400, Body: emporixfake.BodyHTML}, {Redirect: "https://elsewhere.example/"},
		{Status: 200, Body: emporixfake.BodyHTML}, {Status: 200, Body: emporixfake.BodyEmpty}, {Status: 200, Body: emporixfake.BodyNull},
		{Status: 200, Body: emporixfake.BodyArray}, {Status: 200, Body: emporixfake.BodyObject}, {Status: 200, Body: emporixfake.BodyGatewayFault},
		{Status: 200, Body: emporixfake.BodyMalformed}, {Status: 200, Body: emporixfake.BodyHuge}, {Delay: time.Hour, Status: 200},
	} {
		for _, operation := range []string{"Auth.Refresh", "Auth.RefreshAnonymous"} {
			t.Run(fmt.Sprint(operation, " ", fault.String()), func(t *testing.T) {
				inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
					own, call := client.OwnSession(), anonymousCall
					require.NoError(t, anonymousCall(t.Context(), own))
					if operation == "Auth.Refresh" {
						logIn(t, own)
						call = customerCall
					}
					session := info(t, own).SessionID
					time.Sleep(90 * time.Minute)
					seen.kinds()
					fault.Operation, fault.Times = operation, -1
					fake.Fail(t, fault)
					require.Error(t, call(t.Context(), own))
					assert.Positive(t, fake.Calls(t, operation))
					fake.Server().ClearFaults()
					require.NoError(t, call(t.Context(), own))
					assert.Equal(t, session, info(t, own).SessionID)
					events := seen.kinds()
					assert.NotContains(t, events, emporix.EventSessionExpired)
					assert.NotContains(t, events, emporix.EventSessionReplaced)
				}, emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour}))
			})
		}
	}
}

func TestLife_L06_ADefiniteNo(t *testing.T) {
	for _, status := range []int{400, 401} {
		assume := emporixtest.Assume(func(a *emporixtest.Assumptions) { a.RefreshRefusedStatus = status })
		lives := emporixtest.WithLifetimes(emporixtest.Lifetimes{Customer: time.Hour})
		t.Run(fmt.Sprint("guest ", status), func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
				own := client.OwnSession()
				require.NoError(t, anonymousCall(t.Context(), own))
				session := info(t, own).SessionID
				fake.Server().RevokeRefresh("")
				time.Sleep(90 * time.Minute)
				require.NoError(t, anonymousCall(t.Context(), own))
				assert.NotEqual(t, session, info(t, own).SessionID)
				assert.Equal(t, []emporix.EventKind{emporix.EventSessionStarted, emporix.EventSessionReplaced}, seen.kinds())
			}, assume, lives)
		})
		t.Run(fmt.Sprint("customer ", status), func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
				own := client.OwnSession()
				logIn(t, own)
				fake.Server().RevokeRefresh("")
				time.Sleep(90 * time.Minute)
				require.ErrorIs(t, customerCall(t.Context(), own), emporix.ErrSessionExpired)
				assert.Contains(t, seen.kinds(), emporix.EventSessionExpired)
				fake.AssertCalls(t, "Auth.Refresh", 1)
				require.ErrorIs(t, customerCall(t.Context(), own), emporix.ErrSessionExpired)
				fake.AssertCalls(t, "Auth.Refresh", 1)
			}, assume, lives)
		})
	}
}

// The answer to a renewal is lost after the server has rotated.
func TestLife_L07_LostAnswers(t *testing.T) {
	strict := func(a *emporixtest.Assumptions) {
		a.AnonymousRefreshRotates, a.ReuseKillsFamily = true, true
	}
	graceful := func(a *emporixtest.Assumptions) { strict(a); a.RotationGrace = 30 * time.Second }
	guest := func(kept bool) func(*testing.T, *emporixtest.Fake, *emporix.Client, *watcher) {
		return func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
			own := client.OwnSession()
			require.NoError(t, anonymousCall(t.Context(), own))
			session := info(t, own).SessionID
			time.Sleep(90 * time.Minute)
			fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Cut: emporixfake.CutAfter})
			require.NoError(t, anonymousCall(t.Context(), own))
			fake.AssertCalls(t, "Auth.RefreshAnonymous", 2)
			assert.Equal(t, kept, info(t, own).SessionID == session)
			if !kept {
				assert.Contains(t, seen.kinds(), emporix.EventSessionReplaced)
			}
		}
	}
	t.Run("guest, the server has a grace", func(t *testing.T) { inVirtualTime(t, guest(true), emporixtest.Assume(graceful)) })
	t.Run("guest, the server is strict", func(t *testing.T) { inVirtualTime(t, guest(false), emporixtest.Assume(strict)) })
	for name, assume := range map[string]func(*emporixtest.Assumptions){"strict": strict, "grace": graceful} {
		t.Run("customer, "+name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
				own := client.OwnSession()
				logIn(t, own)
				time.Sleep(13 * time.Hour)
				fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Cut: emporixfake.CutAfter})
				for range 28 * 2 {
					require.NoError(t, customerCall(t.Context(), own), "the access token holds for 30 days")
					time.Sleep(12 * time.Hour)
				}
				fake.AssertCalls(t, "Auth.Refresh", 1)
				assert.NotContains(t, seen.kinds(), emporix.EventSessionExpired)
			}, emporixtest.Assume(assume))
		})
	}
}

func TestLife_L08_ARevokedToken(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		logIn(t, client.Session("jo"))
		session := info(t, client.Session("jo")).SessionID
		assert.Positive(t, fake.Server().RevokeAccess(""))
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", Delay: time.Second})
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				assert.NoError(t, customerCall(t.Context(), client.Session("jo")))
			})
		}
		all.Wait()
		fake.AssertCalls(t, "Auth.Refresh", 1)
		assert.Equal(t, session, info(t, client.Session("jo")).SessionID)
	})
}

func TestLife_L08_RejectedForever(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		own := client.OwnSession()
		logIn(t, own)
		fake.Fail(t, emporixtest.Fault{Operation: "Addresses.List", Status: 401, Body: emporixfake.BodyGatewayFault, Times: -1})
		for range 60 {
			require.ErrorIs(t, customerCall(t.Context(), own), emporix.ErrUnauthorized)
			time.Sleep(time.Second)
		}
		assert.LessOrEqual(t, fake.Calls(t, "Auth.Refresh"), 2)
		assert.LessOrEqual(t, fake.Calls(t, "Addresses.List"), 62)
		assert.Equal(t, emporix.SessionCustomer, info(t, own).Kind)
	})
}

// A 401 that is about what the customer typed is theirs.
func TestLife_L08_AWrongPasswordIsTheCustomers(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: jo.Email, Password: "wrong horse"})
		require.ErrorIs(t, err, emporix.ErrInvalidCredentials)
		fake.AssertCalls(t, "Auth.Login", 1)
		logIn(t, client.OwnSession())
		require.Error(t, client.Credentials.ChangePassword(t.Context(), emporix.ChangePasswordRequest{CurrentPassword: "wrong horse", NewPassword: "battery staple"}))
		fake.AssertCalls(t, "Credentials.ChangePassword", 1)
		fake.AssertCalls(t, "Auth.Refresh", 0)
		fake.AssertCalls(t, "Auth.RefreshAnonymous", 0)
		require.NoError(t, customerCall(t.Context(), client.OwnSession()))
	})
}

func TestLife_L09_LoginKeepsTheSession(t *testing.T) {
	logins := map[string]func(context.Context, *emporix.Session) (emporix.LoginResult, error){
		"password": func(ctx context.Context, s *emporix.Session) (emporix.LoginResult, error) {
			result, err := s.Auth.Login(ctx, jo)
			return *result, err
		},
		"social": func(ctx context.Context, s *emporix.Session) (emporix.LoginResult, error) {
			result, err := s.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "fake-code:" + jo.Email, RedirectURI: "https://shop.example/back"})
			return result.LoginResult, err
		},
		"exchange": func(ctx context.Context, s *emporix.Session) (emporix.LoginResult, error) {
			result, err := s.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: "fake-subject:" + jo.Email})
			return result.LoginResult, err
		},
	}
	for name, login := range logins {
		for _, age := range []time.Duration{0, 58 * time.Minute, 3 * time.Hour} {
			t.Run(fmt.Sprint(name, " after ", age), func(t *testing.T) {
				inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
					own := client.OwnSession()
					require.NoError(t, anonymousCall(t.Context(), own))
					session := info(t, own).SessionID
					time.Sleep(age)
					result, err := login(t.Context(), own)
					require.NoError(t, err)
					synctest.Wait()
					assert.True(t, result.LoggedIn)
					assert.Equal(t, session, result.SessionID)
					assert.False(t, result.SessionChanged)
					assert.Equal(t, session, info(t, own).SessionID)
					require.NoError(t, customerCall(t.Context(), own))
					details, err := client.Auth.Validate(t.Context())
					require.NoError(t, err)
					assert.Equal(t, session, details.SessionID, "the server sees it the same")
					fake.AssertCalls(t, "Auth.Anonymous", 1)
				})
			})
		}
	}
}

func TestLife_L10_TheUtilityBearerIsReplaced(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
		own := client.OwnSession()
		logIn(t, own)
		_, err := client.Auth.Refresh(t.Context())
		require.NoError(t, err)
		before := info(t, own)
		fake.Server().RevokeAccess("")
		seen.kinds()
		after, err := client.Auth.Refresh(t.Context())
		require.NoError(t, err)
		assert.Equal(t, before.SessionID, after.SessionID)
		require.NoError(t, customerCall(t.Context(), own))
		assert.Equal(t, []emporix.EventKind{emporix.EventSessionRefreshed}, seen.kinds())
	}, emporixtest.Assume(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
}

func TestLife_L11_TheLegalEntityStays(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		fake.AddCompany(t, emporixtest.Company{ID: "company", Contacts: []emporixtest.Contact{{Email: jo.Email}}})
		own := client.OwnSession()
		logIn(t, own)
		_, err := client.Auth.SwitchLegalEntity(t.Context(), "foreign")
		require.ErrorIs(t, err, emporix.ErrForbidden)
		require.NoError(t, customerCall(t.Context(), own))
		switched, err := client.Auth.SwitchLegalEntity(t.Context(), "company")
		require.NoError(t, err)
		assert.Equal(t, "company", switched.LegalEntityID)
		for range 5 {
			time.Sleep(11 * time.Hour)
			require.NoError(t, customerCall(t.Context(), own))
			time.Sleep(time.Hour)
			require.NoError(t, customerCall(t.Context(), own))
			synctest.Wait()
		}
		details, err := client.Auth.Validate(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "company", details.LegalEntityID)
		assert.Greater(t, fake.Calls(t, "Auth.Refresh"), 4)
	})
}

func TestLife_L12_LogoutAndALateRefresh(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
		visitor := client.Session("jo")
		logIn(t, visitor)
		time.Sleep(13 * time.Hour)
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Refresh", After: true, Delay: 5 * time.Second})
		require.NoError(t, customerCall(t.Context(), client.Session("jo")))
		synctest.Wait()
		fake.AssertCalls(t, "Auth.Refresh", 1)
		require.NoError(t, visitor.Auth.Logout(t.Context()))
		for range 10 {
			require.ErrorIs(t, customerCall(t.Context(), client.Session("jo")), emporix.ErrNotLoggedIn)
			time.Sleep(time.Second)
		}
		assert.NotContains(t, seen.kinds(), emporix.EventSessionRefreshed)
		fake.AssertCalls(t, "Auth.Logout", 2) // the late token too
	})
}

func TestLife_L12_LogoutWhateverTheServerSays(t *testing.T) {
	for name, fault := range map[string]emporixtest.Fault{
		"500": {Status: 500}, "cut": {Cut: emporixfake.CutAfter}, "slow": {Delay: time.Hour}, "403": {Status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
				own := client.OwnSession()
				session := logIn(t, own).SessionID
				fault.Operation = "Auth.Logout"
				fake.Fail(t, fault)
				err := client.Auth.Logout(t.Context())
				require.ErrorContains(t, err, "the session is removed")
				require.ErrorIs(t, customerCall(t.Context(), own), emporix.ErrNotLoggedIn)
				assert.Equal(t, emporix.SessionNone, info(t, own).Kind)
				require.NoError(t, anonymousCall(t.Context(), own))
				assert.NotEqual(t, session, info(t, own).SessionID)
			})
		})
	}
	t.Run("dead already", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
			logIn(t, client.OwnSession())
			fake.Server().RevokeAccess("")
			require.NoError(t, client.Auth.Logout(t.Context()))
		})
	})
}

func TestLife_L13_AnotherCustomer(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		fake.AddCustomer(t, emporixtest.Customer{Email: "mo@example.com", Password: "battery staple", FirstName: "Mo"})
		own := client.OwnSession()
		first := logIn(t, own)
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

func TestLife_L14_ManyVisitorsNoGoroutines(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		before := runtime.NumGoroutine()
		for i := range 200 {
			require.NoError(t, anonymousCall(t.Context(), client.Session(fmt.Sprint(i))))
		}
		synctest.Wait()
		assert.InDelta(t, before, runtime.NumGoroutine(), 5)
	})
}

func TestLife_L14_Close(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.Anonymous", Delay: 5 * time.Second})
		var all sync.WaitGroup
		all.Go(func() { assert.ErrorIs(t, anonymousCall(t.Context(), client.Session("jo")), emporix.ErrClosed) })
		synctest.Wait()
		require.NoError(t, client.Close(t.Context()))
		all.Wait()
		require.ErrorIs(t, anonymousCall(t.Context(), client.Session("jo")), emporix.ErrClosed)
		require.ErrorIs(t, client.Auth.Logout(t.Context()), emporix.ErrClosed)
		_, err := client.Session("jo").Info(t.Context())
		require.ErrorIs(t, err, emporix.ErrClosed)
	})
}

func TestLife_L15_NoCustomerNoRequest(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
		require.ErrorIs(t, customerCall(t.Context(), client.OwnSession()), emporix.ErrNotLoggedIn)
		_, err := client.Auth.Validate(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotLoggedIn)
		require.ErrorIs(t, client.Auth.Logout(t.Context()), emporix.ErrNotLoggedIn)
		_, err = client.OwnSession().SaaSToken(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotLoggedIn)
		assert.Empty(t, fake.Journal())
	})
}

func TestLife_L16_ExpiresInOfAllKinds(t *testing.T) {
	const good, bad = true, false
	for value, usable := range map[string]bool{
		`3599`: good, `"3599"`: good, `3599.0`: good, `3.6e3`: good, `"absent"`: good, `9223372036854775807`: good, `1e400`: good,
		`0`: bad, `-1`: bad, `"abc"`: bad, `"NaN"`: bad, `true`: bad, `{}`: bad, `[]`: bad,
	} {
		t.Run(value, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, _ *watcher) {
				own := client.OwnSession()
				require.NoError(t, anonymousCall(t.Context(), own))
				session := info(t, own).SessionID
				time.Sleep(90 * time.Minute)
				fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", ExpiresIn: json.RawMessage(value), Times: 2})
				err := anonymousCall(t.Context(), own)
				if usable {
					require.NoError(t, err)
					left := time.Until(info(t, own).AccessExpires)
					assert.Greater(t, left, 4*time.Minute)
					assert.LessOrEqual(t, left, 365*24*time.Hour)
				} else {
					require.ErrorIs(t, err, emporix.ErrBadResponse)
					require.NoError(t, anonymousCall(t.Context(), own))
				}
				assert.Equal(t, session, info(t, own).SessionID)
				fake.AssertCalls(t, "Auth.Anonymous", 1)
			})
		})
	}
}

// brittle is a store that takes no writes, or is not there at all.
type brittle struct {
	emporix.ConditionalTokenStore
	mu            sync.Mutex
	reads, writes error
}

func (b *brittle) set(reads, writes error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads, b.writes = reads, writes
}

func (b *brittle) state() (reads, writes error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reads, b.writes
}

func (b *brittle) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if err, _ := b.state(); err != nil {
		return nil, false, err
	}
	return b.ConditionalTokenStore.Load(ctx, key)
}

func (b *brittle) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if _, err := b.state(); err != nil {
		return false, err
	}
	return b.ConditionalTokenStore.SaveIf(ctx, key, data, expected, generation, ttl)
}

func TestLife_L05_TheStoreFails(t *testing.T) {
	down := errors.New("the store is down")
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t, emporixtest.Assume(func(a *emporixtest.Assumptions) { a.ReuseKillsFamily = true }))
		fake.AddCustomer(t, emporixtest.Customer{Email: jo.Email, Password: jo.Password})
		store, seen := &brittle{ConditionalTokenStore: emporix.NewMemoryStore(0)}, new(watcher)
		client := fake.Client(t, emporix.WithTokenStore(store), emporix.WithObserver(seen.observe))
		other := fake.Client(t, emporix.WithTokenStore(store))
		logIn(t, client.Session("jo"))
		session := info(t, client.Session("jo")).SessionID

		store.set(down, nil)
		require.ErrorIs(t, customerCall(t.Context(), client.Session("jo")), emporix.ErrStoreUnavailable)
		store.set(nil, nil)
		require.NoError(t, customerCall(t.Context(), client.Session("jo")))

		time.Sleep(13 * time.Hour)
		store.set(nil, down)
		refreshed, err := client.Session("jo").Auth.Refresh(t.Context())
		require.NoError(t, err, "the caller gets the answer")
		assert.Equal(t, session, refreshed.SessionID)
		assert.Contains(t, seen.kinds(), emporix.EventStoreWriteFailed)
		require.NoError(t, customerCall(t.Context(), client.Session("jo")))
		store.set(nil, nil)
		time.Sleep(10 * time.Second)
		assert.Equal(t, refreshed, info(t, other.Session("jo")), "it was written later")
		_, err = other.Session("jo").Auth.Refresh(t.Context())
		require.NoError(t, err)
	})
}

func TestLife_Events(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *emporixtest.Fake, client *emporix.Client, seen *watcher) {
		visitor := client.Session("jo's cookie")
		require.NoError(t, anonymousCall(t.Context(), visitor))
		_, err := visitor.Auth.Refresh(t.Context())
		require.NoError(t, err)
		logIn(t, visitor)
		_, err = visitor.Auth.Refresh(t.Context())
		require.NoError(t, err)
		require.NoError(t, visitor.Auth.Logout(t.Context()))
		synctest.Wait()
		for _, e := range seen.events {
			assert.Equal(t, "jo's cookie", e.Key.Reveal())
			assert.NotContains(t, fmt.Sprintf("%+v", e), "cookie")
			assert.NoError(t, e.Err)
		}
		assert.Equal(t, []emporix.EventKind{
			emporix.EventSessionStarted, emporix.EventSessionRefreshed, emporix.EventLoggedIn,
			emporix.EventSessionRefreshed, emporix.EventLoggedOut,
		}, seen.kinds())
	})
}

func TestLife_ASessionIDThatChangesIsAnEvent(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, fake *emporixtest.Fake, client *emporix.Client, seen *watcher) {
		require.NoError(t, anonymousCall(t.Context(), client.OwnSession()))
		fake.Fail(t, emporixtest.Fault{Operation: "Auth.RefreshAnonymous", Set: map[string]json.RawMessage{"sessionId": json.RawMessage(`"another"`)}})
		refreshed, err := client.Auth.Refresh(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "another", refreshed.SessionID)
		assert.Contains(t, seen.kinds(), emporix.EventSessionIDChanged)
	})
}

func TestL15_AVanishedRowBeginsNoSessionForACustomersCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "correct horse"})
		client := fake.Client(t)
		_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
		require.NoError(t, err)
		time.Sleep(61 * 24 * time.Hour) // longer than any store keeps the row

		_, err = client.Addresses.List(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotLoggedIn)
		fake.AssertCalls(t, "Auth.Anonymous", 1) // the one before the login
	})
}

func TestLife_L14_AClosedClientSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		fake.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "correct horse"})
		client := fake.Client(t)
		_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
		require.NoError(t, err)
		_, err = client.Customers.Get(t.Context()) // the session has a live token at hand
		require.NoError(t, err)
		require.NoError(t, client.Close(t.Context()))
		sent := len(fake.Journal())

		_, err = client.Customers.Get(t.Context())
		require.ErrorIs(t, err, emporix.ErrClosed)
		_, err = client.Addresses.Add(t.Context(), emporix.AddressRequest{ContactName: "Jo"})
		require.ErrorIs(t, err, emporix.ErrClosed)
		resp, err := client.HTTPClient().Get(fake.URL() + "/cart/acme/carts")
		if err == nil {
			_ = resp.Body.Close()
		}
		require.ErrorIs(t, err, emporix.ErrClosed)
		assert.Len(t, fake.Journal(), sent)
	})
}

// indiscreetStore quotes keys and rows in its errors, as some drivers do.
type indiscreetStore struct{ emporix.ConditionalTokenStore }

func (s indiscreetStore) SaveIf(_ context.Context, key string, data []byte, _, _ uint64, _ time.Duration) (bool, error) {
	return false, fmt.Errorf("SET %q %s: connection refused", key, data)
}

func TestStoreErrorsNameNoVisitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		var log bytes.Buffer
		var told []string
		client := fake.Client(t, emporix.WithTokenStore(indiscreetStore{emporix.NewMemoryStore(0)}),
			emporix.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
			emporix.WithObserver(func(e emporix.Event) {
				if e.Err != nil {
					told = append(told, e.Err.Error())
				}
			}))
		_, err := client.Session("the-visitors-cookie").Customers.Get(t.Context())
		require.NoError(t, err, "the caller gets its answer")
		require.NoError(t, client.Close(t.Context()))

		require.NotEmpty(t, told)
		assert.Contains(t, log.String(), "connection refused")
		for _, text := range append(told, log.String()) {
			assert.NotContains(t, text, "the-visitors-cookie")
			fake.AssertNoSecrets(t, []byte(text))
		}
	})
}

func TestS03_ASharedStoreTakesNoTokenToAnotherHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		production, staging := emporixtest.New(t), emporixtest.New(t)
		production.AddCustomer(t, emporixtest.Customer{Email: "jo@example.com", Password: "correct horse"})
		store := emporix.NewMemoryStore(0)
		client := production.Client(t, emporix.WithTokenStore(store))
		_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
		require.NoError(t, err)

		elsewhere := staging.Client(t, emporix.WithTokenStore(store), emporix.WithBaseURL("https://staging.emporix.test"))
		_, err = elsewhere.Addresses.List(t.Context())
		require.ErrorIs(t, err, emporix.ErrNotLoggedIn)
		assert.Empty(t, staging.Journal())
	})
}

// Clients that share a store find each other's rows only if everything agrees
// that a token depends on.
func TestRowsInASharedStoreAreScoped(t *testing.T) {
	rows := map[string]string{}
	for name, args := range map[string][3]string{
		"first": {"acme", "storefront", "https://api.emporix.io"}, "another tenant": {"acme2", "storefront", "https://api.emporix.io"},
		"another client": {"acme", "kiosk", "https://api.emporix.io"}, "another host": {"acme", "storefront", "https://stage.emporix.io"},
		"another path": {"acme", "storefront", "https://api.emporix.io/v2"},
	} {
		client, err := emporix.NewClient(args[0], args[1], emporix.WithBaseURL(args[2]))
		require.NoError(t, err)
		scope := client.Settings().VisitorRows
		assert.Empty(t, rows[scope], "%s has the rows of another", name)
		rows[scope] = name
	}
	same, err := emporix.NewClient("acme", "storefront", emporix.WithBaseURL("https://API.emporix.io/"))
	require.NoError(t, err)
	assert.Equal(t, "first", rows[same.Settings().VisitorRows], "however the host is written")
}
