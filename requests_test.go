package emporix_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

const canaryText = "c4n4ry"

func TestRequestsNeverPrintTheirSecrets(t *testing.T) {
	signUp := emporix.SignUpRequest{
		Email: "jo@example.com", Password: canaryText,
		SignUp: emporix.SignUpCredentials{Email: "login@example.com", Password: canaryText},
	}
	requests := []any{
		signUp, &signUp, signUp.SignUp,
		emporix.ResetPasswordRequest{Token: canaryText, Password: canaryText},
		emporix.ChangePasswordRequest{CurrentPassword: canaryText, NewPassword: canaryText},
		emporix.EmailChangeRequest{Password: canaryText, NewEmail: "new@example.com"},
	}
	for _, req := range requests {
		t.Run(fmt.Sprintf("%T", req), func(t *testing.T) {
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x"} {
				fmt.Fprintf(&out, verb+"\n", req)
				fmt.Fprintf(&out, verb+"\n", struct{ Inside any }{req})
			}
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "request", req)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "request", req)
			fmt.Fprintln(&out, req, fmt.Errorf("failed on %v", req))

			assert.NotContains(t, out.String(), canaryText)
			assert.NotContains(t, strings.ToLower(out.String()), fmt.Sprintf("%x", canaryText))
			assert.Contains(t, out.String(), "[redacted]")

			body, err := json.Marshal(req)
			require.NoError(t, err)
			assert.Contains(t, string(body), canaryText, "the API still gets it")
		})
	}
	assert.Contains(t, fmt.Sprint(signUp), "jo@example.com", "what is no secret stays readable")
	assert.Equal(t, canaryText, signUp.SignUp.Password, "the request itself keeps its values")
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

func TestCustomerDecodesWhatTheServerSends(t *testing.T) {
	var c emporix.Customer
	require.NoError(t, json.Unmarshal([]byte(`{
		"id":"1","customerNumber":"C1","title":"MR","firstName":"John","businessModel":"B2X","unknown":{"a":1},
		"accounts":[{"id":"jo@example.com","providerId":"auth0|7"}],
		"addresses":[{"id":"a1","contactName":"Jo","isDefault":true,"tags":null}],
		"defaultAddress":{"id":"a1"},
		"b2b":{"companyRegistrationId":"123","legalEntities":[{"id":"L","name":"N","contactAssignmentId":"A"}]},
		"mixins":{"loyalty":{"level":3}},
		"metadata":{"version":2,"mixins":{"loyalty":"https://x.example/s.json","odd":7,"none":null}},
		"lastLogin":"2025-02-14T10:00:00.000Z"}`), &c))
	assert.Equal(t, emporix.Customer{
		ID: "1", CustomerNumber: "C1", Title: "MR", FirstName: "John", BusinessModel: "B2X",
		Accounts:       []emporix.Account{{ID: "jo@example.com", ProviderID: "auth0|7"}},
		Addresses:      []emporix.Address{{ID: "a1", ContactName: "Jo", IsDefault: true}},
		DefaultAddress: &emporix.Address{ID: "a1"},
		B2B:            emporix.B2B{CompanyRegistrationID: "123", LegalEntities: []emporix.LegalEntity{{ID: "L", Name: "N", ContactAssignmentID: "A"}}},
		Mixins:         emporix.Mixins{"loyalty": json.RawMessage(`{"level":3}`)},
		Metadata:       emporix.Metadata{Version: 2, Mixins: emporix.MixinSchemas{"loyalty": "https://x.example/s.json", "odd": json.RawMessage("7"), "none": json.RawMessage("null")}},
		LastLogin:      time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
	}, c)
	assert.False(t, c.IsAnonymous())

	back, err := json.Marshal(&c)
	require.NoError(t, err)
	var again emporix.Customer
	require.NoError(t, json.Unmarshal(back, &again))
	assert.Equal(t, c, again)
}

func TestCustomerLastLoginCostsNobodyTheProfile(t *testing.T) {
	for text, want := range map[string]time.Time{
		`null`: {}, `""`: {}, `"yesterday"`: {}, `{}`: {}, `true`: {}, `-1`: {}, `1e300`: {}, `"2025-02-30"`: {}, `"25:00"`: {},
		`1739527200000`:                              time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`1739527200`:                                 time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`1739527200.5`:                               time.Date(2025, 2, 14, 10, 0, 0, 5e8, time.UTC),
		`"1739527200000"`:                            time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14T10:00Z"`:                        time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14T10:00"`:                         time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14T11:00+0100"`:                    time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14T11:00+01"`:                      time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14"`:                               time.Date(2025, 2, 14, 0, 0, 0, 0, time.UTC),
		`"20250214"`:                                 time.Date(2025, 2, 14, 0, 0, 0, 0, time.UTC),
		`"20250214T100000Z"`:                         time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14 10:00:00"`:                      time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14 10:00:00.5 +0000"`:              time.Date(2025, 2, 14, 10, 0, 0, 5e8, time.UTC),
		`"2025-02-14t10:00:00z"`:                     time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14T10:00:00,5Z"`:                   time.Date(2025, 2, 14, 10, 0, 0, 5e8, time.UTC),
		`"2025-02-14T10:00:00.123456789Z"`:           time.Date(2025, 2, 14, 10, 0, 0, 123456789, time.UTC),
		`"2025-02-14T10Z"`:                           time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14T11:00:00+01:00[Europe/Berlin]"`: time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14T10:00:00Z"`:                     time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14T11:00:00.500+01:00"`:            time.Date(2025, 2, 14, 10, 0, 0, 5e8, time.UTC),
		`"2025-02-14T11:00:00\u002b01:00"`:           time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14T11:00:00.000+0100"`:             time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
		`"2025-02-14T10:00:00"`:                      time.Date(2025, 2, 14, 10, 0, 0, 0, time.UTC),
	} {
		var c emporix.Customer
		require.NoError(t, json.Unmarshal([]byte(`{"firstName":"Jo","lastLogin":`+text+`}`), &c), text)
		assert.Equal(t, "Jo", c.FirstName)
		assert.True(t, want.Equal(c.LastLogin), "%s: %s", text, c.LastLogin)
	}
}

func TestAnonymousCustomer(t *testing.T) {
	var c emporix.Customer
	require.NoError(t, json.Unmarshal([]byte(`{"firstName":"Anonymous","lastName":"Anonymous","preferredSite":"default","customerNumber":"00000000","id":"00000000","accounts":[]}`), &c))
	assert.True(t, c.IsAnonymous())
}
