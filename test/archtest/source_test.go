package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// forbidden are the identifiers through which a package reads or changes the process. A
// nil list forbids the whole package.
var forbidden = map[string][]string{
	"os":      {"Args", "Getenv", "LookupEnv", "Environ", "Setenv", "Unsetenv", "Clearenv", "ExpandEnv", "Exit", "Stdin", "Stdout", "Stderr"},
	"syscall": {"Getenv", "Environ", "Setenv", "Unsetenv", "Exit"},
	"fmt":     {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	// log.New is allowed: net/http needs it.
	"log": {"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln", "Output", "Default", "Writer",
		"SetOutput", "SetFlags", "SetPrefix"},
	"flag": nil,
}

// checkSource returns what a file in internal uses and must not.
func checkSource(name string) (wrong []string, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, nil, 0)
	if err != nil {
		return nil, err
	}
	local := map[string]string{} // name in the file → package
	for _, imp := range file.Imports {
		path, _ := strconv.Unquote(imp.Path.Value)
		base := path[strings.LastIndexByte(path, '/')+1:]
		if imp.Name != nil {
			base = imp.Name.Name
		}
		local[base] = path
		if _, known := forbidden[path]; base == "." && known {
			wrong = append(wrong, fmt.Sprintf("%s: a dot import of %s", files.Position(imp.Pos()), path))
		}
	}
	report := func(n ast.Node, what string) {
		wrong = append(wrong, fmt.Sprintf("%s: %s", files.Position(n.Pos()), what))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok || x.Obj != nil { // a variable of that name
				return true
			}
			names, known := forbidden[local[x.Name]]
			if known && (names == nil || slices.Contains(names, n.Sel.Name)) {
				report(n, local[x.Name]+"."+n.Sel.Name)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && f.Obj == nil && (f.Name == "print" || f.Name == "println") {
				report(n, f.Name)
			}
		}
		return true
	})
	return wrong, nil
}

func TestInternal_DoesNotUseTheProcess(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../../internal", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		seen++
		wrong, err := checkSource(path)
		for _, w := range wrong {
			t.Error(w)
		}
		return err
	})
	if err != nil || seen < 40 {
		t.Errorf("got %d files, %v", seen, err)
	}
}
