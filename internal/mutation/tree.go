package main

import (
	"io/fs"
	"os"
	"path/filepath"
)

// copyTree copies the files of a tree, without what git keeps.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case entry.Name() == ".git" && entry.IsDir():
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case entry.Name() == ".git" || !entry.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path) // #nosec G122 G304 -- the tree is one's own
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o600) // #nosec G703 -- as above
	})
}

// plant puts the mutant into a copy of the tree. restore takes it out again.
func (b *mutant) plant(tree string) (restore func() error, err error) {
	path := filepath.Join(tree, filepath.FromSlash(b.File))
	sound, err := os.ReadFile(path) // #nosec G304 -- of the list
	if err != nil {
		return nil, err
	}
	broken, err := b.apply(tree)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
		return nil, err
	}
	return func() error { return os.WriteFile(path, sound, 0o600) }, nil // #nosec G703 -- in a copy
}
