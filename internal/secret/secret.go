// Package secret holds the one type that carries tokens, passwords and codes
// through the SDK.
package secret

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Mask is what every printer sees instead of a value.
const Mask = "[redacted]"

// Secret is a string that no printer, logger or encoder shows. The value sits
// in a closure and not in a field: fmt, slog, spew and go-cmp walk into
// unexported fields by reflection, where methods are out of reach, but none of
// them can look into a function.
//
// The zero value is the empty secret.
type Secret struct {
	reveal func() string
}

// New wraps a value. An empty string gives the zero Secret.
func New(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return value }}
}

// Reveal returns the value. It is the only way out.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Equal reports whether both hold the same value.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

func (s Secret) mask() string {
	if s.IsZero() {
		return ""
	}
	return Mask
}

// Format prints the mask for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.mask()) }

// String returns the mask.
func (s Secret) String() string { return s.mask() }

// GoString returns the mask.
func (s Secret) GoString() string { return s.mask() }

// LogValue returns the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.mask()) }

// MarshalText returns the mask; encoders that know no better type use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.mask()), nil }

// MarshalJSON returns the mask as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.mask()) }
