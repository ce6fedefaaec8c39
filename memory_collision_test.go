package emporix

import (
	"hash/maphash"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Nobody can provoke two keys with one hash from outside. Should it happen, no
// visitor may get the other's row.
func TestMemorySlabTellsKeysOfOneHashApart(t *testing.T) {
	const hash = 7
	slab := newMemorySlab(maphash.MakeSeed())
	slab.put(hash, "ann", []byte("ann's"), 1, 1)
	_, found := slab.find(hash, "bob")
	assert.False(t, found)
	slab.put(hash, "bob", []byte("bob's"), 1, 1)
	_, found = slab.find(hash, "ann")
	assert.False(t, found)
	row, found := slab.find(hash, "bob")
	assert.True(t, found)
	assert.Equal(t, "bob's", string(row.data()))
}
