package bff_test

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/bff"
)

// Go's FIPS mode is chosen when a program starts, so another one is started.
func TestFIPS(t *testing.T) {
	if os.Getenv("BFF_TEST_FIPS") != "" {
		require.True(t, fips140.Enforced())
		for _, sealed := range []bool{false, true} {
			s := newShop(t, setup{sealed: sealed, options: bff.Options{Providers: providers}})
			b := s.browser()
			b.login()
			assert.Equal(t, s.number, b.ok("GET", "/page"))
			b.ok("POST", "/password password=correct+horse")
			begin(t, b, "/")
			b.ok("POST", "/logout")
			assert.Equal(t, guestNumber, b.ok("GET", "/page"))
		}
		return
	}
	program := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPS$") // #nosec G204 G702 -- this test
	program.Env = append(os.Environ(), "GODEBUG=fips140=only", "BFF_TEST_FIPS=1")
	out, err := program.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
