package rows

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mapStore keeps rows in a map; hang, if set, holds up the next write.
type mapStore struct {
	mu   sync.Mutex
	rows map[string][]byte
	hang chan struct{}
}

func (m *mapStore) Load(_ context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, found := m.rows[key]
	return data, found, nil
}

func (m *mapStore) Save(_ context.Context, key string, data []byte, _ uint64, _ time.Duration) error {
	m.mu.Lock()
	hang := m.hang
	m.hang = nil
	m.mu.Unlock()
	if hang != nil {
		<-hang
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[key] = data
	return nil
}

func (m *mapStore) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, key)
	return nil
}

var errNoNumber = errors.New("no number")

// number reads rows such as "7:…".
func number(data []byte) (uint64, error) {
	text, _, _ := strings.Cut(string(data), ":")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, errNoNumber
	}
	return n, nil
}

func TestSaveIf(t *testing.T) {
	store := &mapStore{rows: map[string][]byte{"odd": []byte("x")}}
	c := Compare(store, number)
	save := func(key, data string, expected uint64) bool {
		saved, err := c.SaveIf(t.Context(), key, []byte(data), expected, 0, time.Hour)
		require.NoError(t, err)
		return saved
	}
	assert.False(t, save("a", "2:x", 1), "there is none")
	assert.True(t, save("a", "1:x", 0))
	assert.False(t, save("a", "1:y", 0), "there is one")
	assert.True(t, save("a", "2:y", 1))
	assert.Equal(t, "2:y", string(store.rows["a"]))
	_, err := c.SaveIf(t.Context(), "odd", []byte("1:x"), 0, 1, time.Hour)
	assert.Equal(t, errNoNumber, err)
	require.NoError(t, c.Delete(t.Context(), "a"))
	assert.Empty(t, store.rows["a"])
	assert.Zero(t, c.Held())
}

// A write that hangs has its row until the store returns, and no other row.
func TestAWriteThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		store := &mapStore{rows: map[string][]byte{}, hang: hang}
		c := Compare(store, number)
		var late sync.WaitGroup
		late.Go(func() { _, _ = c.SaveIf(t.Context(), "a", []byte("1:late"), 0, 1, time.Hour) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.SaveIf(ctx, "a", []byte("1:x"), 0, 1, time.Hour)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "an earlier write of this row has not returned")
		require.ErrorIs(t, c.Delete(ctx, "a"), context.DeadlineExceeded)
		saved, err := c.SaveIf(t.Context(), "b", []byte("1:x"), 0, 1, time.Hour)
		require.NoError(t, err)
		assert.True(t, saved)
		assert.Equal(t, 1, c.Held())

		close(hang)
		saved, err = c.SaveIf(t.Context(), "a", []byte("1:y"), 0, 1, time.Hour)
		require.NoError(t, err)
		assert.False(t, saved, "the late write was first")
		late.Wait()
		assert.Zero(t, c.Held())
	})
}
