package storetest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// counted is a model whose operations are counted, of which one may fail.
type counted struct {
	*model
	operations atomic.Int64
	failing    int64 // which one fails; 0 is none
}

var errFailing = errors.New("the connection was reset")

func (c *counted) fails() bool { return c.operations.Add(1) == c.failing }

func (c *counted) Load(ctx context.Context, key string) ([]byte, bool, error) {
	if c.fails() {
		return nil, false, errFailing
	}
	return c.model.Load(ctx, key)
}

func (c *counted) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	if c.fails() {
		return errFailing
	}
	return c.model.Save(ctx, key, data, generation, ttl)
}

func (c *counted) Delete(ctx context.Context, key string) error {
	if c.fails() {
		return errFailing
	}
	return c.model.Delete(ctx, key)
}

func (c *counted) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	if c.fails() {
		return false, errFailing
	}
	return c.model.SaveIf(ctx, key, data, expected, generation, ttl)
}

func (c *counted) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	if c.fails() {
		return false, false, errFailing
	}
	return c.model.Acquire(ctx, key, owner, ttl)
}

func (c *counted) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	if c.fails() {
		return 0, errFailing
	}
	return c.model.Remaining(ctx, key, owner)
}

func (c *counted) Release(ctx context.Context, key, owner string) error {
	if c.fails() {
		return errFailing
	}
	return c.model.Release(ctx, key, owner)
}

// The operations of each case, of a store that is as it should be. Many promises are
// proved in several ways, so that no broken store shows that one of them is gone.
var operations = map[string]int64{
	"absent": 3, "save, overwrite, delete": 13, "bytes stay as they are": 60, "bytes are the store's own": 6, "hostile keys": 347, "rows run out": 5,
	"a new row has its own time": 7, "rows that last for months": 16, "many at once": 576, "a context that has ended": 16,
	"save if": 9, "save if, after save and delete": 11, "generations are equal or not": 33, "a row that has run out is none": 10,
	"one of many saves": 255, "one of many begins": 54,
	"a lease is one owner's": 13, "hostile owners": 406, "its owner extends it": 11, "leases run out": 10,
	"a lease and its row have their own times": 23, "writing ends no lease": 22, "a row that is absent can be lent": 18, "abandoned leases": 266,
	"one of many acquires": 257, "one of many takes over": 55,
	"lost responses": 6, "lost responses of save if": 16, "lost responses of leases": 22,
}

func TestWhatIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range casesFor(t, newModel(""), func() {}) {
			s := &counted{model: newModel("")}
			assert.Empty(t, complaints(t, c, s, time.Sleep), c.name)
			assert.Equal(t, operations[c.name], s.operations.Load(), c.name)
		}
	})
}

// An error where none is due is told, whichever operation it is of.
func TestEveryErrorIsTold(t *testing.T) {
	const most = 40 // of a case
	for _, c := range casesFor(t, newModel(""), nil) {
		if c.name == "a context that has ended" { // there, errors are due
			continue
		}
		n := operations[c.name]
		for at := int64(1); at <= n; at += (n + most - 1) / most {
			synctest.Test(t, func(t *testing.T) {
				said := complaints(t, c, &counted{model: newModel(""), failing: at}, time.Sleep)
				assert.Contains(t, strings.Join(said, "\n"), errFailing.Error(), "%s, operation %d", c.name, at)
			})
		}
	}
}

// Run asks a store with a clock of its own the same, in no time.
func TestRunMovesAClockOn(t *testing.T) {
	began, all := time.Now(), int64(0)
	s := &counted{model: newModel("")}
	Run(t, func(*testing.T) Store { return s }, WithClock(func(d time.Duration) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ahead += d
	}))
	for _, c := range casesFor(t, s, nil) {
		all += operations[c.name]
	}
	assert.Equal(t, all, s.operations.Load())
	assert.Less(t, time.Since(began), 5*time.Second)
}
