package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// copies of the tree, each with one mutant at a time.
const copies = 2

// run tries the mutants, and prints a line for each.
func run(ctx context.Context, root string, mutants []mutant, out io.Writer) (err error) {
	work, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	r := &runner{work: work, out: out}
	var trees []string
	for i := range copies {
		tree := filepath.Join(work, strconv.Itoa(i))
		if err := copyTree(root, tree); err != nil {
			return err
		}
		trees = append(trees, tree)
	}
	// A test that fails without a mutant proves nothing with one.
	r.each(ctx, trees, sound(mutants))
	if !r.failed {
		r.each(ctx, trees, mutants)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	fmt.Fprintf(out, "mutation: %d of %d caught\n", r.caught, len(mutants))
	if r.failed {
		return errNotAllCaught
	}
	return nil
}

// sound returns, for each package, all its tests and no mutant.
func sound(mutants []mutant) (all []mutant) {
	at := map[string]int{}
	for _, b := range mutants {
		i, found := at[b.Package]
		if !found {
			at[b.Package] = len(all)
			all = append(all, mutant{Rule: "none", Name: b.Package, Package: b.Package, Run: b.Run})
			continue
		}
		all[i].Run += "|" + b.Run
	}
	return all
}

type runner struct {
	work string

	mu     sync.Mutex // guards what follows
	out    io.Writer
	caught int
	failed bool
}

// each tries the mutants, one at a time in each tree.
func (r *runner) each(ctx context.Context, trees []string, mutants []mutant) {
	queue := make(chan mutant)
	var all sync.WaitGroup
	for _, tree := range trees {
		all.Go(func() {
			for b := range queue {
				if ctx.Err() == nil {
					r.try(ctx, tree, &b)
				}
			}
		})
	}
	for _, b := range mutants {
		queue <- b
	}
	close(queue)
	all.Wait()
}

func (r *runner) try(ctx context.Context, tree string, b *mutant) {
	began := time.Now()
	v, err := r.tryMutant(ctx, tree, b)
	if ctx.Err() != nil { // it was cut short
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	says, good := v.says, err == nil && v.kind == caught
	if b.File == "" { // without a mutant
		good = err == nil && v.kind == survived
	}
	switch {
	case err != nil:
		says = "ERROR: " + err.Error()
	case good && b.File != "":
		r.caught++
	case v.kind == unusable:
		says = "ERROR OF THE LIST: " + says
	case v.kind == survived && b.File != "":
		says = "SURVIVED " + b.Run
	case !good:
		says = "FAILS WITHOUT A MUTANT: " + says
	}
	r.failed = r.failed || !good
	fmt.Fprintf(r.out, "%-16s %-36s %s (%.1f s)\n", b.Rule, b.Name, says, time.Since(began).Seconds())
	if !good && v.output != "" {
		fmt.Fprintln(r.out, v.output)
	}
}

// tryMutant runs a mutant's tests with the mutant.
func (r *runner) tryMutant(ctx context.Context, tree string, b *mutant) (v verdict, err error) {
	if b.File != "" {
		restore, plantErr := b.plant(tree)
		if plantErr != nil {
			return verdict{}, plantErr
		}
		defer func() { err = errors.Join(err, restore()) }()
	}
	v, err = goTest(ctx, r.work, tree, b.Package, b.Run)
	if err == nil && v.kind == survived && b.then != "" {
		return goTest(ctx, r.work, tree, b.then, b.Run)
	}
	return v, err
}
