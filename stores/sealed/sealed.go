// Package sealed wraps a token store so that what lies in it shows nothing: rows
// are encrypted and bound to their key and tenant, and keys are hashed.
//
//	store, err := sealed.New(inner, sealed.Keys{
//		Ring:  []sealed.Key{{ID: "2026-11", Secret: emporix.NewSecret(string(raw))}},
//		Index: emporix.NewSecret(string(rawIndex)),
//	})
//
// Who reads the store, its backups or its traffic learns how many sessions there
// are, how long their rows are and when they were written, and nothing of what
// they hold or whose they are. Who can write to it can remove rows and put back
// an older row of the same visitor; a row that was changed, or is another
// visitor's or tenant's, is refused.
//
// To rotate, put the new key first and keep the old ones until the rows that
// they sealed have ended (about a month), in all processes before any of them
// seals with it: add it last, deploy, move it to the front, deploy. A process that
// meets a key it doesn't have reports ErrUnknownKey until it has. The index key
// stays: with another one no visitor is found again.
//
// Rows and keys are made with AES-256-GCM, HKDF and HMAC of SHA-256 only, and work
// in Go's FIPS 140-3 mode, GODEBUG=fips140=only included.
package sealed

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// Key is a key of the ring. Its secret is at least 32 random bytes, as bytes and
// not in hexadecimal; its ID, 1 to 32 of A-Z a-z 0-9 . _ -, names it in every row
// and is no secret.
type Key struct {
	ID     string
	Secret emporix.Secret
}

// Keys are what rows are sealed with.
type Keys struct {
	// Ring seals with its first key, and opens with all.
	Ring []Key

	// Index hashes the store's keys: at least 32 random bytes. It is apart from
	// the ring so that the ring can be rotated. Replacing it ends all sessions.
	Index emporix.Secret
}

// Why a row can't be opened. Whichever it is, the row stays where it is.
var (
	// ErrUnreadable: the row was sealed for another visitor or tenant, with another
	// secret under the same ID, or it was changed. The error is the same for all of
	// these. It is an [emporix.ErrStoreCorrupt]: Logout discards the row.
	ErrUnreadable error = &rowError{
		"emporix: sealed store: a row can't be opened: it is another visitor's or tenant's, or its key has another secret, or it was changed",
		[]error{emporix.ErrStoreCorrupt},
	}

	// ErrNewer: a later version of this package sealed the row; a roll-out is under
	// way. It is an [emporix.ErrStoreUnavailable].
	ErrNewer error = &rowError{
		"emporix: sealed store: a row can't be opened: a newer version of the SDK sealed it; nothing is lost: try again, and update this process",
		[]error{emporix.ErrStoreUnavailable},
	}

	// ErrUnknownKey: the ring has no key of that ID. Either another process seals
	// with a new key already, or the key was removed while it was still needed. It is
	// an [emporix.ErrStoreUnavailable]. Logout discards the row, for the key may be
	// gone for good.
	ErrUnknownKey error = &rowError{
		"emporix: sealed store: a row can't be opened: its key is not in this process's ring; nothing is lost: add the key, also an old one, and try again",
		[]error{emporix.ErrStoreUnavailable, sentinel.RowLocked},
	}
)

type rowError struct {
	text string
	is   []error
}

func (e *rowError) Error() string   { return e.text }
func (e *rowError) Unwrap() []error { return e.is }

var errNoStore = errors.New("emporix: sealed store: the store to wrap is nil")

// New wraps a store. What it returns can save conditionally and lend rows if
// store can. Its rows are up to 82 bytes longer. Keys that are too short, still
// in hexadecimal or a few bytes again and again, the same key twice, an ID that
// is malformed or used twice, and an empty ring are errors, which show nothing of
// a key.
func New(store emporix.TokenStore, keys Keys) (emporix.TokenStore, error) {
	if isNil(store) {
		return nil, errNoStore
	}
	made, err := newRing(keys)
	if err != nil {
		return nil, fmt.Errorf("emporix: sealed store: %w", err)
	}
	plain := &rows{inner: store, ring: func() *ring { return made }}
	switch inner := store.(type) {
	case emporix.LeaseTokenStore:
		return &lendingRows{conditionalRows{plain, inner}, inner}, nil
	case emporix.ConditionalTokenStore:
		return &conditionalRows{plain, inner}, nil
	}
	return plain, nil
}

// isNil also finds a nil pointer in a store of another type.
func isNil(store emporix.TokenStore) bool {
	v := reflect.ValueOf(store)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// rows hides its keys behind a function: printers that walk through fields by
// reflection can't see them.
type rows struct {
	inner emporix.TokenStore
	ring  func() *ring
}

func (r *rows) Load(ctx context.Context, key string) ([]byte, bool, error) {
	ring := r.ring()
	row, found, err := r.inner.Load(ctx, ring.hash(key))
	if err != nil || !found {
		return nil, false, err
	}
	data, err := ring.open(row, key)
	if err != nil {
		return nil, false, err
	}
	return data, true, nil
}

func (r *rows) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	ring := r.ring()
	row, err := ring.seal(data, key)
	if err != nil {
		return err
	}
	return r.inner.Save(ctx, ring.hash(key), row, generation, ttl)
}

func (r *rows) Delete(ctx context.Context, key string) error {
	return r.inner.Delete(ctx, r.ring().hash(key))
}

type conditionalRows struct {
	*rows
	inner emporix.ConditionalTokenStore
}

func (r *conditionalRows) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	ring := r.ring()
	row, err := ring.seal(data, key)
	if err != nil {
		return false, err
	}
	return r.inner.SaveIf(ctx, ring.hash(key), row, expected, generation, ttl)
}

type lendingRows struct {
	conditionalRows
	inner emporix.LeaseTokenStore
}

func (r *lendingRows) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	return r.inner.Acquire(ctx, r.ring().hash(key), owner, ttl)
}

func (r *lendingRows) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	return r.inner.Remaining(ctx, r.ring().hash(key), owner)
}

func (r *lendingRows) Release(ctx context.Context, key, owner string) error {
	return r.inner.Release(ctx, r.ring().hash(key), owner)
}
