package emporix_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

// Each call of the service makes exactly the request that the API describes.
func TestCustomersMakeTheRequestsThatTheAPIDescribes(t *testing.T) {
	runRequests(t, map[string]requestTest{
		"sign up": {201, `{"id":"13730481"}`, func(ctx context.Context, c *emporix.Client) error {
			id, err := c.Customers.SignUp(ctx, emporix.SignUpRequest{Email: "a@b.c", Password: "p", CustomerDetails: emporix.CustomerDetails{
				FirstName: "Jo", B2B: emporix.B2B{LegalEntities: []emporix.LegalEntity{{ID: "L"}}}}})
			assert.Equal(t, "13730481", id)
			return err
		}, sent("POST /customer/acme/signup", "anonymous-access", plainJSON, `{"email":"a@b.c","password":"p","customerDetails":{"firstName":"Jo","b2b":{"legalEntities":[{"id":"L"}]}}}`)},
		"sign up with an address and a login": {201, `{"id":7}`, func(ctx context.Context, c *emporix.Client) error {
			id, err := c.Customers.SignUp(ctx, emporix.SignUpRequest{Email: "a@b.c", Password: "p",
				CustomerAddress: emporix.AddressRequest{ContactName: "Jo", IsDefault: true}, SignUp: emporix.SignUpCredentials{Email: "l@b.c", Password: "q"}})
			assert.Equal(t, "7", id)
			return err
		}, sent("POST /customer/acme/signup", "anonymous-access", plainJSON, `{"email":"a@b.c","password":"p","customerAddress":{"contactName":"Jo","isDefault":true},"signup":{"email":"l@b.c","password":"q"}}`)},
		"resend": {202, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.ResendActivation(ctx, "a@b.c")
		}, sent("POST /customer/acme/signup/optin/refresh_token", "anonymous-access", plainJSON, `{"email":"a@b.c"}`)},
		"get": {200, `{"id":"1","firstName":"Jo"}`, func(ctx context.Context, c *emporix.Client) error {
			me, err := c.Customers.Get(ctx)
			if err == nil {
				assert.Equal(t, "Jo", me.FirstName)
			}
			return err
		}, sent("GET /customer/acme/me", "customer-access", "", ``)},
		"get expanded": {200, `{"id":"1"}`, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Customers.Get(ctx, emporix.Expand("addresses", "mixin:*"))
			return err
		}, sent("GET /customer/acme/me?expand=addresses%2Cmixin%3A%2A", "customer-access", "", ``)},
		"expand stays one value": {200, `{"id":"1"}`, func(ctx context.Context, c *emporix.Client) error {
			_, err := c.Customers.Get(ctx, emporix.Expand("addresses"), emporix.Expand("x&refresh_token=y"))
			return err
		}, sent("GET /customer/acme/me?expand=addresses%2Cx%26refresh_token%3Dy", "customer-access", "", ``)},
		"update": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Update(ctx, emporix.CustomerPatch{FirstName: emporix.Set("Joanna"), Company: emporix.Set("")})
		}, sent("PATCH /customer/acme/me", "customer-access", plainJSON, `{"firstName":"Joanna","company":""}`)},
		"update with null": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Update(ctx, emporix.CustomerPatch{FirstName: emporix.Set("Joanna"), MiddleName: emporix.Null[string]()})
		}, sent("PATCH /customer/acme/me", "customer-access", mergePatch, `{"firstName":"Joanna","middleName":null}`)},
		"update with null inside": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Update(ctx, emporix.CustomerPatch{B2B: emporix.Set(emporix.B2BPatch{CompanyRegistrationID: emporix.Null[string]()})})
		}, sent("PATCH /customer/acme/me", "customer-access", mergePatch, `{"b2b":{"companyRegistrationId":null}}`)},
		"update as merge patch": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Update(ctx, emporix.CustomerPatch{Metadata: emporix.Set(emporix.MetadataPatch{Version: emporix.Set(2)})}, emporix.AsMergePatch())
		}, sent("PATCH /customer/acme/me", "customer-access", mergePatch, `{"metadata":{"version":2}}`)},
		"activate": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.Activate(ctx, "138 69/0")
		}, sent("PATCH /customer/acme/customers/138%2069%2F0", "staff", plainJSON, `{"active":true,"onHold":false}`)},
		"update as an employee": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Customers.UpdateAsEmployee(ctx, "1", emporix.EmployeeCustomerPatch{OnHold: emporix.Set(true), Restriction: emporix.Null[string]()})
		}, sent("PATCH /customer/acme/customers/1", "staff", mergePatch, `{"restriction":null,"onHold":true}`)},
	})
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

// Ids of created things.
func TestCreatedIDs(t *testing.T) {
	t.Parallel()
	tenant, client := fixture.NewServer(t, "/signup")
	for body, want := range map[string]string{
		`{"id":13730481}`: "13730481", `{"id":"b05c","id":null}`: "b05c", `{"yrn":"x","id":"b05c","error":null}`: "b05c", `{"id":1.3730481e7}`: "13730481",
	} {
		tenant.Body = body
		var raw emporix.RawResponse
		id, err := client.Customers.SignUp(emporix.WithRawResponse(t.Context(), &raw), emporix.SignUpRequest{Email: "e", Password: "password"})
		require.NoError(t, err, body)
		assert.Equal(t, want, id, body)
		assert.Equal(t, body, string(raw.Body()))
	}
}
