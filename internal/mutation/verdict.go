package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// limit is how long a test binary may run. A mutant that makes a test hang is caught.
const limit = 2 * time.Minute

type kind int

const (
	survived kind = iota
	caught
	unusable // the mutant does not compile, or no test is chosen
)

// verdict is what the tests say about a mutant.
type verdict struct {
	kind   kind
	says   string // the tests that failed, or why it is unusable
	output string
	hung   bool // caught only because a test did not end
}

func goTest(ctx context.Context, work, tree, pkg, tests string) (verdict, error) {
	// Without paths in the packages, all copies share what is compiled.
	cmd := exec.CommandContext(ctx, "go", "test", "-trimpath", "-count=1", "-vet=off", "-failfast", "-timeout", limit.String(), "-run", tests, pkg) // #nosec G204 -- of the list
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "PWD="+tree, "TMPDIR="+work, "GOTMPDIR="+work)
	// The go command ends when its test does: nothing is left running.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = limit + 10*time.Second
	output, err := cmd.CombinedOutput()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		return verdict{}, fmt.Errorf("go test: %w", err)
	}
	return judge(err == nil, string(output)), nil
}

var (
	notBuilt = regexp.MustCompile(`(?m)^FAIL\s.*\[(build|setup) failed\]$`)
	noTests  = regexp.MustCompile(`(?m)^ok\s.*\[no tests to run\]$`)
	failures = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)
	timedOut = regexp.MustCompile(`(?m)^panic: test timed out`)
	running  = regexp.MustCompile(`(?m)^\s*running tests:\n\s+(\S+)`)
	panicked = regexp.MustCompile(`(?m)^(?:panic|fatal error): (.{0,60})`)
)

// judge reads what go test printed.
func judge(passed bool, output string) verdict {
	v := verdict{output: output}
	switch {
	case passed && noTests.MatchString(output):
		v.kind, v.says = unusable, "no test is chosen"
		return v
	case passed:
		v.says = "passes"
		return v
	case notBuilt.MatchString(output):
		v.kind, v.says = unusable, "does not build"
		return v
	}
	var says []string
	for i, found := range failures.FindAllStringSubmatch(output, -1) {
		if i == 2 {
			says = append(says, "…")
			break
		}
		says = append(says, found[1])
	}
	if found := running.FindStringSubmatch(output); len(says) == 0 && found != nil {
		says = append(says, found[1])
	}
	if timedOut.MatchString(output) {
		v.hung = true
		says = append(says, "TIME-OUT")
	} else if found := panicked.FindStringSubmatch(output); found != nil {
		says = append(says, "PANIC: "+strings.TrimSpace(found[1]))
	}
	v.kind, v.says = caught, strings.Join(says, " ")
	if len(says) == 0 {
		v.kind, v.says = unusable, "go test fails, and no test does"
	}
	return v
}
