// Package rows saves rows by comparing generations, for stores that can't.
package rows

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Store is a store without a conditional save.
type Store interface {
	Load(ctx context.Context, key string) (data []byte, found bool, err error)
	Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error
	Delete(ctx context.Context, key string) error
}

// Comparing reads, compares and saves, one writer per key at a time: a writer has
// the key until the store has returned, also when nothing waits for it any more, so
// that a late write can't undo what was written after it. Other processes are not
// kept out: a store that is shared needs its own conditional save.
type Comparing struct {
	Store
	generation func(data []byte) (uint64, error)

	mu   sync.Mutex
	held map[string]chan struct{} // by key; closed when the store has returned
}

// Compare returns a store that saves conditionally. generation reads that of a row.
func Compare(store Store, generation func(data []byte) (uint64, error)) *Comparing {
	return &Comparing{Store: store, generation: generation, held: map[string]chan struct{}{}}
}

// SaveIf writes the row only if the present one has the expected generation, 0 for
// none.
func (c *Comparing) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
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
		if current, err = c.generation(row); err != nil {
			return false, err
		}
	}
	if current != expected {
		return false, nil
	}
	return true, c.Save(ctx, key, data, generation, ttl)
}

// Delete removes the row when no write of it is under way.
func (c *Comparing) Delete(ctx context.Context, key string) error {
	if err := c.hold(ctx, key); err != nil {
		return err
	}
	defer c.release(key)
	return c.Store.Delete(ctx, key)
}

// Held returns how many keys have a writer.
func (c *Comparing) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held)
}

func (c *Comparing) hold(ctx context.Context, key string) error {
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
			return fmt.Errorf("an earlier write of this row has not returned: %w", context.Cause(ctx))
		}
	}
}

func (c *Comparing) release(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.held[key])
	delete(c.held, key)
}
