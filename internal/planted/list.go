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

// bug is a mistake that somebody could make, and the tests that must see it.
type bug struct {
	Name string `json:"name"`
	// Rule is what the bug breaks: an invariant (L1 to L16, S1 to S6), or a promise
	// of the retries, of the stores, of package bff or of the fake.
	Rule string `json:"rule"`
	// Old occurs exactly once in File, and is replaced by New.
	File string `json:"file"`
	Old  string `json:"old"`
	New  string `json:"new"`
	// Package and Run choose the tests.
	Package string `json:"package"`
	Run     string `json:"run"`

	// Of a random bug: the whole file with it, and the line and what was changed there.
	broken string
	change string
}

//go:embed bugs/*.json
var lists embed.FS

// list returns all bugs.
func list() (all []bug, err error) {
	names, err := fs.Glob(lists, "bugs/*.json")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		data, err := lists.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var bugs []bug
		if err := json.Unmarshal(data, &bugs); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, bugs...)
	}
	return all, nil
}

func choose(bugs []bug, rule, name string) (chosen []bug) {
	for _, b := range bugs {
		if (rule == "" || b.Rule == rule) && (name == "" || b.Name == name) {
			chosen = append(chosen, b)
		}
	}
	return chosen
}

// check says what is wrong with the list, so that it changes with the code.
func check(root string, bugs []bug) error {
	var wrong []error
	seen := map[string]bool{}
	for _, b := range bugs {
		if seen[b.Name] {
			wrong = append(wrong, fmt.Errorf("%s is listed twice", b.Name))
		}
		seen[b.Name] = true
		if b.Name == "" || b.Rule == "" || b.Package == "" || b.Run == "" || b.Old == b.New {
			wrong = append(wrong, fmt.Errorf("%q lacks something, or changes nothing", b.Name))
			continue
		}
		if _, err := b.planted(root); err != nil {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

// planted returns the bug's file with the bug in it.
func (b *bug) planted(root string) (string, error) {
	if b.broken != "" {
		return b.broken, nil
	}
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(b.File))) // #nosec G304 -- of the list
	if err != nil {
		return "", fmt.Errorf("%s: %w", b.Name, err)
	}
	if n := strings.Count(string(source), b.Old); n != 1 {
		return "", fmt.Errorf("%s: its place occurs %d times in %s, not once; adapt the bug to the code", b.Name, n, b.File)
	}
	return strings.Replace(string(source), b.Old, b.New, 1), nil
}
