package doctest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// proofs is what a document may point at as a proof.
type proofs struct {
	tests   map[string][]string // a test's name → the folders that have it
	words   map[string][]string // a folder → the literal texts of its tests
	stories []string
	cases   []string // of the fault matrix
}

var testPattern = regexp.MustCompile(`\b((?:Test|Fuzz)[A-Z]\w*)((?:/[a-z0-9][\w-]*)*)(…?)`)

// readProofs parses every test of the repository.
func readProofs(t *testing.T) proofs {
	t.Helper()
	p := proofs{tests: map[string][]string{}, words: map[string][]string{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains([]string{"node_modules", ".git", "bin", "dist"}, d.Name()) {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			p.add(filepath.Dir(path), file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.stories = bases(t, "test/e2e/testdata/script/*.txtar")
	p.cases = bases(t, "test/e2e/testdata/matrix/*.txt")
	return p
}

func (p proofs) add(folder string, file *ast.File) {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
			p.tests[f.Name.Name] = append(p.tests[f.Name.Name], folder)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			p.words[folder] = append(p.words[folder], strings.Trim(l.Value, "`\""))
		}
		return true
	})
}

func bases(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(found) < 50 {
		t.Fatalf("%d files %s, %v", len(found), pattern, err)
	}
	for i, f := range found {
		found[i] = strings.TrimSuffix(filepath.Base(f), filepath.Ext(f))
	}
	return found
}

// has says whether there is this test; a name with … behind it is a beginning.
func (p proofs) has(name, sub string, begins bool) bool {
	if begins {
		for n := range p.tests {
			if strings.HasPrefix(n, name) {
				return true
			}
		}
	}
	sub = strings.TrimPrefix(sub, "/")
	for _, folder := range p.tests[name] {
		if sub == "" || slices.Contains(p.words[folder], sub) || slices.Contains(p.stories, sub) || slices.Contains(p.cases, sub) {
			return true
		}
	}
	return false
}

// checkTests lists the tests that a page names and that there are not.
func checkTests(d document, p proofs) (wrong []string) {
	for _, m := range testPattern.FindAllStringSubmatch(d.text, -1) {
		if !p.has(m[1], m[2], m[3] != "") {
			wrong = append(wrong, m[0])
		}
	}
	return wrong
}

// checkShown lists what a column "shown by" names and is neither story, test,
// folder of tests nor script, and the rows that show nothing, unless they say that
// nothing stops them.
func checkShown(d document, p proofs, hasTests func(folder string) bool) (wrong []string) {
	prose, _ := d.split()
	for _, r := range rows(prose) {
		cell, isShown := r["shown by"]
		if !isShown {
			continue
		}
		named := spans(cell)
		if cell == "—" && r["what stops them"] == "Nothing." {
			continue
		}
		if len(named) == 0 {
			wrong = append(wrong, "nothing shows: "+cell)
		}
		for _, name := range named {
			m := testPattern.FindStringSubmatch(name)
			begin, begins := strings.CutSuffix(name, "…")
			switch {
			case m != nil && m[0] == name && p.has(m[1], m[2], m[3] != ""):
			case slices.Contains(p.stories, name), hasTests(name):
			case begins && slices.ContainsFunc(p.stories, func(s string) bool { return strings.HasPrefix(s, begin) }):
			default:
				wrong = append(wrong, name)
			}
		}
	}
	return wrong
}

// hasTests takes a script for a test, too.
func hasTests(folder string) bool {
	if name, isScript := strings.CutPrefix(folder, "scripts/"); isScript {
		return !strings.Contains(name, "/") && exists(folder)
	}
	found, _ := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	return strings.Contains(folder, "/") && len(found) > 0
}

func TestProofsAreThere(t *testing.T) {
	p := readProofs(t)
	for _, d := range pages(t) {
		for _, w := range append(checkTests(d, p), checkShown(d, p, hasTests)...) {
			t.Errorf("%s: there is no test %s", d.name, w)
		}
	}
	prose, _ := page(t, "SECURITY.md").split()
	shown := 0
	for _, r := range rows(prose) {
		shown += len(spans(r["shown by"]))
	}
	if shown < 20 {
		t.Errorf("SECURITY.md names %d proofs", shown)
	}
}

func TestProofChecksFind(t *testing.T) {
	p := proofs{tests: map[string][]string{"TestLong": {"e2e"}, "TestKilledAtOnce": {"broker"}}, words: map[string][]string{"e2e": {"others"}},
		stories: []string{"redirect", "user_login", "user_login_file"}, cases: []string{"body-gzip"}}
	for text, want := range map[string]string{
		"as `TestLnog` shows":         "TestLnog",
		"`TestLong/otters`":           "TestLong/otters",
		"`TestKiled…`":                "TestKiled…",
		"```sh\n-run TestCrsh ./x\n`": "TestCrsh",
	} {
		if got := checkTests(document{"x.md", text}, p); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: found %q", text, got)
		}
	}
	if got := checkTests(document{"x.md", "`TestLong`, `TestLong/others`, `TestLong/body-gzip`, `TestKilled…`, Tests, Test…/x"}, p); len(got) != 0 {
		t.Errorf("%q", got)
	}
	folder := func(name string) bool { return name == "internal/pgproxy" }
	for cell, want := range map[string]string{
		"`redirct`": "redirct", "`redirect`, `TestShort`": "TestShort", "`user_logout…`": "user_logout…", "`internal/prxy`": "internal/prxy", "nobody": "nothing shows: nobody", "—": "nothing shows: —",
	} {
		if got := checkShown(document{"x.md", "| who | shown by |\n|---|---|\n| a | " + cell + " |\n"}, p, folder); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: found %q", cell, got)
		}
	}
	good := "| who | shown by |\n|---|---|\n| `x` | `redirect`, `user_login…`, `TestLong/others`, the tests of `internal/pgproxy` |\n\n| who | what stops them | shown by |\n|---|---|---|\n| root | Nothing. | — |\n\n| who | what |\n|---|---|\n| a | `b` |\n"
	if got := checkShown(document{"x.md", good}, p, folder); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// others are names in capitals that are not ours, with whose they are. One that
// no page uses any more is an error too.
var others = map[string]string{
	"CLIENT_ID":                   "stands for a client id",
	"CONN_HEALTH_CHECKS":          "Django",
	"DATABASE_URL":                "a command's own",
	"ENABLE_SERVER_PASS_EXEC_CMD": "pgAdmin",
	"PGSUPERUSER":                 "the Terraform provider cyrilgdn/postgresql",
}

var variablePattern = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\bPG[A-Z]+\b|\bBROWSER\b|\bAPPDATA\b`)

// checkVariables lists the variables that no code knows, and marks in used those
// that are others'.
func checkVariables(d document, known map[string]bool, used map[string]bool) (wrong []string) {
	for _, name := range variablePattern.FindAllString(d.text, -1) {
		if _, foreign := others[name]; foreign {
			used[name] = true
		} else if !known[name] && !slices.Contains(wrong, name) {
			wrong = append(wrong, name)
		}
	}
	return wrong
}

// asked is how a test asks for a variable that steers it.
var asked = regexp.MustCompile(`(?:Getenv|LookupEnv|number)\((?:t, )?"([A-Z_]+)"`)

// variables are those in the programs' texts: Go's string literals, and the
// words of scripts; no comment, and no test but what tests of e2e ask for.
func variables(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, folder := range []string{"cmd", "internal", "scripts", "test/emulator"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
				return err
			}
			text, err := os.ReadFile(path)
			if err == nil && strings.HasSuffix(path, ".go") {
				text, err = literals(path, text)
			}
			for _, name := range variablePattern.FindAllString(string(text), -1) {
				known[name] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tests, err := filepath.Glob(filepath.Join(root, "test/e2e/*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tests {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range submatches(asked, string(text)) {
			known[name] = true
		}
	}
	return known
}

func literals(path string, src []byte) (out []byte, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			out = append(append(out, n.Value...), '\n')
		case *ast.SelectorExpr: // x/sys/unix has constants by C's names
			out = append(append(out, n.Sel.Name...), '\n')
		}
		return true
	})
	return out, nil
}

func TestVariablesAreKnown(t *testing.T) {
	known, used := variables(t), map[string]bool{}
	for _, d := range pages(t) {
		for _, w := range checkVariables(d, known, used) {
			t.Errorf("%s: no code knows the variable %s", d.name, w)
		}
	}
	for name, whose := range others {
		if !used[name] {
			t.Errorf("%s (%s) is in no document", name, whose)
		}
	}
	if got := checkVariables(document{"x.md", "`PGHSOT`, `LAKEBASE_TIMOUT` and PGHOST, LAKEBASE_TIMEOUT, $BROWSER, PATH, SQLSTATE"}, known, used); !slices.Equal(got, []string{"PGHSOT", "LAKEBASE_TIMOUT"}) {
		t.Errorf("the check finds %q", got)
	}
}
