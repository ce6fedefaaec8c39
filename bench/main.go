// Command bench measures the SDK against hand-written net/http and x/oauth2 and
// prints one table:
//
//	go run ./bench
//
// from the root of the repository. README.md says what the rows mean. The same
// functions are ordinary benchmarks: go test -bench .
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// section is a group of rows that are measured together.
type section struct {
	goals   []string
	measure func(config) ([]row, error)
}

var sections = []section{
	{[]string{"1", "2", "3"}, callRows},
	{[]string{"5"}, validRows},
	{[]string{"6"}, expiryRows},
	{[]string{"7"}, failureRows},
	{[]string{"8"}, revivalRows},
	{[]string{"11"}, connectionRows},
	{[]string{"13", "14"}, idleRows},
	{[]string{"15"}, sessionRows},
	{[]string{"page"}, pageRows},
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	cfg := full
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	gate := flags.Bool("gate", false, "exit with status 1 if a required row is not met")
	goals := flags.String("goals", "", "measure only these goals and those measured with them, such as 5,15")
	flags.IntVar(&cfg.rounds, "rounds", cfg.rounds, "paired rounds; the table shows medians")
	flags.DurationVar(&cfg.each, "each", cfg.each, "time for one side in one round")
	flags.IntVar(&cfg.sessions, "sessions", cfg.sessions, "idle sessions in rows 13 and 14")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if cfg.rounds < 1 || cfg.each <= 0 || cfg.sessions < 1 || flags.NArg() > 0 {
		return errors.New("-rounds, -each and -sessions must be positive, and there are no arguments")
	}
	chosen, err := choose(*goals)
	if err != nil {
		return err
	}
	// The goals are for two cores.
	runtime.GOMAXPROCS(min(2, runtime.NumCPU()))
	var rows []row
	for _, s := range chosen {
		fmt.Fprintf(progress, "measuring %s …\n", strings.Join(s.goals, ", "))
		debug.FreeOSMemory() // a million sessions of another row would have the heap grow, cold, for this one
		measured, err := s.measure(cfg)
		if err != nil {
			return fmt.Errorf("goals %s: %w", strings.Join(s.goals, ", "), err)
		}
		rows = append(rows, measured...)
	}
	if len(rows) == 0 {
		return errors.New("nothing was measured")
	}
	fmt.Fprintf(out, "%s %s/%s, %d cores, %d paired rounds\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), cfg.rounds)
	write(out, rows)
	n := len(missed(rows))
	if n > 0 {
		fmt.Fprintf(out, "\n%d rows are not met.\n", n)
	}
	if *gate && n > 0 {
		return fmt.Errorf("%d required rows are not met", n)
	}
	return nil
}

// choose finds the sections of a list of goals such as "5,15", and all of them
// for "".
func choose(goals string) ([]section, error) {
	if goals == "" {
		return sections, nil
	}
	wanted := map[string]bool{}
	for _, goal := range strings.Split(goals, ",") {
		goal = strings.TrimSpace(goal)
		if !slices.ContainsFunc(sections, func(s section) bool { return slices.Contains(s.goals, goal) }) {
			return nil, fmt.Errorf("-goals: there is no goal %q; there are %s", goal, allGoals())
		}
		wanted[goal] = true
	}
	return slices.DeleteFunc(slices.Clone(sections), func(s section) bool {
		return !slices.ContainsFunc(s.goals, func(goal string) bool { return wanted[goal] })
	}), nil
}

func allGoals() string {
	var all []string
	for _, s := range sections {
		all = append(all, s.goals...)
	}
	return strings.Join(all, ", ")
}

// missed returns the rows that do not do what is required.
func missed(rows []row) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.verdict != notMet })
}
