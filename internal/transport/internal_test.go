package transport

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/internal/operation"
)

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "1", "-1", "3600", "9300000000", "99999999999999999999", "soon", "Fri, 31 Dec 2999 23:59:59 GMT", " 5 ", "+5", "1e3"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		wait := retryAfter(http.Header{"Retry-After": {value}}, now)
		assert.GreaterOrEqual(t, wait, time.Duration(0))
		assert.LessOrEqual(t, wait, longest)
	})
}

func TestTheCeilingDoublesAndEnds(t *testing.T) {
	assert.Equal(t, 100*time.Millisecond, ceiling(-1))
	assert.Equal(t, 100*time.Millisecond, ceiling(0))
	assert.Equal(t, 200*time.Millisecond, ceiling(1))
	assert.Equal(t, 5*time.Second, ceiling(6))
	assert.Equal(t, 5*time.Second, ceiling(1000))
}

// The limits that no test can wait for.
func TestTheLimitsOfTheNetwork(t *testing.T) {
	assert.Equal(t, 5*time.Second, dialer.Timeout)
	assert.Equal(t, 30*time.Second, dialer.KeepAlive)
	network := NewNetwork()
	assert.Equal(t, 1024, network.MaxIdleConns)
	assert.Equal(t, time.Second, network.ExpectContinueTimeout)
	assert.Equal(t, 15*time.Second, network.HTTP2.SendPingTimeout)
	assert.Equal(t, 5*time.Second, network.HTTP2.PingTimeout)
}

func TestAnInputIsSecretByItsWholeName(t *testing.T) {
	op := &operation.Operation{Secrets: []string{"query:code", "query:code_verifier"}}
	for name, secret := range map[string]bool{"code": true, "code_verifier": true, "verifier": false, "cod": false, "xcode": false, "code_verifie": false} {
		assert.Equal(t, secret, isSecret(op, "query:", name), name)
		assert.False(t, isSecret(op, "path:", name), name)
	}
}
