package emporix_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// Tokens and identifiers in bodies and queries are held to what those in paths are.
func TestBadInputTokensInBodiesAndQueries(t *testing.T) {
	fake, client := fixture.Shop(t)
	visitor := client.Session("v")
	before := len(fake.Journal())
	ctx := t.Context()
	calls := map[string]func(string) error{
		"Credentials.ResetPassword": func(v string) error {
			return client.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: v, Password: "new horse"})
		},
		"Credentials.ConfirmEmailChange": func(v string) error { return client.Credentials.ConfirmEmailChange(ctx, v) },
		"Auth.SocialLogin": func(v string) error {
			_, err := visitor.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: v, RedirectURI: "u"})
			return err
		},
		"Auth.SocialLogin, verifier": func(v string) error {
			_, err := visitor.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "c", RedirectURI: "u", CodeVerifier: v})
			return err
		},
		"Auth.ExchangeToken": func(v string) error {
			_, err := visitor.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: v})
			return err
		},
		"Auth.ExchangeToken, config": func(v string) error {
			_, err := visitor.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: "x", Config: v})
			return err
		},
		"Auth.SwitchLegalEntity": func(v string) error { _, err := client.Auth.SwitchLegalEntity(ctx, v); return err },
		"Addresses.AddTags":      func(v string) error { return client.Addresses.AddTags(ctx, "a1", "A", v) },
		"Addresses.RemoveTags":   func(v string) error { return client.Addresses.RemoveTags(ctx, "a1", v) },
		"Addresses.Add": func(v string) error {
			_, err := client.Addresses.Add(ctx, emporix.AddressRequest{ContactName: "Jo", Tags: []string{v}})
			return err
		},
		"Customers.Get": func(v string) error { _, err := visitor.Customers.Get(ctx, emporix.Expand(v)); return err },
	}
	optional := "Auth.SocialLogin, verifier Auth.ExchangeToken, config Auth.SwitchLegalEntity"
	for name, value := range map[string]string{
		"empty": "", "blank": " \t", "dot": ".", "dots": "..", "NUL": "CANARY\x00", "newline": "CANARY\r\nX: y", "DEL": "CANARY\x7f", "C1": "CANARY\u0085",
		"no UTF-8": "CANARY\xff", "long": strings.Repeat("CANARY", 5000),
		"right to left": "CANARY\u202e1", "isolate": "CANARY\u20661", "mark": "CANARY\u200e", "zero width": "CANARY\u200b", "joiner": "CAN\u200dARY CANARY",
		"byte order mark": "\ufeffCANARY", "soft hyphen": "CANARY\u00ad1", "line separator": "CANARY\u2028",
	} {
		for op, call := range calls {
			if name == "empty" && strings.Contains(optional, op) {
				continue // says something: none
			}
			err := call(value)
			var argument *emporix.ArgumentError
			if assert.ErrorAs(t, err, &argument, "%s %s", op, name) {
				assert.NotContains(t, err.Error(), "CANARY")
				assert.Less(t, len(err.Error()), 170)
			}
		}
	}
	_, err := client.Customers.Get(ctx, emporix.Expand("addresses,mixin:*"))
	assert.ErrorContains(t, err, ": invalid argument: expand with an element that holds a comma, which separates elements")
	assert.Len(t, fake.Journal(), before, "not even a token is asked for")
	fixture.StillLoggedIn(t, client)
}

// What is as long as it may be is left to the server, and a byte more is refused.
func TestTheLongestIdentifiers(t *testing.T) {
	server, client := fixture.NewServer(t, "", fixture.WithStaff())
	server.Status = 404
	ctx := t.Context()
	for name, tt := range map[string]struct {
		most int
		call func(string) error
	}{
		"Credentials.ResetPassword": {4096, func(v string) error {
			return client.Credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: v, Password: "new horse"})
		}},
		"Credentials.ConfirmEmailChange": {4096, func(v string) error { return client.Credentials.ConfirmEmailChange(ctx, v) }},
		"Auth.SocialLogin": {4096, func(v string) error {
			_, err := client.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: v, RedirectURI: "u"})
			return err
		}},
		"Auth.SocialLogin, verifier": {256, func(v string) error {
			_, err := client.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "c", RedirectURI: "u", CodeVerifier: v})
			return err
		}},
		"Auth.ExchangeToken": {16 << 10, func(v string) error { // the request's URL is too long before that
			_, err := client.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: v})
			if err != nil && !strings.Contains(err.Error(), "16384 are allowed") {
				return nil
			}
			return err
		}},
		"Auth.ExchangeToken, config": {256, func(v string) error {
			_, err := client.Auth.ExchangeToken(ctx, emporix.ExchangeTokenRequest{SubjectAccessToken: "x", Config: v})
			return err
		}},
		"Auth.SwitchLegalEntity": {256, func(v string) error { _, err := client.Auth.SwitchLegalEntity(ctx, v); return err }},
		"Addresses.AddTags":      {256, func(v string) error { return client.Addresses.AddTags(ctx, "a1", "A", v) }},
		"Addresses.Get":          {256, func(v string) error { _, err := client.Addresses.Get(ctx, v); return err }},
		"Customers.Get":          {256, func(v string) error { _, err := client.Customers.Get(ctx, emporix.Expand(v)); return err }},
	} {
		var argument *emporix.ArgumentError
		assert.NotErrorAs(t, tt.call(strings.Repeat("x", tt.most)), &argument, name)
		assert.ErrorAs(t, tt.call(strings.Repeat("x", tt.most+1)), &argument, name)
	}
}

// A field has one name, whatever is wrong with it: that of the API.
func TestArgumentsAreNamedAsTheAPINamesThem(t *testing.T) {
	_, client := fixture.Shop(t)
	visitor, ctx := client.Session("v"), t.Context()
	social := func(req emporix.SocialLoginRequest) error { _, err := visitor.Auth.SocialLogin(ctx, req); return err }
	exchange := func(req emporix.ExchangeTokenRequest) error {
		_, err := visitor.Auth.ExchangeToken(ctx, req)
		return err
	}
	logIn := func(req emporix.LoginRequest) error { _, err := visitor.Auth.Login(ctx, req); return err }
	for field, errs := range map[string][]error{
		"email":              {logIn(emporix.LoginRequest{}), logIn(emporix.LoginRequest{Email: "\xff", Password: "p"})},
		"password":           {logIn(emporix.LoginRequest{Email: "e"}), logIn(emporix.LoginRequest{Email: "e", Password: "\xff"})},
		"code":               {social(emporix.SocialLoginRequest{}), social(emporix.SocialLoginRequest{Code: "\xff", RedirectURI: "u"})},
		"redirect_uri":       {social(emporix.SocialLoginRequest{Code: "c"}), social(emporix.SocialLoginRequest{Code: "c", RedirectURI: "\xff"})},
		"code_verifier":      {social(emporix.SocialLoginRequest{Code: "c", RedirectURI: "u", CodeVerifier: "\n"})},
		"subjectAccessToken": {exchange(emporix.ExchangeTokenRequest{})},
		"config":             {exchange(emporix.ExchangeTokenRequest{SubjectAccessToken: "t", Config: "\n"})},
	} {
		for _, err := range errs {
			var argument *emporix.ArgumentError
			if assert.ErrorAs(t, err, &argument, field) {
				assert.Equal(t, field, argument.Field)
			}
		}
	}
}

// JSON has no way to say what is no UTF-8: the encoder would send something else.
func TestBadInputTextThatIsNoUTF8(t *testing.T) {
	fake, client := fixture.Shop(t)
	before := len(fake.Journal())
	ctx, bad := t.Context(), "caf\xe9"
	for field, call := range map[string]func() error{
		"password": func() error {
			_, err := client.Auth.Login(ctx, emporix.LoginRequest{Email: "jo@example.com", Password: bad})
			return err
		},
		"newPassword": func() error {
			return client.Credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "p", NewPassword: bad})
		},
		"customerDetails.firstName": func() error {
			_, err := client.Customers.SignUp(ctx, emporix.SignUpRequest{Email: "e", Password: "p", CustomerDetails: emporix.CustomerDetails{FirstName: bad}})
			return err
		},
		"customerAddress.mixins": func() error {
			_, err := client.Customers.SignUp(ctx, emporix.SignUpRequest{Email: "e", Password: "p",
				CustomerAddress: emporix.AddressRequest{ContactName: "Jo", Mixins: emporix.Mixins{"m": json.RawMessage(`"` + bad + `"`)}}})
			return err
		},
		"lastName": func() error {
			return client.Customers.Update(ctx, emporix.CustomerPatch{LastName: emporix.Set(bad)})
		},
		"b2b.companyRegistrationId": func() error {
			return client.Customers.Update(ctx, emporix.CustomerPatch{B2B: emporix.Set(emporix.B2BPatch{CompanyRegistrationID: emporix.Set(bad)})})
		},
		"metadata.mixins": func() error {
			return client.Addresses.Update(ctx, "a1", emporix.AddressPatch{Metadata: emporix.Set(emporix.MetadataPatch{Mixins: emporix.Set(emporix.MixinSchemas{bad: "u"})})})
		},
		"photoUrl": func() error {
			return client.Customers.UpdateAsEmployee(ctx, "1", emporix.EmployeeCustomerPatch{PhotoURL: emporix.Set(bad)})
		},
		"redirect_uri": func() error {
			_, err := client.Auth.SocialLogin(ctx, emporix.SocialLoginRequest{Code: "c", RedirectURI: bad})
			return err
		},
	} {
		assert.ErrorContains(t, call(), ": invalid argument: "+field+" is not valid UTF-8")
	}
	assert.Len(t, fake.Journal(), before)
	fixture.StillLoggedIn(t, client)
}

// JSON can't hold what holds itself.
func TestBadInputThatHoldsItself(t *testing.T) {
	server, client := fixture.NewServer(t, "", fixture.WithStaff())
	server.Status = 204
	type node struct{ Next, Again *node }
	loop, list, chain := map[string]any{}, make([]any, 2), &node{}
	loop["a"], loop["b"], list[0], list[1], chain.Next, chain.Again = loop, loop, list, list, chain, chain
	for name, value := range map[string]any{"a map": loop, "a slice": list, "a pointer": chain} {
		mixins := emporix.Set(emporix.MixinSchemas{"m": value})
		err := client.Addresses.Update(t.Context(), "a1", emporix.AddressPatch{Metadata: emporix.Set(emporix.MetadataPatch{Mixins: mixins})})
		assert.ErrorIs(t, err, emporix.ErrInvalidRequest, name)
	}
	assert.Empty(t, server.Seen())
}

// What a patch says is decided on what would be sent.
func TestPatchesAreJudgedAsTheyAreSent(t *testing.T) {
	server, client := fixture.NewServer(t, "", fixture.WithStaff())
	server.Status = 204
	ctx := t.Context()
	for name, tt := range map[string]struct {
		patch emporix.CustomerPatch
		sent  string // media type and body; "" if it is empty
	}{
		"empty metadata":      {emporix.CustomerPatch{Metadata: emporix.Set(emporix.MetadataPatch{})}, ""},
		"empty b2b":           {emporix.CustomerPatch{B2B: emporix.Set(emporix.B2BPatch{})}, ""},
		"no mixins":           {emporix.CustomerPatch{Mixins: emporix.Set(emporix.Mixins{})}, ""},
		"no schemas":          {emporix.CustomerPatch{Metadata: emporix.Set(emporix.MetadataPatch{Mixins: emporix.Set(emporix.MixinSchemas{})})}, ""},
		"an empty mixin":      {emporix.CustomerPatch{Mixins: emporix.Set(emporix.Mixins{"x": json.RawMessage("{}")})}, `application/json {"mixins":{"x":{}}}`},
		"an empty text":       {emporix.CustomerPatch{Title: emporix.Set("")}, `application/json {"title":""}`},
		"null":                {emporix.CustomerPatch{Title: emporix.Null[string]()}, `application/merge-patch+json {"title":null}`},
		"null inside":         {emporix.CustomerPatch{B2B: emporix.Set(emporix.B2BPatch{CompanyRegistrationID: emporix.Null[string]()})}, `application/merge-patch+json {"b2b":{"companyRegistrationId":null}}`},
		"a null mixin":        {emporix.CustomerPatch{Mixins: emporix.Set(emporix.Mixins{"x": json.RawMessage("null")})}, `application/merge-patch+json {"mixins":{"x":null}}`},
		"a nil mixin":         {emporix.CustomerPatch{Mixins: emporix.Set(emporix.Mixins{"x": nil})}, `application/merge-patch+json {"mixins":{"x":null}}`},
		"nil mixins":          {emporix.CustomerPatch{Mixins: emporix.Set(emporix.Mixins(nil))}, ""},
		"no mixins, removed":  {emporix.CustomerPatch{Mixins: emporix.Null[emporix.Mixins]()}, `application/merge-patch+json {"mixins":null}`},
		"a null in a mixin":   {emporix.CustomerPatch{Mixins: emporix.Set(emporix.Mixins{"x": json.RawMessage(`{"a":null}`)})}, `application/json {"mixins":{"x":{"a":null}}}`},
		"a null in a list":    {emporix.CustomerPatch{Mixins: emporix.Set(emporix.Mixins{"x": json.RawMessage(`[null]`)})}, `application/json {"mixins":{"x":[null]}}`},
		"a mixin of bad JSON": {emporix.CustomerPatch{Mixins: emporix.Set(emporix.Mixins{"x": json.RawMessage("{")})}, "invalid"},
	} {
		before := len(server.Seen())
		err := client.Customers.Update(ctx, tt.patch)
		switch tt.sent {
		case "":
			assert.ErrorIs(t, err, emporix.ErrEmptyPatch, name)
			assert.Len(t, server.Seen(), before, name)
		case "invalid":
			assert.ErrorContains(t, err, ": invalid argument: CustomerPatch does not encode as JSON; check its mixins and metadata")
		default:
			require.NoError(t, err, name)
			last := server.Seen()[before]
			assert.Equal(t, tt.sent, last.ContentType+" "+last.Body, name)
		}
	}
	before := len(server.Seen())
	for field, patch := range map[string]emporix.AddressPatch{
		"tags":            {Tags: emporix.Null[[]string]()},
		"mixins":          {Mixins: emporix.Null[emporix.Mixins]()},
		"metadata":        {Metadata: emporix.Null[emporix.MetadataPatch]()},
		"metadata.mixins": {Metadata: emporix.Set(emporix.MetadataPatch{Mixins: emporix.Null[emporix.MixinSchemas]()})},
	} {
		assert.ErrorContains(t, client.Addresses.Update(ctx, "1", patch), ": invalid argument: "+field+" can't be null in an address; set its empty value")
	}
	assert.ErrorIs(t, client.Addresses.Update(ctx, "1", emporix.AddressPatch{Metadata: emporix.Set(emporix.MetadataPatch{})}), emporix.ErrEmptyPatch)
	assert.Len(t, server.Seen(), before)
	require.NoError(t, client.Customers.UpdateAsEmployee(ctx, "1", emporix.EmployeeCustomerPatch{Mixins: emporix.Set(emporix.Mixins{"x": nil})}))
	assert.Equal(t, "application/merge-patch+json", server.Seen()[before].ContentType)
}

func TestNilOptionsOfCalls(t *testing.T) {
	fake, client := fixture.Shop(t)
	before := len(fake.Journal())
	_, err := client.Customers.Get(t.Context(), nil)
	assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
	assert.ErrorIs(t, client.Customers.Update(t.Context(), emporix.CustomerPatch{Title: emporix.Set("x")}, nil), emporix.ErrInvalidRequest)
	assert.ErrorIs(t, client.Credentials.RequestPasswordReset(t.Context(), "jo@example.com", nil), emporix.ErrInvalidRequest)
	assert.Len(t, fake.Journal(), before)
}

// A service without a session panics as soon as it sends anything, so these
// calls prove that nothing is sent.
func TestBadInputIsRefusedBeforeTheNetwork(t *testing.T) {
	customers, addresses, credentials := new(emporix.CustomersService), new(emporix.AddressesService), new(emporix.CredentialsService)
	ok := emporix.SignUpRequest{Email: "jo@example.com", Password: "secret"}
	signUp := func(change func(*emporix.SignUpRequest)) func(context.Context) error {
		return func(ctx context.Context) error {
			req := ok
			change(&req)
			_, err := customers.SignUp(ctx, req)
			return err
		}
	}
	add := func(req emporix.AddressRequest) func(context.Context) error {
		return func(ctx context.Context) error { _, err := addresses.Add(ctx, req); return err }
	}
	tests := map[string]struct {
		field string
		call  func(context.Context) error
	}{
		"sign up without an e-mail":     {"email", signUp(func(r *emporix.SignUpRequest) { r.Email = " \t" })},
		"sign up without a password":    {"password", signUp(func(r *emporix.SignUpRequest) { r.Password = "" })},
		"sign up, login without e-mail": {"signup.email", signUp(func(r *emporix.SignUpRequest) { r.SignUp.Password = "p" })},
		"sign up, login, no password":   {"signup.password", signUp(func(r *emporix.SignUpRequest) { r.SignUp.Email = "e" })},
		"sign up, address without name": {"customerAddress.contactName", signUp(func(r *emporix.SignUpRequest) { r.CustomerAddress.City = "Berlin" })},
		"sign up, tag with a comma": {"tags", signUp(func(r *emporix.SignUpRequest) {
			r.CustomerAddress = emporix.AddressRequest{ContactName: "Jo", Tags: []string{"A,B"}}
		})},
		"resend without an e-mail": {"email", func(ctx context.Context) error { return customers.ResendActivation(ctx, "") }},
		"expand nothing": {"expand", func(ctx context.Context) error {
			_, err := customers.Get(ctx, emporix.Expand("addresses", ""))
			return err
		}},
		"contact e-mail null": {"contactEmail", func(ctx context.Context) error {
			return customers.Update(ctx, emporix.CustomerPatch{ContactEmail: emporix.Null[string]()})
		}},
		"contact e-mail null, by an employee": {"contactEmail", func(ctx context.Context) error {
			return customers.UpdateAsEmployee(ctx, "1", emporix.EmployeeCustomerPatch{ContactEmail: emporix.Null[string]()})
		}},
		"add without a name":      {"contactName", add(emporix.AddressRequest{City: "Berlin"})},
		"add with an ID":          {"id", add(emporix.AddressRequest{ContactName: "Jo", ID: "a1"})},
		"add as default":          {"isDefault", add(emporix.AddressRequest{ContactName: "Jo", IsDefault: true})},
		"add with a comma in tag": {"tags", add(emporix.AddressRequest{ContactName: "Jo", Tags: []string{"A,B"}})},
		"add with an empty tag":   {"tags", add(emporix.AddressRequest{ContactName: "Jo", Tags: []string{""}})},
		"address field null": {"city", func(ctx context.Context) error {
			return addresses.Update(ctx, "1", emporix.AddressPatch{City: emporix.Null[string]()})
		}},
		"address field inside null": {"metadata.version", func(ctx context.Context) error {
			return addresses.Update(ctx, "1", emporix.AddressPatch{Metadata: emporix.Set(emporix.MetadataPatch{Version: emporix.Null[int]()})})
		}},
		"address tag with a comma": {"tags", func(ctx context.Context) error {
			return addresses.Update(ctx, "1", emporix.AddressPatch{Tags: emporix.Set([]string{"A,B"})})
		}},
		"add no tags":               {"tags", func(ctx context.Context) error { return addresses.AddTags(ctx, "1") }},
		"add an empty tag":          {"tags", func(ctx context.Context) error { return addresses.AddTags(ctx, "1", "A", " ") }},
		"add a tag with a comma":    {"tags", func(ctx context.Context) error { return addresses.AddTags(ctx, "1", "A,B") }},
		"remove no tags":            {"tags", func(ctx context.Context) error { return addresses.RemoveTags(ctx, "1") }},
		"remove a tag with a comma": {"tags", func(ctx context.Context) error { return addresses.RemoveTags(ctx, "1", "A,B") }},
		"reset request without e-mail": {"email", func(ctx context.Context) error {
			return credentials.RequestPasswordReset(ctx, "", emporix.ForSite("main"))
		}},
		"reset without a token": {"token", func(ctx context.Context) error {
			return credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Password: "p"})
		}},
		"reset without a password": {"password", func(ctx context.Context) error {
			return credentials.ResetPassword(ctx, emporix.ResetPasswordRequest{Token: "t"})
		}},
		"change without the old password": {"currentPassword", func(ctx context.Context) error {
			return credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{NewPassword: "p"})
		}},
		"change without a new password": {"newPassword", func(ctx context.Context) error {
			return credentials.ChangePassword(ctx, emporix.ChangePasswordRequest{CurrentPassword: "p"})
		}},
		"e-mail change without a password": {"password", func(ctx context.Context) error {
			return credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{NewEmail: "e"})
		}},
		"e-mail change without an address": {"newEmail", func(ctx context.Context) error {
			return credentials.RequestEmailChange(ctx, emporix.EmailChangeRequest{Password: "p"})
		}},
		"confirm without a token": {"token", func(ctx context.Context) error { return credentials.ConfirmEmailChange(ctx, "") }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.call(t.Context())
			assert.ErrorIs(t, err, emporix.ErrInvalidRequest)
			var argument *emporix.ArgumentError
			require.ErrorAs(t, err, &argument)
			assert.Equal(t, tt.field, argument.Field)
		})
	}
	assert.ErrorIs(t, customers.Update(t.Context(), emporix.CustomerPatch{}), emporix.ErrEmptyPatch)
	assert.ErrorIs(t, customers.Update(t.Context(), emporix.CustomerPatch{}, emporix.AsMergePatch()), emporix.ErrEmptyPatch)
	assert.ErrorIs(t, addresses.Update(t.Context(), "1", emporix.AddressPatch{}), emporix.ErrEmptyPatch)
	assert.ErrorIs(t, customers.UpdateAsEmployee(t.Context(), "1", emporix.EmployeeCustomerPatch{}), emporix.ErrEmptyPatch)
}
