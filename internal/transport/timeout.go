package transport

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// TimedOut returns the error of a time limit of the SDK. It is a timeout, but not
// context.DeadlineExceeded, which stands for the caller's deadline.
func TimedOut(limit time.Duration) error { return timedOut(fmt.Sprintf("timed out after %s", limit)) }

type timedOut string

func (e timedOut) Error() string { return string(e) }

// Timeout is what net.Error asks for.
func (e timedOut) Timeout() bool { return true }

// NotTheCallers returns an error that isn't taken for the end of the caller's
// context: net/http and net call their own limits context.DeadlineExceeded.
func NotTheCallers(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return &scrubbed{text: err.Error(), cause: func() error { return err }, ours: true}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
