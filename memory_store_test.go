package emporix_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

// Whatever is written, replaced, removed and forgotten, and in whatever order:
// the store knows what a map would know.
func TestMemoryStoreKeepsWhatAMapKeeps(t *testing.T) {
	t.Parallel()
	type kept struct {
		data  string
		until time.Time
	}
	for _, longest := range []int{1, 40, 700, 90_000} { // up to rows that fill a block alone
		t.Run(fmt.Sprint("rows up to ", longest), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(longest), 1))
				store, model := emporix.NewMemoryStore(0), map[string]kept{}
				for step := range 2000 {
					key := fmt.Sprint("visitor/", random.IntN(200))
					switch random.IntN(10) {
					case 0:
						require.NoError(t, store.Delete(t.Context(), key))
						delete(model, key)
					case 1:
						time.Sleep(time.Duration(random.IntN(20)) * time.Second)
					default:
						data := strings.Repeat(string(rune('a'+step%26)), random.IntN(longest+1))
						ttl := time.Duration(1+random.IntN(600)) * time.Second
						save(t, store, key, data, uint64(step+1), ttl)
						model[key] = kept{data, time.Now().Add(ttl)}
					}
				}
				for i := range 200 {
					key := fmt.Sprint("visitor/", i)
					data, found, err := store.Load(t.Context(), key)
					require.NoError(t, err)
					want, there := model[key]
					there = there && time.Now().Before(want.until)
					require.Equal(t, there, found, key)
					if there {
						require.Equal(t, want.data, string(data), key)
					}
				}
			})
		})
	}
}

// Rows that are written again and again in other sizes don't eat the memory up,
// and rows that are removed give it back.
func TestMemoryStoreReusesItsMemory(t *testing.T) {
	const rows, size = 20_000, 500
	before := inUse()
	store := emporix.NewMemoryStore(0)
	data := strings.Repeat("x", size)
	for round := range 3 {
		for i := range rows {
			save(t, store, fmt.Sprint(i), data[:size-(i+round)%10], uint64(round+1), time.Hour)
		}
	}
	assert.Less(t, inUse()-before, rows*size*17/10)
	for i := range rows {
		require.NoError(t, store.Delete(t.Context(), fmt.Sprint(i)))
	}
	assert.Less(t, inUse()-before, rows*size/2)
	runtime.KeepAlive(store)
}

// A few sessions, renewed for months, take as much as on the first day.
func TestMemoryStoreIsSmallWithFewRows(t *testing.T) {
	const rows, size = 100, 500
	before := inUse()
	store := emporix.NewMemoryStore(0)
	data := strings.Repeat("x", size)
	for round := range 400 {
		for i := range rows {
			save(t, store, fmt.Sprint(i), data[:size-round%10], uint64(round+1), time.Hour)
		}
	}
	assert.Less(t, inUse()-before, 512<<10)
	runtime.KeepAlive(store)
}

func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// What a caller does with the bytes of a row is nothing to the row.
func TestMemoryStoreLendsNoBytes(t *testing.T) {
	store := emporix.NewMemoryStore(0)
	data := []byte("one")
	require.NoError(t, store.Save(t.Context(), "a", data, 1, time.Hour))
	copy(data, "two")
	got, _, err := store.Load(t.Context(), "a")
	require.NoError(t, err)
	copy(got, "six")
	assert.Equal(t, "one", load(t, store, "a"))
	save(t, store, "a", "ten", 2, time.Hour)
	assert.Equal(t, "six", string(got))
}

func TestMemoryStoreKeepsRowsForAges(t *testing.T) {
	store := emporix.NewMemoryStore(0)
	save(t, store, "a", "one", 1, math.MaxInt64)
	assert.Equal(t, "one", load(t, store, "a"))
}

func TestMemoryStoreRefusesRowsOutOfAllProportion(t *testing.T) {
	store := emporix.NewMemoryStore(0)
	key, row := strings.Repeat("k", 1<<16-1), strings.Repeat("r", 1<<24)
	save(t, store, key, row, 1, time.Hour)
	assert.Len(t, load(t, store, key), len(row), "both are as long as they may be")
	require.ErrorContains(t, store.Save(t.Context(), key+"k", nil, 1, time.Hour), "longer than 64 KiB")
	saved, err := store.SaveIf(t.Context(), key+"k", nil, 0, 1, time.Hour)
	require.Error(t, err)
	assert.False(t, saved)
	require.ErrorContains(t, store.Save(t.Context(), "a", []byte(row+"r"), 1, time.Hour), "16 MiB")
}

func TestSmallMemoryStoresAreBounded(t *testing.T) {
	for _, rows := range []int{1, 2, 63, 64, 65, 300, 999} {
		store := emporix.NewMemoryStore(rows)
		for i := range 5000 {
			save(t, store, fmt.Sprint(i), "x", 1, time.Hour)
		}
		live := 0
		for i := range 5000 {
			if load(t, store, fmt.Sprint(i)) != "" {
				live++
			}
		}
		assert.LessOrEqual(t, live, rows+63, rows)
		assert.GreaterOrEqual(t, live, rows, rows)
	}
}

func TestMemoryStoreIsBounded(t *testing.T) {
	const rows = 64 * 20
	store := emporix.NewMemoryStore(rows)
	for i := range 10 * rows {
		save(t, store, fmt.Sprint(i), "x", 1, time.Hour)
	}
	live := 0
	for i := range 10 * rows {
		if load(t, store, fmt.Sprint(i)) != "" {
			live++
		}
	}
	assert.LessOrEqual(t, live, rows)
	assert.Greater(t, live, rows*9/10)
	assert.Equal(t, "x", load(t, store, fmt.Sprint(10*rows-1)), "the newest has its place")
}

// What makes room is a row that ends soon, not a customer's.
func TestMemoryStoreEvictsWhatEndsSoon(t *testing.T) {
	const rows = 64 * 50
	store := emporix.NewMemoryStore(rows)
	for i := range rows / 4 {
		save(t, store, fmt.Sprint("customer", i), "x", 1, 31*24*time.Hour)
	}
	for i := range 4 * rows {
		save(t, store, fmt.Sprint("guest", i), "x", 1, time.Hour)
	}
	kept := 0
	for i := range rows / 4 {
		if load(t, store, fmt.Sprint("customer", i)) != "" {
			kept++
		}
	}
	assert.Greater(t, kept, rows/4*9/10) // the choice is among a few rows
}

// A full store that is written to gets rid of what has expired before it drops
// anything else.
func TestMemoryStoreDropsExpiredRowsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rows = 64 * 20
		store := emporix.NewMemoryStore(rows)
		for i := range rows / 2 {
			save(t, store, fmt.Sprint("old", i), "x", 1, time.Minute)
		}
		time.Sleep(time.Hour)
		for i := range rows / 2 {
			save(t, store, fmt.Sprint("new", i), "x", 1, time.Hour)
		}
		live := 0
		for i := range rows / 2 {
			if load(t, store, fmt.Sprint("new", i)) != "" {
				live++
			}
		}
		assert.Greater(t, live, rows/2*9/10)
	})
}

func TestMemoryStoreShowsNothing(t *testing.T) {
	store := emporix.NewMemoryStore(0)
	save(t, store, "KEY-CANARY", "TOKEN-CANARY", 1, time.Hour)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		assert.NotContains(t, fmt.Sprintf(verb, store), "CANARY")
	}
}
