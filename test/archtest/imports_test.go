package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/lakebase-exec/lakebase-exec"

// pkg is what `go list -json` tells of a package.
type pkg struct {
	ImportPath string
	Doc        string
	Standard   bool
	Imports    []string
}

// ours gives a package's path inside the module; empty for others.
func ours(path string) string {
	rest, _ := strings.CutPrefix(path, module+"/")
	if rest == path {
		return ""
	}
	return rest
}

// list runs go list as if for goos; the answers differ by a platform's files.
func list(t *testing.T, goos string, args ...string) []pkg {
	t.Helper()
	// go test keeps a result until a file that the test itself has looked at
	// changes, so it looks at those that go list reads.
	for _, root := range []string{"../../cmd", "../../internal", "../../test", "../../go.mod"} {
		if err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, _ = os.Stat(path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Doc,Standard,Imports"}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v\n%s", goos, err, &errs)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// restricted are imports that only some packages may have.
var restricted = []struct{ prefix, owners string }{
	{"net/http", "internal/auth internal/doctor internal/exchange internal/supervisor"},
	{"golang.org/x/net/http", "internal/exchange"},
	{"github.com/cenkalti/backoff", "internal/retry"},
	{"github.com/zalando/go-keyring", "internal/keychain"},
	{"github.com/jackc/pgx/v5/pgproto3", "internal/pglogin internal/pgproxy"},
	{"github.com/jackc/pgx", "internal/pglogin"},
	{"golang.org/x/crypto/x509roots", "internal/rootcerts"},
	{"github.com/gofrs/flock", "internal/securefile"},
	{"github.com/urfave/cli", "cmd/internal/cli cmd/lakebase-credential-helper cmd/lakebase-exec"},
}

// serversHTTP have an http.Server, which logs unless it is given a log.Logger.
var serversHTTP = []string{"internal/supervisor"}

// leaves may be imported by every package under cmd and internal. They import
// other leaves only.
var leaves = []string{
	"internal/credential", "internal/retry", "internal/rootcerts", "internal/sanitize", "internal/securefile",
}

// domain lists the packages that a domain package may import besides leaves. One
// that is not listed imports leaves only.
var domain = map[string]string{
	"internal/auth":       "internal/config internal/exchange",
	"internal/lakebase":   "internal/auth internal/config internal/exchange internal/pglogin internal/tokencache",
	"internal/pgproxy":    "internal/pglogin",
	"internal/rotate":     "internal/auth internal/config internal/exchange",
	"internal/secretfile": "internal/config",
	"internal/setup":      "internal/config internal/exchange",
	"internal/doctor":     "internal/auth internal/config internal/exchange internal/keychain internal/lakebase internal/pgenv internal/pglogin internal/process internal/rotate",
}

// forbiddenImport returns why the package at must not import imp; empty if it may.
func forbiddenImport(at, imp string) string {
	for _, r := range restricted {
		if imp != r.prefix && !strings.HasPrefix(imp, r.prefix+"/") {
			continue
		}
		if owners := strings.Fields(r.owners); !slices.Contains(owners, at) {
			return "only " + strings.Join(owners, " and ") + " may"
		}
		break
	}
	to, internal := ours(imp), strings.HasPrefix(at, "internal/")
	switch {
	case imp == "testing" || strings.HasPrefix(imp, "testing/"):
		return "for tests only"
	case strings.HasPrefix(to, "test/"):
		return "programs contain no test code"
	case imp == "log" && slices.Contains(serversHTTP, at): // to discard what net/http.Server logs
		return ""
	case internal && (imp == "log" || strings.HasPrefix(imp, "log/")):
		return "only cmd logs"
	case !internal || to == "" || slices.Contains(leaves, to):
		return ""
	case strings.HasPrefix(to, "cmd/"):
		return "cmd imports internal, not the other way round"
	case slices.Contains(leaves, at):
		return "leaves import leaves only"
	case !slices.Contains(strings.Fields(domain[at]), to):
		return "not listed in domain"
	}
	return ""
}

// testOnly are prefixes of packages that must not be part of a program.
var testOnly = []string{"testing", module + "/test/", "github.com/google/go-cmp", "go.uber.org/goleak", "github.com/rogpeppe/go-internal", "github.com/creack/pty"}

func TestImports(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		deps := list(t, goos, "-deps", "./cmd/...")
		linked := map[string]bool{}
		for _, p := range deps {
			linked[p.ImportPath] = true
			if slices.ContainsFunc(testOnly, func(prefix string) bool { return strings.HasPrefix(p.ImportPath, prefix) }) {
				t.Errorf("%s: %s is linked into a program", goos, p.ImportPath)
			}
		}
		pkgs := list(t, goos, "./internal/...", "./cmd/...")
		for _, p := range pkgs {
			at := ours(p.ImportPath)
			if strings.HasPrefix(at, "internal/") && !linked[p.ImportPath] {
				t.Errorf("%s: %s is in no program", goos, at)
			}
			for _, imp := range p.Imports {
				if why := forbiddenImport(at, imp); why != "" {
					t.Errorf("%s: %s imports %s: %s", goos, at, imp, why)
				}
			}
		}
		for _, d := range restricted {
			for _, owner := range strings.Fields(d.owners) {
				i := slices.IndexFunc(pkgs, func(p pkg) bool { return ours(p.ImportPath) == owner })
				if i < 0 {
					t.Errorf("%s: there is no package %s", goos, owner)
				} else if !slices.ContainsFunc(pkgs[i].Imports, func(s string) bool { return strings.HasPrefix(s, d.prefix) }) {
					t.Errorf("%s: %s does not import %s, so the rule is void", goos, owner, d.prefix)
				}
			}
		}
	}
}

// TestArchitecturePicture checks that docs/architecture.svg is drawn from all imports.
func TestArchitecturePicture(t *testing.T) {
	svg, err := os.ReadFile("../../docs/architecture.svg")
	if err != nil {
		t.Fatal(err)
	}
	_, drawn, _ := strings.Cut(string(svg), "<!-- imports\n")
	drawn, _, _ = strings.Cut(drawn, "\n-->")
	var want []string
	for _, p := range list(t, "linux", "./cmd/...", "./internal/...") {
		at := ours(p.ImportPath)
		if slices.Contains(leaves, at) || strings.HasPrefix(at, "cmd/internal/gen") {
			continue
		}
		want = append(want, at)
		for _, imp := range p.Imports {
			if to := ours(imp); to != "" && !slices.Contains(leaves, to) {
				want = append(want, at+" -> "+to)
			}
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, strings.Split(drawn, "\n")); diff != "" {
		t.Errorf("docs/architecture.svg is out of date; run scripts/architecture:\n%s", diff)
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	for _, p := range list(t, "linux", "./...") {
		name := path.Base(p.ImportPath)
		if !strings.HasPrefix(p.Doc, "Package "+name+" ") && !strings.HasPrefix(p.Doc, "Command "+name+" ") {
			t.Errorf("%s has no doc comment of its own", p.ImportPath)
		}
	}
}
