package emporix

import "github.com/emporix-community/emporix-go/internal/secret"

// Secret is a token, password or code. No verb of fmt, no encoder and no slog
// handler prints it, wherever it is nested; they show "[redacted]". Reveal
// returns the value and is the only way out; IsZero and Equal ask about it.
// The zero value is the empty secret.
type Secret = secret.Secret

// NewSecret wraps a value that must not be printed.
func NewSecret(value string) Secret { return secret.New(value) }
