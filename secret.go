package emporix

import "github.com/emporix-community/emporix-go/internal/secret"

// Secret is a token, password or code. No verb of fmt, no encoder and no slog
// handler prints it, wherever it is nested; they show "[redacted]". The zero value
// is the empty secret. Its methods are:
//
//	Reveal() string          returns the value, and is the only way to get it
//	IsZero() bool            reports whether the secret is empty
//	Equal(other Secret) bool reports whether both hold the same value
//
// String, GoString, Format, LogValue, MarshalText and MarshalJSON give "[redacted]",
// and nothing for the empty secret.
type Secret = secret.Secret

// NewSecret wraps a value that must not be printed.
func NewSecret(value string) Secret { return secret.New(value) }
