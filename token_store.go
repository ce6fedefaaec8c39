package emporix

import (
	"context"
	"time"
)

// TokenStore keeps the sessions of visitors: one row of bytes under one key. A
// memory store (the default) and a file store are built in.
//
// Implementations are used by many goroutines at once. They keep the bytes as
// they are, never look into them, and never log them: a row holds tokens. Keys
// are at most 512 bytes of UTF-8 without control characters; whoever reads a
// key can take over the session in a BFF, so they are no log data either.
//
// A failed operation returns an error and changes nothing, or is a write whose
// fate is unknown; the SDK then reads before it goes on.
type TokenStore interface {
	// Load returns the row of key. A row that is absent or has expired is
	// found == false with a nil error. The caller may keep data.
	Load(ctx context.Context, key string) (data []byte, found bool, err error)

	// Save writes the row of key, whatever is there. generation numbers the
	// versions of a row and only grows; a store that implements
	// ConditionalTokenStore keeps it beside the data, others may ignore it. The
	// row may be dropped after ttl, and must not be before. The store must not
	// keep data.
	Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error

	// Delete removes the row of key. An absent row is no error.
	Delete(ctx context.Context, key string) error
}

// ConditionalTokenStore is a TokenStore that can compare and save in one step.
// The SDK finds it by type assertion. Every store that several processes share
// should have it: without it the SDK compares within one process only.
type ConditionalTokenStore interface {
	TokenStore

	// SaveIf writes the row only if the present row has the expected generation;
	// expected 0 means that there is no row, or an expired one. It reports
	// whether it wrote.
	SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error)
}
