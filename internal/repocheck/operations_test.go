package repocheck

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emporix-community/emporix-go/internal/operation"
)

// The operation table is the only place that counts: elsewhere a number of
// operations is computed, or an example.
func TestTheNumberOfOperations(t *testing.T) {
	count := regexp.MustCompile(`\b(\d+) operations\b`)
	looked := 0
	walk(t, func(name string) {
		ext := filepath.Ext(name)
		if ext != ".go" && ext != ".md" && name != ".ci/run" {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		require.NoError(t, err)
		looked++
		for line := range strings.Lines(string(text)) {
			if count.MatchString(line) && !strings.Contains(line, "such as") {
				assert.Equal(t, strconv.Itoa(len(operation.All())), count.FindStringSubmatch(line)[1],
					"%s: let it be computed, or leave the number out: %s", name, line)
			}
		}
	})
	assert.Greater(t, looked, 200)
}

// Every operation has a method that sends it, and the tour of the package names the
// services.
func TestOperationsAreUsed(t *testing.T) {
	used := map[string]int{}
	for _, name := range []string{"auth.go", "customers.go", "addresses.go", "credentials.go", "issuer.go"} {
		ast.Inspect(parse(t, name), func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Name == "operation" {
				used[selector.Sel.Name]++
			}
			return true
		})
	}
	for _, op := range operation.All() {
		variable := strings.ReplaceAll(op.Name, ".", "")
		assert.NotZero(t, used[variable], "no service sends operation.%s; add its method", variable)
	}
}
