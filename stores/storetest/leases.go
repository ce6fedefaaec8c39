package storetest

import (
	"fmt"
	"strings"
	"time"
)

var leaseCases = []testCase{
	{name: "a lease is one owner's", needs: lending, run: func(t *fixture) {
		t.put("a", "one")
		t.wantFree("a", "jo")
		t.wantAcquire("a", "jo", long, true)
		t.wantAcquire("a", "ann", long, false)
		t.wantHeld("a", "jo")
		t.wantFree("a", "ann")
		t.wantAcquire("b", "ann", long, true)
		t.release("a", "jo")
		t.wantFree("a", "jo")
		t.wantAcquire("a", "ann", long, true)
		t.release("a", "jo") // an earlier owner's
		t.wantHeld("a", "ann")
		t.has("a", "one")
	}},
	{name: "hostile owners", needs: lending, run: func(t *fixture) {
		x := strings.Repeat("x", 63)
		owners := []string{"jo", "JO", "jo ", " jo", "jo%", "j_", "'jo'", `"jo"\`, "{jo}", "0", "00", x + "x", x + "y", x}
		for _, owner := range owners {
			t.wantAcquire("a", owner, long, true)
			for _, other := range owners {
				if other != owner {
					t.wantAcquire("a", other, long, false)
					t.release("a", other)
				}
			}
			t.wantHeld("a", owner)
			t.release("a", owner)
		}
	}},
	{name: "its owner extends it", needs: lending, run: func(t *fixture) {
		t.put("a", "one")
		t.wantAcquire("a", "jo", long, true)
		t.wantAcquire("a", "jo", 2*long, true)
		t.wantHeldFor("a", "jo", 2*long)
		t.wantAcquire("a", "jo", long/2, true)
		t.wantHeldFor("a", "jo", long/2)
		t.wantAcquire("a", "ann", long, false)

		t.wantAcquire("b", "jo", soon, true)
		t.wantAcquire("b", "jo", long, true)
		t.wait(2 * soon)
		t.wantKept("b")
	}},
	{name: "leases run out", needs: lending, run: func(t *fixture) {
		t.put("a", "one")
		taken := func() bool {
			acquired, _ := t.acquire("a", "ann", long)
			return !acquired
		}
		t.runsOut("a lease", func() { t.wantAcquire("a", "jo", soon, true) }, taken)
		t.wantFree("a", "jo")
		t.wantHeld("a", "ann")
		t.wantAcquire("a", "jo", long, false) // no way back
		t.release("a", "jo")
		t.wantHeld("a", "ann")
		t.has("a", "one")
	}},
	{name: "a lease and its row have their own times", needs: lending, run: func(t *fixture) {
		t.runsOut("a row under a lease", func() {
			t.save("row", "one", soon)
			t.wantAcquire("row", "jo", long, true)
		}, func() bool { return t.there("row") })
		t.wantHeld("row", "jo")
		t.wantAcquire("row", "ann", long, false)
		t.wantReplace("row", "no", false)
		t.wantBegin("row", "two", true)
		t.has("row", "two")
		t.wantHeld("row", "jo")

		t.runsOut("a row that is written under a lease", func() {
			t.wantAcquire("later", "jo", long, true)
			t.save("later", "one", soon)
		}, func() bool { return t.there("later") })
		t.wantHeld("later", "jo")

		t.put("lease", "one")
		t.runsOut("a lease", func() { t.wantAcquire("lease", "jo", soon, true) },
			func() bool { return t.lent("lease", "jo") })
		t.wantFree("lease", "jo")
		t.has("lease", "one")
		t.wantReplace("lease", "two", true)
		t.has("lease", "two")
	}},
	{name: "writing ends no lease", needs: lending, run: func(t *fixture) {
		t.put("a", "one")
		t.wantAcquire("a", "jo", long, true)
		t.wantStale("a")
		t.wantKept("a")
		t.wantReplace("a", "two", true) // a lease does not change the generation
		t.wantKept("a")
		t.put("a", "three")
		t.wantKept("a")
		t.delete("a")
		t.absent("a")
		t.wantKept("a")
		t.wantBegin("a", "four", true)
		t.wantKept("a")
		t.release("a", "jo")
		t.has("a", "four")
		t.wantReplace("a", "five", true) // nor does its end
	}},
	{name: "a row that is absent can be lent", needs: lending, run: func(t *fixture) {
		t.release("a", "jo")
		t.wantAcquire("a", "jo", long, true)
		t.absent("a")
		t.wantAcquire("a", "ann", long, false)
		t.wantStale("a")
		t.delete("a")
		t.wantHeld("a", "jo")
		t.wantBegin("a", "one", true)
		t.has("a", "one")
		t.release("a", "jo")
		t.has("a", "one")

		taken := func() bool {
			acquired, _ := t.acquire("b", "ann", long)
			return !acquired
		}
		t.runsOut("a lease of an absent row", func() { t.wantAcquire("b", "jo", soon, true) }, taken)
		t.absent("b")
		t.release("b", "ann")
		t.absent("b")
	}},
	{name: "abandoned leases", needs: lending, run: abandonedLeases},
	{name: "one of many acquires", needs: lending, run: func(t *fixture) {
		t.put("a", "one")
		for range 5 {
			winner := oneOf(t, "Acquire", func(i int) (bool, error) {
				acquired, _, err := t.leases().Acquire(t.Context(), t.key("a"), fmt.Sprint("racer ", i), long)
				return acquired, err
			})
			t.release("a", fmt.Sprint("racer ", winner))
		}
		t.has("a", "one")
	}},
	{name: "one of many takes over", needs: lending, run: func(t *fixture) {
		t.put("a", "one")
		t.runsOut("a lease", func() { t.wantAcquire("a", "jo", soon, true) },
			func() bool { return t.lent("a", "jo") })
		winner := oneOf(t, "Acquire, after a lease ran out,", func(i int) (bool, error) {
			acquired, _, err := t.leases().Acquire(t.Context(), t.key("a"), fmt.Sprint("racer ", i), long)
			return acquired, err
		})
		t.wantHeld("a", fmt.Sprint("racer ", winner))
	}},
}

// abandonedLeases lets jo's leases of many rows run out at once, and asks what
// ann is told when she takes them.
func abandonedLeases(t *fixture) {
	stories := []struct {
		name         string
		while, after func(name string) // jo has the lease; it has run out
		absent, want bool              // there is no row when jo takes the lease
	}{
		{name: "nothing happened", want: true},
		{name: "saved meanwhile", while: func(n string) { t.put(n, "two") }},
		{name: "saved if meanwhile", while: func(n string) { t.wantReplace(n, "two", true) }},
		{name: "not saved meanwhile", while: func(n string) { t.wantStale(n) }, want: true},
		{name: "deleted and saved meanwhile", while: func(n string) { t.delete(n); t.wantBegin(n, "two", true) }},
		{name: "begun in between", absent: true, while: func(n string) { t.wantBegin(n, "one", true) }},
		{name: "saved afterwards", after: func(n string) { t.put(n, "two") }},
		{name: "saved if afterwards", after: func(n string) { t.wantReplace(n, "two", true) }},
		{name: "not saved afterwards", after: func(n string) { t.wantStale(n) }, want: true},
		{name: "deleted and saved afterwards", after: func(n string) { t.delete(n); t.put(n, "two") }},
		{name: "given back too late", after: func(n string) { t.release(n, "jo") }, want: true},
		{name: "given back by a stranger", after: func(n string) { t.release(n, "ann") }, want: true},
		{name: "read", while: func(n string) { t.has(n, "one") }, after: func(n string) { t.has(n, "one") }, want: true},
	}
	runOut := func(owner string, begin func()) {
		t.runsOut(owner+"'s leases", begin, func() bool {
			for _, s := range stories {
				if t.lent(s.name, owner) {
					return true
				}
			}
			return false
		})
	}
	for _, s := range stories {
		if !s.absent {
			t.put(s.name, "one")
		}
	}
	runOut("jo", func() {
		for _, s := range stories {
			t.wantAcquire(s.name, "jo", soon, true)
			if s.while != nil {
				s.while(s.name)
			}
		}
	})
	for _, s := range stories {
		if s.after != nil {
			s.after(s.name)
		}
	}
	tell := func(owner string, ttl time.Duration, want func(i int) bool) {
		t.Helper()
		for i, s := range stories {
			if acquired, abandoned := t.acquire(s.name, owner, ttl); !acquired || abandoned != want(i) {
				t.Errorf("%s: Acquire by %s = acquired %t, abandoned %t; want true, %t", s.name, owner, acquired, abandoned, want(i))
			}
		}
	}
	wanted := func(i int) bool { return stories[i].want }
	always := func(int) bool { return true }
	never := func(int) bool { return false }
	releaseAll := func(owner string) {
		for _, s := range stories {
			t.release(s.name, owner)
		}
	}
	// An owner that extends is told again: it may not have heard. So is the next one,
	// if ann gives back what she has not written.
	tell("ann", long, wanted)
	tell("ann", long, wanted)
	releaseAll("ann")
	tell("ann", long, wanted)
	releaseAll("ann")
	// Jim's own are abandoned, by himself too; a write settles it.
	runOut("jim", func() { tell("jim", soon, wanted) })
	runOut("jim", func() { tell("jim", soon, always) })
	tell("zoe", long, always)
	for _, s := range stories {
		t.put(s.name, "three")
	}
	tell("zoe", long, never)
	releaseAll("zoe")
	tell("max", long, never)
	releaseAll("max")
	tell("ann", long, never)
}
