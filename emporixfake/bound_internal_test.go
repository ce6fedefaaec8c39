package emporixfake

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// By requests this would take a minute under the race detector.
func TestTokensAreBounded(t *testing.T) {
	tn := newTenant(Config{}.withDefaults(), newSecretBook())
	f, now := &family{}, time.Now()
	first := tn.issueAccess(anonymousToken, f, "", "", time.Hour, now)
	firstRefresh := tn.issueRefresh(anonymousToken, f, first, now)
	for range maxTokens {
		tn.issueRefresh(anonymousToken, f, tn.issueAccess(anonymousToken, f, "", "", time.Hour, now), now)
	}
	assert.Len(t, tn.access, maxTokens)
	assert.Len(t, tn.refresh, maxTokens)
	assert.NotContains(t, tn.access, first.value)
	assert.NotContains(t, tn.refresh, firstRefresh.value)
	assert.Len(t, tn.secrets.known, maxSecrets)
	assert.Len(t, tn.secrets.list(), maxSecrets)
}

func TestMailsAndCustomersAreBounded(t *testing.T) {
	tn := newTenant(Config{}.withDefaults(), newSecretBook())
	jo := tn.newCustomer("", "jo@example.com")
	for range maxMails + 2 {
		tn.send(&call{now: time.Now()}, &mail{Mail: Mail{Kind: MailOptIn, Email: "jo@example.com"}, customer: jo})
	}
	assert.Len(t, tn.mails, 10_000)
	for i := len(tn.customers); i < 100_000; i++ {
		tn.customers[strconv.Itoa(i)] = jo
	}
	_, err := tn.addCustomer(Customer{Email: "another@example.com"})
	assert.ErrorContains(t, err, "no more customers")
	_, refusal := tn.customerOf(Identity{Email: "another@example.com"}, true)
	assert.NotNil(t, refusal)
	assert.Len(t, tn.customers, 100_000)
	assert.Equal(t, []int{200_000, 200_000, 10_000, 1000, 10_000, 100}, []int{maxTokens, maxSecrets, maxEntries, maxAddresses, maxCompanies, maxEntities}, "as doc.go says")
}
