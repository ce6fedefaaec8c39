package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/secret"
)

// A row is: version, length of the key ID, key ID, salt, nonce, ciphertext with
// its tag. Each has a key of its own, derived from the salt, and a random nonce,
// so that no number of rows under one key of the ring makes a pair of them repeat.
// The nonce is chosen by crypto/cipher, as FIPS 140 asks. What is before the salt
// is authenticated together with the store key, which begins with the tenant.
const (
	version   = 1
	saltSize  = 20
	nonceSize = 12
	keySize   = 32
	tagSize   = 16

	// lastVersion is below every byte of text, so that a row of another program is
	// not taken for one of a later version.
	lastVersion = 31

	maxID = 32

	rowPurpose   = "emporix sealed store, row 1"
	indexPurpose = "emporix sealed store, index 1"
)

type keyring struct {
	first string
	byID  map[string][]byte
	index []byte
}

// newRing checks keys. Its errors show IDs at most by their place.
func newRing(keys Keys) (*keyring, error) {
	if len(keys.Ring) == 0 {
		return nil, errors.New("the key ring is empty")
	}
	ring := &keyring{first: keys.Ring[0].ID, byID: map[string][]byte{}}
	for i, key := range keys.Ring {
		if !validID(key.ID) {
			return nil, fmt.Errorf("the ID of key %d of the ring is not 1 to %d of A-Z a-z 0-9 . _ -", i+1, maxID)
		}
		if _, twice := ring.byID[key.ID]; twice {
			return nil, fmt.Errorf("key %d of the ring has the ID of an earlier one", i+1)
		}
		if err := checkSecret(key.Secret); err != nil {
			return nil, fmt.Errorf("key %d of the ring %w", i+1, err)
		}
		for _, other := range keys.Ring[:i] {
			if key.Secret.Equal(other.Secret) {
				return nil, fmt.Errorf("key %d of the ring is an earlier one under another ID", i+1)
			}
		}
		ring.byID[key.ID] = []byte(key.Secret.Reveal())
	}
	if err := checkSecret(keys.Index); err != nil {
		return nil, fmt.Errorf("the index key %w", err)
	}
	index, err := hkdf.Key(sha256.New, []byte(keys.Index.Reveal()), nil, indexPurpose, sha256.Size)
	if err != nil {
		return nil, errors.New("the index key can't be used")
	}
	ring.index = index
	return ring, nil
}

func validID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	return strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == "" // #nosec G101 -- an alphabet
}

func checkSecret(s emporix.Secret) error {
	if reason := secret.WeakKey([]byte(s.Reveal())); reason != "" {
		return errors.New(reason)
	}
	return nil
}

// hash returns what stands for a key in the store: 43 characters of URL-safe
// base64.
func (k *keyring) hash(key string) string {
	mac := hmac.New(sha256.New, k.index)
	mac.Write([]byte(key))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func header(id string) []byte {
	return append([]byte{version, byte(len(id))}, id...) // #nosec G115 -- at most maxID
}

// cipherOf derives what seals one row.
func cipherOf(master, salt []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, master, salt, rowPurpose, keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (k *keyring) seal(data []byte, key string) ([]byte, error) {
	head := header(k.first)
	row := slices.Concat(head, make([]byte, saltSize))
	salt := row[len(head):]
	_, _ = rand.Read(salt) // never fails
	aead, err := cipherOf(k.byID[k.first], salt)
	if err != nil {
		return nil, fmt.Errorf("emporix: sealed store: sealing a row failed: %w", err)
	}
	return aead.Seal(row, nil, data, append(head, key...)), nil // #nosec G407 -- the nonce is random
}

// open returns what was sealed for key. It takes any bytes.
func (k *keyring) open(row []byte, key string) ([]byte, error) {
	switch {
	case len(row) == 0 || row[0] < version || row[0] > lastVersion:
		return nil, ErrUnreadable
	case row[0] > version:
		return nil, ErrNewer
	case len(row) == 1 || row[1] > maxID || len(row) < 2+int(row[1])+saltSize+nonceSize+tagSize:
		return nil, ErrUnreadable
	}
	head := 2 + int(row[1])
	id := string(row[2:head])
	master, known := k.byID[id]
	switch {
	case !known && validID(id):
		return nil, ErrUnknownKey
	case !known:
		return nil, ErrUnreadable
	}
	aead, err := cipherOf(master, row[head:head+saltSize])
	if err != nil {
		return nil, ErrUnreadable
	}
	data, err := aead.Open(nil, nil, row[head+saltSize:], append(row[:head:head], key...))
	if err != nil {
		return nil, ErrUnreadable
	}
	return data, nil
}
