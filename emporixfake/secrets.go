package emporixfake

import (
	"crypto/rand"
	"fmt"
)

const maxSecrets = 200_000

// secretBook remembers every secret once.
type secretBook struct {
	known map[string]bool
	age   queue
	words map[string]bool // of the API
}

func newSecretBook() *secretBook { return &secretBook{known: map[string]bool{}, words: apiWords()} }

func (b *secretBook) add(secret string) {
	if secret == "" || len(secret) > maxURL || b.known[secret] {
		return
	}
	b.known[secret] = true
	b.age.push(secret, maxSecrets, func(oldest string) { delete(b.known, oldest) })
}

// given adds what a client sent as a secret, unless it is a word of the API.
func (b *secretBook) given(value string) {
	if !b.words[value] {
		b.add(value)
	}
}

func (b *secretBook) list() []string { return append([]string(nil), b.age.keys...) }

// randomText is n letters and digits.
func randomText(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	text := make([]byte, 0, n)
	buffer := make([]byte, n+n/2)
	for {
		_, _ = rand.Read(buffer) // never fails
		for _, b := range buffer {
			if b >= 4*byte(len(alphabet)) {
				continue // keeps the letters equally likely
			}
			if text = append(text, alphabet[int(b)%len(alphabet)]); len(text) == n {
				return string(text)
			}
		}
	}
}

func randomHex(bytes int) string {
	buffer := make([]byte, bytes)
	_, _ = rand.Read(buffer)
	return fmt.Sprintf("%x", buffer)
}

func randomUUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
