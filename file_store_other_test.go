//go:build !linux

package emporix_test

import "testing"

func holdFile(*testing.T, string) (release func()) { return nil }
