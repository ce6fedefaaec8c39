package emporixfake_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/emporixfake"
)

// These refusals are not in the API's description, so the table has to name them.
func TestAssumedRefusalsAreInTheTable(t *testing.T) {
	c := newFake(t)
	jo, tokens := c.loggedIn()
	_, err := c.fake.AddCustomer(emporixfake.Customer{Email: "in@use.example"})
	require.NoError(t, err)
	address := jo.must(201, "POST", "/customer/acme/me/addresses", object{"contactName": "Jo"}).text("id")
	const change = "/customer/acme/me/accounts/internal/email/change"
	guest, _ := c.visitor()
	social := func() reply {
		return guest.send("POST", "/customer/acme/socialLogin?redirect_uri=x&code=fake-code:so@example.com", nil)
	}
	require.Equal(t, 200, social().status)
	for sentence, tt := range map[string]struct {
		status int
		send   func() reply
	}{
		"accessToken that is not the bearer": {400, func() reply { return jo.send("GET", "/customer/acme/logout?accessToken=other", nil) }},
		"from another address than the login": {400, func() reply {
			return jo.send("POST", change, object{"email": "other@example.com", "password": joPassword, "newEmail": "new@example.com"})
		}},
		"to one that is in use": {400, func() reply {
			return jo.send("POST", change, object{"password": joPassword, "newEmail": "in@use.example"})
		}},
		"tags with an empty one": {400, func() reply {
			return jo.send("POST", "/customer/acme/me/addresses/"+address+"/tags?tags=A,,B", nil)
		}},
		"code of social login works once": {401, social},
		"put on hold, or made inactive, can't be refreshed": {401, func() reply {
			c.employee().must(200, "PATCH", "/customer/acme/customers/13869000", object{"onHold": true})
			jo.must(200, "GET", "/customer/acme/me", nil)
			return guest.send("GET", "/customer/acme/refreshauthtoken?refreshToken="+tokens.text("refresh_token"), nil)
		}},
	} {
		got := tt.send()
		assert.Equal(t, tt.status, got.status, "%s: %s", sentence, got.raw)
		assert.True(t, slices.ContainsFunc(c.fake.Assumptions(), func(row emporixfake.Assumption) bool {
			return row.Basis == "assumed" && strings.Contains(row.Sentence, sentence)
		}), sentence)
	}
}
