package emporix_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

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
