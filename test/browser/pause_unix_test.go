//go:build unix

package browser_test

import "syscall"

const pauseSignal, resumeSignal = syscall.SIGSTOP, syscall.SIGCONT
