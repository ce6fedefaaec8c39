package emporix

import (
	"hash/maphash"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Nobody can provoke two keys with one hash from outside. Should it happen, no
// visitor may get the other's row.
func TestMemorySlabTellsKeysOfOneHashApart(t *testing.T) {
	const place = 7
	slab := newMemorySlab(maphash.MakeSeed())
	slab.put(place, "ann", []byte("ann's"), 1, 1)
	_, found := slab.find(place, "bob")
	assert.False(t, found)
	slab.put(place, "bob", []byte("bob's"), 1, 1)
	_, found = slab.find(place, "ann")
	assert.False(t, found)
	row, found := slab.find(place, "bob")
	assert.True(t, found)
	assert.Equal(t, "bob's", string(row.data()))
}
