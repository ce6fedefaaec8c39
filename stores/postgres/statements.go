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
// only. call names the SaveIf that wrote the row, if it was one.
//
// A later layout that an older process could misread names its columns otherwise,
// so that the older one fails and changes nothing.
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
	abandoned  boolean     NOT NULL DEFAULT false,
	call       text        NOT NULL DEFAULT ''
) WITH (fillfactor = 80)`

// One in this many writes takes lines along that are over.
const writesPerSweep = 32

type statements struct {
	createTable, createIndex          string
	load, save, saveNew, saveOver     string
	delete, sweep                     string
	acquire, remaining, releaseIfHeld string
	alone                             string // of those that migrate
}

// newStatements writes the statements for a table whose name has been checked.
// They ask for the clock when they have the line, not when they began to wait
// for it: so clock_timestamp(), which the sweep alone can do without.
//
// The last parameter of what may wait for a line is how long, in milliseconds as
// text. The server keeps to it whatever the driver does. set_config makes it hold
// for this statement only, and is part of a condition so that it comes first.
func newStatements(table string) statements {
	name := `"` + strings.ReplaceAll(table, ".", `"."`) + `"`
	index := `"` + table[strings.LastIndex(table, ".")+1:] + `_ends"`
	bound := func(parameter string) string {
		return `set_config('lock_timeout', ` + parameter + `, true) IS NOT NULL`
	}

	// $1 id, $2 data, $3 generation, $4 microseconds to live
	insert := func(call, parameter string) string {
		return `INSERT INTO ` + name + ` AS s (id, data, generation, ends, call)
SELECT $1::bytea, $2::bytea, $3::bigint, clock_timestamp() + $4::bigint * interval '1 microsecond', ` + call + ` WHERE ` + bound(parameter) + `
ON CONFLICT (id) DO UPDATE SET data = $2, generation = $3, ends = clock_timestamp() + $4::bigint * interval '1 microsecond', unwritten = false, call = ` + call
	}

	return statements{
		createTable: `CREATE TABLE IF NOT EXISTS ` + name + ` ` + columns,
		createIndex: `CREATE INDEX IF NOT EXISTS ` + index + ` ON ` + name + ` (ends)`,

		load: `SELECT data FROM ` + name + ` WHERE id = $1 AND ends > clock_timestamp()`,
		save: insert(`''`, `$5`),
		// Drivers send a statement again when its response is lost: it then finds its own
		// call, writes the same and answers the same.
		saveNew: insert(`$5::text`, `$6`) + `
WHERE s.ends <= clock_timestamp() OR s.call = $5`,
		saveOver: `UPDATE ` + name + `
SET data = $2, generation = $3, ends = clock_timestamp() + $4::bigint * interval '1 microsecond', unwritten = false, call = $6
WHERE id = $1 AND (generation = $5 OR call = $6) AND ends > clock_timestamp() AND ` + bound(`$7`),
		// The line goes with a sweep: there may be a lease.
		delete: `UPDATE ` + name + ` SET data = '', generation = 0, ends = '-infinity', unwritten = false, call = ''
WHERE id = $1 AND ` + bound(`$2`),

		// $1 id, $2 owner, $3 microseconds to live
		acquire: `INSERT INTO ` + name + ` AS s (id, owner, lease_ends, unwritten)
SELECT $1::bytea, $2::text, clock_timestamp() + $3::bigint * interval '1 microsecond', true WHERE ` + bound(`$4`) + `
ON CONFLICT (id) DO UPDATE SET
	abandoned = s.unwritten AND (s.abandoned OR s.lease_ends <= clock_timestamp()) AND s.ends > clock_timestamp(),
	unwritten = s.unwritten OR s.lease_ends <= clock_timestamp(),
	owner = $2,
	lease_ends = clock_timestamp() + $3::bigint * interval '1 microsecond'
WHERE s.owner = $2 OR s.lease_ends <= clock_timestamp()
RETURNING abandoned`,
		// A server that can't write does not know who has the row by now.
		remaining: `SELECT CASE WHEN current_setting('transaction_read_only') = 'off'
	THEN floor(extract(epoch FROM lease_ends - clock_timestamp()) * 1000000)::bigint END
FROM ` + name + ` WHERE id = $1 AND owner = $2 AND lease_ends > clock_timestamp()`,
		releaseIfHeld: `UPDATE ` + name + ` SET owner = '', lease_ends = '-infinity', unwritten = unwritten AND abandoned
WHERE id = $1 AND owner = $2 AND lease_ends > clock_timestamp() AND ` + bound(`$3`),

		// It does not wait: rows that others hold are swept by them.
		sweep: `DELETE FROM ` + name + ` WHERE id = ANY (ARRAY(
	SELECT id FROM ` + name + ` WHERE ends <= now() AND lease_ends <= now()
	ORDER BY ends LIMIT 100 FOR UPDATE SKIP LOCKED))`,
		alone: `SELECT set_config('lock_timeout', $1, true), pg_advisory_xact_lock(4850226093412)`,
	}
}
