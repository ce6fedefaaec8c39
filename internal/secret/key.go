package secret

import (
	"bytes"
	"fmt"
)

// KeySize is how many random bytes a key has at least.
const KeySize = 32

// fewBytes is what random bytes of KeySize never come down to.
const fewBytes = 8

// WeakKey returns what is wrong with a key that was not made of random bytes, such as
// "is too short: …"; "" if nothing is. It does not repeat the key.
func WeakKey(key []byte) string {
	switch {
	case len(key) < KeySize:
		return fmt.Sprintf("is too short: it takes at least %d random bytes", KeySize)
	case len(key) < 2*KeySize && len(bytes.Trim(key, "0123456789abcdefABCDEF")) == 0:
		return fmt.Sprintf("is hexadecimal, which is half of what it seems: decode it to at least %d random bytes", KeySize)
	case differentBytes(key) < fewBytes:
		return "is a few bytes again and again; take random bytes"
	}
	return ""
}

func differentBytes(key []byte) (n int) {
	var seen [256]bool
	for _, b := range key {
		if !seen[b] {
			seen[b] = true
			n++
		}
	}
	return n
}
