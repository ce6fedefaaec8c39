package webhook_test

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/webhook"
)

// Go's FIPS mode is chosen when a program starts, so another one is started. What
// does not work there is refused at the start, and does not panic with an event.
func TestFIPS(t *testing.T) {
	if os.Getenv("WEBHOOK_TEST_FIPS") != "" {
		require.True(t, fips140.Enforced())
		_, err := webhook.NewVerifier(strings.Repeat("s", 14), strings.Repeat("s", 13))
		require.ErrorContains(t, err, "secret 2 has 13 bytes")
		long := strings.Repeat("s", 14)
		verifier, err := webhook.NewVerifier(long)
		require.NoError(t, err)
		require.NoError(t, verifier.Verify([]byte(`{"b":1,"a":2.0}`), sign(long, `{"a":2,"b":1}`)))
		require.ErrorIs(t, verifier.Verify([]byte(`{"b":1}`), sign("another, long one", `{"b":1}`)), webhook.ErrSignature)
		return
	}
	_, err := webhook.NewVerifier("short")
	require.NoError(t, err, "no limit where FIPS 140-3 is not enforced")
	program := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPS$") // #nosec G204 G702 -- this test
	program.Env = append(os.Environ(), "GODEBUG=fips140=only", "WEBHOOK_TEST_FIPS=1")
	out, err := program.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
