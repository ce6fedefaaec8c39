//go:build !unix

package postgres_test

import "os/exec"

// become does nothing: only unix has root.
func become(*exec.Cmd, uint32, uint32) {}
