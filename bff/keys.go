package bff

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/keyring"
)

// keyIDSize is how many bytes tell the keys of a ring apart.
const keyIDSize = 4

// newRing returns the ring that seals cookies. A shop gives keys without IDs, so the
// IDs are derived from them.
func newRing(keys [][]byte) (*keyring.Ring, error) {
	if len(keys) == 0 {
		return nil, &emporix.ArgumentError{Field: "cookie keys", Reason: "are missing; make one with: openssl rand -base64 32"}
	}
	named := make([]keyring.Key, len(keys))
	for i, master := range keys {
		id, err := hkdf.Key(sha256.New, master, nil, "emporix bff cookie key ID", keyIDSize)
		if err != nil {
			return nil, err
		}
		named[i] = keyring.Key{ID: string(id), Secret: master}
	}
	ring, err := keyring.New("emporix bff cookie", named)
	var wrong *keyring.KeyError
	if errors.As(err, &wrong) {
		return nil, &emporix.ArgumentError{Field: fmt.Sprintf("cookie key %d", wrong.Index+1), Reason: wrong.Reason}
	}
	return ring, err
}
