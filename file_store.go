package emporix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// NewFileStore returns a token store in one file, for tools and tests that keep
// a session from one run to the next. The file is readable by its owner only
// (0600; Windows has no such modes) and replaced as a whole, so that a crash leaves
// the old or the new one.
// The folder must exist. A file that others can read, and one that can't be
// written, is refused.
//
// A symbolic link is followed. A file that can't be replaced (a mount of its own, a
// folder that can't be written to) or should not be (one with several names, or of
// another owner) is written in place: there a crash can damage it.
//
// Several stores may use one file, in one process or, where the system has flock
// (Linux, macOS, BSD) and the file system too, in several. Elsewhere one process at
// a time may use it.
func NewFileStore(path string) (ConditionalTokenStore, error) {
	if path == "" {
		return nil, &ArgumentError{Field: "path", Reason: "is empty; give the file that is to hold the session"}
	}
	path, err := filepath.Abs(path) // the program may go to another folder
	if err != nil {
		return nil, fmt.Errorf("emporix: file store: %w", err)
	}
	s := &fileStore{path: path, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

type fileStore struct {
	path  string
	turn  chan struct{} // holds one token: the goroutine that has it may use the file
	clean bool          // leftovers have been looked for
}

type fileRow struct {
	Data       []byte    `json:"data"`
	Generation uint64    `json:"generation"`
	Until      time.Time `json:"until"`
}

// sessionFile is what is in the file. A format that an older SDK could misread has
// a higher number; the older one then refuses the file.
type sessionFile struct {
	Format json.Number        `json:"emporixSessions"`
	Rows   map[string]fileRow `json:"rows"`
}

const fileFormat = 1

// maxFile keeps a wrong path from filling the memory.
const maxFile = 64 << 20

// checkLimit is how long NewFileStore waits for others who have the file.
const checkLimit = 5 * time.Second

// check finds out at the start what would fail at the first write.
func (s *fileStore) check() error {
	ctx, cancel := context.WithTimeout(context.Background(), checkLimit)
	defer cancel()
	if err := s.use(ctx, func(map[string]fileRow) bool { return false }); err != nil {
		return err
	}
	path, err := followLinks(s.path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		file, err := os.OpenFile(path, os.O_WRONLY, 0) // #nosec G304 -- the caller's own
		if err != nil {
			return fmt.Errorf("emporix: file store: the file can't be written: %w", err)
		}
		return file.Close()
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("emporix: file store: the folder can't be written to: %w", err)
	}
	_ = file.Close()
	return os.Remove(file.Name())
}

// inspect refuses what is no file of ours, before it is opened: opening a pipe
// would wait. A missing file is nil.
func inspect(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("emporix: file store: the folder does not exist: %w", err)
		}
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("emporix: file store: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("emporix: file store: %s is no regular file", path)
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return nil, fmt.Errorf("emporix: file store: %s holds tokens, and others may read it (mode %#o); run chmod 600 on it", path, info.Mode().Perm())
	case info.Mode().Perm()&0o200 == 0:
		return nil, fmt.Errorf("emporix: file store: %s can't be written (mode %#o); run chmod 600 on it", path, info.Mode().Perm())
	case info.Size() > maxFile:
		return nil, fmt.Errorf("emporix: file store: %s has %d bytes; that is no session file", path, info.Size())
	}
	return info, nil
}

// followLinks returns the file that path leads to, which may be missing.
func followLinks(path string) (string, error) {
	for range 40 {
		target, err := os.Readlink(path)
		if err != nil { // no link, or nothing there
			return path, nil //nolint:nilerr // what is there is looked at next
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", errors.New("emporix: file store: the symbolic links of the path never end")
}

func readRows(file io.Reader, path string) (map[string]fileRow, error) {
	data, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, fmt.Errorf("emporix: file store: %w", err)
	}
	if len(data) == 0 {
		return map[string]fileRow{}, nil
	}
	var head struct {
		Format json.Number `json:"emporixSessions"`
	}
	if json.Unmarshal(data, &head) == nil {
		if format, err := head.Format.Int64(); (err == nil || errors.Is(err, strconv.ErrRange)) && format > fileFormat {
			return nil, fmt.Errorf("emporix: file store: a newer version of the SDK wrote %s (format %d; this program reads %d); nothing is lost: update this program", path, format, fileFormat)
		}
	}
	var content sessionFile
	if json.Unmarshal(data, &content) != nil || content.Format != "1" || !areRows(content.Rows) {
		return nil, fmt.Errorf("emporix: file store: %s is no session file; move it away", path)
	}
	return content.Rows, nil
}

// areRows tells rows from the JSON of others, which must not be replaced.
func areRows(rows map[string]fileRow) bool {
	for _, row := range rows {
		if row.Until.IsZero() {
			return false
		}
	}
	return rows != nil
}

// update reads, changes and replaces the file. It returns when ctx ends, also
// where the file system hangs: then the goroutine has the turn until it comes back,
// and what change sets must not be read.
func (s *fileStore) update(ctx context.Context, change func(rows map[string]fileRow) bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	done := make(chan error, 1)
	go func() {
		defer func() { s.turn <- struct{}{} }()
		done <- s.use(ctx, change)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// use changes the file, once it is the file that the path leads to and no other
// store has it. Others may replace it before the lock is taken.
func (s *fileStore) use(ctx context.Context, change func(rows map[string]fileRow) bool) error {
	for {
		again, err := s.withFile(ctx, change)
		if !again {
			return err
		}
	}
}

func (s *fileStore) withFile(ctx context.Context, change func(rows map[string]fileRow) bool) (again bool, err error) {
	path, err := followLinks(s.path)
	if err != nil {
		return false, err
	}
	before, err := inspect(path)
	if err != nil {
		return false, err
	}
	if before == nil {
		if !change(map[string]fileRow{}) {
			return false, nil
		}
		// What is locked must be there.
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // #nosec G304 -- the caller's own
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return false, fmt.Errorf("emporix: file store: %w", err)
		}
		if err == nil {
			_ = file.Close()
		}
		return true, nil
	}
	file, err := os.Open(path) // #nosec G304 -- the caller's own
	if err != nil {
		return errors.Is(err, fs.ErrNotExist), fmt.Errorf("emporix: file store: %w", err)
	}
	defer func() { _ = file.Close() }()
	unlock, err := lockFile(ctx, file, path)
	if err != nil {
		return false, err
	}
	defer unlock()
	opened, err := file.Stat()
	if err != nil {
		return false, fmt.Errorf("emporix: file store: %w", err)
	}
	now, err := inspect(path)
	if !os.SameFile(opened, now) { // or there is none
		return err == nil, err
	}
	if !s.clean {
		removeLeftovers(path)
		s.clean = true
	}
	rows, err := readRows(file, path)
	if err != nil || !change(rows) {
		return false, err
	}
	if !keepsLock {
		_ = file.Close() // it could not be replaced while it is open
	}
	return false, write(path, now, rows)
}

func write(path string, now fs.FileInfo, rows map[string]fileRow) error {
	for key, row := range rows {
		if !time.Now().Before(row.Until) {
			delete(rows, key)
		}
	}
	data, err := json.Marshal(sessionFile{Format: "1", Rows: rows})
	if err != nil {
		return fmt.Errorf("emporix: file store: %w", err)
	}
	if len(data) > maxFile {
		return errors.New("emporix: file store: the sessions take more than 64 MiB; a store of this kind is for a few")
	}
	if !mustStay(now) {
		err = replaceFile(path, data)
		if !cannotReplace(err) {
			return err
		}
	}
	if inPlace := overwrite(path, data); inPlace != nil {
		return errors.Join(err, fmt.Errorf("emporix: file store: %w", inPlace))
	}
	return nil
}

// overwrite writes into the existing file. If that fails, it writes the old bytes back:
// a full disk still has room for them.
func overwrite(path string, data []byte) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0) // #nosec G304 -- the caller's own
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	old, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	if _, err = file.WriteAt(data, 0); err == nil {
		err = file.Truncate(int64(len(data)))
	}
	if err != nil {
		_, _ = file.WriteAt(old, 0)
		_ = file.Truncate(int64(len(old)))
		return err
	}
	return file.Sync()
}

// temporary begins the names of files that are about to take the place of path.
func temporary(path string) string { return "." + filepath.Base(path) + ".emporix-" }

// removeLeftovers removes the temporary files of processes that were killed before they
// had replaced the file. They hold tokens, also of visitors who have logged out since.
// The caller has the lock, so no temporary file is being written.
func removeLeftovers(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path)) // best effort
	for _, entry := range entries {
		number, found := strings.CutPrefix(entry.Name(), temporary(path))
		if found && number != "" && strings.Trim(number, "0123456789") == "" && entry.Type().IsRegular() {
			_ = os.Remove(filepath.Join(filepath.Dir(path), entry.Name()))
		}
	}
}

func replaceFile(path string, data []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), temporary(path)+"*") // 0600
	if err != nil {
		return fmt.Errorf("emporix: file store: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
			err = fmt.Errorf("emporix: file store: %w", err)
		}
	}()
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}

func (s *fileStore) Load(ctx context.Context, key string) ([]byte, bool, error) {
	var row fileRow
	var found bool
	err := s.update(ctx, func(rows map[string]fileRow) bool {
		row, found = rows[key]
		found = found && time.Now().Before(row.Until)
		return false
	})
	if err != nil || !found {
		return nil, false, err
	}
	return row.Data, true, nil
}

func (s *fileStore) Save(ctx context.Context, key string, data []byte, generation uint64, ttl time.Duration) error {
	data = bytes.Clone(data) // what hangs must not read the caller's later
	return s.update(ctx, func(rows map[string]fileRow) bool {
		rows[key] = fileRow{Data: data, Generation: generation, Until: time.Now().Add(ttl).Round(0)}
		return true
	})
}

func (s *fileStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (bool, error) {
	data = bytes.Clone(data)
	var saved bool
	err := s.update(ctx, func(rows map[string]fileRow) bool {
		var current uint64
		if row, found := rows[key]; found && time.Now().Before(row.Until) {
			current = row.Generation
		}
		saved = current == expected
		if saved {
			rows[key] = fileRow{Data: data, Generation: generation, Until: time.Now().Add(ttl).Round(0)}
		}
		return saved
	})
	if err != nil {
		return false, err
	}
	return saved, nil
}

func (s *fileStore) Delete(ctx context.Context, key string) error {
	return s.update(ctx, func(rows map[string]fileRow) bool {
		_, found := rows[key]
		delete(rows, key)
		return found
	})
}
