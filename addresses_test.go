package emporix_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	emporix "github.com/emporix-community/emporix-go"
)

func TestAddressesMakeTheRequestsThatTheAPIDescribes(t *testing.T) {
	runRequests(t, map[string]requestTest{
		"list addresses": {200, `[{"id":"a1"},{"id":"a2"}]`, func(ctx context.Context, c *emporix.Client) error {
			addresses, err := c.Addresses.List(ctx)
			assert.Len(t, addresses, 2)
			return err
		}, sent("GET /customer/acme/me/addresses", "customer-access", "", ``)},
		"get address": {200, `{"id":"a/1","city":"Berlin"}`, func(ctx context.Context, c *emporix.Client) error {
			address, err := c.Addresses.Get(ctx, "a/1")
			if err == nil {
				assert.Equal(t, "Berlin", address.City)
			}
			return err
		}, sent("GET /customer/acme/me/addresses/a%2F1", "customer-access", "", ``)},
		"add address": {201, `{"id":"b05c20e034"}`, func(ctx context.Context, c *emporix.Client) error {
			id, err := c.Addresses.Add(ctx, emporix.AddressRequest{ContactName: "Jo Doe", City: "Berlin", Country: "DE", Tags: []string{"BILLING"}})
			assert.Equal(t, "b05c20e034", id)
			return err
		}, sent("POST /customer/acme/me/addresses", "customer-access", plainJSON, `{"contactName":"Jo Doe","city":"Berlin","country":"DE","tags":["BILLING"]}`)},
		"update address": {200, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.Update(ctx, "a1", emporix.AddressPatch{City: emporix.Set("Potsdam"), IsDefault: emporix.Set(false), Tags: emporix.Set([]string{})})
		}, sent("PATCH /customer/acme/me/addresses/a1", "customer-access", plainJSON, `{"city":"Potsdam","isDefault":false,"tags":[]}`)},
		"delete address": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.Delete(ctx, "a1")
		}, sent("DELETE /customer/acme/me/addresses/a1", "customer-access", "", ``)},
		"delete address, 200": {200, `{}`, func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.Delete(ctx, "a1")
		}, sent("DELETE /customer/acme/me/addresses/a1", "customer-access", "", ``)},
		"add tags": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.AddTags(ctx, "a1", "BILLING", "SHIP&PING")
		}, sent("POST /customer/acme/me/addresses/a1/tags?tags=BILLING%2CSHIP%26PING", "customer-access", "", ``)},
		"remove tags": {204, ``, func(ctx context.Context, c *emporix.Client) error {
			return c.Addresses.RemoveTags(ctx, "a1", "BILLING")
		}, sent("DELETE /customer/acme/me/addresses/a1/tags?tags=BILLING", "customer-access", "", ``)},
	})
}
