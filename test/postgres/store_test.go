package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/stores/postgres"
	"github.com/emporix-community/emporix-go/stores/storetest"
)

var _ emporix.LeaseTokenStore = (*postgres.Store)(nil)

func newStore(t testing.TB, db *sql.DB, opts ...postgres.Option) *postgres.Store {
	t.Helper()
	s, err := postgres.New(db, opts...)
	require.NoError(t, err)
	return s
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	dsn := start(t)
	var version string
	require.NoError(t, connect(t, "pgx", dsn).QueryRowContext(t.Context(), "SHOW server_version").Scan(&version))
	t.Logf("over PostgreSQL %s", version)

	tests := map[string]func(t *testing.T, db *sql.DB){
		"conformance":               conforms,
		"migrations":                migrations,
		"schema by hand":            schemaByHand,
		"lines that are over":       linesThatAreOver,
		"the key is nowhere":        theKeyIsNowhere,
		"written, then extended":    writtenThenExtended,
		"sweeps wait for nobody":    sweepsWaitForNobody,
		"no right to write":         noRightToWrite,
		"huge and hostile values":   hugeAndHostile,
		"rows held by others":       heldByOthers,
		"leases touch no index":     leasesTouchNoIndex,
		"crowds don't stop":         crowds,
		"a stricter isolation":      strict,
		"a table that is not there": noTable,
	}
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			for name, test := range tests {
				t.Run(name, func(t *testing.T) {
					db := connect(t, driver, dsn)
					_, err := db.ExecContext(t.Context(), "DROP TABLE IF EXISTS emporix_sessions")
					require.NoError(t, err)
					test(t, db)
				})
			}
		})
	}
}

// ready returns a store whose table is there, and empty.
func ready(t *testing.T, db *sql.DB) *postgres.Store {
	t.Helper()
	s := newStore(t, db)
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

func conforms(t *testing.T, db *sql.DB) {
	s := ready(t, db)
	storetest.Run(t, func(*testing.T) storetest.Store { return s })
}

// Replicas that start together all migrate.
func migrations(t *testing.T, db *sql.DB) {
	for round := range 5 {
		s := newStore(t, db, postgres.WithTable(fmt.Sprintf("Round_%d", round)))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { assert.NoError(t, s.Migrate(t.Context())) })
		}
		all.Wait()
		require.NoError(t, s.Save(t.Context(), "v", []byte("x"), 1, time.Minute))
		_, err := db.ExecContext(t.Context(), fmt.Sprintf(`DROP TABLE "Round_%d"`, round))
		require.NoError(t, err)
	}

	_, err := db.ExecContext(t.Context(), "CREATE SCHEMA IF NOT EXISTS shop")
	require.NoError(t, err)
	longest := "shop." + strings.Repeat("a", 50)
	s := newStore(t, db, postgres.WithTable(longest))
	require.NoError(t, s.Migrate(t.Context()))
	require.NoError(t, s.Migrate(t.Context()))
	require.NoError(t, s.Save(t.Context(), "v", []byte("x"), 1, time.Minute))
	_, err = db.ExecContext(t.Context(), "DROP TABLE "+longest)
	require.NoError(t, err)
}

func schemaByHand(t *testing.T, db *sql.DB) {
	for range 2 {
		for _, statement := range strings.SplitAfter(strings.TrimSpace(postgres.Schema), ";") {
			_, err := db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
	}
	s := newStore(t, db)
	require.NoError(t, s.Save(t.Context(), "v", []byte("x"), 1, time.Minute))
	require.NoError(t, s.Migrate(t.Context()), "there is nothing left to do")
}

func count(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM emporix_sessions").Scan(&n))
	return n
}

// Writes take along what is over, and nothing else.
func linesThatAreOver(t *testing.T, db *sql.DB) {
	s := ready(t, db)
	require.NoError(t, s.Save(t.Context(), "first", []byte("x"), 1, time.Hour)) // sweeps, as the first of a process
	for i := range 10 {
		require.NoError(t, s.Save(t.Context(), fmt.Sprint("over ", i), []byte("x"), 1, 0))
		acquired, _, err := s.Acquire(t.Context(), fmt.Sprint("lent ", i), "a", time.Hour)
		require.NoError(t, err)
		require.True(t, acquired)
		require.NoError(t, s.Save(t.Context(), fmt.Sprint("lent, over ", i), []byte("x"), 1, 0))
		_, _, err = s.Acquire(t.Context(), fmt.Sprint("lent, over ", i), "a", time.Hour)
		require.NoError(t, err)
	}
	_, _, err := s.Acquire(t.Context(), "given back", "a", time.Hour)
	require.NoError(t, err)
	require.NoError(t, s.Release(t.Context(), "given back", "a"))
	require.NoError(t, s.Save(t.Context(), "deleted", []byte("x"), 1, time.Hour))
	require.NoError(t, s.Delete(t.Context(), "deleted"))
	require.Equal(t, 1+10*3+2, count(t, db))

	another := newStore(t, db)
	require.NoError(t, another.Save(t.Context(), "first", []byte("y"), 2, time.Hour))
	assert.Equal(t, 1+10*2, count(t, db))
	for i := range 10 {
		left, err := s.Remaining(t.Context(), fmt.Sprint("lent, over ", i), "a")
		require.NoError(t, err)
		assert.Positive(t, left)
	}
}

// Whoever wrote, extended and went has left nothing half done.
func writtenThenExtended(t *testing.T, db *sql.DB) {
	s := ready(t, db)
	require.NoError(t, s.Save(t.Context(), "v", []byte("x"), 1, time.Hour))
	_, _, err := s.Acquire(t.Context(), "v", "a", time.Hour)
	require.NoError(t, err)
	saved, err := s.SaveIf(t.Context(), "v", []byte("y"), 1, 2, time.Hour)
	require.NoError(t, err)
	assert.True(t, saved)
	_, _, err = s.Acquire(t.Context(), "v", "a", time.Microsecond)
	require.NoError(t, err)
	acquired, abandoned, err := s.Acquire(t.Context(), "v", "b", time.Hour)
	require.NoError(t, err)
	assert.True(t, acquired)
	assert.False(t, abandoned)
}

func sweepsWaitForNobody(t *testing.T, db *sql.DB) {
	s := ready(t, db)
	require.NoError(t, s.Save(t.Context(), "v", []byte("x"), 1, time.Hour))
	for _, key := range []string{"held", "over"} {
		require.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, 0))
	}
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, tx.Rollback()) }()
	var ends time.Time
	require.NoError(t, tx.QueryRowContext(t.Context(),
		"SELECT ends FROM emporix_sessions WHERE ends <= now() ORDER BY ends LIMIT 1 FOR UPDATE").Scan(&ends))

	require.NoError(t, newStore(t, db).Save(t.Context(), "v", []byte("y"), 2, time.Hour))
	assert.Equal(t, 2, count(t, db), "the one that is held is left")
}

func theKeyIsNowhere(t *testing.T, db *sql.DB) {
	s := ready(t, db)
	require.NoError(t, s.Save(t.Context(), "sid:7", []byte("x"), 1, time.Hour))
	var line string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT encode(id, 'escape') || s::text FROM emporix_sessions s").Scan(&line))
	assert.NotContains(t, line, "sid:7")
}

// A server that can only be read, as a standby is, takes no lease: so nobody
// refreshes there.
func noRightToWrite(t *testing.T, db *sql.DB) {
	s := ready(t, db)
	require.NoError(t, s.Save(t.Context(), "v", []byte("x"), 1, time.Hour))
	acquired, _, err := s.Acquire(t.Context(), "v", "b", time.Minute)
	require.NoError(t, err)
	assert.True(t, acquired)
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), "SET default_transaction_read_only = on")
	require.NoError(t, err)
	data, found, err := s.Load(t.Context(), "v")
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, "x", string(data))
	_, _, err = s.Acquire(t.Context(), "v", "a", time.Minute)
	require.ErrorContains(t, err, "read-only")
	_, err = s.Remaining(t.Context(), "v", "b")
	require.ErrorContains(t, err, "read-only", "the lease may be another's by now")
	require.ErrorContains(t, s.Release(t.Context(), "v", "b"), "read-only")
	require.ErrorContains(t, s.Delete(t.Context(), "v"), "read-only")
	_, err = s.SaveIf(t.Context(), "v", []byte("secret"), 1, 2, time.Minute)
	require.ErrorContains(t, err, "read-only")
	assert.NotContains(t, err.Error(), "secret")
}

// What other stores may refuse is no trouble here: keys are hashed, rows are bytes.
func hugeAndHostile(t *testing.T, db *sql.DB) {
	s := ready(t, db)
	for _, key := range []string{"", "\x00", "\xff", "'; DROP TABLE emporix_sessions; --", "$1", strings.Repeat("k", 64<<10)} {
		data := strings.Repeat("\x00\xff", 512<<10)
		require.NoError(t, s.Save(t.Context(), key, []byte(data), 1<<63, 1<<63-1))
		saved, err := s.SaveIf(t.Context(), key, []byte(data), 1<<63, 1<<64-1, 1<<63-1)
		require.NoError(t, err)
		assert.True(t, saved)
		acquired, _, err := s.Acquire(t.Context(), key, "a", 1<<63-1)
		require.NoError(t, err)
		assert.True(t, acquired)
		left, err := s.Remaining(t.Context(), key, "a")
		require.NoError(t, err)
		assert.Greater(t, left, 200*365*24*time.Hour)
		got, found, err := s.Load(t.Context(), key)
		require.NoError(t, err)
		assert.True(t, found)
		assert.Equal(t, data, string(got))
		for _, ttl := range []time.Duration{0, -1, -1 << 63} { // over at once
			require.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, ttl))
			_, found, err := s.Load(t.Context(), key)
			require.NoError(t, err)
			assert.False(t, found)
		}
	}
}

// Somebody's long transaction over a row is waited for no longer than the
// context lasts; what is read goes on. A driver hangs up, and the server may
// still do what was given up once the row is free: callers can't know, but no row
// is written over that was not meant.
func heldByOthers(t *testing.T, db *sql.DB) {
	s := ready(t, db)
	require.NoError(t, s.Save(t.Context(), "v", []byte("x"), 1, time.Hour))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "SELECT 1 FROM emporix_sessions FOR UPDATE")
	require.NoError(t, err)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = s.SaveIf(ctx, "v", []byte("y"), 1, 2, time.Hour)
		require.Error(t, err)
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, _, err = s.Acquire(ctx, "v", "a", time.Hour)
		require.Error(t, err)
		cancel()
	}
	data, found, err := s.Load(t.Context(), "v")
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, "x", string(data))
	require.NoError(t, tx.Rollback())
	saved, err := s.SaveIf(t.Context(), "v", []byte("z"), 1, 2, time.Hour)
	require.NoError(t, err)
	data, _, err = s.Load(t.Context(), "v")
	require.NoError(t, err)
	if saved {
		assert.Equal(t, "z", string(data))
	} else {
		assert.Equal(t, "y", string(data))
	}
	acquired, _, err := s.Acquire(t.Context(), "v", "a", time.Hour)
	require.NoError(t, err)
	assert.True(t, acquired, "nobody else has asked")
}

func noTable(t *testing.T, db *sql.DB) {
	s := newStore(t, db)
	_, found, err := s.Load(t.Context(), "v")
	require.ErrorContains(t, err, "emporix_sessions")
	require.ErrorContains(t, err, "call Migrate")
	assert.False(t, found)
}

func leasesTouchNoIndex(t *testing.T, db *sql.DB) {
	s := ready(t, db)
	require.NoError(t, s.Save(t.Context(), "v", []byte("x"), 1, time.Hour))
	db.SetMaxOpenConns(1)
	for range 20 {
		acquired, _, err := s.Acquire(t.Context(), "v", "a", time.Minute)
		require.NoError(t, err)
		require.True(t, acquired)
		require.NoError(t, s.Release(t.Context(), "v", "a"))
	}
	_, err := db.ExecContext(t.Context(), "SELECT pg_stat_force_next_flush()")
	if err != nil { // before PostgreSQL 15
		t.Logf("not counted: %v", err)
		return
	}
	var updates, hot int
	require.NoError(t, db.QueryRowContext(t.Context(),
		"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'emporix_sessions'").Scan(&updates, &hot))
	assert.Equal(t, 40, updates)
	assert.Equal(t, updates, hot)
}

// Visitors who come and go at once, with lines that are over among them, never
// make each other fail.
func crowds(t *testing.T, db *sql.DB) {
	ready(t, db)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			owner := fmt.Sprint("worker ", worker)
			for i := range 60 {
				s, err := postgres.New(db) // sweeps with each first write
				if !assert.NoError(t, err) {
					return
				}
				key := fmt.Sprint("visitor ", (i*7+worker)%5)
				_, _, err = s.Acquire(t.Context(), key, owner, time.Millisecond)
				assert.NoError(t, err)
				assert.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, time.Duration(i%2)*time.Millisecond))
				_, err = s.SaveIf(t.Context(), key, []byte("x"), uint64(i%2), 1, time.Millisecond)
				assert.NoError(t, err)
				assert.NoError(t, s.Release(t.Context(), key, owner))
				assert.NoError(t, s.Delete(t.Context(), key))
			}
		})
	}
	all.Wait()
}

// Where transactions are serializable by default, the losers of a race may get
// an error instead of false; never do two win.
func strict(t *testing.T, db *sql.DB) {
	s := ready(t, db)
	require.NoError(t, s.Save(t.Context(), "v", []byte("x"), 1, time.Hour))
	var name string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name))
	_, err := db.ExecContext(t.Context(), "ALTER DATABASE "+name+" SET default_transaction_isolation = 'serializable'")
	require.NoError(t, err)
	db.SetMaxIdleConns(0) // connections from before
	defer func() {
		_, err := db.ExecContext(t.Context(), "ALTER DATABASE "+name+" RESET default_transaction_isolation")
		assert.NoError(t, err)
	}()
	for generation := range uint64(5) {
		var won, acquired int
		var mu sync.Mutex
		var all sync.WaitGroup
		for racer := range 8 {
			all.Go(func() {
				saved, err := s.SaveIf(t.Context(), "v", []byte("y"), generation+1, generation+2, time.Hour)
				mu.Lock()
				defer mu.Unlock()
				if saved && err == nil {
					won++
				}
			})
			all.Go(func() {
				ok, _, err := s.Acquire(t.Context(), fmt.Sprint("lease ", generation), fmt.Sprint(racer), time.Minute)
				mu.Lock()
				defer mu.Unlock()
				if ok && err == nil {
					acquired++
				}
			})
		}
		all.Wait()
		assert.LessOrEqual(t, won, 1)
		assert.LessOrEqual(t, acquired, 1)
		require.NoError(t, s.Save(t.Context(), "v", []byte("y"), generation+2, time.Hour))
	}
}
