package postgres_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/stores/postgres"
)

// The real PostgreSQL is met in test/postgres, where there is a driver. Here
// is what doesn't need one.

const visitor = "sid:7 visitor"

// script is a driver that notes statements and answers as told.
type script struct {
	mu      sync.Mutex
	said    []said
	err     error
	changed int64
	row     []driver.Value
}

type said struct {
	statement string
	args      []driver.NamedValue
}

func (s *script) Connect(context.Context) (driver.Conn, error) { return s, nil }
func (s *script) Driver() driver.Driver                        { return nil }
func (s *script) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("nothing is prepared") }
func (s *script) Close() error                                 { return nil }
func (s *script) Begin() (driver.Tx, error)                    { return s, nil }
func (s *script) Commit() error                                { s.note("COMMIT", nil); return nil }
func (s *script) Rollback() error                              { s.note("ROLLBACK", nil); return nil }
func (s *script) LastInsertId() (int64, error)                 { return 0, nil }
func (s *script) RowsAffected() (int64, error)                 { return s.changed, nil }

func (s *script) note(statement string, args []driver.NamedValue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, said{statement, args})
}

func (s *script) ExecContext(_ context.Context, statement string, args []driver.NamedValue) (driver.Result, error) {
	s.note(statement, args)
	return s, s.err
}

func (s *script) QueryContext(_ context.Context, statement string, args []driver.NamedValue) (driver.Rows, error) {
	s.note(statement, args)
	return &rows{row: s.row}, s.err
}

type rows struct{ row []driver.Value }

func (r *rows) Columns() []string { return []string{"one"} }
func (r *rows) Close() error      { return nil }
func (r *rows) Next(into []driver.Value) error {
	if r.row == nil {
		return io.EOF
	}
	copy(into, r.row)
	r.row = nil
	return nil
}

func scripted(t *testing.T, opts ...postgres.Option) (*script, *postgres.Store) {
	t.Helper()
	d := &script{}
	db := sql.OpenDB(d)
	t.Cleanup(func() { _ = db.Close() })
	s, err := postgres.New(db, opts...)
	require.NoError(t, err)
	return d, s
}

// operations calls every method that takes a key.
func operations(ctx context.Context, s *postgres.Store) map[string]error {
	errs := map[string]error{}
	_, _, errs["load"] = s.Load(ctx, visitor)
	errs["save"] = s.Save(ctx, visitor, []byte("secret data"), 1, time.Minute)
	_, errs["save new"] = s.SaveIf(ctx, visitor, []byte("secret data"), 0, 1, time.Minute)
	_, errs["save over"] = s.SaveIf(ctx, visitor, []byte("secret data"), 1, 2, time.Minute)
	errs["delete"] = s.Delete(ctx, visitor)
	_, _, errs["acquire"] = s.Acquire(ctx, visitor, "owner", time.Minute)
	_, errs["remaining"] = s.Remaining(ctx, visitor, "owner")
	errs["release"] = s.Release(ctx, visitor, "owner")
	return errs
}

func TestTableNames(t *testing.T) {
	db := sql.OpenDB(&script{})
	defer func() { _ = db.Close() }()
	for name, quoted := range map[string]string{
		"sessions": `"sessions"`, "Shop_2": `"Shop_2"`, "shop.sessions": `"shop"."sessions"`, strings.Repeat("a", 50): `"` + strings.Repeat("a", 50) + `"`,
	} {
		d, s := scripted(t, postgres.WithTable(name))
		for operation, err := range operations(t.Context(), s) {
			require.NoError(t, err, operation)
		}
		require.NoError(t, s.Migrate(t.Context()))
		for _, said := range d.said {
			if !strings.Contains(said.statement, "pg_advisory") && said.statement != "COMMIT" {
				assert.Contains(t, said.statement, quoted)
				assert.NotContains(t, said.statement, "emporix_sessions")
			}
			if strings.HasPrefix(said.statement, "CREATE INDEX") {
				assert.Contains(t, said.statement, `"`+name[strings.LastIndex(name, ".")+1:]+`_ends"`)
			}
		}
	}
	for _, name := range []string{"", `a"; DROP TABLE b; --`, "a b", "a.b.c", ".a", "a.", "1a", "ä", "a\x00", "a-b", strings.Repeat("a", 51)} {
		_, err := postgres.New(db, postgres.WithTable(name))
		require.Error(t, err, "%q", name)
	}
	_, err := postgres.New(nil)
	require.Error(t, err)
	_, err = postgres.New(db, nil)
	require.ErrorContains(t, err, "an option is nil")
}

// Schema and Migrate make the same.
func TestSchema(t *testing.T) {
	d, s := scripted(t)
	require.NoError(t, s.Migrate(t.Context()))
	require.Len(t, d.said, 4)
	assert.Contains(t, d.said[0].statement, "pg_advisory_xact_lock")
	assert.Equal(t, postgres.Schema, d.said[1].statement+";\n"+d.said[2].statement+";\n")
	assert.Equal(t, "COMMIT", d.said[3].statement)

	d.said, d.err = nil, errors.New("no right to create")
	require.ErrorIs(t, s.Migrate(t.Context()), d.err)
	require.Len(t, d.said, 2)
	assert.Equal(t, "ROLLBACK", d.said[1].statement)
}

// serverError is what drivers report.
func TestLoad(t *testing.T) {
	d, s := scripted(t)
	for name, tt := range map[string]struct {
		row   []driver.Value
		err   error
		data  string
		found bool
	}{
		"absent": {}, "there": {row: []driver.Value{[]byte("row")}, data: "row", found: true}, "empty": {row: []driver.Value{[]byte{}}, found: true},
		"an error": {err: serverError{"00000"}},
	} {
		d.row, d.err = tt.row, tt.err
		data, found, err := s.Load(t.Context(), visitor)
		assert.Equal(t, tt.err != nil, err != nil, name)
		assert.Equal(t, tt.data, string(data), name)
		assert.Equal(t, tt.found, found, name)
	}
}

// Only 0 says that there is to be no row.
func TestAFirstGenerationIsARow(t *testing.T) {
	d, s := scripted(t)
	statement := func(expected uint64) string {
		d.said = nil
		_, err := s.SaveIf(t.Context(), visitor, []byte("data"), expected, 9, time.Minute)
		require.NoError(t, err)
		return d.said[0].statement
	}
	assert.Equal(t, statement(2), statement(1))
	assert.NotEqual(t, statement(1), statement(0))
}

type serverError struct{ code string }

func (serverError) Error() string      { return "the server says no" }
func (e serverError) SQLState() string { return e.code }

func TestHints(t *testing.T) {
	d, s := scripted(t)
	for code, hint := range map[string]string{"42P01": "; call Migrate", "42703": "; the table has another layout", "55P03": "; another transaction", "00000": ""} {
		d.err = serverError{code}
		_, _, err := s.Load(t.Context(), visitor)
		require.ErrorIs(t, err, d.err)
		_, says, _ := strings.Cut(err.Error(), "the server says no")
		assert.True(t, strings.HasPrefix(says, hint) && (hint == "") == (says == ""), says)
	}
}

// The database sees no key, and data only as a parameter; the driver's errors
// come out.
func TestNothingLeaks(t *testing.T) {
	d, s := scripted(t)
	for operation, err := range operations(t.Context(), s) {
		require.NoError(t, err, operation)
	}
	for _, said := range d.said {
		assert.NotContains(t, said.statement, "visitor")
		assert.NotContains(t, said.statement, "secret")
		for _, arg := range said.args {
			if b, ok := arg.Value.([]byte); ok {
				assert.NotContains(t, string(b), "visitor")
			}
		}
	}
	d.err = errors.New("connection refused")
	for operation, err := range operations(t.Context(), s) {
		require.ErrorIs(t, err, d.err, operation)
		assert.Contains(t, err.Error(), "emporix: postgres store: ")
		assert.NotContains(t, err.Error(), "visitor")
		assert.NotContains(t, err.Error(), "secret")
	}
	cause := errors.New("the visitor left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for operation, err := range operations(ctx, s) {
		require.ErrorIs(t, err, cause, operation)
	}
}

func TestAnswers(t *testing.T) {
	d, s := scripted(t)
	saved, err := s.SaveIf(t.Context(), visitor, nil, 1<<64-1, 1<<63, time.Microsecond+1)
	require.NoError(t, err)
	assert.False(t, saved, "no line was changed")
	args := d.said[0].args
	assert.Equal(t, []byte{}, args[1].Value, "NULL is no data")
	assert.Equal(t, int64(-1<<63), args[2].Value)
	assert.Equal(t, int64(2), args[3].Value, "rounded up")
	assert.Equal(t, int64(-1), args[4].Value)

	d.changed = 1
	saved, err = s.SaveIf(t.Context(), visitor, nil, 0, 1, time.Minute)
	require.NoError(t, err)
	assert.True(t, saved)
	assert.Equal(t, int64(60_000_000), d.said[len(d.said)-1].args[3].Value, "not rounded")

	acquired, abandoned, err := s.Acquire(t.Context(), visitor, "a", time.Minute)
	require.NoError(t, err)
	assert.False(t, acquired, "no line was changed")
	assert.False(t, abandoned)
	for _, answer := range []bool{true, false} {
		d.row = []driver.Value{answer}
		acquired, abandoned, err = s.Acquire(t.Context(), visitor, "a", time.Minute)
		require.NoError(t, err)
		assert.True(t, acquired)
		assert.Equal(t, answer, abandoned)
	}
	for answer, want := range map[int64]time.Duration{-1: 0, 0: 0, 1500: 1500 * time.Microsecond} {
		d.row = []driver.Value{answer}
		left, err := s.Remaining(t.Context(), visitor, "a")
		require.NoError(t, err)
		assert.Equal(t, want, left)
	}
	d.row = nil
	left, err := s.Remaining(t.Context(), visitor, "a")
	require.NoError(t, err)
	assert.Zero(t, left)
}

// How long the server may wait for a lock is a third of what the context leaves,
// and bounded; each SaveIf has a name of its own.
func TestWaitsAndNames(t *testing.T) {
	for left, want := range map[time.Duration]string{
		0: "2000", time.Hour: "2000", 6003 * time.Millisecond: "2000", 5997 * time.Millisecond: "1999", time.Second: "333", 6 * time.Millisecond: "2", 1: "1",
	} {
		synctest.Test(t, func(t *testing.T) {
			d, s := scripted(t)
			for _, call := range []func(context.Context) error{
				func(ctx context.Context) error { return s.Delete(ctx, visitor) },
				func(ctx context.Context) error { return s.Release(ctx, visitor, "a") },
				func(ctx context.Context) error { _, _, err := s.Acquire(ctx, visitor, "a", time.Hour); return err },
			} {
				ctx, cancel := t.Context(), func() {}
				if left > 0 {
					ctx, cancel = context.WithTimeout(ctx, left)
				}
				require.NoError(t, call(ctx))
				cancel()
				args := d.said[len(d.said)-1].args
				assert.Equal(t, want, args[len(args)-1].Value, left)
			}
		})
	}
	d, s := scripted(t)
	names := map[string]bool{}
	for range 10 {
		d.said = nil
		_, err := s.SaveIf(t.Context(), visitor, []byte("x"), 7, 8, time.Hour)
		require.NoError(t, err)
		names[d.said[0].args[5].Value.(string)] = true
	}
	assert.Len(t, names, 10)
}

// deaf is a driver that hears of no context and never comes back.
type deaf struct {
	script
	release chan struct{}
}

func (d *deaf) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d *deaf) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	<-d.release
	return d, nil
}

func (d *deaf) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	<-d.release
	return &rows{}, nil
}

type panics struct{ script }

func (p *panics) Connect(context.Context) (driver.Conn, error) { return p, nil }
func (p *panics) ExecContext(_ context.Context, _ string, args []driver.NamedValue) (driver.Result, error) {
	panic(args)
}

func (p *panics) QueryContext(_ context.Context, _ string, args []driver.NamedValue) (driver.Rows, error) {
	panic(args)
}

func TestDriversThatMisbehave(t *testing.T) {
	t.Run("deaf", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := &deaf{release: make(chan struct{})}
			db := sql.OpenDB(d)
			defer func() { _ = db.Close() }()
			defer close(d.release)
			s, err := postgres.New(db)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			for operation, err := range operations(ctx, s) {
				require.ErrorIs(t, err, context.DeadlineExceeded, operation)
			}
			ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.ErrorIs(t, s.Migrate(ctx), context.DeadlineExceeded)
			assert.Equal(t, 2*time.Minute, time.Since(began))
		})
	})
	t.Run("panics", func(t *testing.T) {
		db := sql.OpenDB(&panics{})
		defer func() { _ = db.Close() }()
		s, err := postgres.New(db)
		require.NoError(t, err)
		for operation, err := range operations(t.Context(), s) {
			require.ErrorContains(t, err, "a panic in the driver", operation)
			assert.NotContains(t, err.Error(), "secret data")
		}
	})
}

// The first write of a process sweeps, and then every 32nd.
func TestSweeps(t *testing.T) {
	d, s := scripted(t)
	for range 65 {
		require.NoError(t, s.Save(t.Context(), visitor, []byte("x"), 1, time.Minute))
	}
	sweeps := 0
	for _, said := range d.said {
		if strings.HasPrefix(said.statement, "DELETE") {
			sweeps++
			assert.Contains(t, said.statement, "LIMIT 100")
		}
	}
	assert.Equal(t, 3, sweeps)
}
