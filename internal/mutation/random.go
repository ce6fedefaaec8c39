package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// random returns all small changes of the package in a folder of the tree, in an
// order that follows from seed. The package's own tests should fail for each, or for
// the root those of internal/acceptance.
//
// The changes: a condition negated, a comparison or another operator replaced, a
// number raised by one, a boolean inverted, a statement removed, break for
// continue.
func random(root, pkg string, seed uint64) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pkg), "*.go"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if built, err := build.Default.MatchFile(filepath.Dir(file), filepath.Base(file)); err != nil || !built { // for other systems
			continue
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return nil, err
		}
		found, err := changesOf(file, filepath.ToSlash(rel))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	// #nosec G404 -- a sample, to be drawn again by its seed
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i := range all {
		all[i].Package, all[i].Run, all[i].then = pkg, ".", moreTests(root, pkg)
	}
	return all, nil
}

// moreTests returns the package that tests pkg beside its own tests, or "".
func moreTests(root, pkg string) string {
	const acceptance = "./internal/acceptance"
	if _, err := os.Stat(filepath.Join(root, acceptance)); err != nil || filepath.Clean(pkg) != "." {
		return ""
	}
	return acceptance
}

// change is one way to change a node; undo takes it back.
type change struct {
	at   token.Pos
	says string
	do   func()
	undo func()
}

// changesOf returns a mutant for each change of a file, with the file as it is then.
func changesOf(path, name string) ([]mutant, error) {
	set := token.NewFileSet()
	source, err := os.ReadFile(path) // #nosec G304 -- of the tree
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseFile(set, path, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(source), "\n")
	var mutants []mutant
	for _, decl := range tree.Decls {
		var changes []change
		ast.Inspect(decl, func(node ast.Node) bool {
			changes = append(changes, changesAt(node)...)
			return true
		})
		for _, c := range changes {
			var text bytes.Buffer
			c.do()
			err := printer.Fprint(&text, set, tree)
			c.undo()
			if err != nil {
				return nil, err
			}
			line := set.Position(c.at).Line
			mutants = append(mutants, mutant{
				Name: fmt.Sprintf("%s:%d", name, line), File: name, broken: text.String(),
				change: strings.TrimSpace(lines[line-1]) + " | " + c.says,
			})
		}
	}
	return mutants, nil
}

var operators = map[token.Token]token.Token{
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	token.SHL: token.SHR, token.SHR: token.SHL, token.AND: token.OR, token.OR: token.AND,
}

func changesAt(node ast.Node) (all []change) {
	switch n := node.(type) {
	case *ast.IfStmt:
		was := n.Cond
		all = append(all, change{
			at: n.Pos(), says: "condition negated",
			do:   func() { n.Cond = &ast.UnaryExpr{Op: token.NOT, X: &ast.ParenExpr{X: was}} },
			undo: func() { n.Cond = was },
		})
	case *ast.BinaryExpr:
		if to, ok := operators[n.Op]; ok {
			was := n.Op
			all = append(all, change{
				at: n.OpPos, says: was.String() + " becomes " + to.String(),
				do: func() { n.Op = to }, undo: func() { n.Op = was },
			})
		}
	case *ast.BasicLit:
		if number, err := strconv.ParseInt(n.Value, 0, 64); n.Kind == token.INT && err == nil {
			was := n.Value
			to := strconv.FormatInt(number+1, 10)
			all = append(all, change{
				at: n.Pos(), says: was + " becomes " + to,
				do: func() { n.Value = to }, undo: func() { n.Value = was },
			})
		}
	case *ast.Ident:
		to := map[string]string{"true": "false", "false": "true"}[n.Name]
		if to != "" {
			was := n.Name
			all = append(all, change{
				at: n.Pos(), says: was + " becomes " + to,
				do: func() { n.Name = to }, undo: func() { n.Name = was },
			})
		}
	case *ast.BranchStmt:
		to := map[token.Token]token.Token{token.BREAK: token.CONTINUE, token.CONTINUE: token.BREAK}[n.Tok]
		if to != token.ILLEGAL && n.Label == nil {
			was := n.Tok
			all = append(all, change{
				at: n.Pos(), says: was.String() + " becomes " + to.String(),
				do: func() { n.Tok = to }, undo: func() { n.Tok = was },
			})
		}
	case *ast.BlockStmt:
		all = append(all, removals(n.List)...)
	case *ast.CaseClause:
		all = append(all, removals(n.Body)...)
	case *ast.CommClause:
		all = append(all, removals(n.Body)...)
	}
	return all
}

// removals removes one statement at a time, where the rest can compile without it.
func removals(list []ast.Stmt) (all []change) {
	for i, statement := range list {
		switch s := statement.(type) {
		case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		default:
			continue
		}
		all = append(all, change{
			at: statement.Pos(), says: "statement removed",
			do: func() { list[i] = &ast.EmptyStmt{Semicolon: statement.Pos()} }, undo: func() { list[i] = statement },
		})
	}
	return all
}
