package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exportedMetrics reads the names from the source: a scrape would show only those that had something to count.
func exportedMetrics(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../*/*metrics.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no metrics.go: %v", err)
	}
	files = append(files, "../edge/gossipmetrics.go")
	var names []string
	for _, file := range files {
		names = append(names, metricsOf(t, file)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// metricsOf returns the names written out in a file, and those that its function desc makes of a prefix and its first argument.
func metricsOf(t *testing.T, file string) []string {
	t.Helper()
	var names, suffixes []string
	prefix := ""
	ast.Inspect(parse(t, file), func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			text := literal(n)
			switch {
			case !strings.HasPrefix(text, "mqedge_"):
			case strings.HasSuffix(text, "_"):
				prefix = text
			default:
				names = append(names, text)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "desc" {
				suffixes = append(suffixes, literal(n.Args[0]))
			}
		}
		return true
	})
	if prefix == "" {
		return names
	}
	for _, suffix := range suffixes {
		names = append(names, prefix+suffix)
	}
	return names
}

// constants returns the texts of the string constants of a file.
func constants(t *testing.T, file string) []string {
	t.Helper()
	var texts []string
	for _, d := range parse(t, file).Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			for _, v := range s.(*ast.ValueSpec).Values {
				if text := literal(v); text != "" {
					texts = append(texts, text)
				}
			}
		}
	}
	return texts
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// literal is the text of a string literal, "" for anything else.
func literal(e ast.Expr) string {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(l.Value)
	if err != nil {
		return ""
	}
	return text
}
