//go:build !unix

package e2e

import "os"

// There is no pausing here, nor Debian's Redis.
var pauseSignal, resumeSignal = os.Kill, os.Kill
