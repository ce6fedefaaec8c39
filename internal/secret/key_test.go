package secret_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/emporix-community/emporix-go/internal/secret"
)

func TestWeakKeys(t *testing.T) {
	random := make([]byte, secret.KeySize)
	for range 1000 {
		_, _ = rand.Read(random)
		assert.Empty(t, secret.WeakKey(random))
		assert.Empty(t, secret.WeakKey([]byte(hex.EncodeToString(random))), "it has all the bytes")
		assert.Empty(t, secret.WeakKey([]byte(base64.StdEncoding.EncodeToString(random))))
	}
	for key, says := range map[string]string{
		"": "too short", strings.Repeat("abcdefghijklmnop!", 2)[:31]: "too short",
		hex.EncodeToString(random[:16]): "hexadecimal", strings.Repeat("CA9A27", 10): "hexadecimal", strings.Repeat("0a1b2c3d", 8)[1:]: "hexadecimal",
		strings.Repeat("\x00", 32): "a few bytes", strings.Repeat("canary!", 9): "a few bytes", strings.Repeat("C", 99): "a few bytes",
	} {
		reason := secret.WeakKey([]byte(key))
		assert.Contains(t, reason, says, "%q", key)
		assert.NotContains(t, strings.ToLower(reason), "canary")
	}
}
