package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// reporter is what the suite uses of *testing.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// fixture is one test of one store. Its helpers fail the test on any error.
type fixture struct {
	reporter
	store   Store
	own     string            // part of every key: other tests may share the data
	marked  bool              // as parallel, or as one that must not be
	last    map[string]uint64 // the generation with which a row was last written
	advance func(time.Duration)
}

func newTrial(t reporter, s Store, advance func(time.Duration)) *fixture {
	return &fixture{reporter: t, store: s, own: "acme/" + rand.Text() + "/", advance: advance, last: map[string]uint64{}}
}

func (t *fixture) conditional() conditionalStore { return t.store.(conditionalStore) } //nolint:forcetypeassert // as the case needs
func (t *fixture) leases() leaseStore            { return t.store.(leaseStore) }       //nolint:forcetypeassert // as the case needs

func (t *fixture) key(name string) string { return t.own + name }

// long is a time to live that no test outlives.
const long = time.Hour

func (t *fixture) saveAs(name, data string, generation uint64, ttl time.Duration) {
	t.Helper()
	if err := t.store.Save(t.Context(), t.key(name), []byte(data), generation, ttl); err != nil {
		t.Fatalf("Save(%q): %v", name, err)
	}
	t.last[name] = generation
}

// next is a generation after the row's.
func (t *fixture) next(name string) uint64 {
	generation := t.last[name]
	generation++
	return generation
}

// save writes the row's next generation.
func (t *fixture) save(name, data string, ttl time.Duration) {
	t.Helper()
	t.saveAs(name, data, t.next(name), ttl)
}

func (t *fixture) put(name, data string) {
	t.Helper()
	t.save(name, data, long)
}

func (t *fixture) delete(name string) {
	t.Helper()
	if err := t.store.Delete(t.Context(), t.key(name)); err != nil {
		t.Fatalf("Delete(%q): %v", name, err)
	}
}

func (t *fixture) load(name string) ([]byte, bool) {
	t.Helper()
	data, found, err := t.store.Load(t.Context(), t.key(name))
	if err != nil {
		t.Fatalf("Load(%q): %v", name, err)
	}
	return data, found
}

func (t *fixture) there(name string) bool {
	t.Helper()
	_, found := t.load(name)
	return found
}

func (t *fixture) has(name, want string) {
	t.Helper()
	data, found := t.load(name)
	switch {
	case !found:
		t.Errorf("Load(%q) finds nothing, want %s", name, shown([]byte(want)))
	case !bytes.Equal(data, []byte(want)):
		t.Errorf("Load(%q) = %s, want %s", name, shown(data), shown([]byte(want)))
	}
}

func (t *fixture) absent(name string) {
	t.Helper()
	if data, found := t.load(name); found {
		t.Errorf("Load(%q) = %s, want nothing", name, shown(data))
	}
}

func shown(data []byte) string { return fmt.Sprintf("%.40q (%d bytes)", data, len(data)) }

func (t *fixture) saveIf(name, data string, expected, generation uint64, ttl time.Duration) bool {
	t.Helper()
	saved, err := t.conditional().SaveIf(t.Context(), t.key(name), []byte(data), expected, generation, ttl)
	if err != nil {
		t.Fatalf("SaveIf(%q, expected %d): %v", name, expected, err)
	}
	if saved {
		t.last[name] = generation
	}
	return saved
}

func (t *fixture) wantSaveIf(name, data string, expected, generation uint64, want bool) {
	t.Helper()
	if saved := t.saveIf(name, data, expected, generation, long); saved != want {
		t.Fatalf("SaveIf(%q, expected %d, generation %d) = %t, want %t", name, expected, generation, saved, want)
	}
}

// wantReplace saves over the generation that was last written.
func (t *fixture) wantReplace(name, data string, want bool) {
	t.Helper()
	t.wantSaveIf(name, data, t.last[name], t.next(name), want)
}

// wantBegin saves where no row is to be.
func (t *fixture) wantBegin(name, data string, want bool) {
	t.Helper()
	t.wantSaveIf(name, data, 0, t.next(name), want)
}

// wantStale does not save: the generations before and after are not that of the row.
func (t *fixture) wantStale(name string) {
	t.Helper()
	for _, wrong := range []uint64{t.last[name] - 1, t.last[name] + 1} {
		t.wantSaveIf(name, "no", wrong, t.next(name), false)
	}
}

func (t *fixture) acquire(name, owner string, ttl time.Duration) (acquired, abandoned bool) {
	t.Helper()
	acquired, abandoned, err := t.leases().Acquire(t.Context(), t.key(name), owner, ttl)
	if err != nil {
		t.Fatalf("Acquire(%q, %s): %v", name, owner, err)
	}
	return acquired, abandoned
}

// wantAcquire: nothing was abandoned.
func (t *fixture) wantAcquire(name, owner string, ttl time.Duration, want bool) {
	t.Helper()
	if acquired, abandoned := t.acquire(name, owner, ttl); acquired != want || abandoned {
		t.Fatalf("Acquire(%q, %s) = acquired %t, abandoned %t; want %t, false", name, owner, acquired, abandoned, want)
	}
}

func (t *fixture) remaining(name, owner string) time.Duration {
	t.Helper()
	left, err := t.leases().Remaining(t.Context(), t.key(name), owner)
	if err != nil {
		t.Fatalf("Remaining(%q, %s): %v", name, owner, err)
	}
	return left
}

// lent: owner has a lease.
func (t *fixture) lent(name, owner string) bool {
	t.Helper()
	return t.remaining(name, owner) > 0
}

// wantHeldFor: owner has a lease that was taken for ttl a moment ago.
func (t *fixture) wantHeldFor(name, owner string, ttl time.Duration) {
	t.Helper()
	if left := t.remaining(name, owner); left < ttl-ttl/4 || left > ttl {
		t.Errorf("Remaining(%q, %s) = %v, want almost %v", name, owner, left, ttl)
	}
}

// wantHeld: owner has a lease that was taken for long.
func (t *fixture) wantHeld(name, owner string) {
	t.Helper()
	t.wantHeldFor(name, owner, long)
}

func (t *fixture) wantFree(name, owner string) {
	t.Helper()
	if left := t.remaining(name, owner); left != 0 {
		t.Errorf("Remaining(%q, %s) = %v, want 0", name, owner, left)
	}
}

// wantKept: jo has the lease, and ann can't have it.
func (t *fixture) wantKept(name string) {
	t.Helper()
	t.wantAcquire(name, "ann", long, false)
	t.wantHeld(name, "jo")
}

// wantError of an operation with a context that is ended.
func (t *fixture) wantError(operation, ended string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s with a context that is %s: no error", operation, ended)
	}
}

func (t *fixture) release(name, owner string) {
	t.Helper()
	if err := t.leases().Release(t.Context(), t.key(name), owner); err != nil {
		t.Fatalf("Release(%q, %s): %v", name, owner, err)
	}
}

// What runs out, and how long it may take until it is seen.
const (
	soon     = 400 * time.Millisecond
	late     = 2 * time.Second // of a store that counts in whole seconds
	patience = 8 * time.Second
	pollPace = 20 * time.Millisecond
	rounding = 10 * time.Millisecond // clocks of two machines, and milliseconds cut
)

// runsOut begins something that lasts for soon, and sees that it is there until then
// and gone soon after. While the store's clock is real, a test may be too slow to
// look in time; what it saw too late says nothing.
func (t *fixture) runsOut(what string, begin func(), there func() bool) {
	t.Helper()
	if t.advance != nil {
		begin()
		t.advance(soon - soon/4)
		if !there() {
			t.Fatalf("%s: over before its time", what)
		}
		t.advance(soon/4 + late)
		if there() {
			t.Fatalf("%s: still there after its time", what)
		}
		return
	}
	t.parallel()
	before := time.Now()
	begin()
	begun := time.Now()
	for {
		is := there()
		switch {
		case !is && time.Since(before) < soon-rounding:
			t.Fatalf("%s: over after %v, of %v", what, time.Since(before), soon)
		case !is:
			time.Sleep(rounding)
			return
		case time.Since(begun) > soon+patience:
			t.Fatalf("%s: still there %v after its time", what, patience)
		}
		time.Sleep(pollPace)
	}
}

// wait lets d of the store's time pass.
func (t *fixture) wait(d time.Duration) {
	if t.advance != nil {
		t.advance(d)
		return
	}
	t.parallel()
	time.Sleep(d)
}

// parallel lets the other tests that wait in real time do so at the same time.
func (t *fixture) parallel() {
	if test, real := t.reporter.(interface{ Parallel() }); real && !t.marked {
		t.marked = true
		test.Parallel()
	}
}
