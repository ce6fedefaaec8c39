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

// step is one call of the SDK and what came of it.
type step struct {
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

// book keeps account of the journey, and prints it as it goes.
type book struct {
	out   *printer
	steps []step
}

// step makes a call that performs an operation. The call answers a line about
// what came back.
func (b *book) step(ctx context.Context, operation string, call func() (string, error)) {
	b.stepGiven(ctx, nil, operation, call)
}

// stepGiven is step for a call that depends on something: it is not made if
// that is an error.
func (b *book) stepGiven(ctx context.Context, missing error, operation string, call func() (string, error)) {
	if ctx.Err() != nil {
		return
	}
	s := step{operation: operation}
	err := missing
	if err == nil {
		began := time.Now()
		s.note, err = call()
		s.took = time.Since(began)
	}
	if err != nil {
		s.outcome, s.note = judge(ctx, err)
	}
	s.called = missing == nil && s.outcome != skipped
	b.steps = append(b.steps, s)
	b.out.step(s)
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
	notes                 []step // about what failed and what was skipped
}

func (b *book) result() result {
	var r result
	found := map[string]step{}
	for _, s := range b.steps {
		if s.called {
			r.calls++
			r.took += s.took
		}
		earlier, known := found[s.operation]
		if !known || s.outcome == failed && earlier.outcome != failed || s.outcome == ok && earlier.outcome == skipped {
			found[s.operation] = s
		}
	}
	for _, operation := range emporixfake.Operations() {
		s, known := found[operation]
		if !known {
			s = step{operation: operation, outcome: skipped, note: "not reached"}
		}
		switch s.outcome {
		case ok:
			r.done++
			continue
		case failed:
			r.failed++
		case skipped:
			r.skipped++
		}
		r.notes = append(r.notes, s)
	}
	return r
}

// succeeded says whether an operation is counted as done.
func (b *book) succeeded(operation string) bool {
	done := false
	for _, s := range b.steps {
		if s.operation == operation {
			if s.outcome == failed {
				return false
			}
			done = done || s.outcome == ok
		}
	}
	return done
}
