package emporix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// NewFileStore returns a token store in one file, for tools and tests that keep
// a session from one run to the next. The file is readable by its owner only
// (0600) and replaced as a whole, so that a crash leaves the old or the new one.
// The folder must exist. A file that others can read is refused. One process at
// a time may use it: it compares generations within this process only.
func NewFileStore(path string) (ConditionalTokenStore, error) {
	if path == "" {
		return nil, &ArgumentError{Field: "path", Reason: "is empty; give the file that is to hold the session"}
	}
	s := &fileStore{path: path, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	if _, err := s.read(); err != nil {
		return nil, err
	}
	return s, nil
}

type fileStore struct {
	path string
	turn chan struct{} // holds one token: whoever has it may use the file
}

type fileRow struct {
	Data       []byte    `json:"data"`
	Generation uint64    `json:"generation"`
	Until      time.Time `json:"until"`
}

// maxFile keeps a wrong path from filling the memory.
const maxFile = 64 << 20

// read returns the rows; those of a missing file are none.
func (s *fileStore) read() (map[string]fileRow, error) {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(s.path)); err != nil {
			return nil, fmt.Errorf("emporix: file store: the folder does not exist: %w", err)
		}
		return map[string]fileRow{}, nil
	case err != nil:
		return nil, fmt.Errorf("emporix: file store: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("emporix: file store: %s is no regular file", s.path)
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return nil, fmt.Errorf("emporix: file store: %s holds tokens, and others may read it (mode %#o); run chmod 600 on it", s.path, info.Mode().Perm())
	case info.Size() > maxFile:
		return nil, fmt.Errorf("emporix: file store: %s has %d bytes; that is no session file", s.path, info.Size())
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("emporix: file store: %w", err)
	}
	rows := map[string]fileRow{}
	if len(data) == 0 {
		return rows, nil
	}
	if json.Unmarshal(data, &rows) != nil || !areRows(rows) {
		return nil, fmt.Errorf("emporix: file store: %s is no session file; move it away", s.path)
	}
	return rows, nil
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

// update reads, changes and replaces the file.
func (s *fileStore) update(ctx context.Context, change func(rows map[string]fileRow) bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	rows, err := s.read()
	if err != nil || !change(rows) {
		return err
	}
	now := time.Now()
	for key, row := range rows {
		if !now.Before(row.Until) {
			delete(rows, key)
		}
	}
	data, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("emporix: file store: %w", err)
	}
	if len(data) > maxFile {
		return errors.New("emporix: file store: the sessions take more than 64 MiB; a store of this kind is for a few")
	}
	return replaceFile(s.path, data)
}

func replaceFile(path string, data []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
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
	return s.update(ctx, func(rows map[string]fileRow) bool {
		rows[key] = fileRow{Data: data, Generation: generation, Until: time.Now().Add(ttl).Round(0)}
		return true
	})
}

func (s *fileStore) SaveIf(ctx context.Context, key string, data []byte, expected, generation uint64, ttl time.Duration) (saved bool, err error) {
	err = s.update(ctx, func(rows map[string]fileRow) bool {
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
	return saved && err == nil, err
}

func (s *fileStore) Delete(ctx context.Context, key string) error {
	return s.update(ctx, func(rows map[string]fileRow) bool {
		_, found := rows[key]
		delete(rows, key)
		return found
	})
}
