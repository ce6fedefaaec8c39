package bff_test

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
)

// Every Go block of the README compiles, with what a reader would have around
// it. The one about fiber is compiled, and held to the README, in
// test/frameworks.
func TestREADMECompiles(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	root, err := os.Getwd()
	require.NoError(t, err)
	overlay, packages := map[string]string{}, []string{}
	for i, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(block[1], "func FiberVisitor") {
			continue
		}
		name := fmt.Sprintf("readme%d", i)
		source := filepath.Join(t.TempDir(), name+".go")
		require.NoError(t, os.WriteFile(source, []byte(compilable(block[1])), 0o600))
		overlay[filepath.Join(root, "internal", name, "block.go")] = source
		packages = append(packages, "./internal/"+name)
	}
	require.Len(t, packages, 4, "the README has lost its code")
	config, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(file, config, 0o600))

	out, err := exec.CommandContext(t.Context(), "go", append([]string{"build", "-overlay", file}, packages...)...).CombinedOutput() // #nosec G204 -- our own README
	require.NoError(t, err, "%s", out)
}

const readmeHead = `package readme

import (
	"context"
	"html/template"
	"net/http"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/bff"
)

var (
	b                *bff.BFF
	store            emporix.TokenStore
	tenant, clientID string
	key, oldKey      []byte
	mux              *http.ServeMux
	page             *template.Template
)

func mergeCarts(context.Context, *emporix.Session, *bff.Login) error { return nil }

`

// compilable returns a file with functions as they are, and statements in one.
func compilable(block string) string {
	if strings.HasPrefix(block, "func ") {
		return readmeHead + block
	}
	for _, declared := range regexp.MustCompile(`(?m)^(\w+), (\w+) :=`).FindAllStringSubmatch(block, -1) {
		block += "_, _ = " + declared[1] + ", " + declared[2] + "\n"
	}
	return readmeHead + "func statements() {\n" + block + "}\n"
}
