package storetest

import (
	"fmt"
	"math"
	"sync"
)

var conditionalCases = []testCase{
	{name: "save if", needs: conditional, run: func(t *fixture) {
		t.wantStale("a")
		t.wantBegin("a", "one", true)
		t.wantBegin("a", "no", false)
		t.wantReplace("a", "two", true)
		t.wantStale("a")
		t.wantBegin("b", "another row", true)
		t.has("a", "two")
	}},
	{name: "save if, after save and delete", needs: conditional, run: func(t *fixture) {
		t.put("a", "one")
		t.wantBegin("a", "no", false)
		t.wantReplace("a", "two", true)
		t.put("a", "three")
		t.wantStale("a")
		t.delete("a")
		t.wantReplace("a", "no", false)
		t.absent("a")
		t.wantBegin("a", "five", true)
		t.has("a", "five")
	}},
	{name: "generations are equal or not", needs: conditional, run: func(t *fixture) {
		// Each of them is another in 32 or 63 bits, and near it as a float. The last goes back.
		generations := []uint64{math.MaxUint32, math.MaxInt64, math.MaxUint64, math.MaxUint32}
		now := uint64(5)
		t.saveAs("a", "0", now, long)
		for i, next := range generations {
			for _, wrong := range []uint64{0, next, now - 1} {
				if wrong != now {
					t.wantSaveIf("a", "no", wrong, next, false)
					t.wantSaveIf("a", "no", wrong, now, false) // another process may have chosen the same one
				}
			}
			t.wantSaveIf("a", fmt.Sprint(i), now, next, true)
			t.has("a", fmt.Sprint(i))
			now = next
		}
	}},
	{name: "a row that has run out is none", needs: conditional, run: func(t *fixture) {
		t.runsOut("a row", func() { t.saveIf("a", "one", 0, math.MaxInt64, soon) }, func() bool { return t.there("a") })
		t.wantReplace("a", "no", false)
		t.wantBegin("a", "two", true)
		t.has("a", "two")

		t.put("b", "one")
		t.runsOut("a row that lasted longer before", func() { t.saveIf("b", "two", t.last["b"], t.next("b"), soon) },
			func() bool { data, found := t.load("b"); return found && string(data) == "two" })
	}},
	{name: "one of many saves", needs: conditional, run: func(t *fixture) {
		now := uint64(0)
		for round := range 5 {
			winner := oneOf(t, "SaveIf", func(i int) (bool, error) {
				return t.conditional().SaveIf(t.Context(), t.key("a"), fmt.Appendf(nil, "%d of round %d", i, round), now, now+uint64(i)+1, long)
			})
			t.has("a", fmt.Sprintf("%d of round %d", winner, round))
			now += uint64(winner) + 1
		}
	}},
	{name: "one of many begins", needs: conditional, run: func(t *fixture) {
		t.runsOut("a row", func() { t.save("a", "one", soon) }, func() bool { return t.there("a") })
		winner := oneOf(t, "SaveIf, after a row ran out,", func(i int) (bool, error) {
			return t.conditional().SaveIf(t.Context(), t.key("a"), fmt.Appendf(nil, "%d", i), 0, uint64(i)+1, long)
		})
		t.has("a", fmt.Sprint(winner))
	}},
}

const racers = 50

// oneOf lets many try at once, and returns which one it was that could.
func oneOf(t *fixture, operation string, try func(i int) (bool, error)) int {
	t.Helper()
	var all sync.WaitGroup
	start := make(chan struct{})
	won, failed := make([]bool, racers), make([]error, racers)
	for i := range racers {
		all.Go(func() {
			<-start
			won[i], failed[i] = try(i)
		})
	}
	close(start)
	all.Wait()
	var winners, winner int
	for i := range racers {
		if failed[i] != nil {
			t.Fatalf("%s of %d at once: %v", operation, racers, failed[i])
		}
		if won[i] {
			winners, winner = winners+1, i
		}
	}
	if winners != 1 {
		t.Fatalf("%s of %d at once: %d of them could, want 1", operation, racers, winners)
	}
	return winner
}
