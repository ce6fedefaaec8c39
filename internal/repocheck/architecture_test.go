package repocheck

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// layers are the internal packages from the bottom up: a package imports those
// before it only.
var layers = [][]string{
	{"internal/secret", "internal/sentinel", "internal/bounded", "internal/operation", "internal/rows"},
	{"internal/wire"},
	{"internal/failure"},
	{"internal/lifecycle", "internal/transport"},
	{""}, // the root
}

const module = "github.com/emporix-community/emporix-go"

func TestImportsGoDownOnly(t *testing.T) {
	level := map[string]int{}
	for i, packages := range layers {
		for _, pkg := range packages {
			level[pkg] = i
		}
	}
	checked := 0
	walk(t, func(name string) {
		own, ours := level[strings.TrimPrefix(path.Dir("/"+name), "/")]
		if !ours || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return
		}
		checked++
		for _, spec := range parse(t, name).Imports {
			imported, inside := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
			if !inside {
				continue
			}
			other, known := level[strings.TrimPrefix(imported, "/")]
			assert.True(t, known && other < own, "%s imports %s; see the layers in ARCHITECTURE.md", name, imported)
		}
	})
	assert.Greater(t, checked, 60)
	for _, spec := range imports(t, "emporixfake") {
		assert.NotContains(t, spec, module, "emporixfake shares no code with the SDK")
	}
}

// The code of the SDK needs nothing that only its tests may.
func TestOnlyTestsImportTheFixture(t *testing.T) {
	checked := 0
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return
		}
		checked++
		for _, spec := range parse(t, name).Imports {
			assert.NotEqual(t, module+"/internal/fixture", strings.Trim(spec.Path.Value, `"`), name)
		}
	})
	assert.Greater(t, checked, 100)
}

// imports returns what the files of a folder import, without its tests.
func imports(t *testing.T, folder string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, spec := range parse(t, path.Join(folder, filepath.Base(file))).Imports {
			all = append(all, spec.Path.Value)
		}
	}
	return all
}

// ARCHITECTURE.md names files, functions after their file, and tests.
func TestArchitecture(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	require.NoError(t, err)
	tests := allTests(t)
	file, functions, named := regexp.MustCompile(`^[\w/]+\.go$`), map[string]bool{}, 0
	for _, match := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(text), -1) {
		switch word := match[1]; {
		case file.MatchString(word):
			require.FileExists(t, filepath.Join(root, filepath.FromSlash(word)))
			functions = functionsOf(t, word)
			named++
		case strings.Contains(word, "TestL") || strings.Contains(word, "TestS"):
			if strings.HasPrefix(word, "Test") {
				word = "." + word // of the root
			}
			if !strings.Contains(word, " ") {
				checkTests(t, tests, word, "ARCHITECTURE.md")
			}
		case regexp.MustCompile(`^\w+$`).MatchString(word) && !words[word]:
			assert.True(t, functions[word], "ARCHITECTURE.md: %s is no function of the file named before it", word)
			named++
		}
	}
	assert.Greater(t, named, 50)
	for _, rule := range rules {
		assert.Contains(t, string(text), "\n| "+rule+" | ")
	}
}

var rules = []string{
	"L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "L12", "L13", "L14", "L15", "L16",
	"S1", "S2", "S3", "S4", "S5", "S6",
}

// words stand in ARCHITECTURE.md as code, and are no functions.
var words = map[string]bool{
	"lifecycle": true, "transport": true, "bff": true, "webhook": true, "emporixfake": true, "emporixtest": true,
	"Secret": true, "TokenStore": true, "Close": true,
}

// functionsOf returns the functions and methods of a file.
func functionsOf(t *testing.T, name string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, decl := range parse(t, name).Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			all[f.Name.Name] = true
		}
	}
	return all
}
