package emporix_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

// newShop starts a tenant with one customer, jo@example.com, for the examples.
// Against the real API it is emporix.NewClient(tenant, clientID).
func newShop(opts ...emporix.Option) (client *emporix.Client, fake *emporixfake.Server, end func()) {
	fake = emporixfake.New(emporixfake.Config{})
	_, err := fake.AddCustomer(emporixfake.Customer{Email: "jo@example.com", Password: "correct horse", FirstName: "Jo", LastName: "Doe"})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(fake)
	opts = append([]emporix.Option{
		emporix.WithBaseURL(server.URL),
		emporix.WithEmployeeCredentials(fake.Config().BackendClientID, fake.Config().BackendSecret),
	}, opts...)
	client, err = emporix.NewClient(fake.Config().Tenant, fake.Config().ClientID, opts...)
	if err != nil {
		panic(err)
	}
	return client, fake, func() {
		_ = client.Close(context.Background())
		server.Close()
	}
}

// One visitor: log in, read, add, change.
func Example() {
	ctx := context.Background()
	client, _, end := newShop()
	defer end()

	if _, err := client.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"}); err != nil {
		fmt.Println(err)
		return
	}
	_, err := client.Addresses.Add(ctx, emporix.AddressRequest{ContactName: "Jo Doe", City: "Berlin", Country: "DE"})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.Customers.Update(ctx, emporix.CustomerPatch{FirstName: emporix.Set("Joanna"), MiddleName: emporix.Null[string]()})
	if err != nil {
		fmt.Println(err)
		return
	}
	me, err := client.Customers.Get(ctx, emporix.Expand("addresses", "mixin:*"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(me.FirstName, me.LastName, "in", me.Addresses[0].City)
	// Output: Joanna Doe in Berlin
}

// Many visitors: one Session value per visitor and request, over one client.
func ExampleClient_Session() {
	ctx := context.Background()
	client, _, end := newShop()
	defer end()

	jo := client.Session("value-of-jos-cookie")
	if _, err := jo.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"}); err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range []string{"value-of-jos-cookie", "value-of-another-cookie"} {
		me, err := client.Session(key).Customers.Get(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(me.FirstName, me.IsAnonymous())
	}
	// Output:
	// Jo false
	// Anonymous true
}

// The client from the environment, as deployments configure it.
func ExampleNewClientFromEnv() {
	_ = os.Setenv(emporix.EnvTenant, "mytenant")
	_ = os.Unsetenv(emporix.EnvClientID)
	_, err := emporix.NewClientFromEnv()
	fmt.Println(err)
	// Output: emporix: invalid argument: EMPORIX_API_CREDENTIALS_STOREFRONT_CLIENT_ID is not set
}

// The ladder of errors, from the most to the least specific.
func ExampleAPIError() {
	ctx := context.Background()
	client, _, end := newShop()
	defer end()

	_, err := client.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "not the password"})
	var apiErr *emporix.APIError
	switch {
	case errors.Is(err, emporix.ErrInvalidCredentials):
		fmt.Println("wrong e-mail address or password")
	case errors.Is(err, emporix.ErrRateLimited), errors.Is(err, emporix.ErrUnavailable):
		fmt.Println("try again later")
	case errors.As(err, &apiErr):
		fmt.Println(apiErr.Operation, apiErr.StatusCode, apiErr.Message)
	case err != nil:
		fmt.Println(err)
	}
	// Output: wrong e-mail address or password
}

// Login keeps the visitor's session, and with it the cart.
func ExampleAuthService_Login() {
	ctx := context.Background()
	client, _, end := newShop()
	defer end()

	guest, err := client.Auth.StartAnonymous(ctx, emporix.SessionContext{Currency: "EUR", SiteCode: "main", Language: "en", TargetLocation: "DE"})
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := client.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("same session:", login.SessionID == guest.SessionID, "changed:", login.SessionChanged)
	fmt.Println("asks for a new password:", login.InitialPassword)
	// Output:
	// same session: true changed: false
	// asks for a new password: false
}

// A customer signs up, and an employee activates the account.
func ExampleCustomersService_SignUp() {
	ctx := context.Background()
	client, _, end := newShop()
	defer end()

	id, err := client.Customers.SignUp(ctx, emporix.SignUpRequest{
		Email: "sam@example.com", Password: "a long passphrase",
		CustomerDetails: emporix.CustomerDetails{FirstName: "Sam", LastName: "Roe"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Customers.Activate(ctx, id); err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Auth.Login(ctx, emporix.LoginRequest{Email: "sam@example.com", Password: "a long passphrase"})
	fmt.Println(err)
	// Output: <nil>
}

// A field of a patch is left alone, set, or removed with null.
func ExampleCustomersService_Update() {
	ctx := context.Background()
	client, _, end := newShop()
	defer end()
	if _, err := client.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"}); err != nil {
		fmt.Println(err)
		return
	}

	err := client.Customers.Update(ctx, emporix.CustomerPatch{
		FirstName:  emporix.Set("Joanna"),  // set
		MiddleName: emporix.Null[string](), // remove
		Company:    emporix.Set(""),        // set to nothing, which is not the same
		/* LastName is not named: left alone */
	})
	fmt.Println(err)
	fmt.Println(client.Customers.Update(ctx, emporix.CustomerPatch{}))
	// Output:
	// <nil>
	// emporix: Customers.Update: empty patch; set at least one field, with Set or Null
}

// Addresses have tags; the first is the default until another one is.
func ExampleAddressesService_AddTags() {
	ctx := context.Background()
	client, _, end := newShop()
	defer end()
	if _, err := client.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"}); err != nil {
		fmt.Println(err)
		return
	}

	id, err := client.Addresses.Add(ctx, emporix.AddressRequest{ContactName: "Jo Doe", Street: "Platz der Republik", StreetNumber: "1", City: "Berlin", Country: "DE"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Addresses.AddTags(ctx, id, "BILLING", "SHIPPING"); err != nil {
		fmt.Println(err)
		return
	}
	address, err := client.Addresses.Get(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(address.Tags)
	// Output: [BILLING SHIPPING]
}

// A forgotten password: the customer gets a token by mail and sends it back.
func ExampleCredentialsService_ResetPassword() {
	ctx := context.Background()
	client, fake, end := newShop()
	defer end()

	if err := client.Credentials.RequestPasswordReset(ctx, "jo@example.com"); err != nil {
		fmt.Println(err)
		return
	}
	mail := fake.Outbox(emporixfake.MailFilter{Kind: "password-reset"})[0] // in production: the customer's mailbox
	err := client.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: mail.Token, Password: "battery staple"})
	fmt.Println(err)
	// Output: <nil>
}

// Other Emporix services act for the same session.
func ExampleSession_HTTPClient() {
	client, _, end := newShop()
	defer end()

	_, err := client.Session("visitor").HTTPClient().Get("https://example.com/cart/acme/carts")
	fmt.Println(errors.Is(err, emporix.ErrInvalidRequest)) // tokens go to the configured host only
	// Output: true
}

// A session that survives the program: for tools and tests.
func ExampleNewFileStore() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "session")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := emporix.NewFileStore(filepath.Join(dir, "session.json"))
	if err != nil {
		fmt.Println(err)
		return
	}
	client, _, end := newShop(emporix.WithTokenStore(store))
	defer end()

	if _, err := client.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"}); err != nil {
		fmt.Println(err)
		return
	}
	info, err := client.DefaultSession().Info(ctx)
	fmt.Println(info.Kind, info.CanRefresh, err)
	// Output: customer true <nil>
}

// What a shop wants to know about its sessions.
func ExampleWithObserver() {
	ctx := context.Background()
	client, _, end := newShop(emporix.WithObserver(func(e emporix.Event) {
		fmt.Println(e.Kind, "-", e.Session)
	}))
	defer end()

	_, _ = client.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: "correct horse"})
	_ = client.Auth.Logout(ctx)
	// Output:
	// session started - anonymous
	// logged in - customer
	// logged out - customer
}

// Mixins are read and written as types of your own.
func ExampleGetMixin() {
	type loyalty struct {
		Points int `json:"points"`
	}
	mixins, err := emporix.SetMixin(nil, "loyalty", loyalty{Points: 12})
	if err != nil {
		fmt.Println(err)
		return
	}
	card, err := emporix.GetMixin[loyalty](mixins, "loyalty")
	fmt.Println(card.Points, err)
	// Output: 12 <nil>
}
