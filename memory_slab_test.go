package emporix

import (
	"hash/maphash"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// No visitor can provoke two keys with one hash from outside. Should it happen, no
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

// docs/configuration.md names this number; TestMemoryStoreIsBounded holds the limit itself.
func TestTheDefaultOfMemoryRows(t *testing.T) {
	for _, given := range []int{0, -1} {
		store, ok := NewMemoryStore(given).(*memoryStore)
		require.True(t, ok)
		assert.EqualValues(t, 1_000_000, store.state().limit)
	}
}
