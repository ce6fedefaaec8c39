package bff

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/secret"
)

// ring seals with its first key and opens with all of them.
//
// A sealed text is version, key ID, salt, nonce, ciphertext. Each has an AES key
// of its own, derived with the salt, so that no number of cookies wears a key
// out. Version, key ID and what the text is for are authenticated with it.
type ring struct {
	keys []ringKey
}

type ringKey struct {
	id     [keyIDSize]byte
	master []byte
}

const (
	sealVersion = 1
	keyIDSize   = 4
	saltSize    = 16
	sealHead    = 1 + keyIDSize + saltSize
)

func newRing(keys [][]byte) (*ring, error) {
	refuse := func(i int, reason string) error {
		return &emporix.ArgumentError{Field: fmt.Sprintf("cookie key %d", i+1), Reason: reason}
	}
	if len(keys) == 0 {
		return nil, &emporix.ArgumentError{Field: "cookie keys", Reason: "are missing; make one with: openssl rand -base64 32"}
	}
	r := &ring{}
	for i, master := range keys {
		weak := secret.WeakKey(master)
		switch {
		case weak != "":
			return nil, refuse(i, weak)
		case slices.ContainsFunc(r.keys, func(k ringKey) bool { return bytes.Equal(k.master, master) }):
			return nil, refuse(i, "is given twice")
		}
		id, err := hkdf.Key(sha256.New, master, nil, "emporix bff cookie key ID", keyIDSize)
		if err != nil {
			return nil, err
		}
		k := ringKey{master: bytes.Clone(master)}
		copy(k.id[:], id)
		if slices.ContainsFunc(r.keys, func(other ringKey) bool { return other.id == k.id }) {
			return nil, refuse(i, "has the same ID as another one by chance; make another")
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

func (k *ringKey) aead(salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, k.master, salt, "emporix bff cookie", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (r *ring) seal(plain []byte, purpose string) ([]byte, error) {
	k := &r.keys[0]
	out := make([]byte, sealHead)
	out[0] = sealVersion
	copy(out[1:], k.id[:])
	_, _ = rand.Read(out[1+keyIDSize:]) // never fails
	aead, err := k.aead(out[1+keyIDSize:])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, nil, plain, sealData(out, purpose)), nil // #nosec G407 -- NewGCMWithRandomNonce makes its own
}

// newer reports a text that a newer version has sealed with a key of this ring,
// which every version writes in the same place.
func (r *ring) newer(sealed []byte) bool {
	return len(sealed) >= sealHead && sealed[0] > sealVersion && r.holder(sealed) >= 0
}

// holder is the key with which a text was sealed, -1 if it is not in the ring.
func (r *ring) holder(sealed []byte) int {
	return slices.IndexFunc(r.keys, func(k ringKey) bool { return bytes.Equal(k.id[:], sealed[1:1+keyIDSize]) })
}

// open returns false for whatever this ring has not sealed for this purpose; why
// is nobody's business.
func (r *ring) open(sealed []byte, purpose string) ([]byte, bool) {
	if len(sealed) < sealHead || sealed[0] != sealVersion {
		return nil, false
	}
	i := r.holder(sealed)
	if i < 0 {
		return nil, false
	}
	aead, err := r.keys[i].aead(sealed[1+keyIDSize : sealHead])
	if err != nil {
		return nil, false
	}
	plain, err := aead.Open(nil, nil, sealed[sealHead:], sealData(sealed, purpose))
	return plain, err == nil
}

// sealData is authenticated along: version, key ID and purpose.
func sealData(sealed []byte, purpose string) []byte {
	return append(bytes.Clone(sealed[:1+keyIDSize]), purpose...)
}
