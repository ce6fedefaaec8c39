package repocheck

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// promise is a word that promises more than one case.
var promise = regexp.MustCompile(`(?i)\b(every|never|only|always|at most)\b`)

// TestPromises compares the sentences of the documentation that promise something
// for all cases with promises.tsv. A line of it is
//
//	file TAB sentence TAB tests
//
// In place of tests a line may say "advice: …" where the sentence asks something of
// the reader, or "meaning: …" where it describes words or data and promises nothing.
func TestPromises(t *testing.T) {
	known := allTests(t)
	listed := map[string]string{}
	for _, line := range lines(t, "promises.tsv") {
		parts := strings.Split(line, "\t")
		require.Len(t, parts, 3, "file, sentence, tests: %s", line)
		key := parts[0] + "\t" + parts[1]
		if _, twice := listed[key]; twice {
			assert.Fail(t, "listed twice", key)
		}
		listed[key] = parts[2]
		switch {
		case strings.HasPrefix(parts[2], "advice: "), strings.HasPrefix(parts[2], "meaning: "):
		case strings.TrimSpace(parts[2]) == "":
			assert.Fail(t, "a promise without a test: weaken it, or name the test that holds it", line)
		default:
			checkTests(t, known, parts[2], "promises.tsv")
		}
	}
	found := map[string]bool{}
	for _, key := range promises(t) {
		found[key] = true
		if _, isListed := listed[key]; !isListed {
			assert.Fail(t, "a new promise: weaken it, or add it to promises.tsv with the test that holds it", key)
		}
	}
	for key := range listed {
		assert.True(t, found[key], "promises.tsv lists what the documentation does not say (any more): %s", key)
	}
}

// promises returns the promising sentences of README files and of the doc comments
// that users see, each as "file TAB sentence".
func promises(t *testing.T) (all []string) {
	t.Helper()
	add := func(name, text string) {
		for _, sentence := range sentences(text) {
			if promise.MatchString(sentence) {
				all = append(all, name+"\t"+sentence)
			}
		}
	}
	walk(t, func(name string) {
		switch {
		case strings.HasPrefix(name, "internal/repocheck/"), name == "CHANGELOG.md":
		case strings.HasSuffix(name, ".md"):
			data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
			require.NoError(t, err)
			add(name, fences.ReplaceAllString(string(data), "\n\n"))
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && !strings.Contains(name, "internal/") && !strings.HasPrefix(name, "test/"):
			for _, doc := range docs(parse(t, name)) {
				add(name, doc.Text())
			}
		}
	})
	return all
}

var fences = regexp.MustCompile("(?s)```.*?```")

// docs returns the comments of a file that go doc shows.
func docs(file *ast.File) (all []*ast.CommentGroup) {
	add := func(doc *ast.CommentGroup) {
		if doc != nil {
			all = append(all, doc)
		}
	}
	add(file.Doc)
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() {
				add(d.Doc)
			}
		case *ast.GenDecl:
			exported := false
			for _, spec := range d.Specs {
				exported = docsOf(spec, add) || exported
			}
			if exported {
				add(d.Doc)
			}
		}
	}
	return all
}

func docsOf(spec ast.Spec, add func(*ast.CommentGroup)) (exported bool) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return false
		}
		add(s.Doc)
		ast.Inspect(s.Type, func(node ast.Node) bool {
			if field, ok := node.(*ast.Field); ok && (len(field.Names) == 0 || field.Names[0].IsExported()) {
				add(field.Doc)
				add(field.Comment)
			}
			return true
		})
		return true
	case *ast.ValueSpec:
		if !s.Names[0].IsExported() {
			return false
		}
		add(s.Doc)
		add(s.Comment)
		return true
	}
	return false
}

var (
	blank  = regexp.MustCompile(`\n\s*\n|\n\s*[-*|#]|\n\t`)
	ending = regexp.MustCompile(`([.!?:;]["')*]*)\s+`)
)

// sentences cuts a text at blank lines, list items, table rows and the ends of
// sentences.
func sentences(text string) (all []string) {
	for _, block := range blank.Split(text, -1) {
		cut := ending.ReplaceAllString(block, "$1\x00")
		for sentence := range strings.SplitSeq(cut, "\x00") {
			all = append(all, strings.Join(strings.Fields(sentence), " "))
		}
	}
	return all
}

func TestSentences(t *testing.T) {
	assert.Equal(t, []string{"One is here.", "Two;", "and three!", "a list", "a | table |", "the", "end."},
		sentences("One is\nhere. Two; and three!\n- a list\n\na | table |\n\nthe\n\tend."))
}
