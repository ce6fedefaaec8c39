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

// doc.go's table of operations says what the table of the code does: this is the
// second place, and the only one, where an operation is written down.
func TestDocListsTheOperations(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "doc.go"))
	require.NoError(t, err)
	bearers := map[operation.Bearer]string{
		operation.None: "none", operation.Anonymous: "anonymous", operation.Customer: "customer",
		operation.CustomerOrAnonymous: "customer or anonymous", operation.Employee: "employee",
	}
	classes := map[operation.Class]string{
		operation.Once: "once", operation.Unsent: "unsent", operation.Repeatable: "repeatable", operation.Safe: "safe",
	}
	table := regexp.MustCompile(`(?m)^//\t([A-Z]\w+\.\w+) +((?:GET|POST|PATCH|DELETE|PUT) \S+) +(\S.*?) +(\w+)$`).FindAllStringSubmatch(string(text), -1)
	documented := map[string]string{}
	for _, row := range table {
		documented[row[1]] = strings.Join(row[2:], "  ")
	}
	for _, op := range operation.All() {
		want := strings.Join([]string{op.Method + " " + op.Path, bearers[op.Bearer], classes[op.Retry]}, "  ")
		assert.Equal(t, want, documented[op.Name], "the row of %s in doc.go's table of operations", op.Name)
	}
	assert.Len(t, table, len(operation.All()), "doc.go's table of operations has a row for what is none")
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
