package postgres

import "strings"

// DefaultTable holds the sessions.
const DefaultTable = "emporix_sessions"

// Schema creates [DefaultTable] and its index if they are absent, for those who
// run their migrations themselves. For another table, see [Store.Migrate].
//
// A line whose ends has passed holds no row, one whose lease_ends has passed is
// not lent. unwritten tells that the row has not been written since the lease was
// taken; abandoned, that an earlier lease was abandoned, and counts with unwritten
// only.
const Schema = `CREATE TABLE IF NOT EXISTS "` + DefaultTable + `" ` + columns + `;
CREATE INDEX IF NOT EXISTS "` + DefaultTable + `_ends" ON "` + DefaultTable + `" (ends);
`

// A lease changes no indexed column, and there is room in each page, so that it
// touches no index.
const columns = `(
	id         bytea       PRIMARY KEY,
	data       bytea       NOT NULL DEFAULT '',
	generation bigint      NOT NULL DEFAULT 0,
	ends       timestamptz NOT NULL DEFAULT '-infinity',
	owner      text        NOT NULL DEFAULT '',
	lease_ends timestamptz NOT NULL DEFAULT '-infinity',
	unwritten  boolean     NOT NULL DEFAULT false,
	abandoned  boolean     NOT NULL DEFAULT false
) WITH (fillfactor = 80)`

// One in this many writes takes lines along that are over.
const writesPerSweep = 32

type statements struct {
	createTable, createIndex          string
	load, save, saveNew, saveOver     string
	delete, sweep                     string
	acquire, remaining, releaseIfHeld string
}

// newStatements writes the statements for a table whose name has been checked.
// They ask for the clock when they have the line, not when they began to wait
// for it: so clock_timestamp(), which the sweep alone can do without.
func newStatements(table string) statements {
	name := `"` + strings.ReplaceAll(table, ".", `"."`) + `"`
	index := `"` + table[strings.LastIndex(table, ".")+1:] + `_ends"`

	// $1 id, $2 data, $3 generation, $4 microseconds to live
	insert := `INSERT INTO ` + name + ` AS s (id, data, generation, ends)
VALUES ($1, $2, $3, clock_timestamp() + $4::bigint * interval '1 microsecond')
ON CONFLICT (id) DO UPDATE SET data = $2, generation = $3, ends = clock_timestamp() + $4::bigint * interval '1 microsecond', unwritten = false`

	return statements{
		createTable: `CREATE TABLE IF NOT EXISTS ` + name + ` ` + columns,
		createIndex: `CREATE INDEX IF NOT EXISTS ` + index + ` ON ` + name + ` (ends)`,

		load: `SELECT data FROM ` + name + ` WHERE id = $1 AND ends > clock_timestamp()`,
		save: insert,
		saveNew: insert + `
WHERE s.ends <= clock_timestamp()`,
		saveOver: `UPDATE ` + name + `
SET data = $2, generation = $3, ends = clock_timestamp() + $4::bigint * interval '1 microsecond', unwritten = false
WHERE id = $1 AND generation = $5 AND ends > clock_timestamp()`,
		// The line goes with a sweep: there may be a lease.
		delete: `UPDATE ` + name + ` SET data = '', generation = 0, ends = '-infinity', unwritten = false WHERE id = $1`,

		// $1 id, $2 owner, $3 microseconds to live
		acquire: `INSERT INTO ` + name + ` AS s (id, owner, lease_ends, unwritten)
VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond', true)
ON CONFLICT (id) DO UPDATE SET
	abandoned = s.unwritten AND (s.abandoned OR s.lease_ends <= clock_timestamp()) AND s.ends > clock_timestamp(),
	unwritten = s.unwritten OR s.lease_ends <= clock_timestamp(),
	owner = $2,
	lease_ends = clock_timestamp() + $3::bigint * interval '1 microsecond'
WHERE s.owner = $2 OR s.lease_ends <= clock_timestamp()
RETURNING abandoned`,
		remaining: `SELECT floor(extract(epoch FROM lease_ends - clock_timestamp()) * 1000000)::bigint
FROM ` + name + ` WHERE id = $1 AND owner = $2 AND lease_ends > clock_timestamp()`,
		releaseIfHeld: `UPDATE ` + name + ` SET owner = '', lease_ends = '-infinity', unwritten = unwritten AND abandoned
WHERE id = $1 AND owner = $2 AND lease_ends > clock_timestamp()`,

		// It waits for nobody: what others hold, others sweep.
		sweep: `DELETE FROM ` + name + ` WHERE id = ANY (ARRAY(
	SELECT id FROM ` + name + ` WHERE ends <= now() AND lease_ends <= now()
	ORDER BY ends LIMIT 100 FOR UPDATE SKIP LOCKED))`,
	}
}
