// Package postgres keeps the sessions of the Emporix SDK in PostgreSQL, for
// visitors that several processes serve. A [Store] is a token store with
// conditional saves and leases over database/sql: give it to
// emporix.WithTokenStore. It imports no driver and nothing of the SDK.
//
// Each visitor is one line of one table, under the SHA-256 of the visitor's key;
// each operation is one statement. Only the server's clock counts. Lines that
// are over go a hundred at a time, with some of the writes.
package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"
)

// Store keeps sessions in one table of PostgreSQL. Make it with [New]; it is
// safe for many goroutines. Its errors wrap those of the driver, and hold
// neither a visitor's key nor data.
type Store struct {
	db     *sql.DB
	sql    statements
	writes atomic.Uint64
}

// Option changes what [New] returns.
type Option func(*options)

type options struct{ table string }

// WithTable replaces [DefaultTable], for shops or stages that share one database.
// It is a name as it is, or schema.name; letters, digits and underscores, each
// part at most 50 of them.
func WithTable(name string) Option {
	return func(o *options) { o.table = name }
}

var tableName = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]{0,49}\.)?[A-Za-z_][A-Za-z0-9_]{0,49}$`)

// New returns a store in db, whatever driver that has. The table must be there:
// see [Schema] and [Store.Migrate]. The database stays the caller's to close.
func New(db *sql.DB, opts ...Option) (*Store, error) {
	o := options{table: DefaultTable}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("emporix: postgres store: an option is nil")
		}
		opt(&o)
	}
	switch {
	case db == nil:
		return nil, errors.New("emporix: postgres store: the database is nil")
	case !tableName.MatchString(o.table):
		return nil, errors.New("emporix: postgres store: the table must be a name or schema.name of letters, digits and underscores, each at most 50 bytes")
	}
	return &Store{db: db, sql: newStatements(o.table)}, nil
}

// Load returns the row of key; found is false if it is absent or has expired.
func (s *Store) Load(ctx context.Context, key string) (data []byte, found bool, err error) {
	data, err = row[[]byte](ctx, s, s.sql.load, id(key))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, false, nil
	case err != nil:
		return nil, false, failed("load", err)
	}
	return data, true, nil
}

// Save writes the row of key, whatever is there. It expires after ttl.
func (s *Store) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	_, err := s.save(ctx, s.sql.save, key, data, generation, ttl, wait(ctx))
	return err
}

// SaveIf writes the row of key if the present one has the expected generation,
// or, for 0, if there is none. It reports whether it wrote, also where the driver
// had to send it twice because a response was lost, unless another has written or
// deleted the row in between.
func (s *Store) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error) {
	call := rand.Text()
	if expected == 0 {
		return s.save(ctx, s.sql.saveNew, key, data, generation, ttl, call, wait(ctx))
	}
	return s.save(ctx, s.sql.saveOver, key, data, generation, ttl, number(expected), call, wait(ctx))
}

func (s *Store) save(ctx context.Context, statement, key string, data []byte, generation uint64, ttl time.Duration, more ...any) (bool, error) {
	if data == nil {
		data = []byte{} // nil would be NULL
	}
	n, err := s.exec(ctx, statement, append([]any{id(key), data, number(generation), microseconds(ttl)}, more...)...)
	if err != nil {
		return false, failed("save", err)
	}
	if s.writes.Add(1)%writesPerSweep == 1 {
		_, _ = s.exec(ctx, s.sql.sweep) // the row is saved; others sweep too
	}
	return n > 0, nil
}

// Delete removes the row of key. A lease on it goes on.
func (s *Store) Delete(ctx context.Context, key string) error {
	_, err := s.exec(ctx, s.sql.delete, id(key), wait(ctx))
	return failed("delete", err)
}

// Acquire lends the row of key to owner for ttl, unless another owner has it;
// the same owner may extend. abandoned reports that an earlier lease ran out
// without Release, and that the row has not been written since that was taken; it
// may be forgotten when there is no row.
func (s *Store) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	abandoned, err = row[bool](ctx, s, s.sql.acquire, id(key), owner, microseconds(ttl), wait(ctx))
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	return err == nil, abandoned, failed("acquire", err)
}

var errReadOnly = errors.New("the server is read-only; connect to the primary")

// Remaining returns how long owner still has the row of key, 0 if it has not.
func (s *Store) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	left, err := row[sql.Null[int64]](ctx, s, s.sql.remaining, id(key), owner)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err == nil && !left.Valid:
		err = errReadOnly
	}
	return time.Duration(max(left.V, 0)) * time.Microsecond, failed("remaining", err)
}

// Release gives the row of key back if owner has it; else it does nothing.
func (s *Store) Release(ctx context.Context, key, owner string) error {
	_, err := s.exec(ctx, s.sql.releaseIfHeld, id(key), owner, wait(ctx))
	return failed("release", err)
}

// Migrate makes the table and its index if they are absent. Many processes may
// call it at once. It needs the right to create them; without, run [Schema] by
// hand.
func (s *Store) Migrate(ctx context.Context) error {
	return failed("migrate", s.leave(ctx, func() error { return s.migrate(ctx) }))
}

func (s *Store) migrate(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	// Two CREATE TABLE IF NOT EXISTS at once may still collide. The number of the
	// lock is any that others hardly use.
	if _, err := tx.ExecContext(ctx, s.sql.alone, wait(ctx)); err != nil {
		return err
	}
	for _, statement := range []string{s.sql.createTable, s.sql.createIndex} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// row reads one value of one line.
func row[T any](ctx context.Context, s *Store, statement string, args ...any) (value T, err error) {
	var read T // by what may be left behind
	err = s.leave(ctx, func() error { return s.db.QueryRowContext(ctx, statement, args...).Scan(&read) })
	if err != nil {
		return value, err
	}
	return read, nil
}

func (s *Store) exec(ctx context.Context, statement string, args ...any) (lines int64, err error) {
	var changed int64
	err = s.leave(ctx, func() error {
		result, err := s.db.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}

// leave runs do, and leaves it behind when ctx ends: some drivers wait for the
// server even then. What do writes may be read only if there is no error. Its
// goroutine ends when the driver gives up.
func (s *Store) leave(ctx context.Context, do func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	done := make(chan error, 1)
	go func() {
		err := errPanic
		defer func() {
			_ = recover() // in the driver
			done <- err
		}()
		err = do()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errPanic = errors.New("a panic in the driver (its text may hold secrets and is dropped)")

// wait is how long the server may wait for a lock: a third of what ctx leaves, so
// that the statement is over before a driver has to break it off. It may wait
// twice, for its turn and for the line.
func wait(ctx context.Context) string {
	limit := longestWait
	if end, bounded := ctx.Deadline(); bounded {
		limit = min(limit, max(time.Until(end)/3, time.Millisecond)) // 0 would be no limit
	}
	return strconv.FormatInt(limit.Milliseconds(), 10)
}

const longestWait = 2 * time.Second

// id hides key: a reader of the key could take the session over.
func id(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// number is a generation as a bigint: they are only compared for equality.
func number(generation uint64) int64 { return int64(generation) } // #nosec G115 -- wraps around

// microseconds rounds up: a row must not end before its time.
func microseconds(ttl time.Duration) int64 {
	us := ttl.Microseconds()
	if ttl > time.Duration(us)*time.Microsecond {
		us++
	}
	return us
}

func failed(operation string, err error) error {
	if err == nil {
		return nil
	}
	if hint := hints[state(err)]; hint != "" {
		return fmt.Errorf("emporix: postgres store: %s: %w; %s", operation, err, hint)
	}
	return fmt.Errorf("emporix: postgres store: %s: %w", operation, err)
}

var hints = map[string]string{
	"42P01": "call Migrate, or run Schema",
	"42703": "the table has another layout: a newer version of the SDK may have changed it; nothing is lost: update this process",
	"55P03": "another transaction holds the visitor's row or the table; try again, and keep such transactions short",
}

func state(err error) string {
	var said interface{ SQLState() string } // what drivers agree on
	if errors.As(err, &said) {
		return said.SQLState()
	}
	return ""
}
