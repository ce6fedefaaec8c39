package emporixfake

import (
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
