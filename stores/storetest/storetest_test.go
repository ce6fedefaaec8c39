package storetest

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The stores that break a promise, and the test that has to see it (others may
// too).
var broken = map[string]string{
	"Load ignores the context":               "a context that has ended",
	"Save ignores the context":               "a context that has ended",
	"Delete ignores the context":             "a context that has ended",
	"SaveIf ignores the context":             "a context that has ended",
	"Acquire ignores the context":            "a context that has ended",
	"Remaining ignores the context":          "a context that has ended",
	"Release ignores the context":            "a context that has ended",
	"saves too late":                         "a context that has ended",
	"saves if, too late":                     "a context that has ended",
	"acquires nothing, and says nothing":     "a context that has ended",
	"saves nothing, and says nothing":        "a context that has ended",
	"finds nothing, and says nothing":        "a context that has ended",
	"says that it saved, too late":           "a context that has ended",
	"says that it found, too late":           "a context that has ended",
	"says that it acquired, too late":        "a context that has ended",
	"lends no odd keys":                      "hostile keys",
	"reading under a lease settles":          "abandoned leases",
	"reading after a lease settles":          "abandoned leases",
	"takes one word for another":             "hostile keys",
	"deletes what begins alike":              "hostile keys",
	"folds case":                             "hostile keys",
	"trims spaces":                           "hostile keys",
	"cuts keys at 511":                       "hostile keys",
	"unescapes keys":                         "hostile keys",
	"joins slashes":                          "hostile keys",
	"hashes what is in braces":               "hostile keys",
	"cuts keys at a quote":                   "hostile keys",
	"returns expired rows":                   "rows run out",
	"absent is an error":                     "absent",
	"absent is found":                        "absent",
	"returns its own bytes":                  "bytes are the store's own",
	"Save keeps the caller's bytes":          "bytes are the store's own",
	"SaveIf keeps the caller's bytes":        "bytes are the store's own",
	"writes in two halves":                   "many at once",
	"keeps 64 rows":                          "many at once",
	"extends in name only":                   "its owner extends it",
	"hides what is no JSON":                  "bytes stay as they are",
	"is a C string":                          "bytes stay as they are",
	"trims rows":                             "bytes stay as they are",
	"is text":                                "bytes stay as they are",
	"saving if, is text":                     "bytes stay as they are",
	"beginning, is text":                     "bytes stay as they are",
	"cuts rows at 16 KiB":                    "bytes stay as they are",
	"is a float":                             "generations are equal or not",
	"keeps 63 bits":                          "generations are equal or not",
	"keeps 32 bits":                          "generations are equal or not",
	"keeps even numbers":                     "generations are equal or not",
	"rows never end":                         "rows run out",
	"rows end early":                         "rows run out",
	"counts milliseconds in 32 bits":         "rows that last for months",
	"takes months for a date":                "rows that last for months",
	"keeps the first end":                    "a new row has its own time",
	"keeps the later end":                    "a new row has its own time",
	"never goes back":                        "save, overwrite, delete",
	"does not overwrite":                     "save, overwrite, delete",
	"does not delete":                        "save, overwrite, delete",
	"deletes all":                            "save, overwrite, delete",
	"deleting nothing is an error":           "absent",
	"does not compare":                       "save if",
	"negative numbers are none":              "generations are equal or not",
	"expired rows have generations":          "a row that has run out is none",
	"orders":                                 "generations are equal or not",
	"takes its generation for its own write": "generations are equal or not",
	"takes older ones":                       "save if",
	"takes newer ones":                       "save if",
	"0 is anything":                          "save if",
	"never begins":                           "save if",
	"forgets who saved":                      "save if",
	"compares outside of its lock":           "one of many saves",
	"saving ends a lease":                    "writing ends no lease",
	"saving if, ends a lease":                "writing ends no lease",
	"beginning ends a lease":                 "writing ends no lease",
	"refusing ends a lease":                  "writing ends no lease",
	"writing shortens a lease":               "writing ends no lease",
	"writing leaves the mark":                "abandoned leases",
	"beginning leaves the mark":              "abandoned leases",
	"clears the mark anyway":                 "abandoned leases",
	"a lease locks":                          "writing ends no lease",
	"deleting ends a lease":                  "writing ends no lease",
	"one lease for all":                      "a lease is one owner's",
	"cuts owners at 32":                      "hostile owners",
	"folds owners":                           "hostile owners",
	"trims owners":                           "hostile owners",
	"lends no absent row":                    "a row that is absent can be lent",
	"lending makes a row":                    "a row that is absent can be lent",
	"lending changes the row's end":          "a lease and its row have their own times",
	"lending changes the generation":         "writing ends no lease",
	"lends twice":                            "a lease is one owner's",
	"leases never end":                       "leases run out",
	"looks outside of its lock":              "one of many acquires",
	"tells too early":                        "a lease is one owner's",
	"does not extend":                        "its owner extends it",
	"refuses to extend":                      "its owner extends it",
	"extending is abandoned":                 "its owner extends it",
	"never tells":                            "abandoned leases",
	"tells once":                             "abandoned leases",
	"releasing settles":                      "abandoned leases",
	"its own is not abandoned":               "abandoned leases",
	"never shortens":                         "its owner extends it",
	"takes over outside of its lock":         "one of many takes over",
	"begins outside of its lock":             "one of many begins",
	"always tells":                           "a lease is one owner's",
	"lends for half the time":                "leases run out",
	"remains for all":                        "a lease is one owner's",
	"remaining is negative":                  "a lease and its row have their own times",
	"releasing nothing is an error":          "a row that is absent can be lent",
	"does not release":                       "a lease is one owner's",
	"releases for all":                       "a lease is one owner's",
	"releases late":                          "abandoned leases",
	"releasing removes the row":              "writing ends no lease",
}

// recorder is a test that may fail. A failure is to be told at a line of a case.
type recorder struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // as in testing.T
	mu      sync.Mutex
	said    []string
	helpers map[string]bool
	waits   int
}

// Parallel is called before a test waits in real time.
func (r *recorder) Parallel() { r.waits++ }

func (r *recorder) Helper() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.helpers == nil {
		r.helpers = map[string]bool{}
	}
	r.helpers[r.callers()[0].Function] = true
}

// callers are those of the recorder's methods.
func (*recorder) callers() (all []runtime.Frame) {
	pcs := make([]uintptr, 50)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for frame, more := frames.Next(); more; frame, more = frames.Next() {
		if !strings.Contains(frame.Function, "(*recorder)") {
			all = append(all, frame)
		}
	}
	return all
}

func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
	for _, frame := range r.callers() {
		if !r.helpers[frame.Function] {
			file := filepath.Base(frame.File)
			shared := file == "trial.go" || file == "storetest.go" || strings.HasSuffix(frame.Function, ".oneOf")
			assert.False(r.t, shared, "%s is no helper: %s", frame.Function, r.said)
			break
		}
	}
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// complaints runs one case against a store, and returns what it says.
func complaints(t *testing.T, c testCase, s Store, advance func(time.Duration)) []string {
	return (&recorder{t: t, ctx: t.Context()}).complaints(c, s, advance)
}

func (r *recorder) complaints(c testCase, s Store, advance func(time.Duration)) []string {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(newTrial(r, s, advance))
	}()
	<-done
	return r.said
}

func TestTheModelPasses(t *testing.T) {
	for what, store := range map[string]func() Store{
		"plain": func() Store { return noSaveIf{newModel("")} }, "conditional": func() Store { return noLease{newModel("")} }, "lending": func() Store { return newModel("") },
	} {
		t.Run(what, func(t *testing.T) { Run(t, func(*testing.T) Store { return store() }, WithVirtualTime()) })
	}
	t.Run("with a clock of its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, c := range casesFor(t, newModel(""), nil) {
				assert.Empty(t, complaints(t, c, newModel(""), time.Sleep), c.name)
			}
		})
	})
	t.Run("polled", func(t *testing.T) { // time is virtual, but the suite does not know
		synctest.Test(t, func(t *testing.T) {
			for _, c := range casesFor(t, newModel(""), nil) {
				began, r := time.Now(), &recorder{t: t, ctx: t.Context()}
				assert.Empty(t, r.complaints(c, newModel(""), nil), c.name)
				assert.Equal(t, time.Since(began) > 0, r.waits == 1, "%s waits, and in parallel", c.name)
			}
		})
	})
	t.Run("over shared data", func(t *testing.T) {
		shared := newModel("")
		Run(t, func(*testing.T) Store { return shared }, WithVirtualTime())
	})
}

// What runs out may be seen late: by two seconds of a clock that is moved on, and by
// more of a real one. It must not be over early, but for what looking takes.
func TestHowLateARowMayRunOut(t *testing.T) {
	at := slices.IndexFunc(rowCases, func(c testCase) bool { return c.name == "rows run out" })
	for _, way := range []struct {
		name        string
		advance     func(time.Duration)
		early, late time.Duration // the first that is too early, and the last that isn't too late
	}{
		{"advanced", time.Sleep, -100 * time.Millisecond, 2 * time.Second},
		{"polled", nil, -20 * time.Millisecond, 8020 * time.Millisecond},
	} {
		for late, says := range map[time.Duration]string{way.early: "a row: over ", way.early + 1: "", way.late: "", way.late + 1: "a row: still there "} {
			synctest.Test(t, func(t *testing.T) {
				m := newModel("")
				m.late = late
				said := strings.Join(complaints(t, rowCases[at], m, way.advance), "\n")
				assert.Equal(t, says != "", said != "", "%s, %v late: %s", way.name, late, said)
				assert.Contains(t, said, says, "%s, %v late", way.name, late)
			})
		}
	}
}

// A lease of which nothing remains may still end a moment later: the backend has a
// clock of its own, and counts in milliseconds.
func TestALeaseMayEndAMomentLater(t *testing.T) {
	for _, c := range append(casesFor(t, newModel(""), nil), lostCases(func() {})...) {
		synctest.Test(t, func(t *testing.T) {
			m := newModel("")
			m.late, m.step = 9*time.Millisecond, 10*time.Millisecond
			assert.Empty(t, complaints(t, c, m, nil), c.name)
		})
	}
}

// A store with a clock of its own is told how much time passes.
func TestTheClockIsMovedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var moved time.Duration
		var s suite
		WithClock(func(d time.Duration) { time.Sleep(d); moved += d })(&s)
		for _, c := range casesFor(t, newModel(""), nil) {
			assert.Empty(t, complaints(t, c, newModel(""), s.advance), c.name)
		}
		assert.Greater(t, moved, 10*time.Second)
	})
}

// What a store made of a large row is told by how it begins and how long it is.
func TestLargeRowsAreToldInShort(t *testing.T) {
	at := slices.IndexFunc(rowCases, func(c testCase) bool { return c.name == "bytes stay as they are" })
	var begins []byte
	for i := range 40 {
		begins = append(begins, byte(i))
	}
	assert.Contains(t, complaints(t, rowCases[at], newModel("cuts rows at 16 KiB"), nil),
		fmt.Sprintf("Load(%q) = %q (16384 bytes), want %q (65536 bytes)", "64 KiB", begins, begins))
}

// Every broken store is found, whether the clock is the store's own or real, and
// is told so by a line that shows the promise.
func TestBrokenStoresAreFound(t *testing.T) {
	for bug, where := range broken {
		t.Run(bug, func(t *testing.T) {
			cases := casesFor(t, newModel(""), nil)
			at := slices.IndexFunc(cases, func(c testCase) bool { return c.name == where })
			require.GreaterOrEqual(t, at, 0, where)
			for way, advance := range map[string]func(time.Duration){"advanced": time.Sleep, "polled": nil} {
				synctest.Test(t, func(t *testing.T) {
					said := complaints(t, cases[at], newModel(bug), advance)
					require.NotEmpty(t, said, way)
					t.Log(said[0])
				})
			}
		})
	}
}

type (
	noLease  struct{ conditionalStore }
	noSaveIf struct{ Store }
)

// mistyped has upgrades that the SDK would not see.
type mistyped struct{ Store }

func (mistyped) SaveIf(context.Context, string, []byte, int64, int64, time.Duration) (bool, error) {
	return false, nil
}

type onlyAcquire struct{ conditionalStore }

func (onlyAcquire) Acquire(context.Context, string, string, time.Duration) (bool, bool, error) {
	return false, false, nil
}

func TestUpgradesAreFound(t *testing.T) {
	m := newModel("")
	for name, tt := range map[string]struct {
		store Store
		cases int
		says  string
	}{
		"all":          {store: m, cases: len(rowCases) + len(conditionalCases) + len(leaseCases)},
		"no lease":     {store: noLease{m}, cases: len(rowCases) + len(conditionalCases)},
		"no save if":   {store: noSaveIf{m}, cases: len(rowCases)},
		"mistyped":     {store: mistyped{m}, says: "the store has SaveIf, but"},
		"none":         {says: "newStore returned nil"},
		"only acquire": {store: onlyAcquire{m}, says: "the store has SaveIf, Acquire, but"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{t: t, ctx: t.Context()}
			var cases []testCase
			done := make(chan struct{})
			go func() {
				defer close(done)
				cases = casesFor(r, tt.store, nil)
			}()
			<-done
			if tt.says != "" {
				require.Len(t, r.said, 1)
				assert.Contains(t, r.said[0], tt.says)
				return
			}
			assert.Empty(t, r.said)
			assert.Len(t, cases, tt.cases)
		})
	}
}
