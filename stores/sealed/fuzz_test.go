package sealed

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

// FuzzOpen: whatever lies in a store, opening it does not panic, and nothing
// opens that was not sealed for this key.
func FuzzOpen(f *testing.F) {
	ring, err := newRing(Keys{
		Ring: []Key{
			{ID: "a", Secret: emporix.NewSecret(strings.Repeat("one key of a ring ", 2))},
			{ID: "long-ID.of_a_key-in-the-ring-...", Secret: emporix.NewSecret(strings.Repeat("two key of a ring ", 2))},
		},
		Index: emporix.NewSecret(strings.Repeat("idx key of a ring ", 2)),
	})
	require.NoError(f, err)
	rows := map[string]string{"acme/jo": "the row", "acme/ann": "", "": strings.Repeat("x", 5000)}
	for key, data := range rows {
		row, err := ring.seal([]byte(data), key)
		require.NoError(f, err)
		f.Add(row, key)
		f.Add(row, key+"x")
		f.Add(row[:len(row)-1], key)
	}
	f.Add([]byte{1}, "")
	f.Add([]byte{2}, "")
	f.Add([]byte{1, 255}, "")
	f.Add(append([]byte{1, 1, 'a'}, make([]byte, 48)...), "acme/jo")
	f.Add(append([]byte{1, 0}, make([]byte, 48)...), "acme/jo")
	f.Fuzz(func(t *testing.T, row []byte, key string) {
		before := bytes.Clone(row)
		data, err := ring.open(row, key)
		require.Equal(t, before, row)
		if err != nil {
			require.Contains(t, []error{ErrUnreadable, ErrNewer, ErrUnknownKey}, err)
			require.Nil(t, data)
		} else {
			want, sealed := rows[key]
			require.True(t, sealed)
			require.Equal(t, want, string(data))
		}
		again, err := ring.seal(row, key)
		require.NoError(t, err)
		opened, err := ring.open(again, key)
		require.NoError(t, err)
		require.True(t, bytes.Equal(row, opened))
		_, err = ring.open(again, key+"x")
		require.Equal(t, ErrUnreadable, err)
	})
}
