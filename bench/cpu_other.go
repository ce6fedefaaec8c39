//go:build !unix

package main

import "time"

// cpuTime is not to be had here; rows about CPU are left out.
func cpuTime() time.Duration { return 0 }
