//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package emporix

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

const keepsLock = true // while the file is open

// tryLock reports false if another has the file. A file system that has no locks
// locks nothing.
func tryLock(file *os.File) bool {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR)
}

// mustStay: replacing the file would leave its old content under another name, or
// take it from its owner.
func mustStay(info fs.FileInfo) bool {
	stat, known := info.Sys().(*syscall.Stat_t)
	return known && (stat.Nlink > 1 || int(stat.Uid) != os.Geteuid())
}

// cannotReplace tells a file that is a mount of its own, or a folder that can't be
// written to, from other failures.
func cannotReplace(err error) bool {
	for _, reason := range []error{syscall.EBUSY, syscall.EXDEV, syscall.EPERM, syscall.EACCES, syscall.EROFS} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}
