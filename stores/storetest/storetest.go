// Package storetest proves that a store keeps the contract of
// emporix.TokenStore, for those who write one:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Store { return mystore.New(connect(t)) })
//	}
//
// What a store has beyond the three methods (conditional save, leases) is found
// and proved too. The package imports nothing of the SDK.
package storetest

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Store is what every store has; see emporix.TokenStore for what each method
// promises.
type Store interface {
	Load(ctx context.Context, key string) (data []byte, found bool, err error)
	Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error
	Delete(ctx context.Context, key string) error
}

// conditionalStore is emporix.ConditionalTokenStore.
type conditionalStore interface {
	Store
	SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error)
}

// leaseStore is emporix.LeaseTokenStore.
type leaseStore interface {
	conditionalStore
	Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error)
	Remaining(ctx context.Context, key, owner string) (time.Duration, error)
	Release(ctx context.Context, key, owner string) error
}

// Option says what Run can't find out.
type Option func(*suite)

type suite struct {
	advance func(time.Duration)
	bubble  bool
	lose    func()
}

// WithClock tells how to move the store's clock on, for a store that has one of its
// own. Without it, rows and leases of less than a second run out in real time.
func WithClock(advance func(time.Duration)) Option {
	return func(s *suite) { s.advance = advance }
}

// WithVirtualTime runs each test in a bubble of testing/synctest, where time costs
// nothing: for stores within this process, without a connection or a goroutine
// that goes on.
func WithVirtualTime() Option {
	return func(s *suite) { s.bubble, s.advance = true, time.Sleep }
}

// WithLostAnswers tells how to lose a response: after lose, the backend does the next
// operation of the store, and the response doesn't arrive, as if the connection had
// broken in between. Run then also proves that the store, or the driver below it
// that asks again, doesn't take its own write for another's. Nothing else of Run
// needs it.
func WithLostAnswers(lose func()) Option {
	return func(s *suite) { s.lose = lose }
}

// Run proves a store in subtests of t. newStore is called for each of them, and
// may return the same store or others over the same data: every test has its own
// keys. Tests that wait in real time do so in parallel, when t's own function has
// returned: end what they need in t.Cleanup.
func Run(t *testing.T, newStore func(t *testing.T) Store, options ...Option) {
	t.Helper()
	var s suite
	for _, option := range options {
		option(&s)
	}
	for _, c := range casesFor(t, newStore(t), s.lose) {
		t.Run(c.name, func(t *testing.T) {
			if s.bubble {
				synctest.Test(t, func(t *testing.T) { c.run(newTrial(t, newStore(t), s.advance)) })
				return
			}
			c.run(newTrial(t, newStore(t), s.advance))
		})
	}
}

// testCase is one promise. It gets a store that has what needs says.
type testCase struct {
	name  string
	needs kind
	run   func(*fixture)
}

type kind uint8

const (
	plain kind = iota
	conditional
	lending
)

func kindOf(s Store) kind {
	if _, ok := s.(leaseStore); ok {
		return lending
	}
	if _, ok := s.(conditionalStore); ok {
		return conditional
	}
	return plain
}

// casesFor returns the promises of a store. It fails where there is none, or where
// upgrades were meant and missed: the SDK would not see them.
func casesFor(t reporter, s Store, lose func()) []testCase {
	t.Helper()
	if s == nil {
		t.Fatalf("newStore returned nil")
	}
	checkMethods(t, s)
	groups := [][]testCase{rowCases, conditionalCases, leaseCases}
	if lose != nil {
		groups = append(groups, lostCases(lose))
	}
	var out []testCase
	for _, group := range groups {
		for _, c := range group {
			if c.needs <= kindOf(s) {
				out = append(out, c)
			}
		}
	}
	return out
}

func checkMethods(t reporter, s Store) {
	t.Helper()
	var has []string
	for _, name := range []string{"SaveIf", "Acquire", "Remaining", "Release"} {
		if _, found := reflect.TypeOf(s).MethodByName(name); found {
			has = append(has, name)
		}
	}
	want := map[kind]int{plain: 0, conditional: 1, lending: 4}[kindOf(s)]
	if len(has) != want {
		t.Fatalf("the store has %s, but neither just SaveIf of emporix.ConditionalTokenStore nor all methods of emporix.LeaseTokenStore; compare their signatures",
			strings.Join(has, ", "))
	}
}
