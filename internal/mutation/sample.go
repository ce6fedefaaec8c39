package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// goal is the share of random mutants that a package's own tests must catch, in
// hundredths.
const goal = 95

// equivalents lists the random mutants that change nothing a user can see, each as
//
//	file | line | change | why
//
//go:embed equivalent.txt
var equivalents string

// known returns why a random mutant is no mutant, or "".
func known(list string, b *mutant) string {
	for line := range strings.Lines(list) {
		if why, found := strings.CutPrefix(strings.TrimSpace(line), b.File+" | "+b.change+" | "); found {
			return why
		}
	}
	return ""
}

// sample tries n random mutants of a package, two at a time. Bugs that don't compile
// don't count.
func sample(ctx context.Context, root, pkg string, n int, seed uint64, out io.Writer) (err error) {
	mutants, err := random(root, pkg, seed)
	if err != nil {
		return err
	}
	if len(mutants) == 0 {
		return fmt.Errorf("there is nothing to change in %s", pkg)
	}
	work, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	s := &sampler{runner: runner{work: work, out: out}, mutants: mutants, want: n}
	var all sync.WaitGroup
	for i := range copies {
		tree := filepath.Join(work, strconv.Itoa(i))
		if err := copyTree(root, tree); err != nil {
			return err
		}
		if i == 0 { // a test that fails without a mutant proves nothing with one
			v, err := s.tryMutant(ctx, tree, &mutant{Package: pkg, Run: ".", then: moreTests(root, pkg)})
			if err != nil || v.kind != survived {
				return fmt.Errorf("%s: the tests don't pass without a mutant: %s%s: %w", pkg, v.says, v.output, errors.Join(err, errNotAllCaught))
			}
		}
		all.Go(func() { s.deal(ctx, tree) })
	}
	all.Wait()
	counted := s.caught + s.missed
	fmt.Fprintf(out, "%s, seed %d: %d of %d random mutants caught (%d by a test that hung), %d more change nothing that can be seen\n",
		pkg, seed, s.caught, counted, s.hung, s.equal)
	if ctx.Err() != nil {
		return fmt.Errorf("stopped before the end: %w", context.Cause(ctx))
	}
	if s.caught*100 < goal*counted {
		return errNotAllCaught
	}
	return nil
}

// sampler deals the mutants out to the trees. The runner's lock guards it.
type sampler struct {
	runner
	mutants []mutant
	want    int
	missed  int
	equal   int
	hung    int // of those caught
}

func (s *sampler) next() (mutant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.want == 0 || len(s.mutants) == 0 {
		return mutant{}, false
	}
	b := s.mutants[0]
	s.mutants = s.mutants[1:]
	s.want--
	return b, true
}

func (s *sampler) deal(ctx context.Context, tree string) {
	for {
		b, ok := s.next()
		if !ok || ctx.Err() != nil {
			return
		}
		began := time.Now()
		v, err := s.tryMutant(ctx, tree, &b)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		s.count(&b, v, err, time.Since(began))
		s.mu.Unlock()
	}
}

func (s *sampler) count(b *mutant, v verdict, err error, took time.Duration) {
	why := known(equivalents, b)
	switch {
	case err != nil || v.kind == unusable: // another one takes its place
		s.want++
		return
	case v.kind == caught:
		s.caught++
		if v.hung {
			s.hung++
			fmt.Fprintf(s.out, "hangs    %s | %s: %s (%.1f s)\n", b.Name, b.change, v.says, took.Seconds())
		}
	case why != "":
		s.equal++
		s.want++
	default:
		s.missed++
		fmt.Fprintf(s.out, "SURVIVED %s | %s (%.1f s)\n", b.Name, b.change, took.Seconds())
	}
}
