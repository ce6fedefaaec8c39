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

	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
)

// Every Go block of the README compiles: programs and functions as they are,
// statements inside a function that has what a reader would have.
func TestREADMECompiles(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	require.GreaterOrEqual(t, len(blocks), 6, "the README has lost its code")

	base, err := filepath.Abs(root)
	require.NoError(t, err)
	overlay, packages := map[string]string{}, []string{}
	for i, block := range blocks {
		name := fmt.Sprintf("readme%d", i)
		source := filepath.Join(t.TempDir(), name+".go")
		require.NoError(t, os.WriteFile(source, []byte(compilable(block[1])), 0o600))
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

// Its tables of configuration have every option and every variable.
func TestREADMENamesEveryOption(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
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
	for _, variable := range []string{emporix.EnvTenant, emporix.EnvHost, emporix.EnvClientID, emporix.EnvEmployeeID, emporix.EnvEmployeeSecret} {
		require.Contains(t, string(text), "| `"+variable+"` |")
	}
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
