//go:build mutation

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever changes code that a mutant changes adapts the mutant.
func TestTheListFitsTheCode(t *testing.T) {
	mutants, err := list()
	require.NoError(t, err)
	assert.NoError(t, check("../..", mutants))
}

func TestEveryRuleHasABug(t *testing.T) {
	mutants, err := list()
	require.NoError(t, err)
	rules := []string{"retry safe", "retry repeatable", "retry unsent", "retry once", "retry budget", "store", "bff", "decoding", "fake", "webhook"}
	for i := range 16 {
		rules = append(rules, fmt.Sprintf("L%d", i+1))
	}
	for i := range 6 {
		rules = append(rules, fmt.Sprintf("S%d", i+1))
	}
	var listed []string
	for _, b := range mutants {
		assert.Contains(t, rules, b.Rule, b.Name)
		listed = append(listed, b.Rule)
	}
	for _, rule := range rules {
		assert.Contains(t, listed, rule)
	}
}

// tree writes a small module, with code and its test.
func tree(t *testing.T, test string) string {
	t.Helper()
	t.Setenv("GOWORK", "off")
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module tiny\n\ngo 1.26\n",
		"sum.go":       "package tiny\n\nfunc sum(a, b int) int { return a + b }\n",
		"sum_test.go":  "package tiny\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n" + test + "\n}\n\nfunc TestNothing(*testing.T) {}\n",
		".git/HEAD":    "ref",
		"deep/file.md": "text",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return root
}

const looks = `	if sum(1, 2) != 3 {
		t.Fatal("no sum")
	}`

// minus is a mutant that TestSum sees.
var minus = mutant{Name: "minus", Rule: "L1", File: "sum.go", Old: "a + b", New: "a - b", Package: ".", Run: "TestSum"}

func changed(change func(*mutant)) mutant {
	b := minus
	change(&b)
	return b
}

func named(name string) mutant { return changed(func(b *mutant) { b.Name = name }) }

func TestVerdicts(t *testing.T) {
	hidden := changed(func(b *mutant) { b.Name, b.Run = "hidden", "TestNothing" })
	for name, tt := range map[string]struct {
		test    string // empty: looks
		mutants []mutant
		says    []string
		fail    bool
	}{
		"caught":              {mutants: []mutant{minus}, says: []string{"minus TestSum (", "mutation: 1 of 1 caught"}},
		"one after the other": {mutants: []mutant{minus, named("second"), named("third")}, says: []string{"mutation: 3 of 3 caught"}},
		"survived":            {mutants: []mutant{minus, hidden}, says: []string{"hidden SURVIVED TestNothing", "mutation: 1 of 2 caught"}, fail: true},
		"does not build":      {mutants: []mutant{changed(func(b *mutant) { b.New = "a +" })}, says: []string{"ERROR OF THE LIST: does not build", "sum.go:3", "mutation: 0 of 1 caught"}, fail: true},
		"no such place":       {mutants: []mutant{changed(func(b *mutant) { b.Old = "a * b" })}, says: []string{"its place occurs 0 times in sum.go", "mutation: 0 of 1 caught"}, fail: true},
		"no such test":        {mutants: []mutant{changed(func(b *mutant) { b.Run = "TestProduct" })}, says: []string{"none . ERROR OF THE LIST: no test is chosen"}, fail: true},
		"one such test":       {mutants: []mutant{minus, changed(func(b *mutant) { b.Name, b.Run = "lost", "TestProduct" })}, says: []string{"lost ERROR OF THE LIST: no test is chosen", "mutation: 1 of 2 caught"}, fail: true},
		"fails without":       {test: `	t.Fatal("always")`, mutants: []mutant{minus}, says: []string{"FAILS WITHOUT A MUTANT: TestSum", "mutation: 0 of 1 caught"}, fail: true},
		"a panic is caught":   {mutants: []mutant{changed(func(b *mutant) { b.New = `a + b*len([]int{}[:b-1:0])` })}, says: []string{"minus TestSum PANIC: runtime error", "mutation: 1 of 1 caught"}},
	} {
		t.Run(name, func(t *testing.T) {
			temporary := t.TempDir()
			t.Setenv("TMPDIR", temporary)
			if tt.test == "" {
				tt.test = looks
			}
			root := tree(t, tt.test)
			var out strings.Builder
			err := run(t.Context(), root, tt.mutants, &out)
			printed := strings.Join(strings.Fields(out.String()), " ")
			for _, text := range tt.says {
				assert.Contains(t, printed, text)
			}
			if tt.fail {
				require.ErrorIs(t, err, errNotAllCaught)
			} else {
				require.NoError(t, err)
			}
			left, err := os.ReadDir(temporary)
			require.NoError(t, err)
			assert.Empty(t, left)
			source, err := os.ReadFile(filepath.Join(root, "sum.go"))
			require.NoError(t, err)
			assert.Contains(t, string(source), "a + b", "the tree itself is not touched")
		})
	}
}

func TestTimeOutsAreCaught(t *testing.T) {
	v := judge(false, "panic: test timed out after 1m0s\n\trunning tests:\n\t\tTestSum (1m0s)\n\ngoroutine 7 [running]:\nFAIL\ttiny\t60.0s\nFAIL\n")
	assert.Equal(t, caught, v.kind)
	assert.Equal(t, "TestSum TIME-OUT", v.says)
	assert.Equal(t, unusable, judge(false, "go: updates to go.mod needed\n").kind)
}

func TestWhoeverStopsItLeavesNothing(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ctx, stop := context.WithCancelCause(t.Context())
	stop(context.Canceled)
	var out strings.Builder
	require.ErrorIs(t, run(ctx, tree(t, looks), []mutant{minus}, &out), context.Canceled)
	assert.Empty(t, out.String())
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestMistakesInTheList(t *testing.T) {
	root := tree(t, looks)
	require.NoError(t, check(root, []mutant{minus}))
	for says, mutants := range map[string][]mutant{
		"minus is listed twice":                       {minus, minus},
		"minus: its place occurs 4 times in sum.go":   {changed(func(b *mutant) { b.Old = "a" })},
		`"minus" lacks something, or changes nothing`: {changed(func(b *mutant) { b.Run = "" })},
		"gone.go": {changed(func(b *mutant) { b.File = "gone.go" })},
	} {
		assert.ErrorContains(t, check(root, mutants), says)
	}
	assert.Equal(t, []mutant{minus}, choose([]mutant{minus, {Rule: "L2"}}, "L1", ""))
	assert.Empty(t, choose([]mutant{minus}, "L1", "other"))
}

func TestCopies(t *testing.T) {
	root, to := tree(t, looks), t.TempDir()
	require.NoError(t, copyTree(root, to))
	assert.FileExists(t, filepath.Join(to, "deep", "file.md"))
	assert.NoDirExists(t, filepath.Join(to, ".git"))
}
