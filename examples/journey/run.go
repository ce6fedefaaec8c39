package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/emporix-community/emporix-go/emporixfake"
)

const (
	exitWhole       = 0
	exitFailed      = 1
	exitUsage       = 2
	exitSkipped     = 3
	exitInterrupted = 130

	cleanUpTime = 10 * time.Second
)

// run walks the journey where the environment says, and answers the exit status.
func run(ctx context.Context, stdout, stderr io.Writer) int {
	place, err := findPlace(ctx)
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "journey:", err)
		return exitUsage
	}
	out := newPrinter(stdout)
	out.title("The journey of a customer, on " + place.name)
	book := &book{out: out}
	story := newStory(place, book)
	before, countErr := place.fake.coverage(ctx)

	story.walk(ctx)
	interrupted := ctx.Err() != nil

	// What was made is cleaned up after an interrupt too.
	after, done := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer done()
	story.cleanUp(after)
	var remarks []string
	if place.fake != nil {
		var counted int
		if countErr == nil {
			counted, countErr = place.fake.confirm(after, before, book)
		}
		if countErr == nil {
			remarks = append(remarks, fmt.Sprintf("the fake itself counted %d of %d operations", counted, len(emporixfake.Operations())))
		}
	}
	if err := place.close(after); err != nil {
		remarks = append(remarks, "closing failed: "+err.Error())
	}
	if interrupted {
		remarks = append(remarks, "interrupted; the rest of the journey was left out")
	}
	if place.server == nil { // else the fake ends with this program
		remarks = append(remarks, story.leftBehind()...)
	}
	result := book.result()
	if countErr != nil {
		result.failed++
		result.notes = append(result.notes, step{operation: "the fake's own count", outcome: failed, note: countErr.Error()})
	}
	out.summary(result, remarks)

	switch {
	case interrupted:
		return exitInterrupted
	case result.failed > 0:
		return exitFailed
	case result.skipped > 0:
		return exitSkipped
	default:
		return exitWhole
	}
}
