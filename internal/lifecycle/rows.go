package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emporix-community/emporix-go/internal/bounded"
	"github.com/emporix-community/emporix-go/internal/secret"
	"github.com/emporix-community/emporix-go/internal/sentinel"
)

// rows is where the visitor's row lies.
func (v *Visitor) rows() conditionalStore {
	if v.private {
		return v.m().private
	}
	return v.m().store
}

// ask uses the store once, within its limit; a panic in it is an error. The store
// is a user's and may not hear its context, so it runs in a goroutine of its own,
// which is left when the limit or ctx ends. late, which may be nil, is told what a
// call that was left returned.
func ask[T any](ctx context.Context, v *Visitor, do func(context.Context) (T, error), late func(T, error)) (T, error) {
	if v.prompt() {
		return do(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, v.m().cfg.StoreLimit, errSlowStore)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	got, err := bounded.Do(ctx, v.m().calls, tokenStore, func() (r result) {
		defer func() {
			if recover() != nil {
				r.err = errPanic
			}
		}()
		r.value, r.err = do(ctx)
		return r
	}, func(r result) {
		if late != nil {
			late(r.value, r.err)
		}
	})
	if err != nil {
		return got.value, err
	}
	return got.value, got.err
}

// tokenStore is what Close calls the store.
const tokenStore = "the token store"

var errSlowStore = errors.New("the token store did not answer in time")

// prompt reports whether the row lies in memory of the SDK's own, which answers at
// once.
func (v *Visitor) prompt() bool { return v.private || v.m().cfg.PromptStore }

// errPanic stands for a panic in code of the user's: a store, a transport.
var errPanic = errors.New("a panic in the token store or transport (its text may hold secrets and is dropped)")

// current reads the row, or what this process holds that the store would not take.
func (v *Visitor) current(ctx context.Context) (*Record, error) {
	waiting := v.m().pending.of(v.key()) // before the row: if it is written in between, the row has it
	data, found, err := v.loadRow(ctx)
	switch {
	case err != nil && waiting.record != nil:
		return waiting.record, nil
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, v.storeError("reading the session", err)
	case !found && waiting.replaces(0):
		return waiting.record, nil
	case !found:
		return &Record{}, nil
	}
	r, err := decode(data)
	switch {
	case err != nil:
		return nil, err
	case r.Kind == Employee && !v.private:
		return nil, fmt.Errorf("%w: it holds no visitor's session; Logout discards the row", sentinel.StoreCorrupt)
	case waiting.replaces(r.Generation):
		return waiting.record, nil
	}
	return r, nil
}

// stored reads the row itself, whatever this process holds.
func (v *Visitor) stored(ctx context.Context) (*Record, error) {
	data, found, err := v.loadRow(ctx)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return &Record{}, nil
	}
	return decode(data)
}

func (v *Visitor) loadRow(ctx context.Context) (data []byte, found bool, err error) {
	type row struct {
		data  []byte
		found bool
	}
	got, err := ask(ctx, v, func(ctx context.Context) (got row, err error) {
		got.data, got.found, err = v.rows().Load(ctx, v.key())
		return got, err
	}, nil)
	return got.data, got.found, err
}

func (v *Visitor) saveIf(ctx context.Context, data []byte, base uint64, next *Record) (saved bool, err error) {
	return ask(ctx, v, func(ctx context.Context) (bool, error) {
		return v.rows().SaveIf(ctx, v.key(), data, base, next.Generation, next.ttl(time.Now()))
	}, func(bool, error) {
		v.resume()
		if v.undone.Load() == next.Generation {
			v.undoMove(next, nil)
		}
	})
}

// resume goes on with a pending write when a write that was left has returned: it
// may have put an older row there.
func (v *Visitor) resume() {
	if d := v.m().pending.of(v.key()); d.record != nil {
		v.m().detach(func() { v.writeLate(d.record) })
	}
}

// discard deletes a row that can't be replaced. pending says that its tombstone is a
// pending write, and stays one: a write that was left may still bring the row back.
func (v *Visitor) discard(pending bool) error {
	_, err := ask(v.m().ctx, v, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, v.rows().Delete(ctx, v.key())
	}, nil)
	v.epoch().Add(1)
	v.snap.Store(nil)
	if err != nil {
		return v.storeError("removing the session", err)
	}
	if pending {
		v.m().setFree(v.m().pending.remove(v.key()))
		return nil
	}
	v.m().setFree(v.m().pending.forget(v.key()))
	return nil
}

// storeError says what failed in the store, without the keys, rows and tokens that
// the store's own text may quote.
func (v *Visitor) storeError(what string, err error, records ...*Record) error {
	values := []string{v.key(), v.id.Reveal()}
	if held := v.snap.Load(); held != nil { // most likely what is in the row
		records = append(records, held.record)
	}
	for _, r := range records {
		values = append(values, r.Access.Reveal(), r.Refresh.Reveal(), r.SaaS.Reveal())
	}
	err = secret.RedactRow(err, values...)
	if errors.Is(err, sentinel.StoreCorrupt) { // of a wrapper that can't open the row
		return fmt.Errorf("%s failed: %w; Logout discards the row", what, err)
	}
	if errors.Is(err, sentinel.StoreUnavailable) { // of a row of a newer version
		return fmt.Errorf("%s failed: %w", what, err)
	}
	return fmt.Errorf("%w: %s failed: %w", sentinel.StoreUnavailable, what, err)
}
