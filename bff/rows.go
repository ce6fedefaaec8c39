package bff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	comparing "github.com/emporix-community/emporix-go/internal/rows"
)

const (
	saveTries  = 8 // over rows that keep changing, and over a store that fails
	writeLimit = 5 * time.Second
	writePause = 50 * time.Millisecond
)

// rows are this package's own rows in the token store. A store without a
// conditional save is compared within this process.
type rows struct {
	store       emporix.TokenStore
	conditional emporix.ConditionalTokenStore
	scope       string // names the client's rows
}

func newRows(store emporix.TokenStore, prefix string) *rows {
	conditional, able := store.(emporix.ConditionalTokenStore)
	if !able {
		conditional = comparing.Compare(store, generationOf)
	}
	return &rows{store: store, conditional: conditional, scope: prefix}
}

func (r *rows) key(kind, id string) string { return r.scope + "bff/" + kind + "/" + id }

func (r *rows) load(ctx context.Context, key string) (data []byte, found bool, err error) {
	type row struct {
		data  []byte
		found bool
	}
	now, err := ask(ctx, "reading", func(ctx context.Context) (row, error) {
		data, found, err := r.store.Load(ctx, key)
		return row{data, found}, err
	})
	return now.data, now.found && err == nil, err
}

// loadAgain reads a row, and tries again while the store fails.
func (r *rows) loadAgain(ctx context.Context, key string) (data []byte, found bool, err error) {
	_, err = again(ctx, saveTries, func(ctx context.Context) (bool, error) {
		var err error
		data, found, err = r.load(ctx, key)
		return found, err
	})
	return data, found, err
}

// delete removes a row, and tries again while the store fails.
func (r *rows) delete(ctx context.Context, key string) error {
	_, err := again(ctx, saveTries, func(ctx context.Context) (bool, error) {
		return ask(ctx, "removing", func(ctx context.Context) (bool, error) { return true, r.store.Delete(ctx, key) })
	})
	return err
}

// save writes a row that only one request knows of.
func (r *rows) save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	_, err := again(ctx, saveTries, func(ctx context.Context) (bool, error) {
		return ask(ctx, "writing", func(ctx context.Context) (bool, error) { return true, r.store.Save(ctx, key, data, generation, ttl) })
	})
	return err
}

// saveIf writes a row in place of the one with the expected generation. It
// recognises its own row where the store applied a write and lost the response, or
// applied it twice: data must be unlike that of any other write. An error means
// that the row may have been written.
func (r *rows) saveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration, tries int) (bool, error) {
	return again(ctx, tries, func(ctx context.Context) (bool, error) {
		saved, err := ask(ctx, "writing", func(ctx context.Context) (bool, error) {
			return r.conditional.SaveIf(ctx, key, data, expected, generation, ttl)
		})
		if err == nil && saved || errors.Is(err, errStuck) {
			return saved, err
		}
		present, found, readErr := r.load(ctx, key)
		switch {
		case readErr != nil && err == nil:
			return false, readErr
		case readErr == nil && found && bytes.Equal(present, data):
			return true, nil
		}
		return false, err
	})
}

// again repeats what fails, a few times and with growing pauses, unless the store
// did not even return, or can't read the row.
func again(ctx context.Context, tries int, do func(context.Context) (bool, error)) (done bool, err error) {
	limited, cancel := bounded(ctx, writeLimit)
	defer cancel()
	for try := range tries {
		if try > 0 && !pause(limited, writePause<<min(try-1, 5)) {
			break
		}
		if done, err = do(ctx); err == nil || errors.Is(err, errStuck) || errors.Is(err, emporix.ErrStoreCorrupt) || ctx.Err() != nil {
			break
		}
	}
	return done && err == nil, err
}

// generationOf reads the generation of a row of this package.
func generationOf(data []byte) (uint64, error) {
	var row struct {
		Generation uint64 `json:"g"`
	}
	if json.Unmarshal(data, &row) != nil {
		return 0, errDamaged
	}
	return row.Generation, nil
}

// nextGeneration follows the previous one and the clock, so that a row that was
// forgotten and begun anew does not use a number again.
func nextGeneration(previous uint64) uint64 {
	return max(previous+1, uint64(max(time.Now().UnixMicro(), 1))) // #nosec G115 -- not negative
}
