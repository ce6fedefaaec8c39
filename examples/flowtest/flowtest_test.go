// Package flowtest shows what tests of a shop's flows look like: the real SDK,
// a fake Emporix per test, no account, no network and no waiting.
package flowtest

import (
	"bytes"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
	"github.com/emporix-community/emporix-go/emporixtest"
)

const (
	email    = "jo@example.com"
	password = "correct horse battery"
)

// jo adds a customer who can log in.
func jo(t *testing.T, fake *emporixtest.Fake) {
	t.Helper()
	fake.AddCustomer(t, emporixtest.Customer{Email: email, Password: password, FirstName: "Jo", LastName: "Doe"})
}

func login(t *testing.T, session *emporix.Session) {
	t.Helper()
	_, err := session.Auth.Login(t.Context(), emporix.LoginRequest{Email: email, Password: password})
	require.NoError(t, err)
}

func TestNewAccountNeedsActivation(t *testing.T) {
	fake := emporixtest.New(t)
	client := fake.Client(t)
	ctx := t.Context()

	id, err := client.Customers.SignUp(ctx, emporix.SignUpRequest{Email: email, Password: password})
	require.NoError(t, err)
	_, err = client.Auth.Login(ctx, emporix.LoginRequest{Email: email, Password: password})
	require.ErrorIs(t, err, emporix.ErrInvalidCredentials)

	require.NoError(t, client.Customers.Activate(ctx, id))
	login(t, client.DefaultSession())
	me, err := client.Customers.Get(ctx)
	require.NoError(t, err)
	assert.Equal(t, id, me.CustomerNumber)
}

// A guest who logs in goes on in the same session, and so does the cart. A wrong
// password costs nothing.
func TestLoginKeepsTheCart(t *testing.T) {
	fake := emporixtest.New(t)
	jo(t, fake)
	visitor := fake.Client(t).Session("a visitor's cookie")
	ctx := t.Context()

	_, err := visitor.Customers.Get(ctx) // any call begins the guest's session
	require.NoError(t, err)
	guest, err := visitor.Info(ctx)
	require.NoError(t, err)

	_, err = visitor.Auth.Login(ctx, emporix.LoginRequest{Email: email, Password: "a guess"})
	require.ErrorIs(t, err, emporix.ErrInvalidCredentials)
	login(t, visitor)

	customer, err := visitor.Info(ctx)
	require.NoError(t, err)
	assert.Equal(t, emporix.SessionCustomer, customer.Kind)
	assert.Equal(t, guest.SessionID, customer.SessionID)
	fake.AssertCalls(t, "Auth.StartAnonymous", 1)
	fake.AssertCalls(t, "Auth.Login", 2)
}

func TestForgottenPassword(t *testing.T) {
	fake := emporixtest.New(t)
	jo(t, fake)
	client := fake.Client(t)
	ctx := t.Context()

	require.NoError(t, client.Credentials.RequestPasswordReset(ctx, email))
	mail := fake.LatestMail(t, emporixfake.MailPasswordReset, email)
	reset := emporix.ResetPasswordRequest{Token: mail.Token, Password: "another horse"}
	require.NoError(t, client.Credentials.ResetPassword(ctx, reset))
	require.ErrorIs(t, client.Credentials.ResetPassword(ctx, reset), emporix.ErrInvalidRequest, "a mail's token works once")

	_, err := client.Auth.Login(ctx, emporix.LoginRequest{Email: email, Password: password})
	require.ErrorIs(t, err, emporix.ErrInvalidCredentials)
	_, err = client.Auth.Login(ctx, emporix.LoginRequest{Email: email, Password: "another horse"})
	require.NoError(t, err)
}

// A link that comes too late: only the fake's clock has to move.
func TestResetLinkExpires(t *testing.T) {
	fake := emporixtest.New(t)
	jo(t, fake)
	client := fake.Client(t)

	require.NoError(t, client.Credentials.RequestPasswordReset(t.Context(), email))
	mail := fake.LatestMail(t, emporixfake.MailPasswordReset, email)
	fake.Advance(25 * time.Hour)
	err := client.Credentials.ResetPassword(t.Context(), emporix.ResetPasswordRequest{Token: mail.Token, Password: "another horse"})
	assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
}

// A customer who comes back every few hours is never asked for the password
// again. In a bubble of testing/synctest the days take no time.
func TestCustomerWhoComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		jo(t, fake)
		client := fake.Client(t)
		login(t, client.DefaultSession())

		for range 5 * 4 {
			time.Sleep(6 * time.Hour)
			me, err := client.Customers.Get(t.Context())
			require.NoError(t, err)
			require.False(t, me.IsAnonymous())
			synctest.Wait() // for the renewal in the background
		}
		fake.AssertCalls(t, "Auth.Login", 1)
		assert.Positive(t, fake.Calls(t, "Auth.Refresh"))
	})
}

// A customer who stays away too long has to log in, and can still browse.
func TestCustomerWhoStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		jo(t, fake)
		client := fake.Client(t)
		ctx := t.Context()
		login(t, client.DefaultSession())

		time.Sleep(30*24*time.Hour + time.Hour) // the access token is good for 30 days
		_, err := client.Addresses.List(ctx)
		require.ErrorIs(t, err, emporix.ErrSessionExpired)
		require.NoError(t, client.Credentials.RequestPasswordReset(ctx, email))

		login(t, client.DefaultSession())
		_, err = client.Addresses.List(ctx)
		require.NoError(t, err)
	})
}

// The answer is lost after the address was added. Adding it again blindly would
// make two of it, so the shop looks first.
func TestLostAnswer(t *testing.T) {
	fake := emporixtest.New(t)
	jo(t, fake)
	client := fake.Client(t)
	ctx := t.Context()
	login(t, client.DefaultSession())

	fake.Fail(t, emporixtest.Fault{Operation: "Addresses.Add", Cut: emporixfake.CutAfter})
	_, err := client.Addresses.Add(ctx, emporix.AddressRequest{ContactName: "Jo Doe", City: "Berlin"})
	require.ErrorIs(t, err, emporix.ErrOutcomeUnknown)
	fake.AssertCalls(t, "Addresses.Add", 1)

	addresses, err := client.Addresses.List(ctx)
	require.NoError(t, err)
	require.Len(t, addresses, 1)
	assert.Equal(t, "Berlin", addresses[0].City)
}

// What only reads is tried again; the shop sees nothing of a short outage.
func TestShortOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		jo(t, fake)
		client := fake.Client(t)
		login(t, client.DefaultSession())

		fake.Fail(t, emporixtest.Fault{Operation: "Customers.Get", Times: 2, Status: http.StatusServiceUnavailable})
		me, err := client.Customers.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "Jo", me.FirstName)
		fake.AssertCalls(t, "Customers.Get", 3)
	})
}

func TestSwitchCompany(t *testing.T) {
	fake := emporixtest.New(t)
	jo(t, fake)
	fake.AddCompany(t, emporixtest.Company{ID: "north", Name: "North Ltd", Contacts: []emporixtest.Contact{{Email: email}}})
	fake.AddCompany(t, emporixtest.Company{ID: "south", Name: "South Ltd"})
	client := fake.Client(t)
	ctx := t.Context()
	login(t, client.DefaultSession())

	info, err := client.Auth.SwitchLegalEntity(ctx, "north")
	require.NoError(t, err)
	assert.Equal(t, "north", info.LegalEntityID)
	_, err = client.Auth.SwitchLegalEntity(ctx, "south")
	require.ErrorIs(t, err, emporix.ErrForbidden)
	token, err := client.Auth.Validate(ctx)
	require.NoError(t, err)
	assert.Equal(t, "north", token.LegalEntityID, "a refused switch changes nothing")
}

// Whatever the shop logs: no token, no password, no code.
func TestNothingLeaks(t *testing.T) {
	fake := emporixtest.New(t)
	jo(t, fake)
	var logged bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client := fake.Client(t, emporix.WithLogger(logger), emporix.WithObserver(func(e emporix.Event) {
		logger.Info("session", "event", e)
	}))
	ctx := t.Context()

	request := emporix.LoginRequest{Email: email, Password: password}
	logger.Info("logging in", "request", request)
	_, err := client.Auth.Login(ctx, request)
	require.NoError(t, err)
	err = client.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "a guess", NewPassword: "another horse"})
	require.ErrorIs(t, err, emporix.ErrInvalidCredentials)
	logger.Error("changing the password", "error", err)
	require.NoError(t, client.Auth.Logout(ctx))

	require.NoError(t, client.Close(ctx)) // what works in the background logs too, until here
	require.NotEmpty(t, logged.Bytes())
	fake.AssertNoSecrets(t, logged.Bytes())
}
