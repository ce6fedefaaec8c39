package emporix_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

func fileStore(t *testing.T) (emporix.ConditionalTokenStore, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "session.json")
	store, err := emporix.NewFileStore(path)
	require.NoError(t, err)
	return store, path
}

func save(t *testing.T, s emporix.TokenStore, key, data string, generation uint64, ttl time.Duration) {
	t.Helper()
	require.NoError(t, s.Save(t.Context(), key, []byte(data), generation, ttl))
}

// load returns the row, "" if there is none.
func load(t *testing.T, s emporix.TokenStore, key string) string {
	t.Helper()
	data, found, err := s.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, found, data != nil)
	return string(data)
}

// Both built-in stores keep the contract of TokenStore.
func TestBuiltInStores(t *testing.T) {
	stores := map[string]func(*testing.T) emporix.ConditionalTokenStore{
		"memory": func(*testing.T) emporix.ConditionalTokenStore { return emporix.NewMemoryStore(0) },
		"file":   func(t *testing.T) emporix.ConditionalTokenStore { s, _ := fileStore(t); return s },
	}
	tests := map[string]func(*testing.T, emporix.ConditionalTokenStore){
		"save, load, delete": func(t *testing.T, s emporix.ConditionalTokenStore) {
			assert.Empty(t, load(t, s, "a"))
			require.NoError(t, s.Delete(t.Context(), "a"), "an absent row is no error")
			save(t, s, "a", "one", 1, time.Hour)
			save(t, s, "b", "two", 1, time.Hour)
			save(t, s, "a", "three", 2, time.Hour)
			assert.Equal(t, "three", load(t, s, "a"))
			assert.Equal(t, "two", load(t, s, "b"))
			require.NoError(t, s.Delete(t.Context(), "a"))
			assert.Empty(t, load(t, s, "a"))
			assert.Equal(t, "two", load(t, s, "b"))
		},
		"bytes are kept as they are, and belong to nobody else": func(t *testing.T, s emporix.ConditionalTokenStore) {
			data := []byte{0, 0xff, '"', '\n', 'x'}
			require.NoError(t, s.Save(t.Context(), "a", data, 1, time.Hour))
			data[4] = 'y'
			got, _, err := s.Load(t.Context(), "a")
			require.NoError(t, err)
			assert.Equal(t, []byte{0, 0xff, '"', '\n', 'x'}, got)
			got[0] = 'z'
			assert.Equal(t, "\x00\xff\"\nx", load(t, s, "a"))
		},
		"rows expire": func(t *testing.T, s emporix.ConditionalTokenStore) {
			save(t, s, "a", "one", 7, time.Minute)
			time.Sleep(time.Minute - 1)
			assert.Equal(t, "one", load(t, s, "a"))
			time.Sleep(time.Nanosecond)
			assert.Empty(t, load(t, s, "a"))
			saved, err := s.SaveIf(t.Context(), "a", []byte("two"), 7, 8, time.Minute)
			require.NoError(t, err)
			assert.False(t, saved, "an expired row has no generation")
			saved, err = s.SaveIf(t.Context(), "a", []byte("two"), 0, 1, time.Minute)
			require.NoError(t, err)
			assert.True(t, saved)
		},
		"save if": func(t *testing.T, s emporix.ConditionalTokenStore) {
			for _, step := range []struct {
				data                 string
				expected, generation uint64
				saved                bool
				now                  string
			}{
				{"one", 5, 6, false, ""},
				{"one", 0, 5, true, "one"},
				{"two", 0, 6, false, "one"},
				{"two", 4, 6, false, "one"},
				{"two", 5, 6, true, "two"},
				{"three", 5, 7, false, "two"},
			} {
				saved, err := s.SaveIf(t.Context(), "a", []byte(step.data), step.expected, step.generation, time.Hour)
				require.NoError(t, err)
				assert.Equal(t, step.saved, saved)
				assert.Equal(t, step.now, load(t, s, "a"))
			}
		},
		"one of many wins": func(t *testing.T, s emporix.ConditionalTokenStore) {
			var all sync.WaitGroup
			var won atomic.Int32
			for i := range 50 {
				all.Go(func() {
					saved, err := s.SaveIf(t.Context(), "a", fmt.Append(nil, i), 0, uint64(i)+1, time.Hour)
					assert.NoError(t, err)
					if saved {
						won.Add(1)
					}
					assert.NoError(t, s.Save(t.Context(), fmt.Sprint("b", i), fmt.Append(nil, i), 1, time.Hour))
				})
			}
			all.Wait()
			assert.EqualValues(t, 1, won.Load())
			for i := range 50 {
				assert.Equal(t, fmt.Sprint(i), load(t, s, fmt.Sprint("b", i)))
			}
		},
	}
	for kind, make := range stores {
		for name, test := range tests {
			t.Run(kind+": "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(t, make(t)) })
			})
		}
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

func TestFileStoreIsReadableByItsOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it has no such modes
	}
	store, path := fileStore(t)
	save(t, store, "a", "one", 1, time.Hour)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())

	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o644, 0o601} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := emporix.NewFileStore(path)
		require.ErrorContains(t, err, "chmod 600")
		_, _, err = store.Load(t.Context(), "a")
		require.ErrorContains(t, err, "chmod 600", "also while it is in use")
		require.Error(t, store.Save(t.Context(), "a", []byte("two"), 2, time.Hour))
	}
	require.NoError(t, os.Chmod(path, 0o600))
	assert.Equal(t, "one", load(t, store, "a"))
}

// The file is replaced, never written to: whoever has it open sees the old one
// in one piece, and nothing else is left in the folder.
func TestFileStoreReplacesTheFile(t *testing.T) {
	store, path := fileStore(t)
	save(t, store, "a", strings.Repeat("one", 1000), 1, time.Hour)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	open, err := os.Open(path)
	require.NoError(t, err)
	save(t, store, "a", "two", 2, time.Hour)
	kept := make([]byte, len(before)+1)
	n, err := open.Read(kept)
	require.NoError(t, err)
	require.NoError(t, open.Close())
	assert.Equal(t, string(before), string(kept[:n]))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

// A write that can't be done leaves the file as it was.
func TestFileStoreKeepsTheFileWhenAWriteFails(t *testing.T) {
	store, path := fileStore(t)
	save(t, store, "a", "one", 1, time.Hour)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Rename(path, path+".moved"))
	require.NoError(t, os.Mkdir(path, 0o700)) // nothing can be renamed over a folder
	require.Error(t, store.Save(t.Context(), "a", []byte("two"), 2, time.Hour))
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Rename(path+".moved", path))
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.JSONEq(t, string(before), string(after))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

func TestFileStoreRefusesWhatIsNoSessionFile(t *testing.T) {
	for name, content := range map[string]string{
		"text": "TOKEN-CANARY", "cut": `{"a":{"data":"VE9LRU4tQ0FOQVJZ`, "an array": `["TOKEN-CANARY"]`, "another object": `{"TOKEN-CANARY":"TOKEN-CANARY"}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "session.json")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			_, err := emporix.NewFileStore(path)
			require.ErrorContains(t, err, "is no session file")
			assert.NotContains(t, err.Error(), "CANARY")
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, content, string(after), "it is somebody's")
		})
	}
	t.Run("empty is a new one", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "session.json")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		store, err := emporix.NewFileStore(path)
		require.NoError(t, err)
		save(t, store, "a", "one", 1, time.Hour)
	})
	t.Run("no path", func(t *testing.T) {
		_, err := emporix.NewFileStore("")
		var wrong *emporix.ArgumentError
		require.ErrorAs(t, err, &wrong)
	})
	t.Run("no folder", func(t *testing.T) {
		_, err := emporix.NewFileStore(filepath.Join(t.TempDir(), "missing", "session.json"))
		require.ErrorContains(t, err, "the folder does not exist")
	})
	t.Run("a folder", func(t *testing.T) {
		_, err := emporix.NewFileStore(t.TempDir())
		require.ErrorContains(t, err, "is no regular file")
	})
}

// A program that is run again goes on where it was.
func TestASessionSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := emporixtest.New(t)
		fake.AddCustomer(t, emporixtest.Customer{Email: jo.Email, Password: jo.Password, FirstName: "Jo"})
		_, path := fileStore(t)
		run := func() *emporix.Client {
			store, err := emporix.NewFileStore(path)
			require.NoError(t, err)
			return fake.Client(t, emporix.WithTokenStore(store))
		}
		first := run()
		logIn(t, first.OwnSession())
		before := info(t, first.OwnSession())
		require.NoError(t, first.Close(t.Context()))

		time.Sleep(13 * time.Hour)
		second := run()
		me, err := second.Customers.Get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "Jo", me.FirstName)
		synctest.Wait()
		fake.AssertCalls(t, "Auth.Login", 1)
		fake.AssertCalls(t, "Auth.Refresh", 1) // it was due
		require.NoError(t, second.Close(t.Context()))

		third := run()
		after := info(t, third.OwnSession())
		assert.Equal(t, before.SessionID, after.SessionID)
		assert.True(t, after.AccessExpires.After(before.AccessExpires))
		require.NoError(t, third.Auth.Logout(t.Context()))
		require.NoError(t, third.Close(t.Context()))
		assert.Equal(t, emporix.SessionNone, info(t, run().OwnSession()).Kind)
	})
}
