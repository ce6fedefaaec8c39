package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/bffproof"
)

// What package bff promises about visitor IDs holds over a real server.
func TestBFF(t *testing.T) {
	t.Parallel()
	dsn := start(t)
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			db := connect(t, driver, dsn)
			store := newStore(t, db)
			_, err := db.ExecContext(t.Context(), "DROP TABLE IF EXISTS emporix_sessions")
			require.NoError(t, err)
			require.NoError(t, store.Migrate(t.Context()))
			if driver == drivers[0] {
				bffproof.SecurityWrites(t, store)
			}
			bffproof.RollOut(t, store)
		})
	}
}
