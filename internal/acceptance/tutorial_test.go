package acceptance_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// Every request that the vendor's tutorial and API description show can be made
// with the SDK's types, member by member, empty ones as well.
func TestEveryRequestOfTheTutorialCanBeMade(t *testing.T) {
	legalEntities := []emporix.LegalEntity{{ID: "67e162a3ad4e2f12bc4f9306", Name: "ABC", ContactAssignmentID: "91033918"}}
	details := emporix.CustomerDetails{
		Title: "MR", FirstName: "John", LastName: "Doe", ContactEmail: "example@customer.com", ContactPhone: "123456789", Company: "Emporix",
		PreferredLanguage: "en_US", PreferredCurrency: "EUR", PreferredSite: "main",
		B2B:       emporix.B2B{CompanyRegistrationID: "123-456-789", LegalEntities: legalEntities},
		SendEmpty: []string{"middleName"},
	}
	address := emporix.AddressRequest{
		ContactName: "John Doe", CompanyName: "Emporix", Street: "Platz der Republik", StreetNumber: "1", ZipCode: "11011", City: "Berlin", Country: "DE",
		State: "Berlin", ContactPhone: "123456789", Tags: []string{"BILLING", "SHIPPING"},
		SendEmpty: []string{"streetAppendix", "extraLine1", "extraLine2"},
	}
	added := address
	added.SendEmpty = []string{"streetAppendix", "extraLine1", "extraLine2", "extraLine3", "extraLine4"}
	whole := address
	whole.ID, whole.IsDefault, whole.Metadata, whole.Mixins = "a1", true, emporix.Metadata{Version: 1, Mixins: emporix.MixinSchemas{"m": "https://x.example"}}, emporix.Mixins{"m": json.RawMessage("{}")}
	set := emporix.Set[string]
	const addressJSON = `"contactName":"John Doe","companyName":"Emporix","street":"Platz der Republik","streetNumber":"1","streetAppendix":"","extraLine1":"","extraLine2":"","zipCode":"11011","city":"Berlin","country":"DE","state":"Berlin","contactPhone":"123456789","tags":["BILLING","SHIPPING"]`
	const detailsJSON = `"title":"MR","firstName":"John","middleName":"","lastName":"Doe","contactEmail":"example@customer.com","contactPhone":"123456789","company":"Emporix","preferredLanguage":"en_US","preferredCurrency":"EUR","preferredSite":"main"`
	const b2bJSON = `{"companyRegistrationId":"123-456-789","legalEntities":[{"id":"67e162a3ad4e2f12bc4f9306","name":"ABC","contactAssignmentId":"91033918"}]}`
	signUp := func(req emporix.SignUpRequest) func(context.Context, *emporix.Client) error {
		return func(ctx context.Context, c *emporix.Client) error { _, err := c.Customers.SignUp(ctx, req); return err }
	}
	for name, tt := range map[string]struct {
		path, answer string
		call         func(context.Context, *emporix.Client) error
		body, query  string // as the vendor shows them
		session      string // the session-id header
	}{
		"anonymous login": {"/anonymous/login", fixture.AnonymousTokens, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Session("v").Auth.StartAnonymous(ctx, emporix.SessionContext{Currency: "EUR", SiteCode: "main", Language: "EN", TargetLocation: "DE"})
			return err
		}, "", "tenant=acme&client_id=storefront&currency=EUR&siteCode=main&language=EN&targetLocation=DE", ""},
		"anonymous login, plain": {"/anonymous/login", fixture.AnonymousTokens, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Session("v").Auth.StartAnonymous(ctx, emporix.SessionContext{})
			return err
		}, "", "tenant=acme&client_id=storefront", ""},
		"anonymous refresh": {"/anonymous/refresh", fixture.AnonymousTokens, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Session("v").Auth.StartAnonymous(ctx, emporix.SessionContext{})
			require.NoError(t, err)
			_, err = c.Session("v").Auth.Refresh(ctx)
			return err
		}, "", "tenant=acme&client_id=storefront&refresh_token=anonymous-refresh", ""},
		"sign-up": {"/signup", `{"id":"1"}`, signUp(emporix.SignUpRequest{Email: "example@customer.com", Password: "password123", CustomerDetails: details, CustomerAddress: address}),
			`{"email":"example@customer.com","password":"password123","customerDetails":{` + detailsJSON + `,"b2b":` + b2bJSON + `},"customerAddress":{` + addressJSON + `}}`, "", ""},
		"sign-up, every member": {"/signup", `{"id":"1"}`, signUp(emporix.SignUpRequest{Email: "example@customer.com", Password: "password123",
			CustomerDetails: emporix.CustomerDetails{Metadata: whole.Metadata, Mixins: whole.Mixins}, CustomerAddress: whole,
			SignUp: emporix.SignUpCredentials{Email: "signup-example@customer.com", Password: "password1234"}}),
			`{"email":"example@customer.com","password":"password123","customerDetails":{"metadata":{"version":1,"mixins":{"m":"https://x.example"}},"mixins":{"m":{}}},
			"customerAddress":{"id":"a1","isDefault":true,"metadata":{"version":1,"mixins":{"m":"https://x.example"}},"mixins":{"m":{}},` + addressJSON + `},
			"signup":{"email":"signup-example@customer.com","password":"password1234"}}`, "", ""},
		"activate": {"/customers/13869000", "", func(ctx context.Context, c *emporix.Client) error { return c.Customers.Activate(ctx, "13869000") }, `{"active":true,"onHold":false}`, "", ""},
		"log in": {"/acme/login", fixture.CustomerTokens, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Auth.Login(ctx, emporix.LoginRequest{Email: "customer@customer.com", Password: "password123"})
			return err
		}, `{"email":"customer@customer.com","password":"password123"}`, "", ""},
		"refresh": {"/refreshauthtoken", fixture.CustomerTokens, func(ctx context.Context, c *emporix.Client) error { _, err := c.Auth.Refresh(ctx); return err }, "", "refreshToken=customer-refresh", ""},
		"refresh for a company": {"/refreshauthtoken", fixture.CustomerTokens, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Auth.SwitchLegalEntity(ctx, "D165356")
			return err
		}, "", "refreshToken=customer-refresh&legalEntityId=D165356", ""},
		"validate": {"/validateauthtoken", `{"email":"e"}`, fixture.Reads["Auth.Validate"], "", "", ""},
		"social login": {"/socialLogin", fixture.CustomerTokens, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Session("v").Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "c", RedirectURI: "https://x.example/?a=b", CodeVerifier: "v"})
			return err
		}, "", "code=c&redirect_uri=https%3A%2F%2Fx.example%2F%3Fa%3Db&code_verifier=v", "s1"},
		"social login without PKCE and session": {"/socialLogin", fixture.CustomerTokens, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Session("v").Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "c", RedirectURI: "u", NewSession: true})
			return err
		}, "", "code=c&redirect_uri=u", ""},
		"exchange": {"/exchangeauthtoken", fixture.CustomerTokens, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Session("v").Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: "jwt", Config: "site_PL"})
			return err
		}, "", "subjectAccessToken=jwt&config=site_PL", ""},
		"log out": {"/logout", "", func(ctx context.Context, c *emporix.Client) error { return c.Auth.Logout(ctx) }, "", "accessToken=customer-access", ""},
		"profile": {"/me", `{"id":"1"}`, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Customers.Get(ctx, emporix.Expand("addresses", "mixin:*"))
			return err
		}, "", "expand=addresses,mixin:*", ""},
		"update the profile": {"/me", "", func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Update(ctx, emporix.CustomerPatch{Title: set("MR"), FirstName: set("John"), LastName: set("Doe"), ContactEmail: set("example@customer.com"),
				ContactPhone: set("123456789"), Company: set("Emporix"), PreferredLanguage: set("en_US"), PreferredCurrency: set("EUR"), PreferredSite: set("DE"),
				B2B:      emporix.Set(emporix.B2BPatch{CompanyRegistrationID: set("123-456-789")}),
				Metadata: emporix.Set(emporix.MetadataPatch{Version: emporix.Set(1)})})
		}, `{"title":"MR","firstName":"John","lastName":"Doe","contactEmail":"example@customer.com","contactPhone":"123456789","company":"Emporix","preferredLanguage":"en_US","preferredCurrency":"EUR","preferredSite":"DE","b2b":{"companyRegistrationId":"123-456-789"},"metadata":{"version":1}}`, "", ""},
		"add an address": {"/me/addresses", `{"id":"1"}`, func(ctx context.Context, c *emporix.Client) error { _, err := c.Addresses.Add(ctx, added); return err },
			`{` + addressJSON + `,"extraLine3":"","extraLine4":""}`, "", ""},
		"update an address": {"/me/addresses/a1", "", func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.Update(ctx, "a1", emporix.AddressPatch{ContactName: set("John Doe"), CompanyName: set("Emporix"), Street: set("Platz der Republik"), StreetNumber: set("2"),
				StreetAppendix: set("Platz"), ExtraLine1: set(""), ExtraLine2: set(""), ExtraLine3: set(""), ExtraLine4: set(""), ZipCode: set("11011"), City: set("Berlin"), Country: set("DE"),
				State: set("Berlin"), ContactPhone: set("123456789"), Tags: emporix.Set([]string{"BILLING", "SHIPPING"}), IsDefault: emporix.Set(true)})
		}, `{"contactName":"John Doe","companyName":"Emporix","street":"Platz der Republik","streetNumber":"2","streetAppendix":"Platz","extraLine1":"","extraLine2":"","extraLine3":"","extraLine4":"","zipCode":"11011","city":"Berlin","country":"DE","state":"Berlin","contactPhone":"123456789","tags":["BILLING","SHIPPING"],"isDefault":true}`, "", ""},
		"add tags": {"/tags", "", func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.AddTags(ctx, "a1", "BILLING", "SHIPPING", "CUSTOM")
		}, "", "tags=BILLING,SHIPPING,CUSTOM", ""},
		"remove tags": {"/tags", "", func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.RemoveTags(ctx, "a1", "BILLING")
		}, "", "tags=BILLING", ""},
		"delete an address": {"/me/addresses/a1", "", func(ctx context.Context, c *emporix.Client) error { return c.Addresses.Delete(ctx, "a1") }, "", "", ""},
		"ask for a reset": {"/password/reset", "", func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.RequestPasswordReset(ctx, "example@customer.com", emporix.ForSite("main"))
		}, `{"email":"example@customer.com","site":"main"}`, "", ""},
		"reset": {"/reset/update", "", func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: "beEx", Password: "P@ssw0rd123"})
		}, `{"token":"beEx","password":"P@ssw0rd123"}`, "", ""},
		"change the password": {"/password/change", "", func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "password123", NewPassword: "P@ssw0rd123"})
		}, `{"currentPassword":"password123","newPassword":"P@ssw0rd123"}`, "", ""},
		"change the e-mail": {"/email/change", "", func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{Email: "example@customer.com", Password: "password123", NewEmail: "example@emporix.com", SyncContactEmail: true})
		}, `{"email":"example@customer.com","password":"password123","newEmail":"example@emporix.com","syncContactEmail":true}`, "", ""},
		"confirm the e-mail": {"/change/confirm", "", func(ctx context.Context, c *emporix.Client) error {
			return c.Credentials.ConfirmEmailChange(ctx, "beEx")
		}, `{"token":"beEx"}`, "", ""},
		"opt in": {"/optin/beEx", "", func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Customers.ConfirmSignUp(ctx, "beEx")
			return err
		}, "", "", ""},
		"opt in again": {"/optin/refresh_token", "", func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.ResendActivation(ctx, "example@customer.com")
		}, `{"email":"example@customer.com"}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant, client := fixture.NewServer(t, tt.path, emporix.WithEmployeeCredentials("employee", "secret"))
			tenant.Body = tt.answer
			require.NoError(t, tt.call(t.Context(), client))
			query, err := url.ParseQuery(tt.query)
			require.NoError(t, err)
			assert.Equal(t, query, tenant.Last.URL.Query())
			assert.Equal(t, tt.session, tenant.Last.Header.Get("Session-Id"))
			if tt.body == "" {
				assert.Empty(t, tenant.Sent)
			} else {
				assert.JSONEq(t, tt.body, tenant.Sent)
			}
		})
	}
}

// Every member of a new address and of a new profile can be sent empty.
func TestEveryMemberCanBeSentEmpty(t *testing.T) {
	t.Parallel()
	tenant, client := fixture.NewServer(t, "/signup")
	tenant.Body = `{"id":"1"}`
	_, err := client.Customers.SignUp(t.Context(), emporix.SignUpRequest{
		Email: "e", Password: "password",
		CustomerDetails: emporix.CustomerDetails{FirstName: "Jo", SendEmpty: strings.Fields("title firstName middleName lastName contactEmail contactPhone company preferredLanguage preferredCurrency preferredSite b2b metadata mixins")},
		CustomerAddress: emporix.AddressRequest{ContactName: "Jo", SendEmpty: strings.Fields("id contactName companyName street streetNumber streetAppendix extraLine1 extraLine2 extraLine3 extraLine4 zipCode city country state contactPhone isDefault tags metadata mixins")},
	})
	require.NoError(t, err)
	assert.JSONEq(t, `{"email":"e","password":"password",
		"customerDetails":{"title":"","firstName":"Jo","middleName":"","lastName":"","contactEmail":"","contactPhone":"","company":"","preferredLanguage":"","preferredCurrency":"","preferredSite":"","b2b":{},"metadata":{},"mixins":{}},
		"customerAddress":{"id":"","contactName":"Jo","companyName":"","street":"","streetNumber":"","streetAppendix":"","extraLine1":"","extraLine2":"","extraLine3":"","extraLine4":"","zipCode":"","city":"","country":"","state":"","contactPhone":"","isDefault":false,"tags":[],"metadata":{},"mixins":{}}}`, tenant.Sent)
	sent := tenant.Last
	for field, call := range map[string]func() error{
		"customerDetails.SendEmpty": func() error {
			_, err := client.Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: "e", Password: "p", CustomerDetails: emporix.CustomerDetails{SendEmpty: []string{"MiddleName"}}})
			return err
		},
		"customerAddress.SendEmpty": func() error {
			_, err := client.Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: "e", Password: "p", CustomerAddress: emporix.AddressRequest{ContactName: "Jo", SendEmpty: []string{"-"}}})
			return err
		},
		"SendEmpty": func() error {
			_, err := client.Addresses.Add(t.Context(), emporix.AddressRequest{ContactName: "Jo", SendEmpty: []string{"extraLine5"}})
			return err
		},
		"id": func() error {
			_, err := client.Addresses.Add(t.Context(), emporix.AddressRequest{ContactName: "Jo", ID: "a1"})
			return err
		},
	} {
		var argument *emporix.ArgumentError
		require.ErrorAs(t, call(), &argument)
		assert.Equal(t, field, argument.Field)
	}
	assert.Same(t, sent, tenant.Last, "nothing was sent")
}

// What was read and is written back is what the server had, odd and unknown
// members included.
func TestRoundTripsLoseNothing(t *testing.T) {
	t.Parallel()
	const mixins = `{"loyalty":{"level":3,"big":12345678901234567890,"float":1.0,"none":null,"list":[null,1,"x"],"text":"\u00e9\ud83d\ude00"},"empty":{},"flag":true,"count":7}`
	const schemas = `{"loyalty":"https://x.example/s.json","odd":7,"object":{"a":[1,null]},"list":["u"],"escaped":"a\"b","blank":""}`
	tenant, client := fixture.NewServer(t, "/me")
	for _, document := range []string{
		`{"id":"1","firstName":"Jo","unknown":1,"metadata":{"version":4,"unknown":{"x":1},"mixins":` + schemas + `},"mixins":` + mixins + `,"b2b":{"companyRegistrationId":"123","unknown":true,"legalEntities":[{"id":"1","unknown":2}]}}`,
		`{"id":1,"firstName":"Jo","unknown":1,"metadata":{"version":"4","unknown":{"x":1},"mixins":` + schemas + `},"mixins":` + mixins + `,"b2b":{"companyRegistrationId":123,"unknown":true}}`,
	} {
		tenant.Path, tenant.Body = "/me", document
		me, err := client.Customers.Get(t.Context(), emporix.Expand("mixin:*"))
		require.NoError(t, err)
		assert.Equal(t, "https://x.example/s.json", me.Metadata.Mixins.URL("loyalty"))
		assert.Empty(t, me.Metadata.Mixins.URL("odd"))
		require.NoError(t, client.Customers.Update(t.Context(), emporix.CustomerPatch{
			FirstName: emporix.Set(me.FirstName), Mixins: emporix.Set(me.Mixins),
			B2B:      emporix.Set(emporix.B2BPatch{CompanyRegistrationID: emporix.Set(me.B2B.CompanyRegistrationID)}),
			Metadata: emporix.Set(emporix.MetadataPatch{Version: emporix.Set(me.Metadata.Version), Mixins: emporix.Set(me.Metadata.Mixins)}),
		}))
		assert.Equal(t, "application/json", tenant.Last.Header.Get("Content-Type"), "a null inside a mixin is no removal")
		want := `{"firstName":"Jo","b2b":{"companyRegistrationId":"123"},"metadata":{"version":4,"mixins":` + schemas + `},"mixins":` + mixins + `}`
		assert.Equal(t, numbers(t, want), numbers(t, tenant.Sent))

		tenant.Path, tenant.Body = "/me/addresses/a1", strings.Replace(document, `"firstName"`, `"contactName"`, 1)
		address, err := client.Addresses.Get(t.Context(), "a1")
		require.NoError(t, err)
		require.NoError(t, client.Addresses.Update(t.Context(), "a1", emporix.AddressPatch{
			ContactName: emporix.Set(address.ContactName), Mixins: emporix.Set(address.Mixins), Tags: emporix.Set(address.Tags),
			Metadata: emporix.Set(emporix.MetadataPatch{Version: emporix.Set(address.Metadata.Version), Mixins: emporix.Set(address.Metadata.Mixins)}),
		}))
		assert.Equal(t, numbers(t, `{"contactName":"Jo","tags":[],"metadata":{"version":4,"mixins":`+schemas+`},"mixins":`+mixins+`}`), numbers(t, tenant.Sent))

		tenant.Path, tenant.Body = "/signup", `{"id":"1"}`
		_, err = client.Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: "e", Password: "p", CustomerDetails: emporix.CustomerDetails{B2B: me.B2B, Metadata: me.Metadata, Mixins: me.Mixins}})
		require.NoError(t, err)
		assert.Contains(t, tenant.Sent, `"level":3`)
	}
	// A profile that was read without its mixins does not remove them.
	tenant.Path, tenant.Body = "/me", `{"id":"1","firstName":"Jo"}`
	me, err := client.Customers.Get(t.Context())
	require.NoError(t, err)
	require.NoError(t, client.Customers.Update(t.Context(), emporix.CustomerPatch{FirstName: emporix.Set(me.FirstName), Mixins: emporix.Set(me.Mixins)}))
	assert.JSONEq(t, `{"firstName":"Jo","mixins":{}}`, tenant.Sent)
	assert.Equal(t, "application/json", tenant.Last.Header.Get("Content-Type"))
}

func numbers(t *testing.T, document string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(document))
	dec.UseNumber()
	var value any
	require.NoError(t, dec.Decode(&value))
	return value
}

// Bytes that are no UTF-8 show as U+FFFD, and can't be written back as that.
func TestDamagedTextIsNotWrittenBack(t *testing.T) {
	t.Parallel()
	tenant, client := fixture.NewServer(t, "/me")
	for _, text := range []string{"M\xfcller", `M\ud800ller`} {
		tenant.Body = `{"id":"1","lastName":"` + text + `","mixins":{"m":{"text":"` + text + `"}}}`
		var raw emporix.RawResponse
		me, err := client.Customers.Get(emporix.WithRawResponse(t.Context(), &raw))
		require.NoError(t, err)
		assert.Equal(t, "M\ufffdller", me.LastName)
		assert.Equal(t, tenant.Body, string(raw.Body()))
		sent := tenant.Last
		var argument *emporix.ArgumentError
		require.ErrorAs(t, client.Customers.Update(t.Context(), emporix.CustomerPatch{LastName: emporix.Set(me.LastName)}), &argument)
		assert.Equal(t, "lastName", argument.Field)
		assert.ErrorIs(t, argument, emporix.ErrInvalidRequest)
		assert.NotContains(t, argument.Error(), "ller")
		if text[1] == '\\' {
			require.NoError(t, client.Customers.Update(t.Context(), emporix.CustomerPatch{Mixins: emporix.Set(me.Mixins)}))
			assert.Equal(t, `{"mixins":{"m":{"text":"`+text+`"}}}`, tenant.Sent, "a mixin is kept as it was sent")
			continue
		}
		require.ErrorAs(t, client.Customers.Update(t.Context(), emporix.CustomerPatch{Mixins: emporix.Set(me.Mixins)}), &argument)
		assert.Equal(t, "mixins", argument.Field)
		read, err := emporix.GetMixin[map[string]any](me.Mixins, "m")
		require.NoError(t, err)
		_, err = emporix.SetMixin(me.Mixins, "m", read)
		require.ErrorAs(t, err, &argument)
		assert.Same(t, sent, tenant.Last, "nothing was sent")
	}
	tenant.Path, tenant.Body = "/acme/login", fixture.CustomerTokens
	_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "e", Password: "a\ufffdb"})
	assert.NoError(t, err, "a password is its owner's")
}

// A request that the API can't take is not sent.
func TestRequestsOverTheLimitAreNotSent(t *testing.T) {
	t.Parallel()
	const limit = 10 << 20
	tenant, client := fixture.NewServer(t, "/me")
	huge := strings.Repeat("x", limit)
	fits := emporix.CustomerPatch{Company: emporix.Set(huge[:limit-len(`{"company":""}`)])}
	require.NoError(t, client.Customers.Update(t.Context(), fits))
	require.Len(t, tenant.Sent, limit)
	last := tenant.Last
	for name, call := range map[string]func() error{
		"a byte more": func() error {
			return client.Customers.Update(t.Context(), emporix.CustomerPatch{Company: emporix.Set(huge[:limit-len(`{"company":""}`)+1])})
		},
		"sign-up": func() error {
			_, err := client.Customers.SignUp(t.Context(), emporix.SignUpRequest{Email: huge, Password: "p"})
			return err
		},
		"login": func() error {
			_, err := client.Auth.Login(t.Context(), emporix.LoginRequest{Email: "e", Password: huge})
			return err
		},
	} {
		err := call()
		require.ErrorIs(t, err, emporix.ErrInvalidRequest, name)
		assert.NotErrorIs(t, err, emporix.ErrOutcomeUnknown, name)
		assert.Regexp(t, `^emporix: \w+\.\w+: invalid argument: body has \d+ bytes as JSON; the API takes at most 10485760$`, err.Error(), name)
	}
	assert.Same(t, last, tenant.Last)
}
