package emporix_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
	"github.com/emporix-community/emporix-go/stores/storetest"
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
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) storetest.Store { return emporix.NewMemoryStore(0) }, storetest.WithVirtualTime())
	})
	t.Run("file", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Store { s, _ := fileStore(t); return s }, storetest.WithVirtualTime())
	})
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

// The program goes to another folder: the file stays the one that was named.
func TestFileStoreStaysWhereItWasMade(t *testing.T) {
	t.Chdir(t.TempDir())
	store, err := emporix.NewFileStore("sessions.json")
	require.NoError(t, err)
	save(t, store, "a", "one", 1, time.Hour)
	t.Chdir(t.TempDir())
	assert.Equal(t, "one", load(t, store, "a"))
	save(t, store, "a", "two", 2, time.Hour)
	assert.NoFileExists(t, "sessions.json")
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
	t.Parallel()
	for name, content := range map[string]string{
		"text": "TOKEN-CANARY", "cut": `{"a":{"data":"VE9LRU4tQ0FOQVJZ`, "an array": `["TOKEN-CANARY"]`, "another object": `{"TOKEN-CANARY":"TOKEN-CANARY"}`,
		"null": "null", "another tool's": `{"auths":{"TOKEN-CANARY":{"auth":"TOKEN-CANARY"}}}`, "objects": `{"a":{}}`, "nulls": `{"a":null}`,
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
	t.Run("too large, and never written so", func(t *testing.T) {
		store, path := fileStore(t)
		save(t, store, "a", "one", 1, time.Hour)
		big := bytes.Repeat([]byte("x"), 50<<20) // a third longer in the file
		require.ErrorContains(t, store.Save(t.Context(), "b", big, 1, time.Hour), "64 MiB")
		assert.Equal(t, "one", load(t, store, "a"))
		require.NoError(t, os.Truncate(path, 64<<20+1))
		_, err := emporix.NewFileStore(path)
		require.ErrorContains(t, err, "has 67108865 bytes; that is no session file")
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
		logIn(t, first.DefaultSession())
		before := info(t, first.DefaultSession())
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
		after := info(t, third.DefaultSession())
		assert.Equal(t, before.SessionID, after.SessionID)
		assert.True(t, after.AccessExpires.After(before.AccessExpires))
		require.NoError(t, third.Auth.Logout(t.Context()))
		require.NoError(t, third.Close(t.Context()))
		assert.Equal(t, emporix.SessionNone, info(t, run().DefaultSession()).Kind)
	})
}

// A process that is killed before it has replaced the file leaves one beside it, with
// the tokens of those who may have logged out since. The next one removes it.
func TestFileStoreRemovesLeftovers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sessions.json")
	names := func() (names []string) {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return names
	}
	foreign := []string{".sessions.json.emporix-", ".sessions.json.emporix-1x", "sessions.json.1", "sessions.json.emporix-1"}
	for _, name := range append(foreign, ".sessions.json.emporix-1234567") {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("tokens"), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".sessions.json.emporix-2"), 0o700))
	for range 2 {
		store, err := emporix.NewFileStore(path)
		require.NoError(t, err)
		require.NoError(t, store.Save(t.Context(), "v", []byte("row"), 1, time.Hour))
	}
	assert.ElementsMatch(t, append(foreign, "sessions.json", ".sessions.json.emporix-2"), names())
}

// What a killed process leaves has a name that is found again.
func TestFileStoreNamesWhatItWrites(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sessions.json")
	store, err := emporix.NewFileStore(path)
	require.NoError(t, err)
	require.NoError(t, store.Save(t.Context(), "v", []byte("row"), 1, time.Hour))
	seen := regexp.MustCompile(`^\.sessions\.json\.emporix-[0-9]+$`)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := uint64(2); ; i++ {
			select {
			case <-stop:
				return
			default:
				assert.NoError(t, store.Save(context.Background(), "v", make([]byte, 1<<20), i, time.Hour))
			}
		}
	}()
	defer func() { close(stop); <-done }()
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return seen.MatchString(e.Name()) })
	}, 10*time.Second, time.Millisecond)
}
