// Package keyring seals data with the first of several keys, and opens what any of them
// has sealed. It uses AES-256-GCM and HKDF of SHA-256 only.
package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emporix-community/emporix-go/internal/secret"
)

// What is sealed is: version, length of the key ID, key ID, salt, nonce, ciphertext
// with its tag. Each piece of data has a key of its own, derived from a random salt, and
// a random nonce. So the same pair of key and nonce does not come again, however much
// data one key of the ring seals. crypto/cipher chooses the nonce, as FIPS 140 asks. The
// bytes before the salt are authenticated together with the context of the data.
const (
	version   = 1
	saltSize  = 20
	nonceSize = 12
	tagSize   = 16
	aesSize   = 32

	// lastVersion is below every byte of text, so that data of another program is not
	// taken for that of a later version.
	lastVersion = 31
)

// MaxID is the longest ID of a key, in bytes.
const MaxID = 32

// The reasons why data can't be opened.
var (
	ErrUnreadable = errors.New("it was not sealed with this ring for this purpose, or is damaged")
	ErrNewer      = errors.New("a later version sealed it")
	ErrUnknownKey = errors.New("the ring does not have its key")
)

// Key is a key of a ring: at least 32 random bytes under an ID that is written beside
// what it seals.
type Key struct {
	ID     string
	Secret []byte
}

// Ring is a list of keys of one purpose.
type Ring struct {
	purpose string
	keys    []Key
}

// KeyError says what is wrong with which key.
type KeyError struct {
	Index  int // of the key
	Reason string
}

// Error names the key by its position, counted from 1.
func (e *KeyError) Error() string { return fmt.Sprintf("key %d of the ring %s", e.Index+1, e.Reason) }

// New returns a ring. Rings of different purposes can't open each other's data, also
// if they share keys. Errors are of type *KeyError, and don't repeat IDs and keys.
func New(purpose string, keys []Key) (*Ring, error) {
	r := &Ring{purpose: purpose}
	for i, key := range keys {
		weak := secret.WeakKey(key.Secret)
		switch {
		case !validID(key.ID):
			return nil, &KeyError{i, fmt.Sprintf("has an ID that is not 1 to %d bytes", MaxID)}
		case r.find(key.ID) >= 0:
			return nil, &KeyError{i, "has the ID of an earlier one"}
		case weak != "":
			return nil, &KeyError{i, weak}
		case slices.ContainsFunc(r.keys, func(k Key) bool { return bytes.Equal(k.Secret, key.Secret) }):
			return nil, &KeyError{i, "is an earlier one again"}
		}
		r.keys = append(r.keys, Key{key.ID, bytes.Clone(key.Secret)})
	}
	if len(r.keys) == 0 {
		return nil, errors.New("the key ring is empty")
	}
	return r, nil
}

func validID(id string) bool { return id != "" && len(id) <= MaxID }

func (r *Ring) find(id string) int {
	return slices.IndexFunc(r.keys, func(k Key) bool { return k.ID == id })
}

// cipherOf derives what seals one piece of data.
func (r *Ring) cipherOf(key Key, salt []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key.Secret, salt, r.purpose, aesSize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Seal encrypts data with the first key. Open needs the same context, such as the name
// of a row.
func (r *Ring) Seal(data []byte, context string) ([]byte, error) {
	key := r.keys[0]
	head := append([]byte{version, byte(len(key.ID))}, key.ID...) // #nosec G115 -- at most MaxID
	out := slices.Concat(head, make([]byte, saltSize))
	salt := out[len(head):]
	_, _ = rand.Read(salt) // never fails
	aead, err := r.cipherOf(key, salt)
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, nil, data, append(head, context...)), nil // #nosec G407 -- the nonce is random
}

// Open returns what was sealed for that context. It takes any bytes. Its errors are
// ErrUnreadable, ErrNewer and ErrUnknownKey.
func (r *Ring) Open(sealed []byte, context string) ([]byte, error) {
	switch {
	case len(sealed) == 0 || sealed[0] < version || sealed[0] > lastVersion:
		return nil, ErrUnreadable
	case sealed[0] > version:
		return nil, ErrNewer
	}
	id, rest, ok := split(sealed)
	if !ok || len(rest) < saltSize+nonceSize+tagSize {
		return nil, ErrUnreadable
	}
	i := r.find(id)
	if i < 0 {
		return nil, ErrUnknownKey
	}
	aead, err := r.cipherOf(r.keys[i], rest[:saltSize])
	if err != nil {
		return nil, ErrUnreadable
	}
	head := len(sealed) - len(rest)
	data, err := aead.Open(nil, nil, rest[saltSize:], append(sealed[:head:head], context...))
	if err != nil {
		return nil, ErrUnreadable
	}
	return data, nil
}

// Newer reports whether a later version has sealed the data with a key of the ring. All
// versions write the key's ID in the same place. Open, other than Newer, returns ErrNewer
// for keys that the ring does not have as well.
func (r *Ring) Newer(sealed []byte) bool {
	id := KeyID(sealed)
	return id != "" && sealed[0] > version && r.find(id) >= 0
}

// KeyID returns the ID of the key that data names, "" if it names none.
func KeyID(sealed []byte) string {
	id, _, _ := split(sealed)
	return id
}

// split cuts data behind the ID of its key.
func split(sealed []byte) (id string, rest []byte, ok bool) {
	if len(sealed) < 2 || sealed[1] == 0 || int(sealed[1]) > MaxID || len(sealed) < 2+int(sealed[1]) {
		return "", nil, false
	}
	head := 2 + int(sealed[1])
	return string(sealed[2:head]), sealed[head:], true
}

// IsPlainID reports whether an ID is letters, digits, dots, underscores and hyphens
// only, so that it can be read in a message.
func IsPlainID(id string) bool {
	return validID(id) && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == "" // #nosec G101 -- an alphabet
}
