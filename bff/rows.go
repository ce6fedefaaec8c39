package bff

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	emporix "github.com/emporix-community/emporix-go"
)

const (
	saveTries  = 8
	storeLimit = 2 * time.Second // one operation
)

// rows are this package's own rows in the token store. A store without a
// conditional save is compared within this process.
type rows struct {
	store       emporix.TokenStore
	conditional emporix.ConditionalTokenStore
	scope       string // names the client's rows
	seed        maphash.Seed
	turns       [64]chan struct{}
}

func newRows(store emporix.TokenStore, visitorRows string) *rows {
	r := &rows{store: store, scope: strings.TrimSuffix(visitorRows, "visitor/"), seed: maphash.MakeSeed()}
	r.conditional, _ = store.(emporix.ConditionalTokenStore)
	for i := range r.turns {
		r.turns[i] = make(chan struct{}, 1)
	}
	return r
}

func (r *rows) key(kind, id string) string { return r.scope + "bff/" + kind + "/" + id }

// guarded runs one store operation, contains a panic in it, and says what failed.
func guarded(ctx context.Context, what string, do func(context.Context) error) (err error) {
	limited, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	defer func() {
		if recover() != nil {
			err = errPanic
		}
		switch {
		case err != nil && ctx.Err() != nil:
			err = fmt.Errorf("bff: %s the visitor's record: %w", what, context.Cause(ctx))
		case err != nil:
			err = fmt.Errorf("bff: %w: %s the visitor's record failed: %w", emporix.ErrStoreUnavailable, what, err)
		}
	}()
	return do(limited)
}

func (r *rows) load(ctx context.Context, key string) (data []byte, found bool, err error) {
	err = guarded(ctx, "reading", func(ctx context.Context) error {
		var err error
		data, found, err = r.store.Load(ctx, key)
		return err
	})
	return data, found && err == nil, err
}

func (r *rows) delete(ctx context.Context, key string) error {
	return guarded(ctx, "removing", func(ctx context.Context) error { return r.store.Delete(ctx, key) })
}

func (r *rows) saveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error) {
	err = guarded(ctx, "writing", func(ctx context.Context) error {
		var err error
		if r.conditional != nil {
			saved, err = r.conditional.SaveIf(ctx, key, data, expected, generation, ttl)
		} else {
			saved, err = r.compareAndSave(ctx, key, data, expected, generation, ttl)
		}
		return err
	})
	return saved && err == nil, err
}

func (r *rows) compareAndSave(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	turn := r.turns[maphash.String(r.seed, key)%uint64(len(r.turns))]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	present, found, err := r.store.Load(ctx, key)
	if err != nil {
		return false, err
	}
	var now struct {
		Generation uint64 `json:"g"`
	}
	if found && json.Unmarshal(present, &now) != nil {
		return false, errDamaged
	}
	if now.Generation != expected {
		return false, nil
	}
	return true, r.store.Save(ctx, key, data, generation, ttl)
}

// nextGeneration follows the previous one and the clock, so that a row that was
// forgotten and begun anew does not use a number again.
func nextGeneration(previous uint64) uint64 {
	return max(previous+1, uint64(max(time.Now().UnixMicro(), 1))) // #nosec G115 -- not negative
}
