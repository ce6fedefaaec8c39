package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// conditional returns the store's own conditional save, or one that compares
// within this process.
func conditional(s Store) conditionalStore {
	if c, ok := s.(conditionalStore); ok {
		return c
	}
	return &comparing{Store: s, held: map[string]chan struct{}{}}
}

// comparing reads, compares and saves, one writer per key at a time: a writer has
// the key until the store has returned, also when nothing waits for it any more, so
// that a late write can't undo what was written after it. Other processes are not
// kept out: a store that is shared needs its own conditional save.
type comparing struct {
	Store
	mu   sync.Mutex
	held map[string]chan struct{}
}

func (c *comparing) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if err := c.hold(ctx, key); err != nil {
		return false, err
	}
	defer c.release(key)
	row, found, err := c.Load(ctx, key)
	if err != nil {
		return false, err
	}
	var current uint64
	if found {
		r, err := decode(row)
		if err != nil {
			return false, err
		}
		current = r.Generation
	}
	if current != expected {
		return false, nil
	}
	return true, c.Save(ctx, key, data, generation, ttl)
}

// Delete removes the row when no write of it is under way.
func (c *comparing) Delete(ctx context.Context, key string) error {
	if err := c.hold(ctx, key); err != nil {
		return err
	}
	defer c.release(key)
	return c.Store.Delete(ctx, key)
}

func (c *comparing) hold(ctx context.Context, key string) error {
	for {
		c.mu.Lock()
		busy, taken := c.held[key]
		if !taken {
			c.held[key] = make(chan struct{})
		}
		c.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return fmt.Errorf("an earlier write of this session has not returned: %w", context.Cause(ctx))
		}
	}
}

func (c *comparing) release(key string) {
	c.mu.Lock()
	close(c.held[key])
	delete(c.held, key)
	c.mu.Unlock()
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
