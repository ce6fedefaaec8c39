//go:build !unix

package browser_test

import "os"

// There is no pausing here, nor Debian's Redis.
var pauseSignal, resumeSignal = os.Kill, os.Kill
