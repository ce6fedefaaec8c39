package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// mutant is a mistake in the code, and the tests that must see it.
type mutant struct {
	Name string `json:"name"`
	// Rule is what the mutant breaks: an invariant (L1 to L16, S1 to S6), or a promise
	// of the retries, of the stores, of package bff or of the fake.
	Rule string `json:"rule"`
	// Old occurs exactly once in File, and is replaced by New.
	File string `json:"file"`
	Old  string `json:"old"`
	New  string `json:"new"`
	// Package and Run choose the tests.
	Package string `json:"package"`
	Run     string `json:"run"`

	// Of a random mutant: the whole file with it, and the line and what was changed there.
	broken string
	change string
	// then is a second package whose tests run if those of Package pass.
	then string
}

//go:embed mutants/*.json
var lists embed.FS

// list returns all mutants.
func list() (all []mutant, err error) {
	names, err := fs.Glob(lists, "mutants/*.json")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		data, err := lists.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var mutants []mutant
		if err := json.Unmarshal(data, &mutants); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, mutants...)
	}
	return all, nil
}

func choose(mutants []mutant, rule, name string) (chosen []mutant) {
	for _, b := range mutants {
		if (rule == "" || b.Rule == rule) && (name == "" || b.Name == name) {
			chosen = append(chosen, b)
		}
	}
	return chosen
}

// check says what is wrong with the list, so that it changes with the code.
func check(root string, mutants []mutant) error {
	var wrong []error
	seen := map[string]bool{}
	for _, b := range mutants {
		if seen[b.Name] {
			wrong = append(wrong, fmt.Errorf("%s is listed twice", b.Name))
		}
		seen[b.Name] = true
		if b.Name == "" || b.Rule == "" || b.Package == "" || b.Run == "" || b.Old == b.New {
			wrong = append(wrong, fmt.Errorf("%q lacks something, or changes nothing", b.Name))
			continue
		}
		if _, err := b.apply(root); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

// apply returns the mutant's file with the mutant in it.
func (b *mutant) apply(root string) (string, error) {
	if b.broken != "" {
		return b.broken, nil
	}
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(b.File))) // #nosec G304 -- of the list
	if err != nil {
		return "", fmt.Errorf("%s: %w", b.Name, err)
	}
	if n := strings.Count(string(source), b.Old); n != 1 {
		return "", fmt.Errorf("%s: its place occurs %d times in %s, not once; adapt the mutant to the code", b.Name, n, b.File)
	}
	return strings.Replace(string(source), b.Old, b.New, 1), nil
}
