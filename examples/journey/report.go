package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixfake"
)

type outcome int

const (
	ok outcome = iota
	skipped
	failed
)

// line is what came of one step.
type line struct {
	operation string
	outcome   outcome
	called    bool // whether the SDK was asked, and asked the API
	took      time.Duration
	note      string
}

// missingError is why a step is skipped: something that the journey can't have.
type missingError string

// Error says what is missing.
func (e missingError) Error() string { return "needs " + string(e) }

func needs(what string) error { return missingError(what) }

// report keeps what came of the steps, and prints it as the journey goes.
type report struct {
	out   *printer
	lines []line
}

// add reports a step that was done.
func (r *report) add(l line) {
	r.lines = append(r.lines, l)
	r.out.line(l)
}

// judge tells what went wrong from what could not be done here.
func judge(ctx context.Context, err error) (outcome, string) {
	var missing missingError
	switch {
	case errors.As(err, &missing):
		return skipped, missing.Error()
	case errors.Is(err, emporix.ErrNotLoggedIn):
		return skipped, "needs a logged-in customer"
	case errors.Is(err, emporix.ErrNoEmployee):
		return skipped, fmt.Sprintf("needs backend credentials: set %s and %s", emporix.EnvEmployeeID, emporix.EnvEmployeeSecret)
	case ctx.Err() != nil:
		return skipped, "interrupted"
	default:
		return failed, err.Error()
	}
}

// result is the account of the operations. Each is counted once: as failed if
// it ever failed, else as done if it ever succeeded, else as skipped.
type result struct {
	calls                 int
	took                  time.Duration
	done, failed, skipped int
	notes                 []line // about what failed and what was skipped
}

func (r *report) result() result {
	var sum result
	found := map[string]line{}
	for _, s := range r.lines {
		if s.called {
			sum.calls++
			sum.took += s.took
		}
		earlier, known := found[s.operation]
		if !known || s.outcome == failed && earlier.outcome != failed || s.outcome == ok && earlier.outcome == skipped {
			found[s.operation] = s
		}
	}
	for _, operation := range emporixfake.Operations() {
		s, known := found[operation]
		if !known {
			s = line{operation: operation, outcome: skipped, note: "not reached"}
		}
		switch s.outcome {
		case ok:
			sum.done++
			continue
		case failed:
			sum.failed++
		case skipped:
			sum.skipped++
		}
		sum.notes = append(sum.notes, s)
	}
	return sum
}

// succeeded says whether an operation is counted as done.
func (r *report) succeeded(operation string) bool {
	done := false
	for _, s := range r.lines {
		if s.operation == operation {
			if s.outcome == failed {
				return false
			}
			done = done || s.outcome == ok
		}
	}
	return done
}
