package emporix

import (
	"context"
	"time"
)

// TokenStore keeps the sessions of visitors: one row of bytes under one key. A
// memory store (the default) and a file store are built in. The folder stores
// has others: over Redis and PostgreSQL, adapters for the stores of other
// libraries, and a wrapper that seals the rows of any store.
//
// To write one, implement these three methods with standard types only (there is
// nothing to import), add those of ConditionalTokenStore and LeaseTokenStore if
// several processes are to share it, and prove it in a test with
//
//	storetest.Run(t, func(t *testing.T) storetest.Store { return newStore(t) })
//
// Implementations are used by many goroutines at once. They keep the bytes as
// they are, never look into them, and never log them: a row holds tokens. Keys
// are 1 to 512 bytes of UTF-8 without control characters, and differ if a byte
// does. In a BFF a key gives access to the session, so do not log keys either. Rows are 1 byte to 64 KiB, mostly under 2 KiB. Generations
// are positive. Times to live are positive too; a row may be dropped a moment
// after its end, but not before.
//
// A failed operation returns an error and changes nothing, or is a write whose
// fate is unknown; the SDK then reads before it goes on. An operation whose
// context has ended fails. An error shows no key and no row. Operations run in
// goroutines of their own. If one does not return when its context ends, the SDK stops
// waiting and treats it as failed, and Client.Close names it. If it succeeds later,
// nothing is lost: the SDK gives the lease back, or writes the newer row again.
//
// Where several processes share a store without SaveIf, one can overwrite what
// another has written since it looked: a login, a renewal or a logout may be undone,
// and the SDK can't tell. Within one process the writes of a row wait for each other.
// The SDK does not promise more over such a store. A store that has a method
// OneProcess() says that no other process uses it: a renewal that the server refuses
// then ends or replaces a session at once (see LeaseTokenStore).
type TokenStore interface {
	// Load returns the row of key. A row that is absent or has expired is
	// found == false with a nil error. The caller may keep data and change it. It
	// reads what was written last, also by another process: a store that reads from
	// a lagging replica returns old sessions.
	Load(ctx context.Context, key string) (data []byte, found bool, err error)

	// Save writes the row of key, whatever is there. generation numbers the
	// versions of a row and only grows; a store that implements
	// ConditionalTokenStore keeps it beside the data, others may ignore it. The
	// row may be dropped after ttl, and must not be before. The store must not
	// keep data.
	Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error

	// Delete removes the row of key, also one that can't be read. An absent row
	// is no error.
	Delete(ctx context.Context, key string) error
}

// ConditionalTokenStore is a TokenStore that can compare and save in one step.
// The SDK finds it by type assertion. Every store that several processes share
// should have it: without it the SDK compares within one process only.
type ConditionalTokenStore interface {
	TokenStore

	// SaveIf writes the row only if the present row has the expected generation;
	// expected 0 means that there is no row, or an expired one. It reports
	// whether it wrote. Generations are compared for equality, all 64 bits of
	// them, and never ordered. Of several calls at once that expect the same
	// generation, one writes. A replica that lags or is read-only returns an error and
	// not false: false means that the row that counts has another generation.
	SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error)
}

// LeaseTokenStore is a ConditionalTokenStore that lends a row to one owner at a
// time. The SDK finds it by type assertion. With it, one of the processes that
// share a visitor refreshes, and the others wait for its row. Without it, two processes
// may send the same refresh token. The one that is refused then reads the row again
// for Timeouts.Attempt and 5 s, because the other may still be writing it. Only then is
// the session over; at the latest after twice that time, if the other's response was
// lost.
//
// Leases live beside the rows. A lease does not lock the row: anyone may still read or
// write it. A missing row can be leased; Load finds nothing there. Save, SaveIf and
// Delete do not end a lease, and neither does the end of the row. A lease does not keep
// a row alive. The store's own clock counts, so that processes need not agree on the
// time. An owner is at most 64 bytes of printable ASCII.
//
// A simple way is to keep four values beside the row (owner, end, unwritten and
// abandoned) and to make each method one atomic step:
//
//	Acquire   another owner's lease has not ended: return acquired = false
//	          no lease runs: abandoned = unwritten, then unwritten = true
//	          set owner and end; return acquired = true, and unwritten && abandoned
//	Save      unwritten = false; the same for Delete, and for a SaveIf that writes
//	Release   the owner's lease has not ended: end it, and unless abandoned is set,
//	          unwritten = false
type LeaseTokenStore interface {
	ConditionalTokenStore

	// Acquire lends the row of key to owner for ttl, from now on, unless another
	// owner has it; the owner who has it may extend, or shorten, in this way.
	// abandoned reports that a lease before this one ran out without Release, and
	// that the row has not been written since that one was taken: its owner may
	// have died half-way. Each owner that acquires or extends is told until the row is
	// written; Release does not settle it, for an owner may give back without
	// having dealt with it. It is false where acquired is. Once the row
	// is gone, a store may forget.
	Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error)

	// Remaining returns how long owner still has the row, 0 if it has not.
	Remaining(ctx context.Context, key, owner string) (time.Duration, error)

	// Release gives the row back if owner has it; else it does nothing.
	Release(ctx context.Context, key, owner string) error
}
