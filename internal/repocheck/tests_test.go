package repocheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// walk calls visit with the repository's files, by their path from its root.
func walk(t *testing.T, visit func(name string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if !entry.IsDir() {
			visit(filepath.ToSlash(name))
		}
		return nil
	}))
}

// parse reads a Go file of the repository.
func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, filepath.FromSlash(name)), nil, parser.ParseComments)
	require.NoError(t, err)
	return file
}

// allTests returns the names of the tests, examples and fuzz targets of all
// modules, as "folder.TestName"; the name of the root's folder is empty.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	walk(t, func(name string) {
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		for _, decl := range parse(t, name).Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz") || strings.HasPrefix(f.Name.Name, "Example")) {
				names[strings.TrimPrefix(path.Dir(name), ".")+"."+f.Name.Name] = true
			}
		}
	})
	return names
}

// checkTests checks a list of tests, separated by commas and spaces. A part behind
// a slash names a subtest.
func checkTests(t *testing.T, known map[string]bool, list, of string) {
	t.Helper()
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		dir, test, _ := strings.Cut(name, ".Test")
		prefix := ".Test"
		if test == "" {
			dir, test, _ = strings.Cut(name, ".Fuzz")
			prefix = ".Fuzz"
		}
		if test == "" {
			dir, test, _ = strings.Cut(name, ".Example")
			prefix = ".Example"
		}
		test, _, _ = strings.Cut(test, "/")
		assert.True(t, known[dir+prefix+test], "there is no test %s, which %s names", name, of)
	}
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file) // #nosec G304 -- of this folder
	require.NoError(t, err)
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}
