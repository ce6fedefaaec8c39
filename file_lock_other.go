//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package emporix

import (
	"io/fs"
	"os"
)

const keepsLock = false

func tryLock(*os.File) bool { return true }

func mustStay(fs.FileInfo) bool { return false }

func cannotReplace(err error) bool { return err != nil && os.IsPermission(err) }
