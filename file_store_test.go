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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/fixture"
)

func fileStore(t *testing.T) (emporix.ConditionalTokenStore, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "session.json")
	store, err := emporix.NewFileStore(path)
	require.NoError(t, err)
	return store, path
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
	t.Run("as large as may be", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { // where the time has always as many digits
			store, path := fileStore(t)
			save(t, store, "a", "", 1, time.Hour)
			empty, err := os.Stat(path)
			require.NoError(t, err)
			room := 64<<20 - int(empty.Size())
			key, big := "a"+strings.Repeat("a", room%4), bytes.Repeat([]byte("x"), room/4*3)
			require.NoError(t, store.Delete(t.Context(), "a"))
			require.ErrorContains(t, store.Save(t.Context(), key+"a", big, 1, time.Hour), "64 MiB")
			require.NoError(t, store.Save(t.Context(), key, big, 1, time.Hour))
			full, err := os.Stat(path)
			require.NoError(t, err)
			assert.EqualValues(t, 64<<20, full.Size())
			again, err := emporix.NewFileStore(path)
			require.NoError(t, err)
			assert.Len(t, load(t, again, key), len(big))
		})
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
		fake := fixture.Fake(t)
		_, path := fileStore(t)
		run := func() *emporix.Client {
			store, err := emporix.NewFileStore(path)
			require.NoError(t, err)
			return fake.Client(t, emporix.WithTokenStore(store))
		}
		first := run()
		fixture.LogIn(t, first.DefaultSession())
		before := fixture.Info(t, first.DefaultSession())
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
		after := fixture.Info(t, third.DefaultSession())
		assert.Equal(t, before.SessionID, after.SessionID)
		assert.True(t, after.AccessExpires.After(before.AccessExpires))
		require.NoError(t, third.Auth.Logout(t.Context()))
		require.NoError(t, third.Close(t.Context()))
		assert.Equal(t, emporix.SessionNone, fixture.Info(t, run().DefaultSession()).Kind)
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

func openFileStore(t *testing.T, path string) emporix.ConditionalTokenStore {
	t.Helper()
	store, err := emporix.NewFileStore(path)
	require.NoError(t, err)
	return store
}

// A link is followed, however it leads to the file, and stays a link. No token is
// left behind it.
func TestFileStoreFollowsLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // links need a right there
	}
	for name, link := range map[string]func(t *testing.T, dir, target string) (path string){
		"absolute": func(t *testing.T, dir, target string) string {
			require.NoError(t, os.Symlink(target, filepath.Join(dir, "link")))
			return filepath.Join(dir, "link")
		},
		"relative": func(t *testing.T, dir, _ string) string {
			require.NoError(t, os.Symlink("data/session.json", filepath.Join(dir, "link")))
			return filepath.Join(dir, "link")
		},
		"two": func(t *testing.T, dir, target string) string {
			require.NoError(t, os.Symlink(target, filepath.Join(dir, "first")))
			require.NoError(t, os.Symlink("first", filepath.Join(dir, "link")))
			return filepath.Join(dir, "link")
		},
		"a folder": func(t *testing.T, dir, _ string) string {
			require.NoError(t, os.Symlink("data", filepath.Join(dir, "folder")))
			return filepath.Join(dir, "folder", "session.json")
		},
	} {
		for _, dangling := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", dangling ", dangling), func(t *testing.T) {
				dir := t.TempDir()
				require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
				target := filepath.Join(dir, "data", "session.json")
				if !dangling {
					save(t, openFileStore(t, target), "old", "one", 1, time.Hour)
				}
				path := link(t, dir, target)
				store := openFileStore(t, path)
				save(t, store, "a", "two", 1, time.Hour)
				save(t, store, "a", "three", 2, time.Hour)
				assert.Equal(t, "three", load(t, store, "a"))
				assert.Equal(t, "three", load(t, openFileStore(t, target), "a"))
				if !dangling {
					assert.Equal(t, "one", load(t, store, "old"))
				}
				require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
					if err == nil && d.Type().IsRegular() {
						assert.Equal(t, target, path)
					}
					return err
				}))
				info, err := os.Stat(target)
				require.NoError(t, err)
				assert.Equal(t, os.FileMode(0o600), info.Mode())
			})
		}
	}
	t.Run("in a circle", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "link")
		require.NoError(t, os.Symlink(path, path))
		_, err := emporix.NewFileStore(path)
		require.ErrorContains(t, err, "never end")
	})
	t.Run("a second name", func(t *testing.T) {
		store, path := fileStore(t)
		save(t, store, "a", strings.Repeat("one", 100), 1, time.Hour)
		require.NoError(t, os.Link(path, path+".other"))
		save(t, store, "a", "two", 2, time.Hour)
		assert.Equal(t, "two", load(t, openFileStore(t, path+".other"), "a"))
	})
}

// What would fail at the first write fails at the start.
func TestFileStoreIsCheckedAtTheStart(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it has no such modes
	}
	store, path := fileStore(t)
	save(t, store, "a", "one", 1, time.Hour)
	require.NoError(t, os.Chmod(path, 0o400))
	_, err := emporix.NewFileStore(path)
	require.ErrorContains(t, err, "can't be written")
	require.ErrorContains(t, store.Save(t.Context(), "a", []byte("two"), 2, time.Hour), "can't be written")
	require.NoError(t, os.Chmod(path, 0o600))
	assert.Equal(t, "one", load(t, store, "a"))

	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
	if os.Geteuid() != 0 { // root may write everywhere
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o500))
		_, err = emporix.NewFileStore(filepath.Join(dir, "session.json"))
		require.ErrorContains(t, err, "the folder can't be written to")
	}
}

// A file of a newer version is refused and kept, whatever else is in it.
func TestFileStoreKeepsANewerFile(t *testing.T) {
	for _, content := range []string{
		`{"emporixSessions":2,"rows":{}}`, `{"emporixSessions":2}`, `{"rows":["CANARY"],"emporixSessions":17}`,
		`{"emporixSessions":18446744073709551616}`,
	} {
		store, path := fileStore(t)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := emporix.NewFileStore(path)
		require.ErrorContains(t, err, "a newer version of the SDK")
		assert.NotContains(t, err.Error(), "CANARY")
		require.ErrorContains(t, store.Save(t.Context(), "a", []byte("x"), 1, time.Hour), "nothing is lost")
		_, err = store.SaveIf(t.Context(), "a", []byte("x"), 0, 1, time.Hour)
		require.ErrorContains(t, err, "nothing is lost")
		require.ErrorContains(t, store.Delete(t.Context(), "a"), "nothing is lost")
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, content, string(after))
	}
	for _, content := range []string{`{"emporixSessions":0,"rows":{}}`, `{"emporixSessions":"x","rows":{}}`, `{"emporixSessions":1.5,"rows":{}}`, `{"emporixSessions":-2,"rows":{}}`, `{"rows":{}}`, `{"emporixSessions":1}`} {
		path := filepath.Join(t.TempDir(), "session.json")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := emporix.NewFileStore(path)
		require.ErrorContains(t, err, "is no session file", content)
	}
}

// Several stores over one file lose nothing of each other's.
func TestFileStoresShareAFile(t *testing.T) {
	_, path := fileStore(t)
	link := path + ".link"
	if runtime.GOOS == "windows" {
		link = path
	} else {
		require.NoError(t, os.Symlink(path, link))
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	begun := 0
	for i := range 6 {
		store := openFileStore(t, []string{path, link}[i%2])
		all.Go(func() {
			for round := range 5 {
				assert.NoError(t, store.Save(t.Context(), fmt.Sprint(i), fmt.Append(nil, round), uint64(round+1), time.Hour))
			}
			saved, err := store.SaveIf(t.Context(), "shared", []byte("x"), 0, 1, time.Hour)
			assert.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			if saved {
				begun++
			}
		})
	}
	all.Wait()
	assert.Equal(t, 1, begun)
	for i := range 6 {
		assert.Equal(t, "4", load(t, openFileStore(t, path), fmt.Sprint(i)))
	}
}

// Deleting nothing makes no file.
func TestFileStoreMakesNoFileForNothing(t *testing.T) {
	store, path := fileStore(t)
	require.NoError(t, store.Delete(t.Context(), "a"))
	saved, err := store.SaveIf(t.Context(), "a", []byte("x"), 7, 8, time.Hour)
	require.NoError(t, err)
	assert.False(t, saved)
	assert.NoFileExists(t, path)
}

// Who leaves while another has the file is not kept waiting.
func TestFileStoreEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, path := fileStore(t)
		save(t, store, "a", "one", 1, time.Hour)
		release := holdFile(t, path)
		if release == nil {
			return // this system has no such locks
		}
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			began := time.Now()
			require.ErrorIs(t, store.Save(ctx, "a", []byte("two"), 2, time.Hour), context.DeadlineExceeded)
			_, err := store.SaveIf(ctx, "a", []byte("two"), 1, 2, time.Hour)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 50*time.Millisecond, time.Since(began))
			cancel()
		}
		began := time.Now()
		_, err := emporix.NewFileStore(path)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(began))
		release()
		assert.Equal(t, "one", load(t, store, "a"))
		save(t, store, "a", "two", 2, time.Hour)
	})
}
