package lifecycle

import (
	"context"
	"sync"
	"time"

	"github.com/emporix-community/emporix-go/internal/rows"
)

// conditional returns the store's own conditional save, or one that compares
// within this process.
func conditional(s Store) conditionalStore {
	if c, ok := s.(conditionalStore); ok {
		return c
	}
	return rows.Compare(s, func(row []byte) (uint64, error) {
		r, err := decode(row)
		if err != nil {
			return 0, err
		}
		return r.Generation, nil
	})
}

// privateStore keeps the client's own two rows.
type privateStore struct {
	mu   sync.Mutex
	rows map[string]privateRow
}

type privateRow struct {
	data       []byte
	generation uint64
}

func (c *privateStore) Load(_ context.Context, key string) ([]byte, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	row, found := c.rows[key]
	return row.data, found, nil
}

func (c *privateStore) SaveIf(_ context.Context, key string, data []byte, expected, generation uint64, _ time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows[key].generation != expected {
		return false, nil
	}
	c.rows[key] = privateRow{data: data, generation: generation}
	return true, nil
}

func (c *privateStore) Delete(_ context.Context, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rows, key)
	return nil
}
