// Package adapt makes token stores of the stores of two other libraries, without
// importing them: those of github.com/alexedwards/scs (MySQL, SQLite, MongoDB,
// DynamoDB, Badger, ...) and those of github.com/gofiber/storage (some thirty).
//
// They can read, write and delete, and no more. So where several processes share
// such a store:
//
//   - There is no lease: two processes may refresh one session at once. The one
//     that is refused reads the row again and goes on with what the other got. A
//     server that ends a session when a refresh token comes twice ends this one.
//   - There is no conditional save: the SDK compares within one process, and the
//     last of two writes wins. A logout in one process can meet a refresh in
//     another, and the row comes back until its end.
//   - A store without methods that take a context (those of scs over database/sql
//     among them) does not hear that one has ended: the caller returns, and the
//     operation goes on as long as the driver does, with a goroutine and perhaps a
//     connection. Give the driver timeouts.
//   - scs ends rows at a time by the clock of the process that wrote them. Keep the
//     clocks of processes in step: to within some seconds for package bff, which
//     keeps rows for a minute.
//   - Rows may stay up to two seconds longer than asked for, because many of these
//     stores count in whole seconds.
//   - How long a key and a row may be is the backend's: the table that scs
//     documents for MySQL has room for keys of 43 bytes. That is what a store
//     wrapped by package sealed has, which is also why nothing readable is in it.
//
// Where a fleet shares visitors, prefer a store with a lease.
package adapt

import (
	"reflect"
	"time"
)

// longest is far from what overflows, and from years that databases don't have.
const longest = 100 * 365 * 24 * time.Hour

// wholeSeconds rounds up for stores that cut the time to live, or the present,
// to whole seconds: no row ends before its time.
func wholeSeconds(ttl time.Duration) time.Duration {
	return (min(max(ttl, 0), longest) + 2*time.Second - 1).Truncate(time.Second)
}

// isNil also finds a nil pointer in a store of another type.
func isNil(store any) bool {
	v := reflect.ValueOf(store)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}
