package keyring

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func key(id, text string) Key { return Key{id, []byte(strings.Repeat(text, 3))} }

var one, two, three = key("one", "abcdefghijk1"), key("two", "abcdefghijk2"), key("\x00\x01", "abcdefghijk3")

func ring(t *testing.T, purpose string, keys ...Key) *Ring {
	t.Helper()
	r, err := New(purpose, keys)
	require.NoError(t, err)
	return r
}

// The first key seals, and all open.
func TestKeysRotate(t *testing.T) {
	old, both, other := ring(t, "rows", one), ring(t, "rows", two, one), ring(t, "rows", three)
	for _, data := range []string{"", "the row", strings.Repeat("x", 5000)} {
		sealed, err := old.Seal([]byte(data), "jo")
		require.NoError(t, err)
		opened, err := both.Open(sealed, "jo")
		require.NoError(t, err)
		assert.Equal(t, data, string(opened))
		again, err := both.Seal([]byte(data), "jo")
		require.NoError(t, err)
		_, err = old.Open(again, "jo")
		assert.Equal(t, ErrUnknownKey, err)
		_, err = other.Open(again, "jo")
		assert.Equal(t, ErrUnknownKey, err)
		assert.Equal(t, "two", KeyID(again))
		assert.NotContains(t, string(again), "the row")
		same, err := both.Seal([]byte(data), "jo")
		require.NoError(t, err)
		assert.NotEqual(t, again, same, "each has a salt and a nonce of its own")
	}
}

func TestWhatIsNotOpened(t *testing.T) {
	r := ring(t, "rows", one)
	good, err := r.Seal([]byte("the row"), "jo")
	require.NoError(t, err)
	before := bytes.Clone(good)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		_, err := r.Open(bad, "jo")
		assert.Error(t, err, i)
		_, err = r.Open(good[:i], "jo")
		assert.Error(t, err, i)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another context": func() ([]byte, error) { return r.Open(good, "ann") },
		"another purpose": func() ([]byte, error) { return ring(t, "cookies", one).Open(good, "jo") },
		"another key":     func() ([]byte, error) { return ring(t, "rows", Key{"one", two.Secret}).Open(good, "jo") },
		"more":            func() ([]byte, error) { return r.Open(append(bytes.Clone(good), 0), "jo") },
		"nothing":         func() ([]byte, error) { return r.Open(nil, "jo") },
		"text":            func() ([]byte, error) { return r.Open([]byte(`{"v":1}`), "jo") },
		"no ID":           func() ([]byte, error) { return r.Open(append([]byte{1, 0}, good[2:]...), "jo") },
		"a long ID":       func() ([]byte, error) { return r.Open(append([]byte{1, 33}, bytes.Repeat([]byte{'a'}, 99)...), "jo") },
		"version 0":       func() ([]byte, error) { return r.Open(append([]byte{0}, good[1:]...), "jo") },
		"no version":      func() ([]byte, error) { return r.Open(append([]byte{32}, good[1:]...), "jo") },
	} {
		data, err := open()
		assert.Equal(t, ErrUnreadable, err, name)
		assert.Nil(t, data, name)
	}
	assert.Equal(t, before, good, "what is given is not changed")
}

// What a later version seals is not taken for damage.
func TestLaterVersions(t *testing.T) {
	r := ring(t, "rows", one)
	good, err := r.Seal([]byte("the row"), "jo")
	require.NoError(t, err)
	for version, want := range map[byte]bool{1: false, 2: true, 31: true, 32: true, 255: true} {
		later := append([]byte{version}, good[1:]...)
		assert.Equal(t, want, r.Newer(later), version)
		_, err := r.Open(later, "jo")
		assert.Equal(t, version > 1 && version < 32, errors.Is(err, ErrNewer), version)
		assert.False(t, ring(t, "rows", two).Newer(later), "of a key that it does not have")
	}
	for _, short := range [][]byte{nil, {2}, {2, 0}, {2, 9, 'a'}, {2, 33}} {
		assert.False(t, r.Newer(short))
		assert.Empty(t, KeyID(short))
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	for want, keys := range map[string][]Key{
		"the key ring is empty":                                               nil,
		"key 1 of the ring has an ID that is not 1 to 32 bytes":               {{"", one.Secret}},
		"key 2 of the ring has an ID that is not 1 to 32 bytes":               {one, {strings.Repeat("x", 33), two.Secret}},
		"key 2 of the ring has the ID of an earlier one":                      {one, {"one", two.Secret}},
		"key 2 of the ring is an earlier one again":                           {one, {"two", one.Secret}},
		"key 1 of the ring is a few bytes again and again; take random bytes": {{"a", bytes.Repeat([]byte("xyz"), 20)}},
	} {
		_, err := New("rows", keys)
		assert.EqualError(t, err, want)
	}
	secret := bytes.Clone(one.Secret)
	r := ring(t, "rows", Key{"one", secret})
	sealed, err := r.Seal([]byte("x"), "")
	require.NoError(t, err)
	clear(secret) // the caller's
	_, err = r.Open(sealed, "")
	assert.NoError(t, err)
	for id, plain := range map[string]bool{"2026-11.a_B": true, "": false, "a b": false, "\x00": false, strings.Repeat("a", 33): false} {
		assert.Equal(t, plain, IsPlainID(id), id)
	}
}
