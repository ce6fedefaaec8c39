package storetest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errLost = errors.New("connection reset")

// farModel is a model behind a connection that can lose a response. way says what
// the store on this side does then.
type farModel struct {
	*model
	way  string
	lost atomic.Bool
}

func (f *farModel) takes() bool {
	return f.lost.Swap(false)
}

func (f *farModel) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	lost := f.takes()
	if lost && f.way == "gives up in silence" {
		return nil
	}
	err := f.model.Save(ctx, key, data, generation, ttl)
	if lost {
		return errLost
	}
	return err
}

func (f *farModel) Load(ctx context.Context, key string) ([]byte, bool, error) {
	lost := f.takes()
	if lost && f.way == "finds nothing" {
		return nil, false, nil
	}
	if lost && f.way == "finds a part" {
		return []byte("o"), true, nil
	}
	if lost {
		return nil, false, errLost
	}
	return f.model.Load(ctx, key)
}

func (f *farModel) Delete(ctx context.Context, key string) error {
	lost := f.takes()
	if lost && f.way == "does not delete" {
		return errLost
	}
	return errors.Join(f.model.Delete(ctx, key), map[bool]error{true: errLost}[lost])
}

func (f *farModel) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	saved, err := f.model.SaveIf(ctx, key, data, expected, generation, ttl)
	if !f.takes() {
		if r, found := f.model.row(key); (f.way == "takes the same for its own" && expected != 0 || f.way == "takes the same for its own, beginning" && expected == 0) && found && r.generation == generation && string(r.data) == string(data) {
			return true, err
		}
		return saved, err
	}
	switch f.way {
	case "knows its own": // as a call ID in the row tells
		return saved, err
	case "asks again":
		return f.model.SaveIf(ctx, key, data, expected, generation, ttl)
	case "compares what it would write": // another may have written the same
		return true, nil
	}
	return false, errLost
}

func (f *farModel) Acquire(ctx context.Context, key, owner string, ttl time.Duration) (acquired, abandoned bool, err error) {
	lost := f.takes()
	if lost && f.way == "acquires as another" {
		_, _, _ = f.model.Acquire(ctx, key, owner+" at first", ttl)
	}
	acquired, abandoned, err = f.model.Acquire(ctx, key, owner, ttl)
	switch {
	case !lost:
		return acquired, abandoned, err
	case f.way == "thinks that it has it":
		return true, abandoned, err
	case f.way == "forgets what was abandoned":
		return acquired, false, err
	case f.way == "knows its own":
		return f.model.Acquire(ctx, key, owner, ttl)
	}
	return false, false, errLost
}

func (f *farModel) Remaining(ctx context.Context, key, owner string) (time.Duration, error) {
	switch {
	case !f.takes():
		return f.model.Remaining(ctx, key, owner)
	case f.way == "has nothing left":
		return 0, nil
	}
	return 0, errLost
}

func (f *farModel) Release(ctx context.Context, key, owner string) error {
	err := f.model.Release(ctx, key, owner)
	if f.takes() {
		return errLost
	}
	return err
}

// A store may say that it doesn't know, or know; what says something false is
// found.
func TestLostAnswersAreFound(t *testing.T) {
	for way, where := range map[string]string{
		"":                                      "",
		"knows its own":                         "",
		"gives up in silence":                   "lost responses",
		"finds nothing":                         "lost responses",
		"finds a part":                          "lost responses",
		"does not delete":                       "lost responses",
		"asks again":                            "lost responses of save if",
		"compares what it would write":          "lost responses of save if",
		"takes the same for its own":            "lost responses of save if",
		"takes the same for its own, beginning": "lost responses of save if",
		"acquires as another":                   "lost responses of leases",
		"thinks that it has it":                 "lost responses of leases",
		"forgets what was abandoned":            "lost responses of leases",
		"has nothing left":                      "lost responses of leases",
	} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &farModel{model: newModel(""), way: way}
				for _, c := range lostCases(func() { f.lost.Store(true) }) {
					said := complaints(t, c, f, time.Sleep)
					if c.name == where {
						require.NotEmpty(t, said)
						t.Log(said[0])
					} else {
						assert.Empty(t, said, c.name)
					}
				}
			})
		})
	}
}

// Where leases are told once, or a late release ends another's, the second asking
// shows it.
func TestLostLeasesOfBrokenStores(t *testing.T) {
	for _, bug := range []string{"tells once", "releases for all", "releasing settles", "extending is abandoned", "does not release"} {
		synctest.Test(t, func(t *testing.T) {
			f := &farModel{model: newModel(bug)}
			cases := lostCases(func() { f.lost.Store(true) })
			at := slices.IndexFunc(cases, func(c testCase) bool { return c.needs == lending })
			require.NotEmpty(t, complaints(t, cases[at], f, time.Sleep), bug)
		})
	}
}

// Run has the cases only where it can lose answers.
func TestRunLosesAnswers(t *testing.T) {
	f := &farModel{model: newModel("")}
	lost := 0
	Run(t, func(*testing.T) Store { return f }, WithVirtualTime(), WithLostAnswers(func() { f.lost.Store(true); lost++ }))
	assert.Equal(t, 16, lost)
	assert.Len(t, casesFor(t, f, func() {}), len(casesFor(t, f, nil))+3)
	assert.Len(t, casesFor(t, noLease{f}, func() {}), len(casesFor(t, noLease{f}, nil))+2)
	assert.Len(t, casesFor(t, noSaveIf{f}, func() {}), len(casesFor(t, noSaveIf{f}, nil))+1)
}

// No other test loses its responses at that time.
func TestLostAnswersAreAwaitedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farModel{model: newModel("")}
		for _, c := range lostCases(func() { f.lost.Store(true) }) {
			r := &recorder{t: t, ctx: t.Context()}
			assert.Empty(t, r.complaints(c, f, nil), c.name)
			assert.Zero(t, r.waits, c.name)
		}
	})
}
