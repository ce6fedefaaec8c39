package emporix_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

// holdFile locks the file as another process would.
func holdFile(t *testing.T, path string) (release func()) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
	return func() { require.NoError(t, file.Close()) }
}

func TestFileStoreLeavesNoFileOpen(t *testing.T) {
	store, path := fileStore(t)
	open := func() (files []string) { // of this store: other tests may still be closing theirs
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		for _, entry := range entries {
			if file, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(file, filepath.Dir(path)) {
				files = append(files, file)
			}
		}
		return files
	}
	save(t, store, "a", "one", 1, time.Hour)
	save(t, store, "a", "two", 2, time.Hour)
	require.NoError(t, os.Link(path, path+".other"))
	save(t, store, "a", "three", 3, time.Hour) // in place
	assert.Equal(t, "three", load(t, openFileStore(t, path), "a"))
	assert.Empty(t, open())
	held, err := os.Open(path)
	require.NoError(t, err)
	assert.Len(t, open(), 1, "an open file would be seen")
	require.NoError(t, held.Close())
}

func TestFileStoreRefusesAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := emporix.NewFileStore(path)
	require.ErrorContains(t, err, "is no regular file")
}

// Processes share a file too.
func TestFileStoreIsSharedByProcesses(t *testing.T) {
	if path := os.Getenv("FILE_STORE_TEST"); path != "" {
		store := openFileStore(t, path)
		for i := range 10 {
			save(t, store, fmt.Sprint(os.Getenv("FILE_STORE_NAME"), i), "x", 1, time.Hour)
		}
		return
	}
	_, path := fileStore(t)
	processes := make([]*exec.Cmd, 3)
	for i := range processes {
		processes[i] = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFileStoreIsSharedByProcesses$") // #nosec G204 G702 -- this test
		processes[i].Env = append(os.Environ(), "FILE_STORE_TEST="+path, fmt.Sprint("FILE_STORE_NAME=", i, "/"))
		require.NoError(t, processes[i].Start())
	}
	for _, process := range processes {
		require.NoError(t, process.Wait())
	}
	store := openFileStore(t, path)
	for i := range processes {
		for j := range 10 {
			assert.Equal(t, "x", load(t, store, fmt.Sprint(i, "/", j)))
		}
	}
}

// A file that is a mount of its own is written in place, and what does not fit on a
// full disk leaves what was there. It needs a mount namespace of its own.
func TestFileStoreOnMounts(t *testing.T) {
	if os.Getenv("FILE_STORE_MOUNTS") == "" {
		program := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFileStoreOnMounts$") // #nosec G204 G702 -- this test
		program.Env = append(os.Environ(), "FILE_STORE_MOUNTS=1")
		program.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if os.Geteuid() != 0 {
			program.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
			}
		}
		out, err := program.CombinedOutput()
		if err != nil && !bytes.Contains(out, []byte("FAIL")) {
			t.Logf("NOT TESTED, without mounts: %v", err)
			return
		}
		require.NoError(t, err, "%s", out)
		return
	}
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	source, target := filepath.Join(dir, "source.json"), filepath.Join(dir, "target.json")
	for _, path := range []string{source, target} {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	require.NoError(t, syscall.Mount(source, target, "", syscall.MS_BIND, ""))
	store := openFileStore(t, target)
	for round, data := range []string{"one", strings.Repeat("two", 1000), "three"} {
		save(t, store, "a", data, uint64(round+1), time.Hour)
		assert.Equal(t, data, load(t, store, "a"))
		assert.Equal(t, data, load(t, openFileStore(t, source), "a"))
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2)
	require.NoError(t, syscall.Unmount(target, 0))

	small := filepath.Join(dir, "small")
	require.NoError(t, os.Mkdir(small, 0o700))
	require.NoError(t, syscall.Mount("tmpfs", small, "tmpfs", 0, "size=64k"))
	for _, name := range []string{"replaced", "in place"} {
		path := filepath.Join(small, name)
		store := openFileStore(t, path)
		save(t, store, "a", "one", 1, time.Hour)
		if name == "in place" {
			require.NoError(t, os.Link(path, path+".other"))
		}
		err := store.Save(t.Context(), "a", bytes.Repeat([]byte("x"), 100<<10), 2, time.Hour)
		require.ErrorIs(t, err, syscall.ENOSPC)
		assert.Equal(t, "one", load(t, store, "a"), name)
		save(t, store, "a", "two", 2, time.Hour)
		assert.Equal(t, "two", load(t, store, "a"), name)
	}
	require.NoError(t, syscall.Unmount(small, 0))
}
