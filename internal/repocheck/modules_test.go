package repocheck

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/emporix-community/emporix-go"

// What a consumer of the core links, and may not grow.
var linkedModules = []string{
	"github.com/google/go-querystring",
	"github.com/hashicorp/go-cleanhttp",
	"github.com/hashicorp/go-retryablehttp",
}

func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	// As a consumer sees the module: without the workspace of its authors.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go %s: %s", strings.Join(args, " "), stderr.String())
	return string(out)
}

// dependencies are the modules that a package links, and the packages of this
// module that it does.
func dependencies(t *testing.T, pkg string) (modules, own []string) {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(goCommand(t, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}", pkg)) {
		module, imported, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case module == modulePath:
			own = append(own, imported)
		case module != "" && !seen[module]:
			seen[module] = true
			modules = append(modules, module)
		}
	}
	return modules, own
}

func TestAConsumerLinksThreeModules(t *testing.T) {
	modules, own := dependencies(t, ".")
	assert.ElementsMatch(t, linkedModules, modules)
	for _, pkg := range own {
		if pkg != modulePath {
			assert.True(t, strings.HasPrefix(pkg, modulePath+"/internal/"), "the SDK imports %s", pkg)
		}
	}
}

// The fake judges the SDK, so it shares nothing with it.
func TestTheFakeStandsAlone(t *testing.T) {
	modules, own := dependencies(t, "./emporixfake")
	assert.Empty(t, modules)
	assert.Equal(t, []string{modulePath + "/emporixfake"}, own)

	modules, own = dependencies(t, "./cmd/emporix-fake")
	assert.Empty(t, modules)
	assert.ElementsMatch(t, []string{modulePath + "/emporixfake", modulePath + "/cmd/emporix-fake"}, own)
}

type moduleFile struct {
	Module    struct{ Path string }
	Go        string
	Toolchain string
	Require   []struct {
		Path     string
		Indirect bool
	}
	Replace []json.RawMessage
	Tool    []json.RawMessage
}

func readModule(t *testing.T, file string) moduleFile {
	t.Helper()
	var m moduleFile
	require.NoError(t, json.Unmarshal([]byte(goCommand(t, "mod", "edit", "-json", file)), &m))
	return m
}

// What nested modules need stays in their own files.
func TestTheModuleFileIsLean(t *testing.T) {
	m := readModule(t, "go.mod")
	var direct []string
	for _, r := range m.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
		assert.False(t, strings.HasPrefix(r.Path, modulePath), "the root needs its own nested module %s", r.Path)
	}
	assert.ElementsMatch(t, []string{
		"github.com/google/go-querystring", "github.com/hashicorp/go-retryablehttp",
		"github.com/jarcoal/httpmock", "github.com/stretchr/testify", // in tests only
	}, direct)
	assert.Len(t, m.Require, 6, "the root's indirect modules are go-cleanhttp, and what testify needs")
	assert.Empty(t, m.Replace)
	assert.Empty(t, m.Tool)
}

// One go line for all modules, without a toolchain, and a workspace that
// forgets none of them: `go test work` is everything.
func TestTheWorkspaceHasEveryModule(t *testing.T) {
	var found []string
	walk(t, func(name string) {
		if path.Base(name) == "go.mod" {
			found = append(found, path.Dir(name))
		}
	})
	var work struct {
		Go        string
		Toolchain string
		Use       []struct{ DiskPath string }
	}
	require.NoError(t, json.Unmarshal([]byte(goCommand(t, "work", "edit", "-json", "go.work")), &work))
	var used []string
	for _, use := range work.Use {
		used = append(used, path.Clean(use.DiskPath))
	}
	assert.ElementsMatch(t, found, used)
	assert.Equal(t, "1.26.0", work.Go)
	assert.Empty(t, work.Toolchain)
	for _, dir := range found {
		m := readModule(t, filepath.Join(dir, "go.mod"))
		assert.Equal(t, path.Join(modulePath, dir), m.Module.Path)
		assert.Equal(t, "1.26.0", m.Go, dir)
		assert.Empty(t, m.Toolchain, dir)
	}
}
