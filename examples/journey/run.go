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
	target, err := findTarget(ctx)
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "journey:", err)
		return exitUsage
	}
	out := newPrinter(stdout)
	out.title("The journey of a customer, on " + target.name)
	report := &report{out: out}
	journey := newJourney(target)
	before, countErr := target.fake.coverage(ctx)

	walk(ctx, report, journey.chapters()...)
	interrupted := ctx.Err() != nil

	// What was made is cleaned up after an interrupt too.
	after, done := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer done()
	walk(after, report, journey.cleanUp(after))
	var remarks []string
	if target.fake != nil {
		var counted int
		if countErr == nil {
			counted, countErr = target.fake.confirm(after, before, report)
		}
		if countErr == nil {
			remarks = append(remarks, fmt.Sprintf("the fake itself counted %d of %d operations", counted, len(emporixfake.Operations())))
		}
	}
	if err := target.close(after); err != nil {
		remarks = append(remarks, "closing failed: "+err.Error())
	}
	if interrupted {
		remarks = append(remarks, "interrupted; the rest of the journey was left out")
	}
	if target.server == nil { // else the fake ends with this program
		remarks = append(remarks, journey.leftBehind()...)
	}
	result := report.result()
	if countErr != nil {
		result.failed++
		result.notes = append(result.notes, line{operation: "the fake's own count", outcome: failed, note: countErr.Error()})
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
