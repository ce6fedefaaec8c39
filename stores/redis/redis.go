// Package redis keeps the sessions of the Emporix SDK in Redis or Valkey, for
// visitors that several processes serve. A [Store] is a token store with
// conditional saves and leases: give it to emporix.WithTokenStore. It knows
// nothing of the SDK.
//
// Each visitor is one hash, named by the SHA-256 of the visitor's key, with a
// time to live; each operation is one script on that hash, so one round trip,
// and one slot of a Cluster. Only the server's clock counts.
//
// What Redis promises is what the store can: it acknowledges a write before
// its replicas have it, so that a failover may lose the last ones; and a
// maxmemory policy other than noeviction ends the sessions of visitors. See
// the README.
package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// DefaultPrefix begins the name of every Redis key of a store.
const DefaultPrefix = "emporix:"

// Store keeps sessions in Redis. Make it with [New]; it is safe for many
// goroutines. Its errors wrap those of go-redis, and hold neither a visitor's
// key nor data.
type Store struct {
	client redis.UniversalClient
	prefix string
}

// Option changes what [New] returns.
type Option func(*Store)

// WithPrefix replaces [DefaultPrefix], for shops or stages that share one Redis.
func WithPrefix(prefix string) Option {
	return func(s *Store) { s.prefix = prefix }
}

// New returns a store over client: one server, Sentinel or Cluster. The client
// stays the caller's to close. Its ContextTimeoutEnabled must be set, and it must
// be no Ring; what go-redis has not made itself is taken as it is. An operation
// returns when its context ends; what go-redis still waits for then goes on for as
// long as its own timeouts say.
func New(client redis.UniversalClient, opts ...Option) (*Store, error) {
	if err := check(client); err != nil {
		return nil, fmt.Errorf("emporix: redis store: %w", err)
	}
	s := &Store{client: client, prefix: DefaultPrefix}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("emporix: redis store: an option is nil")
		}
		opt(s)
	}
	return s, nil
}

var (
	errNoClient   = errors.New("the client is nil")
	errNoDeadline = errors.New("the client would ignore the deadlines of calls; set ContextTimeoutEnabled in its options")
	errRing       = errors.New("a Ring looks for the visitors of a server that is down on another one, where they have no session; use a Cluster or Sentinel")
)

func check(client redis.UniversalClient) error {
	obeys := true
	switch c := client.(type) {
	case nil:
		return errNoClient
	case *redis.Ring:
		return errRing
	case *redis.Client:
		if c == nil {
			return errNoClient
		}
		obeys = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		if c == nil {
			return errNoClient
		}
		obeys = c.Options().ContextTimeoutEnabled
	}
	if v := reflect.ValueOf(client); v.Kind() == reflect.Pointer && v.IsNil() {
		return errNoClient
	}
	if !obeys {
		return errNoDeadline
	}
	return nil
}

// Load returns the row of key; found is false if it is absent or has expired.
func (s *Store) Load(ctx context.Context, key string) (data []byte, found bool, err error) {
	row, err := s.run(ctx, loadScript, key).Text()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, false, nil
	case err != nil:
		return nil, false, failed("load", err)
	}
	return []byte(row), true, nil
}

// Save writes the row of key, whatever is there. It expires after ttl.
func (s *Store) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	_, err := s.save(ctx, key, data, "", generation, ttl, "")
	return err
}

// SaveIf writes the row of key if the present one has the expected generation,
// or, for 0, if there is none. It reports whether it wrote, also
// where go-redis had to send it twice because a response was lost, unless another
// has written or deleted the row in between.
func (s *Store) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error) {
	return s.save(ctx, key, data, decimal(expected), generation, ttl, rand.Text())
}

func (s *Store) save(ctx context.Context, key string, data []byte, expected string, generation uint64, ttl time.Duration, call string) (bool, error) {
	saved, err := s.run(ctx, saveScript, key, data, decimal(generation), microseconds(ttl), expected, call).Bool()
	return saved, failed("save", err)
}

// Delete removes the row of key. A lease on it goes on.
func (s *Store) Delete(ctx context.Context, key string) error {
	return failed("delete", s.run(ctx, deleteScript, key).Err())
}

// Acquire lends the row of key to owner for ttl, unless another owner has it;
// the same owner may extend. abandoned reports that an earlier lease ran out
// without Release, and that the row has not been written since that was taken; it
// is forgotten when there is no row.
func (s *Store) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	state, err := s.run(ctx, acquireScript, key, owner, microseconds(ttl)).Int()
	return state > 0, state > 1, failed("acquire", err)
}

// Remaining returns how long owner still has the row of key, 0 if it has not.
func (s *Store) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	left, err := s.run(ctx, remainingScript, key, owner).Int64()
	return time.Duration(left) * time.Microsecond, failed("remaining", err)
}

// Release gives the row of key back if owner has it; else it does nothing.
func (s *Store) Release(ctx context.Context, key, owner string) error {
	return failed("release", s.run(ctx, releaseScript, key, owner).Err())
}

// run runs a script by its digest, and in full where the server has not seen it
// yet (a new one, or one that took over).
func (s *Store) run(ctx context.Context, script *redis.Script, key string, args ...any) *redis.Cmd {
	if ctx.Err() != nil { // go-redis may have sent it by then
		return refused(ctx, context.Cause(ctx))
	}
	// go-redis dials by its own timeouts, and does not hear of a cancellation while
	// it waits for a response. The goroutine ends when go-redis does.
	done := make(chan *redis.Cmd, 1)
	go func() {
		defer func() {
			if recover() != nil { // in a hook or a client of the user's
				done <- refused(ctx, errPanic)
			}
		}()
		done <- script.Run(ctx, s.client, []string{s.name(key)}, args...)
	}()
	select {
	case cmd := <-done:
		if ctx.Err() != nil && cmd.Err() != nil {
			return refused(ctx, fmt.Errorf("%w (%w)", context.Cause(ctx), cmd.Err()))
		}
		return cmd
	case <-ctx.Done():
		return refused(ctx, context.Cause(ctx))
	}
}

var errPanic = errors.New("a panic in the Redis client or a hook of it (its text may hold secrets and is dropped)")

func refused(ctx context.Context, err error) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(err)
	return cmd
}

// name hides key: a reader of the key could take the session over. The braces keep
// whatever is named after one visitor in one slot.
func (s *Store) name(key string) string {
	sum := sha256.Sum256([]byte(key))
	return s.prefix + "{" + hex.EncodeToString(sum[:]) + "}"
}

func decimal(generation uint64) string { return strconv.FormatUint(generation, 10) }

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
	return fmt.Errorf("emporix: redis store: %s: %w", operation, err)
}
