package storetest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

var rowCases = []testCase{
	{name: "absent", run: func(t *fixture) {
		t.absent("a")
		t.delete("a")
		t.absent("a")
	}},
	{name: "save, overwrite, delete", run: func(t *fixture) {
		t.put("a", "one")
		t.put("b", "two")
		t.has("a", "one")
		t.put("a", "three")
		t.has("a", "three")
		t.saveAs("a", "an older generation, whatever is there", 1, long)
		t.has("a", "an older generation, whatever is there")
		t.has("b", "two")
		t.delete("a")
		t.absent("a")
		t.has("b", "two")
		t.put("a", "again")
		t.has("a", "again")
	}},
	{name: "bytes stay as they are", run: func(t *fixture) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		for name, data := range map[string]string{
			"one byte":   "x",
			"nul":        "\x00",
			"nul inside": "a\x00b\x00",
			"all bytes":  string(all),
			"no utf-8":   "\xff\xfe\x80",
			"spaces":     "  \t x \r\n ",
			"quotes":     `"'` + "`\\",
			"json, cut":  `{"v":1,"g":17`,
			"json, v99":  `{"v":99,"g":1,"what":"a later version"}`,
			"64 KiB":     strings.Repeat(string(all), 256),
		} {
			t.put(name, data)
			t.has(name, data)
			if _, ok := t.store.(conditionalStore); ok {
				begun := name + ", saved if"
				t.wantBegin(begun, data, true)
				t.has(begun, data)
				t.wantReplace(begun, data, true)
				t.has(begun, data)
			}
		}
	}},
	{name: "bytes are the store's own", run: func(t *fixture) {
		data := []byte("one")
		if err := t.store.Save(t.Context(), t.key("a"), data, 1, long); err != nil {
			t.Fatalf("Save: %v", err)
		}
		copy(data, "xxx")
		t.has("a", "one")
		got, _ := t.load("a")
		copy(got, "yyy")
		t.has("a", "one")
		if s, ok := t.store.(conditionalStore); ok {
			data := []byte("two")
			if _, err := s.SaveIf(t.Context(), t.key("a"), data, 1, 2, long); err != nil {
				t.Fatalf("SaveIf: %v", err)
			}
			copy(data, "xxx")
			t.has("a", "two")
		}
	}},
	{name: "hostile keys", run: hostileKeys},
	{name: "rows run out", run: func(t *fixture) {
		t.runsOut("a row", func() { t.save("a", "one", soon) }, func() bool { return t.there("a") })
		t.put("a", "two")
		t.has("a", "two")
	}},
	{name: "a new row has its own time", run: func(t *fixture) {
		t.save("longer", "one", soon)
		t.put("longer", "two")
		t.runsOut("a row that lasted longer before", func() {
			t.put("shorter", "one")
			t.save("shorter", "two", soon)
		}, func() bool { return t.there("shorter") })
		t.has("longer", "two")
	}},
	{name: "rows that last for months", run: func(t *fixture) {
		const day = 24 * time.Hour
		// Milliseconds in 32 bits end after 25 days; some servers take more than 30 for a date.
		for _, life := range []time.Duration{25 * day, 31 * day, 91 * day, 3650 * day} {
			saved, begun := fmt.Sprint("saved for ", life), fmt.Sprint("begun for ", life)
			t.save(saved, "one", life)
			t.has(saved, "one")
			if s, ok := t.store.(conditionalStore); ok {
				if ok, err := s.SaveIf(t.Context(), t.key(begun), []byte("two"), 0, 1, life); err != nil || !ok {
					t.Fatalf("SaveIf for %s = %t, %v; there is no row", life, ok, err)
				}
				t.has(begun, "two")
			}
		}
	}},
	{name: "many at once", run: manyAtOnce},
	{name: "a context that has ended", run: endedContext},
}

// hostileKeys are kept apart, and found again, whatever they are made of.
func hostileKeys(t *fixture) {
	names := []string{
		"plain", "Plain", "PLAIN", "plain ", " plain", "plain/", "/plain", "plain/../other", "other", "..", ".", "plain\\", "plain%", "plain_", "pl_in", "pl%", "%s%d%!",
		"plain%00", "plain%2e", "a:b", "a::b", "a*", "a?", "[a]", "{a}", "{a", "a}", "{}", "{a}b", "{b}a", "a b", "a  b", "a+b", "a&b=c", "a#b", "a;b", "a,b",
		"'; DROP TABLE sessions; --", `"quoted"`, "'quoted'", "`quoted`", "$1", "$(x)", "${x}", "{{x}}", "<x>", "a|b", "a~b", "a^b", "a@b", "a!b", "null", "nil", "0", "00",
		"é", "e\u0301", "ß", "ss", "ı", "i", "I", "K", "\u212a", "日本語", "\u200b", "\u00a0", "\ufeffplain", "\u202eplain", "👩‍👩‍👧", "\U0010ffff",
	}
	for _, r := range []string{"x", "é", "👩"} { // as long as keys get
		room := 512 - len(t.own)
		names = append(names, strings.Repeat(r, room/len(r))+strings.Repeat("x", room%len(r)))
		names = append(names, strings.Repeat(r, room/len(r)-1)+strings.Repeat("y", room%len(r)+len(r)))
	}
	for i, name := range names {
		t.put(name, fmt.Sprint("row ", i))
	}
	for i, name := range names {
		t.has(name, fmt.Sprint("row ", i))
	}
	for i, name := range names {
		if i%2 == 0 {
			t.delete(name)
		}
	}
	for i, name := range names {
		if i%2 == 0 {
			t.absent(name)
		} else {
			t.has(name, fmt.Sprint("row ", i))
		}
	}
	s, ok := t.store.(leaseStore)
	if !ok {
		return
	}
	for i, name := range names { // leases are kept apart too
		owner := fmt.Sprint("owner ", i)
		if acquired, _, err := s.Acquire(t.Context(), t.key(name), owner, long); err != nil || !acquired {
			t.Fatalf("Acquire(%q) = %t, %v; nobody has it", name, acquired, err)
		}
	}
}

const writers = 64

// manyAtOnce: rows of their own stay whole, and a row that all write is one of
// those that were written.
func manyAtOnce(t *fixture) {
	row := func(i int) string { return strings.Repeat(fmt.Sprintf("writer %02d ", i), 50) }
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			if writeBesideOthers(t, i, row) {
				writeBesideOthers(t, i, row)
			}
		})
	}
	all.Wait()
	for i := range writers {
		t.has(fmt.Sprint("own ", i), row(i))
	}
}

// writeBesideOthers writes a row of its own and the shared one, reads both back, and
// reports whether they are as they should be.
func writeBesideOthers(t *fixture, i int, row func(int) string) bool {
	mine := fmt.Sprint("own ", i)
	for _, name := range []string{mine, "shared"} {
		if err := t.store.Save(t.Context(), t.key(name), []byte(row(i)), math.MaxInt64, long); err != nil {
			t.Errorf("Save(%q): %v", name, err)
			return false
		}
	}
	data, found, err := t.store.Load(t.Context(), t.key("shared"))
	if !isOneOf(string(data), row) {
		t.Errorf("Load of a row that others write = %s, %t, %v; want a row as one of them wrote it", shown(data), found, err)
		return false
	}
	data, found, err = t.store.Load(t.Context(), t.key(mine))
	if string(data) != row(i) {
		t.Errorf("Load of its own row = %s, %t, %v; want what it just wrote", shown(data), found, err)
		return false
	}
	return true
}

func isOneOf(data string, row func(int) string) bool {
	for i := range writers {
		if data == row(i) {
			return true
		}
	}
	return false
}

// endedContext: every operation fails, and changes nothing.
func endedContext(t *fixture) {
	t.put("a", "one")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for name, ctx := range map[string]context.Context{"cancelled": cancelled, "late": late} {
		_, found, err := t.store.Load(ctx, t.key("a"))
		t.wantError("Load", name, err)
		if found {
			t.Errorf("Load with a context that is %s found a row", name)
		}
		t.wantError("Save", name, t.store.Save(ctx, t.key("a"), []byte("two"), 2, long))
		t.wantError("Delete", name, t.store.Delete(ctx, t.key("a")))
		if s, ok := t.store.(conditionalStore); ok {
			saved, err := s.SaveIf(ctx, t.key("a"), []byte("two"), 1, 2, long)
			t.wantError("SaveIf", name, err)
			if saved {
				t.Errorf("SaveIf with a context that is %s saved", name)
			}
		}
		if s, ok := t.store.(leaseStore); ok {
			acquired, _, err := s.Acquire(ctx, t.key("a"), "me", long)
			t.wantError("Acquire", name, err)
			if acquired {
				t.Errorf("Acquire with a context that is %s acquired", name)
			}
			_, err = s.Remaining(ctx, t.key("a"), "me")
			t.wantError("Remaining", name, err)
			t.wantError("Release", name, s.Release(ctx, t.key("a"), "me"))
		}
	}
	t.has("a", "one")
}
