package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// ask uses a store once, within its limit; a panic in it is an error.
func (m *Manager) ask(ctx context.Context, do func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.StoreLimit)
	defer cancel()
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return do(ctx)
}

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
	err = m.ask(ctx, func(ctx context.Context) (err error) {
		data, found, err = m.rows(v).Load(ctx, m.key(v))
		return err
	})
	return data, found, err
}

func (m *Manager) saveIf(ctx context.Context, v *Visitor, data []byte, base uint64, next *Record) (saved bool, err error) {
	err = m.ask(ctx, func(ctx context.Context) (err error) {
		saved, err = m.rows(v).SaveIf(ctx, m.key(v), data, base, next.Generation, next.ttl(time.Now()))
		return err
	})
	return saved, err
}

// discard deletes a row that can't be replaced.
func (m *Manager) discard(v *Visitor) error {
	err := m.ask(m.ctx, func(ctx context.Context) error { return m.rows(v).Delete(ctx, m.key(v)) })
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
