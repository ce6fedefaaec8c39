package emporix

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/configuration.md names this number; TestMemoryStoreIsBounded holds the limit itself.
func TestTheDefaultOfMemoryRows(t *testing.T) {
	for _, given := range []int{0, -1} {
		store, ok := NewMemoryStore(given).(*memoryStore)
		require.True(t, ok)
		assert.EqualValues(t, 1_000_000, store.state().limit)
	}
}
