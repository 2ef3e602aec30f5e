package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/pgproxy"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
	"github.com/lakebase-exec/lakebase-exec/internal/supervisor"
)

// errorCase is an error as it reaches the user.
type errorCase struct {
	err           error
	message, hint string // in the message and in the hint
	code          int
}

// errorCases are errors of each exported error type of internal and of this package.
func errorCases() map[string][]errorCase {
	x := errors.New("x")
	option := config.Source{Origin: config.FromOption, Name: "--endpoint"}
	file := func(err error) *securefile.Error { return &securefile.Error{Path: "/a b", Reason: "r", Err: err} }
	return map[string][]errorCase{
		"auth.DeniedError":     {{&auth.DeniedError{Code: "access_denied"}, "access_denied", "run the login again", 122}},
		"auth.FederationError": {{&auth.FederationError{Err: &exchange.Error{Kind: exchange.KindPermissionDenied}}, "iss", "federation policy", 122}},
		"auth.LoginExpiredError": {
			{&auth.LoginExpiredError{Host: "w.example", User: "ada", Err: x}, "has expired", "login --user-login --host w.example", 121},
		},
		"auth.NoLoginError":    {{&auth.NoLoginError{Host: "w.example", User: "ada"}, "ada", "sign in with", 121}},
		"auth.NoSecretError":   {{&auth.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrNotFound}}, "no secret", "login --host w.example --client-id c", 121}},
		"auth.PortsError":      {{&auth.PortsError{First: 1, Last: 2, Err: x}, "1 to 2", "end one of the programs", 125}},
		"auth.SecretFileError": {{&auth.SecretFileError{From: option, Err: file(fs.ErrNotExist)}, "--endpoint", "'/a b'", 120}},
		"auth.SourceError":     {{&auth.SourceError{Problem: "p", Fix: "f"}, "p", "f", 121}},
		"auth.ToolError":       {{&auth.ToolError{Message: "m"}, "m", "run the program", 125}},
		"config.Error": {
			{&config.Error{Name: "PGPORT", Problem: "p", Fix: "f"}, "PGPORT: p", "f", 120},
			{&config.Error{Name: "--listen", Problem: "p", Err: &pgproxy.NotLoopbackError{}}, "--listen", "127.0.0.1", 120},
		},
		"credformat.EnvError": {
			{&credformat.EnvError{Name: "GITHUB_ENV", Problem: "not set"}, "GITHUB_ENV: not set", "step of GitHub Actions", 125},
			{&credformat.EnvError{Name: "KUBERNETES_EXEC_INFO", Problem: "p"}, "p", "unset KUBERNETES_EXEC_INFO", 125},
		},
		"credformat.Error":         {{&credformat.Error{Format: "pgpass", Field: "user", What: "a line feed"}, "pgpass cannot represent a line feed in user", "--format", 120}},
		"exchange.Error":           {{&exchange.Error{Kind: exchange.KindInvalidClient, Host: "w.example"}, "w.example", "login", 122}},
		"keychain.Error":           {{&keychain.Error{Err: keychain.ErrLocked}, "locked", "unlock", 121}, {&keychain.Error{Err: keychain.ErrAbsent}, "no keychain", "--store file", 121}},
		"lakebase.HostError":       {{&lakebase.HostError{Target: "E"}, "E", "--pghost", 120}},
		"lakebase.TargetError":     {{&lakebase.TargetError{Name: "shop", From: option, Problem: "has no endpoint"}, "--endpoint", "lakebase-credential-helper endpoints", 120}},
		"pgenv.ExtraError":         {{&pgenv.ExtraError{Name: "A", Reason: "r"}, `"A"`, "choose another name", 125}},
		"pgenv.KeepError":          {{&pgenv.KeepError{Name: "A", Reason: "r"}, `"A"`, "leave \"A\" out", 120}},
		"pgenv.ValueError":         {{&pgenv.ValueError{Name: "A", Reason: "r"}, "A: r", "correct the value of A", 120}},
		"pglogin.Error":            {{&pglogin.Error{Kind: pglogin.WakeTimeout}, "", "--wait-timeout", 123}},
		"pgproxy.NotLoopbackError": {{&pgproxy.NotLoopbackError{Addr: "10.0.0.1:1"}, "10.0.0.1", "127.0.0.1", 125}},
		"pgproxy.PathTooLongError": {{&pgproxy.PathTooLongError{Path: "/x", Max: 1}, "/x", "shorter directory", 125}},
		"process.NotExecutableError": {
			{&process.NotExecutableError{Path: "/x", Reason: "r", Err: x}, "/x", "from a shell", 126},
		},
		"process.NotFoundError": {
			{&process.NotFoundError{Name: "psq", InPath: true}, `"psq" not found in PATH`, "PATH", 127},
			{&process.NotFoundError{Name: "psql -c 'select 1'"}, "not found", `-- psql ARG, or write: -- sh -c 'psql -c '\''select 1'\'''`, 127},
			{&process.NotFoundError{Name: "FOO=secret", InPath: true}, `command "FOO=…" not found`, "-- env FOO=… COMMAND", 127},
			{&process.NotFoundError{Name: "./a=b", InPath: false}, `"./a=b"`, "check the command's name", 127},
		},
		"process.StartError":   {{&process.StartError{Path: "/x", Err: x}, "/x", "ulimit", 125}},
		"retry.Error":          {{&retry.Error{Cause: retry.CauseBudget}, "not asked in time", "--timeout", 122}},
		"rootcerts.Error":      {{&rootcerts.Error{Path: "/x", Err: x}, "/x", "--sslrootcert", 120}},
		"rootcerts.WriteError": {{&rootcerts.WriteError{Dir: "/x", Err: syscall.EROFS}, `"/x"`, "--sslrootcert", 125}},
		"rotate.TooManyError":  {{&rotate.TooManyError{Host: "h", ClientID: "c"}, "c", "delete a secret", 122}},
		"securefile.Error": {
			{&securefile.Error{Path: "/x", Reason: "r", Advice: "run: chmod 600 /x"}, "/x", "run: chmod 600 /x", 120},
			{file(fs.ErrNotExist), "/a b", "nothing is at '/a b'", 120},
			{file(syscall.EACCES), "/a b", "ls -ld '/a b'", 120},
			{file(syscall.ENOSPC), "/a b", "free space", 125},
			{file(syscall.ENOTDIR), "/a b", "is a file", 120},
			{file(nil), "/a b", "'/a b'", 120},
		},
		"supervisor.DeliveryError": {{&supervisor.DeliveryError{Err: x}, "delivering the new token", "file system", 125}, {&supervisor.DeliveryError{Err: file(syscall.ENOSPC)}, "/a b", "free space", 125}},
		"cli.NoRuntimeDirError":    {{&NoRuntimeDirError{Err: x}, "no runtime directory", "--runtime-dir", 125}},
		"cli.UsageError":           {{&UsageError{Problem: "p", Fix: "f"}, "p", "f", 120}},
		"cli.NoAnswerError":        {{&NoAnswerError{Question: "secret", Fix: "f"}, "no secret was given", "f", 121}},
		"cli.LimitError":           {{&LimitError{Limit: "get's limit", Fix: "f", Err: &keychain.Error{Err: keychain.ErrTimeout}}, "get's limit is over: the keychain", "f", 121}},
		"cli.OutputError":          {{&OutputError{Err: syscall.EPIPE}, "standard output", "redirect", 125}},
	}
}

// notShown are error types that no user sees as such.
var notShown = map[string]string{
	"pgproxy.ServerError":       "an answer to a client of the proxy",
	"credential.CharacterError": "the reason in another error, with its hint",
}

// Every error type is here, with a message, a hint and its exit code.
func TestErrorTypes(t *testing.T) {
	cases := errorCases()
	var found []string
	for _, f := range parseAll(t) {
		for _, d := range f.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != "Error" || fn.Type.Results == nil || fn.Type.Params.NumFields() > 0 {
				continue
			}
			typ := fn.Recv.List[0].Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			if id, ok := typ.(*ast.Ident); ok && id.IsExported() {
				found = append(found, f.file.Name.Name+"."+id.Name)
			}
		}
	}
	for _, name := range found {
		if cases[name] == nil && notShown[name] == "" {
			t.Errorf("%s has no case here", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		if !slices.Contains(found, name) {
			t.Errorf("%s is no error type", name)
		}
		for _, c := range cases[name] {
			message, hint := Describe(fmt.Errorf("%w", c.err), nil)
			if c.hint == "" || !strings.Contains(message, c.message) || !strings.Contains(hint, c.hint) || ExitCode(c.err) != c.code {
				t.Errorf("%s: got %d, %q, hint %q, want %d, %q, hint %q", name, ExitCode(c.err), message, hint, c.code, c.message, c.hint)
			}
			checkForm(t, name, message, hint)
		}
	}
}

type parsedFile struct {
	path string
	file *ast.File
}

// parseAll parses the code of the programs and of internal, without tests.
func parseAll(t *testing.T) (files []parsedFile) {
	t.Helper()
	for _, dir := range []string{"../../../internal", "../.."} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			files = append(files, parsedFile{path, f})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// Every place that makes an error of the configuration, the command line or a source of
// tokens gives it a hint.
func TestErrorConstructors(t *testing.T) {
	n := 0
	for _, f := range parseAll(t) {
		var excused []ast.Node // what gets its hint afterwards
		ast.Inspect(f.file, func(node ast.Node) bool {
			switch v := node.(type) {
			case *ast.FuncDecl: // errorf itself
				if v.Name.Name == "errorf" {
					ast.Inspect(v, func(n ast.Node) bool { excused = append(excused, n); return true })
				}
			case *ast.SelectorExpr: // errorf(…).withFix
				if v.Sel.Name == "withFix" || v.Sel.Name == "advise" {
					excused = append(excused, v.X)
				}
			case *ast.BlockStmt: // e := errorf(…), and e.Fix = … behind it
				for _, s := range v.List {
					assign, ok := s.(*ast.AssignStmt)
					if ok && len(assign.Rhs) == 1 && assignsFix(v, assign.Lhs[0]) {
						excused = append(excused, assign.Rhs[0])
						if u, ok := assign.Rhs[0].(*ast.UnaryExpr); ok {
							excused = append(excused, u.X)
						}
					}
				}
			}
			return true
		})
		ast.Inspect(f.file, func(node ast.Node) bool {
			if node == nil || slices.Contains(excused, node) {
				return node != nil
			}
			name := ""
			switch v := node.(type) {
			case *ast.CompositeLit:
				name = typeName(f.file.Name.Name, v.Type)
				if !slices.Contains([]string{"config.Error", "cli.UsageError", "auth.SourceError"}, name) {
					return true
				}
				n++
				for _, e := range v.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok && slices.Contains([]string{"Fix", "Err"}, kv.Key.(*ast.Ident).Name) {
						return true
					}
				}
			case *ast.CallExpr:
				if id, ok := v.Fun.(*ast.Ident); !ok || id.Name != "errorf" {
					return true
				}
				n++
				name = "errorf"
			default:
				return true
			}
			t.Errorf("%s: an error without a hint (%s, after byte %d)", f.path, name, node.Pos())
			return true
		})
	}
	if n < 50 {
		t.Errorf("got %d places, the search is wrong", n)
	}
}

// assignsFix reports whether block assigns to the field Fix of variable v.
func assignsFix(block *ast.BlockStmt, v ast.Expr) (found bool) {
	id, ok := v.(*ast.Ident)
	if !ok {
		return false
	}
	ast.Inspect(block, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok {
			if sel, ok := a.Lhs[0].(*ast.SelectorExpr); ok && sel.Sel.Name == "Fix" {
				x, ok := sel.X.(*ast.Ident)
				found = found || ok && x.Name == id.Name
			}
		}
		return true
	})
	return found
}

func typeName(pkg string, e ast.Expr) string {
	switch v := e.(type) {
	case *ast.Ident:
		return pkg + "." + v.Name
	case *ast.SelectorExpr:
		return v.X.(*ast.Ident).Name + "." + v.Sel.Name
	}
	return ""
}
