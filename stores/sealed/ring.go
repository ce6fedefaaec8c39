package sealed

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/keyring"
	"github.com/emporix-community/emporix-go/internal/secret"
)

const (
	rowPurpose   = "emporix sealed store, row 1"
	indexPurpose = "emporix sealed store, index 1"
)

// ring seals rows and hashes keys.
type ring struct {
	rows  *keyring.Ring
	index []byte
}

// newRing checks keys. Its errors show IDs at most by their place.
func newRing(keys Keys) (*ring, error) {
	named := make([]keyring.Key, len(keys.Ring))
	for i, key := range keys.Ring {
		if !keyring.IsPlainID(key.ID) {
			return nil, fmt.Errorf("the ID of key %d of the ring is not 1 to %d of A-Z a-z 0-9 . _ -", i+1, keyring.MaxID)
		}
		named[i] = keyring.Key{ID: key.ID, Secret: []byte(key.Secret.Reveal())}
	}
	rows, err := keyring.New(rowPurpose, named)
	if err != nil {
		return nil, err
	}
	if err := checkSecret(keys.Index); err != nil {
		return nil, fmt.Errorf("the index key %w", err)
	}
	index, err := hkdf.Key(sha256.New, []byte(keys.Index.Reveal()), nil, indexPurpose, sha256.Size)
	if err != nil {
		return nil, errors.New("the index key can't be used")
	}
	return &ring{rows: rows, index: index}, nil
}

func checkSecret(s emporix.Secret) error {
	if reason := secret.WeakKey([]byte(s.Reveal())); reason != "" {
		return errors.New(reason)
	}
	return nil
}

// hash returns what stands for a key in the store: 43 characters of URL-safe
// base64.
func (r *ring) hash(key string) string {
	mac := hmac.New(sha256.New, r.index)
	mac.Write([]byte(key))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (r *ring) seal(data []byte, key string) ([]byte, error) {
	row, err := r.rows.Seal(data, key)
	if err != nil {
		return nil, fmt.Errorf("emporix: sealed store: sealing a row failed: %w", err)
	}
	return row, nil
}

// open returns what was sealed for key. It takes any bytes.
func (r *ring) open(row []byte, key string) ([]byte, error) {
	data, err := r.rows.Open(row, key)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, keyring.ErrNewer):
		return nil, ErrNewer
	case errors.Is(err, keyring.ErrUnknownKey) && keyring.IsPlainID(keyring.KeyID(row)):
		return nil, ErrUnknownKey
	}
	return nil, ErrUnreadable
}
