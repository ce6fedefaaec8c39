package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/stores/postgres"
)

const bound = 600 * time.Millisecond

// calls are all methods of s.
func calls(s *postgres.Store, key string) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"load": func(ctx context.Context) error { _, _, err := s.Load(ctx, key); return err },
		"save": func(ctx context.Context) error { return s.Save(ctx, key, []byte("y"), 1, time.Hour) },
		"save new": func(ctx context.Context) error {
			_, err := s.SaveIf(ctx, key, []byte("y"), 0, 2, time.Hour)
			return err
		},
		"save over": func(ctx context.Context) error {
			_, err := s.SaveIf(ctx, key, []byte("y"), 1, 2, time.Hour)
			return err
		},
		"delete":    func(ctx context.Context) error { return s.Delete(ctx, key) },
		"acquire":   func(ctx context.Context) error { _, _, err := s.Acquire(ctx, key, "b", time.Hour); return err },
		"remaining": func(ctx context.Context) error { _, err := s.Remaining(ctx, key, "a"); return err },
		"release":   func(ctx context.Context) error { return s.Release(ctx, key, "a") },
		"migrate":   s.Migrate,
	}
}

// within runs every method twice at once, and fails if one is not back in time.
func within(t *testing.T, s *postgres.Store, key string) (failed map[string]error) {
	t.Helper()
	failed = map[string]error{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for operation, call := range calls(s, key) {
		for range 2 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), bound)
				defer cancel()
				began := time.Now()
				err := call(ctx)
				assert.Less(t, time.Since(began), bound+time.Second, operation) // a busy machine adds to the 100 ms that are meant
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed[operation] = err
				}
			})
		}
	}
	all.Wait()
	return failed
}

// Whatever another transaction holds, every operation is over when its context is,
// and what is not held goes on: no driver lets the connections run out.
func TestNothingWaitsWithoutBound(t *testing.T) {
	dsn := start(t)
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			db, other := connect(t, driver, dsn), connect(t, "pgx", dsn)
			db.SetMaxIdleConns(20)
			s := ready(t, db)
			hold := func(t *testing.T, statement string) (release func()) {
				tx, err := other.BeginTx(context.Background(), nil)
				require.NoError(t, err)
				_, err = tx.ExecContext(t.Context(), statement)
				require.NoError(t, err)
				release = sync.OnceFunc(func() { assert.NoError(t, tx.Rollback()) })
				t.Cleanup(release)
				return release
			}
			fresh := func(key string) {
				_, err := other.ExecContext(t.Context(), "DELETE FROM emporix_sessions WHERE id = sha256($1)", []byte(key))
				require.NoError(t, err)
				require.NoError(t, s.Save(t.Context(), key, []byte("x"), 1, time.Hour))
				_, _, err = s.Acquire(t.Context(), key, "a", time.Hour)
				require.NoError(t, err)
			}

			fresh("connects")
			within(t, s, "connects") // a call that is left here may still write later, as below

			t.Run("a line", func(t *testing.T) {
				fresh("v")
				fresh("free")
				release := hold(t, "SELECT 1 FROM emporix_sessions FOR UPDATE")
				failed := within(t, s, "v")
				for _, writes := range []string{"save", "save over", "delete", "release"} {
					assert.Error(t, failed[writes], writes)
				}
				assert.NotContains(t, failed, "load")
				assert.NotContains(t, failed, "remaining")
				for _, call := range []string{"load", "remaining"} {
					ctx, cancel := context.WithTimeout(t.Context(), bound)
					require.NoError(t, calls(s, "free")[call](ctx), "there are connections")
					cancel()
				}
				release()
				saved, err := s.SaveIf(t.Context(), "v", []byte("z"), 1, 2, time.Hour)
				require.NoError(t, err)
				data, _, err := s.Load(t.Context(), "v")
				require.NoError(t, err)
				assert.Equal(t, map[bool]string{true: "z", false: "y"}[saved], string(data))
			})
			t.Run("a line that is being made", func(t *testing.T) {
				release := hold(t, "INSERT INTO emporix_sessions (id) VALUES (sha256('new "+driver+"'))")
				failed := within(t, s, "new "+driver)
				for _, writes := range []string{"save", "save new", "acquire"} {
					assert.Error(t, failed[writes], writes)
				}
				release()
				saved, err := s.SaveIf(t.Context(), "new "+driver, []byte("z"), 0, 2, time.Hour)
				require.NoError(t, err)
				data, _, err := s.Load(t.Context(), "new "+driver)
				require.NoError(t, err)
				assert.Equal(t, map[bool]string{true: "z", false: "y"}[saved], string(data)) // a call that was left may have been faster
			})
			t.Run("the table", func(t *testing.T) {
				release := hold(t, "LOCK TABLE emporix_sessions IN ACCESS EXCLUSIVE MODE")
				failed := within(t, s, "table")
				assert.GreaterOrEqual(t, len(failed), len(calls(s, "table"))-1) // Migrate may only look at names
				release()
			})
			t.Run("without a deadline", func(t *testing.T) {
				fresh("v")
				release := hold(t, "SELECT 1 FROM emporix_sessions FOR UPDATE")
				defer release()
				began := time.Now()
				err := s.Save(t.Context(), "v", []byte("y"), 1, time.Hour)
				require.ErrorContains(t, err, "another transaction holds")
				assert.Less(t, time.Since(began), 7*time.Second)

				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(bound, cancel)
				began = time.Now()
				require.Error(t, s.Delete(ctx, "v"))
				assert.Less(t, time.Since(began), bound+100*time.Millisecond)
			})
			t.Run("the limit stays in its statement", func(t *testing.T) {
				db.SetMaxOpenConns(1)
				defer db.SetMaxOpenConns(20)
				fresh("limit")
				assert.Equal(t, "0", setting(t, db))
			})
		})
	}
}

func setting(t *testing.T, db *sql.DB) (limit string) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), "SHOW lock_timeout").Scan(&limit))
	return limit
}

// A layout whose columns are named otherwise is a newer one: every operation says
// so, and nothing is changed.
func TestANewerLayout(t *testing.T) {
	t.Parallel()
	dsn := start(t)
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			db := connect(t, driver, dsn)
			_, err := db.ExecContext(t.Context(), "DROP TABLE IF EXISTS emporix_sessions")
			require.NoError(t, err)
			s := ready(t, db)
			require.NoError(t, s.Save(t.Context(), "v", []byte("x"), 1, time.Hour))
			for _, column := range []string{"data", "ends", "lease_ends", "call"} {
				_, err = db.ExecContext(t.Context(), fmt.Sprintf("ALTER TABLE emporix_sessions RENAME %s TO %s_2", column, column))
				require.NoError(t, err)
			}
			for operation, call := range calls(s, "v") {
				if operation == "migrate" {
					continue
				}
				err := call(t.Context())
				require.ErrorContains(t, err, "another layout", operation)
				require.ErrorContains(t, err, "nothing is lost", operation)
			}
			var data string
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT data_2 FROM emporix_sessions").Scan(&data))
			assert.Equal(t, "x", data)
		})
	}
}
