package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// forbidden are the names by which a package would know or touch the process
// itself. A nil list forbids the whole package.
var forbidden = map[string][]string{
	"os":      {"Args", "Getenv", "LookupEnv", "Environ", "Setenv", "Unsetenv", "Clearenv", "ExpandEnv", "Exit", "Stdin", "Stdout", "Stderr"},
	"syscall": {"Getenv", "Environ", "Setenv", "Unsetenv", "Exit"},
	"fmt":     {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	// log.New is for a server that logs by itself.
	"log":  {"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln", "Output", "Default", "Writer", "SetOutput", "SetFlags", "SetPrefix"},
	"flag": nil,
}

// checkSource lists what a file under internal must not use. src may be nil:
// the file is then read.
func checkSource(name string, src any) (wrong []string, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, src, 0)
	if err != nil {
		return nil, err
	}
	local := map[string]string{} // the name in the file → the package
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
	say := func(n ast.Node, what string) {
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
			if known && (names == nil || contains(names, n.Sel.Name)) {
				say(n, local[x.Name]+"."+n.Sel.Name)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && f.Obj == nil && (f.Name == "print" || f.Name == "println") {
				say(n, f.Name)
			}
		}
		return true
	})
	return wrong, nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func TestInternalKnowsNoProcess(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../../internal", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		seen++
		wrong, err := checkSource(path, nil)
		for _, w := range wrong {
			t.Error(w)
		}
		return err
	})
	if err != nil || seen < 40 {
		t.Errorf("%d files, %v", seen, err)
	}
}

func TestSourceCheckFindsViolations(t *testing.T) {
	for body, want := range map[string]string{
		`import "os"; var a = os.Args`:                              "os.Args",
		`import "os"; func f() string { return os.Getenv("A") }`:    "os.Getenv",
		`import "os"; func f() { _, _ = os.LookupEnv("A") }`:        "os.LookupEnv",
		`import "os"; var get = os.Environ`:                         "os.Environ",
		`import "os"; func f() { os.Exit(1) }`:                      "os.Exit",
		`import "os"; func f() { os.Stdout.WriteString("x") }`:      "os.Stdout",
		`import "os"; var w = os.Stderr`:                            "os.Stderr",
		`import "os"; var r = os.Stdin`:                             "os.Stdin",
		`import "os"; func f() { os.Setenv("A", "b") }`:             "os.Setenv",
		`import sys "os"; func f() { sys.Exit(1) }`:                 "os.Exit",
		`import . "os"; func f() { Exit(1) }`:                       "dot import of os",
		`import "syscall"; func f() { syscall.Exit(1) }`:            "syscall.Exit",
		`import "fmt"; func f() { fmt.Println("x") }`:               "fmt.Println",
		`import "fmt"; func f() { go func() { fmt.Printf("") }() }`: "fmt.Printf",
		`import "log"; func f() { log.Print("x") }`:                 "log.Print",
		`import "log"; var l = log.Default()`:                       "log.Default",
		`func f() { println("x") }`:                                 "println",
	} {
		got, err := checkSource("x.go", "package x\n"+body)
		if err != nil || len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: found %q, %v", body, got, err)
		}
	}
	for _, body := range []string{
		`import "os"; func f() { _, _ = os.Open("x"); _ = os.Getpid() }`,
		`import ("fmt"; "os"); func f() { fmt.Fprintln(nil, fmt.Sprint(os.ErrExist)) }`,
		`type t struct{ Exit int }; func f(os t) int { return os.Exit }`,
		"// os.Exit and fmt.Println\nvar s = \"os.Getenv\"",
	} {
		if got, err := checkSource("x.go", "package x\n"+body); err != nil || len(got) != 0 {
			t.Errorf("%s: found %q, %v", body, got, err)
		}
	}
}

// statements counts those of func main; -1: there is none.
func statements(name string, src any) (int, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
	if err != nil {
		return 0, err
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "main" {
			return len(f.Body.List), nil
		}
	}
	return -1, nil
}

// What main does cannot be tested in-process, so it is one statement.
func TestMainIsOneStatement(t *testing.T) {
	for _, program := range []string{"lakebase-exec", "lakebase-credential-helper"} {
		path := filepath.Join("../../cmd", program, "main.go")
		n, err := statements(path, nil)
		text, _ := os.ReadFile(path)
		if err != nil || n != 1 || !strings.Contains(string(text), "os.Exit(run(context.Background(), os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))") {
			t.Errorf("%s: %d statements, %v", program, n, err)
		}
	}
	for src, want := range map[string]int{"func main() { f(); g() }": 2, "func main() { f() }": 1, "func run() {}": -1, "type t int; func (t) main() {}": -1} {
		if n, err := statements("x.go", "package main\n"+src); err != nil || n != want {
			t.Errorf("%s: %d, %v", src, n, err)
		}
	}
}
