package storetest

// lostCases are what a store may say when the response of its backend was lost: an
// error, or the truth.
func lostCases(lose func()) []testCase {
	return []testCase{
		{name: "lost responses", run: func(t *fixture) {
			lose()
			if err := t.store.Save(t.Context(), t.key("a"), []byte("one"), 5, long); err == nil {
				t.has("a", "one")
			}
			t.has("a", "one")
			lose()
			if data, found, err := t.store.Load(t.Context(), t.key("a")); err == nil && (!found || string(data) != "one") {
				t.Errorf("Load, whose response was lost, = %s, %t; want an error, or the row", shown(data), found)
			}
			lose()
			_ = t.store.Delete(t.Context(), t.key("a"))
			t.absent("a")
		}},
		{name: "lost responses of save if", needs: conditional, run: func(t *fixture) {
			saveIf := func(data string, expected, generation uint64, could bool) {
				t.Helper()
				lose()
				saved, err := t.conditional().SaveIf(t.Context(), t.key("a"), []byte(data), expected, generation, long)
				switch {
				case err == nil && saved && !could:
					t.Errorf("SaveIf(expected %d), whose response was lost, = true; it could not", expected)
				case err == nil && !saved && could:
					t.Errorf("SaveIf(expected %d), whose response was lost, = false; it wrote", expected)
				}
			}
			saveIf("one", 0, 5, true)
			t.has("a", "one")
			t.wantSaveIf("a", "one", 0, 5, false) // the same by another
			saveIf("two", 5, 6, true)
			t.has("a", "two")
			t.wantSaveIf("a", "two", 5, 6, false)
			saveIf("no", 5, 7, false)
			t.has("a", "two")
			saveIf("no", 0, 7, false)
			t.has("a", "two")
			saveIf("three", 6, 6, true) // a generation may stay
			t.has("a", "three")
			t.wantSaveIf("a", "four", 6, 7, true)
			t.put("a", "five")
			t.wantStale("a")
		}},
		{name: "lost responses of leases", needs: lending, run: func(t *fixture) { lostLeases(t, lose) }},
	}
}

func lostLeases(t *fixture, lose func()) {
	t.marked = true // but never beside other tests, whose responses might be the lost ones
	acquire := func(name, owner string, could, want bool) {
		t.Helper()
		lose()
		acquired, abandoned, err := t.leases().Acquire(t.Context(), t.key(name), owner, long)
		if err == nil && (acquired != could || abandoned != want) {
			t.Errorf("Acquire(%q, %s), whose response was lost, = acquired %t, abandoned %t; want %t, %t", name, owner, acquired, abandoned, could, want)
		}
		if !could {
			return
		}
		// An owner that asks again, because it does not know, has it and hears the same.
		if acquired, abandoned := t.acquire(name, owner, long); !acquired || abandoned != want {
			t.Errorf("Acquire(%q, %s), again, = acquired %t, abandoned %t; want true, %t", name, owner, acquired, abandoned, want)
		}
	}
	t.put("a", "one")
	acquire("a", "jo", true, false)
	acquire("a", "ann", false, false)
	lose()
	if left, err := t.leases().Remaining(t.Context(), t.key("a"), "jo"); err == nil && left <= 0 {
		t.Errorf("Remaining, whose response was lost, = %v; want an error, or what is left", left)
	}
	lose()
	_ = t.leases().Release(t.Context(), t.key("a"), "jo")
	t.release("a", "jo")
	t.wantAcquire("a", "ann", long, true)
	t.release("a", "jo") // a late one ends no lease of another
	t.wantHeld("a", "ann")

	t.put("b", "one")
	t.runsOut("a lease", func() { t.wantAcquire("b", "jo", soon, true) },
		func() bool { return t.lent("b", "jo") })
	acquire("b", "ann", true, true)
	lose()
	_ = t.leases().Release(t.Context(), t.key("b"), "ann")
	t.release("b", "ann")
	acquire("b", "zoe", true, true) // ann did not write
	acquire("absent", "jo", true, false)
}
