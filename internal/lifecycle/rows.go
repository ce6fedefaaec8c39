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
func (m *Manager) rows(v *Visitor) conditionalStore {
	if v.private {
		return m.private
	}
	return m.store
}

// ask uses the store once, within its limit; a panic in it is an error. The store
// is a user's and may not hear its context, so it runs in a goroutine of its own,
// which is left when the limit or ctx ends. late, which may be nil, is told what a
// call that was left returned.
func ask[T any](ctx context.Context, m *Manager, v *Visitor, do func(context.Context) (T, error), late func(T, error)) (T, error) {
	if m.prompt(v) {
		return do(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, m.cfg.StoreLimit, errSlowStore)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	got, err := bounded.Do(ctx, m.calls, tokenStore, func() (r result) {
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
func (m *Manager) prompt(v *Visitor) bool { return v.private || m.cfg.PromptStore }

// errPanic stands for a panic in code of the user's: a store, a transport.
var errPanic = errors.New("a panic in the token store or transport (its text may hold secrets and is dropped)")

// load reads the row, or what this process holds that the store would not take.
func (m *Manager) load(ctx context.Context, v *Visitor) (*Record, error) {
	owed := m.debts.of(m.key(v)) // before the row: if it is paid meanwhile, the row has it
	data, found, err := m.fetch(ctx, v)
	switch {
	case err != nil && owed.record != nil:
		return owed.record, nil
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, m.storeError(v, "reading the session", err)
	case !found && owed.replaces(0):
		return owed.record, nil
	case !found:
		return &Record{}, nil
	}
	r, err := decode(data)
	switch {
	case err != nil:
		return nil, err
	case r.Kind == Employee && !v.private:
		return nil, fmt.Errorf("%w: it holds no visitor's session; Logout discards the row", sentinel.StoreCorrupt)
	case owed.replaces(r.Generation):
		return owed.record, nil
	}
	return r, nil
}

// look reads the row itself, whatever this process holds.
func (m *Manager) look(ctx context.Context, v *Visitor) (*Record, error) {
	data, found, err := m.fetch(ctx, v)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return &Record{}, nil
	}
	return decode(data)
}

func (m *Manager) fetch(ctx context.Context, v *Visitor) (data []byte, found bool, err error) {
	type row struct {
		data  []byte
		found bool
	}
	got, err := ask(ctx, m, v, func(ctx context.Context) (got row, err error) {
		got.data, got.found, err = m.rows(v).Load(ctx, m.key(v))
		return got, err
	}, nil)
	return got.data, got.found, err
}

func (m *Manager) saveIf(ctx context.Context, v *Visitor, data []byte, base uint64, next *Record) (saved bool, err error) {
	return ask(ctx, m, v, func(ctx context.Context) (bool, error) {
		return m.rows(v).SaveIf(ctx, m.key(v), data, base, next.Generation, next.ttl(time.Now()))
	}, func(bool, error) { m.resume(v) })
}

// resume goes on writing what is owed when a write that was left has returned: it
// may have put an older row there.
func (m *Manager) resume(v *Visitor) {
	if d := m.debts.of(m.key(v)); d.record != nil {
		m.detach(func() { m.payLate(v, d.record) })
	}
}

// discard deletes a row that can't be replaced.
func (m *Manager) discard(v *Visitor) error {
	_, err := ask(m.ctx, m, v, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, m.rows(v).Delete(ctx, m.key(v))
	}, nil)
	m.epoch(v).Add(1)
	v.snap.Store(nil)
	if err != nil {
		return m.storeError(v, "removing the session", err)
	}
	m.setFree(m.debts.forget(m.key(v)))
	return nil
}

// storeError says what failed in the store, without the keys, rows and tokens that
// the store's own text may quote.
func (m *Manager) storeError(v *Visitor, what string, err error, records ...*Record) error {
	values := []string{m.key(v), v.key.Reveal()}
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
