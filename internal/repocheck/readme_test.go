package repocheck

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

// Every Go block of the README and of docs compiles: programs and functions as
// they are, statements inside a function that has what a reader would have.
func TestREADMECompiles(t *testing.T) {
	base, err := filepath.Abs(root)
	require.NoError(t, err)
	overlay, packages := map[string]string{}, []string{}
	for _, block := range goBlocks(t) {
		name := fmt.Sprintf("readme%d", len(packages))
		source := filepath.Join(t.TempDir(), name+".go")
		require.NoError(t, os.WriteFile(source, []byte(compilable(block)), 0o600))
		overlay[filepath.Join(base, "internal", name, "block.go")] = source
		packages = append(packages, "./internal/"+name)
	}
	config, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(file, config, 0o600))

	cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-overlay", file}, packages...)...)
	cmd.Dir = base
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// goBlocks returns the Go code of the README and of docs.
func goBlocks(t *testing.T) (blocks []string) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	for _, page := range append([]string{filepath.Join(root, "README.md")}, pages...) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			blocks = append(blocks, block[1])
		}
	}
	require.GreaterOrEqual(t, len(blocks), 7, "the documentation has lost its code")
	return blocks
}

// The README's program prints what the README says, against the fake as the README
// starts it.
func TestREADMERuns(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	assert.LessOrEqual(t, strings.Count(string(text), "\n"), 150, "the README is one page")
	shell := regexp.MustCompile(`go run (github\.com/\S+)@latest\n`).FindStringSubmatch(string(text))
	require.NotNil(t, shell)
	says := regexp.MustCompile("It prints `([^`]+)`").FindStringSubmatch(string(text))
	require.NotNil(t, says)

	dir := t.TempDir()
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), name, args...) // #nosec G204 -- our own README
		cmd.Dir = root
		return cmd
	}
	fake, program := filepath.Join(dir, "fake"), filepath.Join(dir, "program")
	out, err := run("go", "build", "-o", fake, shell[1]).CombinedOutput()
	require.NoError(t, err, "%s", out)
	addrFile := filepath.Join(dir, "addr")
	server := run(fake, "-addr", "127.0.0.1:0", "-addr-file", addrFile) // another port: 8787 may be taken
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	var baseURL string
	require.Eventually(t, func() bool {
		address, err := os.ReadFile(addrFile)
		baseURL = strings.TrimSpace(string(address))
		return err == nil
	}, 20*time.Second, 5*time.Millisecond)

	source := goBlocks(t)[0]
	require.Contains(t, source, `"http://127.0.0.1:8787"`)
	require.NoError(t, os.WriteFile(program+".go", []byte(strings.Replace(source, "http://127.0.0.1:8787", baseURL, 1)), 0o600))
	out, err = run("go", "run", program+".go").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, says[1]+"\n", string(out))
}

// The tables of configuration have every option and every variable.
func TestConfigurationNamesEveryOption(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	require.NoError(t, err)
	sources, err := filepath.Glob(filepath.Join(root, "*.go"))
	require.NoError(t, err)
	options := 0
	for _, name := range sources {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, option := range regexp.MustCompile(`(?m)^func (With\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			require.Regexp(t, "(?m)^\\|.*`"+option[1]+`\(`, string(text))
			options++
		}
	}
	require.Greater(t, options, 10)
	for _, variable := range []string{emporix.EnvTenant, emporix.EnvHost, emporix.EnvClientID, emporix.EnvEmployeeID, emporix.EnvEmployeeSecret, emporix.EnvLog, emporix.EnvInsecureHTTP} {
		require.Contains(t, string(text), "| `"+variable+"` |")
	}
}

// The links inside the documentation lead to files and headings that exist.
func TestLinks(t *testing.T) {
	links := 0
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".md") || name == "CHANGELOG.md" {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		require.NoError(t, err)
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(fences.ReplaceAllString(string(text), ""), -1) {
			target, anchor, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			path := filepath.Join(root, filepath.FromSlash(name))
			if target != "" {
				path = filepath.Join(filepath.Dir(path), filepath.FromSlash(target))
			}
			linked, err := os.Stat(path)
			if !assert.NoError(t, err, "%s links to %s", name, link[1]) || anchor == "" || linked.IsDir() {
				continue
			}
			page, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Contains(t, anchors(string(page)), anchor, "%s links to %s", name, link[1])
		}
	})
	assert.Greater(t, links, 15)
}

// anchors returns what the headings of a page are linked by.
func anchors(page string) (all []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(fences.ReplaceAllString(page, ""), -1) {
		plain := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		all = append(all, strings.ReplaceAll(plain, " ", "-"))
	}
	return all
}

const readmeImports = `package readme

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/emporixtest"
)

var (
	_ = context.Background
	_ = rand.Text
	_ = errors.Is
	_ = fmt.Println
	_ = log.Println
	_ http.Handler
	_ testing.TB
	_ = synctest.Test
	_ = time.Now
	_ = require.NoError
	_ *emporix.Client
	_ *emporixtest.Fake
)

`

func compilable(block string) string {
	switch {
	case strings.HasPrefix(block, "package main"):
		return strings.Replace(block, "main", "readme", 1) // compiled, not linked
	case strings.HasPrefix(block, "func "):
		return readmeImports + block
	}
	return readmeImports + `func statements(ctx context.Context, client *emporix.Client, visitor *emporix.Session, r *http.Request) (err error) {
	var resp *http.Response
	{
` + strings.ReplaceAll(block, "resp, err := ", "resp, err = ") + `
	}
	_ = resp
	return err
}
`
}
