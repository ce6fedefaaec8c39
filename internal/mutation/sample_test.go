//go:build mutation

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRandomBugsOfEachKind(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "code.go"), []byte(`package code

func work(n int) (done bool) {
	for n > 1 {
		if n == 7 && done {
			break
		}
		n--
		n = n * 3
	}
	switch n {
	case 0:
		println(n)
	}
	return true
}
`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(root, "code_test.go"), []byte("package code\n\nvar x = 1 + 2\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(root, "code_plan9.go"), []byte("package code\n\nvar y = 1 + 2\n"), 0o600))
	mutants, err := random(root, ".", 1)
	require.NoError(t, err)
	var changes []string
	texts := map[string]bool{}
	for _, b := range mutants {
		assert.Equal(t, "code.go", b.File)
		changes = append(changes, b.change)
		texts[b.broken] = true
	}
	assert.ElementsMatch(t, []string{
		"for n > 1 { | > becomes >=", "for n > 1 { | 1 becomes 2",
		"if n == 7 && done { | condition negated", "if n == 7 && done { | == becomes !=",
		"if n == 7 && done { | && becomes ||", "if n == 7 && done { | 7 becomes 8",
		"break | break becomes continue", "n-- | statement removed",
		"n = n * 3 | statement removed", "n = n * 3 | * becomes /", "n = n * 3 | 3 becomes 4",
		"case 0: | 0 becomes 1", "println(n) | statement removed", "return true | true becomes false",
	}, changes)
	assert.Len(t, texts, len(mutants), "each is another file")

	again, err := random(root, ".", 1)
	require.NoError(t, err)
	assert.Equal(t, mutants, again)
}

func TestSamples(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out strings.Builder
	require.NoError(t, sample(t.Context(), tree(t, looks), ".", 5, 1, &out))
	assert.Equal(t, "., seed 1: 1 of 1 random mutants caught (0 by a test that hung), 0 more change nothing that can be seen\n", out.String())

	out.Reset()
	require.ErrorIs(t, sample(t.Context(), tree(t, "\tsum(1, 2)"), ".", 5, 1, &out), errNotAllCaught)
	assert.Contains(t, out.String(), "SURVIVED sum.go:3 | func sum(a, b int) int { return a + b } | + becomes -")

	require.ErrorIs(t, sample(t.Context(), tree(t, "\tt.Fatal(1)"), ".", 5, 1, &out), errNotAllCaught)
	require.ErrorContains(t, sample(t.Context(), t.TempDir(), ".", 5, 1, &out), "nothing to change")
}

// A change of the root may be seen by the acceptance tests alone.
func TestSamplesOfTheRootAreTestedByTheAcceptanceTestsToo(t *testing.T) {
	for test, caught := range map[string]bool{"\tif tiny.Sum(1, 2) != 3 {\n\t\tt.Fatal()\n\t}": true, "\t_ = tiny.Sum": false} {
		root := tree(t, "")
		t.Setenv("TMPDIR", t.TempDir())
		folder := filepath.Join(root, "internal", "acceptance")
		require.NoError(t, os.MkdirAll(folder, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(root, "sum.go"), []byte("package tiny\n\nfunc Sum(a, b int) int { return a + b }\n"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "sum_test.go"),
			[]byte("package acceptance_test\n\nimport (\n\t\"testing\"\n\t\"tiny\"\n)\n\nfunc TestAll(t *testing.T) {\n"+test+"\n}\n"), 0o600))
		var out strings.Builder
		err := sample(t.Context(), root, ".", 1, 1, &out)
		assert.Equal(t, caught, err == nil, "%s", out.String())
	}
}

func TestEquivalentBugsAreKnownByTheirLine(t *testing.T) {
	list := "a.go | x := 1 | 1 becomes 2 | it is only a hint\n"
	assert.Equal(t, "it is only a hint", known(list, &mutant{File: "a.go", change: "x := 1 | 1 becomes 2"}))
	assert.Empty(t, known(list, &mutant{File: "a.go", change: "x := 1 | statement removed"}))
}

func TestTheEquivalentBugsFitTheCode(t *testing.T) {
	for entry := range strings.Lines(equivalents) {
		parts := strings.Split(strings.TrimSpace(entry), " | ")
		require.GreaterOrEqual(t, len(parts), 4, "file | line | change | why: %s", entry)
		mutants, err := changesOf(filepath.Join("..", "..", filepath.FromSlash(parts[0])), parts[0])
		require.NoError(t, err)
		var names []string
		for _, b := range mutants {
			names = append(names, b.change)
		}
		change := strings.Join(parts[1:len(parts)-1], " | ")
		assert.True(t, slices.Contains(names, change), "the code has changed, so this is no random mutant of it any more: %s", entry)
	}
}
