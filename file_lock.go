package emporix

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// fileGuards keep the stores of this process apart that use one file.
var fileGuards sync.Map // of *sync.Mutex, by path

// lockFile waits until no other store uses the file, in this process and, where
// the system can lock files, in others. It asks again and again, because a wait for
// a lock of the system can't be ended.
func lockFile(ctx context.Context, file *os.File, path string) (unlock func(), err error) {
	// Clean, because a link may lead to it by another way.
	entry, _ := fileGuards.LoadOrStore(filepath.Clean(path), new(sync.Mutex))
	guard := entry.(*sync.Mutex) //nolint:forcetypeassert // nothing else is in there
	if err := poll(ctx, guard.TryLock); err != nil {
		return nil, err
	}
	if err := poll(ctx, func() bool { return tryLock(file) }); err != nil {
		guard.Unlock()
		return nil, err
	}
	return guard.Unlock, nil // the system's lock ends when the file is closed
}

func poll(ctx context.Context, try func() bool) error {
	for wait := time.Millisecond; !try(); wait = min(2*wait, 50*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("emporix: file store: another store or process uses the file: %w", context.Cause(ctx))
		}
	}
	return nil
}
