// Command mutation proves that the tests see what they are for: it breaks the code
// in one place after the other, each time the code of one rule, and runs the tests
// of that rule, which must fail.
//
//	go run ./internal/mutation            # at the root; about 4 minutes
//	go run ./internal/mutation -rule L7   # the mutants of one rule
//	go run ./internal/mutation -name x    # one mutant
//	go run ./internal/mutation -random ./bff -n 100 -seed 1
//
// The last form makes small random changes of one package; its own tests must catch
// 95 of 100 (see equivalent.txt for those that no test can see). A change of the root
// that its own tests don't see is left to the tests of ./internal/acceptance.
//
// The mutants are in the folder mutants. They are made in copies of the tree; the tree
// itself is only read.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

var errNotAllCaught = errors.New("not all mutants were caught, or not all could be tried")

func command(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutation", flag.ContinueOnError)
	rule := flags.String("rule", "", "try the mutants of this rule only, such as L7")
	name := flags.String("name", "", "try the mutant of this name only")
	pkg := flags.String("random", "", "make random changes of this package instead, such as ./bff; for the root (.), the tests of ./internal/acceptance count as well")
	n := flags.Int("n", 100, "with -random: how many")
	seed := flags.Uint64("seed", 1, "with -random: draws others")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *pkg != "" {
		return sample(ctx, ".", *pkg, *n, *seed, out)
	}
	mutants, err := list()
	if err != nil {
		return err
	}
	chosen := choose(mutants, *rule, *name)
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("there is no argument %q; see -help", flags.Arg(0))
	case len(chosen) == 0:
		return errors.New("there is no such mutant; the rules and names are in internal/mutation/mutants")
	}
	if err := check(".", mutants); err != nil {
		return err
	}
	return run(ctx, ".", chosen, out)
}
