package emporix

import (
	"fmt"

	"github.com/emporix-community/emporix-go/internal/secret"
)

// Requests hold their passwords and tokens as plain strings, so that they can
// be written as literals. Their Format and LogValue methods print a copy with
// these strings masked.

// mask hides a value, but not whether there is one.
func mask(s string) string {
	if s == "" {
		return ""
	}
	return secret.Mask
}

// formatMasked prints a masked copy with the caller's verb and flags. The copy
// must be of a type without a Format method.
func formatMasked(f fmt.State, verb rune, masked any) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), masked)
}
