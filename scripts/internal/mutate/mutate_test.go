package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The table belongs to the code as it is: a mutant that fits nowhere breaks
// nothing.
func TestTable(t *testing.T) {
	all := table()
	if len(all) < 60 {
		t.Errorf("%d mutants", len(all))
	}
	names := map[string]bool{}
	for _, m := range all {
		if _, err := m.broken("../../.."); err != nil {
			t.Error(err)
		}
		if names[m.name] || !strings.Contains(m.name, "/") || m.why == "" || !strings.HasPrefix(m.tests, "./") {
			t.Errorf("%+v", m)
		}
		names[m.name] = true
	}
}

// A module of two files, whose one test finds what it can find.
const (
	source = "package p\n\nimport \"time\"\n\nfunc Twice(n int) int {\n\tif n < 0 {\n\t\treturn 0 // nobody asks\n\t}\n\treturn 2 * n\n}\n\nvar pause = time.Millisecond\n"
	test   = "package p\n\nimport (\n\t\"testing\"\n\t\"time\"\n)\n\nfunc TestTwice(t *testing.T) {\n\ttime.Sleep(pause)\n\tif Twice(2) != 4 {\n\t\tt.Error(\"no\")\n\t}\n}\n"
)

// What becomes of a mutant is told as it is, and the tree is as before.
func TestVerdicts(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/p\n\ngo 1.26\n", "p.go": source, "p_test.go": test, "ignored": "x", ".gitignore": "ignored\n"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "-C", root, "init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tree := filepath.Join(t.TempDir(), "tree")
	if err := copyTree(t.Context(), root, tree); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(tree, "ignored")); err == nil {
		t.Error("an ignored file came along")
	}
	for _, c := range []struct {
		old, new, lives string
		word, by        string
	}{
		{"2 * n", "3 * n", "", "killed", "TestTwice"},
		{"2 * n", "2 * m", "", "ERROR", "it cannot be run"},
		{"return 2 * n", "panic(n)", "", "killed", "TestTwice"},
		{"n < 0", "false", "", "SURVIVED", "go test ."},
		{"n < 0", "false", "nobody asks", "lives", "nobody asks"},
		{"2 * n", "3 * n", "nobody asks", "killed", "TestTwice (its reason to live is wrong: nobody asks)"},
		{"4 * n", "3 * n", "", "ERROR", "it cannot be run"},
	} {
		m := mutant{name: "p/" + c.new, file: "p.go", old: c.old, new: c.new, lives: c.lives, tests: "."}
		res := m.try(t.Context(), tree, time.Second)
		if word, by := m.verdict(res); word != c.word || by != c.by {
			t.Errorf("%s: %s by %s, want %s by %s\n%s", m.name, word, by, c.word, c.by, res.output)
		}
		if text, err := os.ReadFile(filepath.Join(tree, "p.go")); err != nil || string(text) != source {
			t.Errorf("%s is left in the tree (%v)", m.name, err)
		}
	}
	m := mutant{file: "p.go", old: "time.Millisecond", new: "time.Hour", tests: "."}
	if err := os.WriteFile(filepath.Join(tree, "p.go"), []byte(strings.Replace(source, m.old, m.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if res := goTest(t.Context(), tree, m.tests, time.Second); res.end != failed || !strings.HasPrefix(res.test, "TestTwice") {
		t.Errorf("%+v", res)
	}
}
