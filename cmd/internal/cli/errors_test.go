package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
	"github.com/lakebase-exec/lakebase-exec/internal/setup"
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
	file := func(err error) *securefile.Error { return &securefile.Error{Path: "/a b", Reason: "r", Err: err} }
	return map[string][]errorCase{
		"auth.DeniedError":     {{&auth.DeniedError{Code: "access_denied"}, "access_denied", "run the login again", 122}},
		"auth.FederationError": {{&auth.FederationError{Err: &exchange.Error{Kind: exchange.KindPermissionDenied}}, "iss", "federation policy", 122}},
		"auth.NoLoginError":    {{&auth.NoLoginError{Host: "w.example", User: "ada"}, "ada", "sign in with", 121}},
		"auth.NoSecretError":   {{&auth.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrNotFound}}, "no secret", "lakebase-credential-helper login", 121}},
		"auth.SourceError":     {{&auth.SourceError{Problem: "p", Fix: "f"}, "p", "f", 121}},
		"config.Error": {
			{&config.Error{Name: "PGPORT", Problem: "p", Fix: "f"}, "PGPORT: p", "f", 120},
			{&config.Error{Name: "--listen", Problem: "p", Err: &rootcerts.Error{Err: x}}, "--listen", "--sslrootcert", 120},
		},
		"credformat.Error": {{&credformat.Error{Problem: "p", Fix: "f"}, "p", "f", 120}},
		"exchange.Error":   {{&exchange.Error{Kind: exchange.KindInvalidClient, Host: "w.example"}, "w.example", "login", 122}},
		"keychain.Error":   {{&keychain.Error{Err: keychain.ErrLocked}, "locked", "unlock", 121}, {&keychain.Error{Err: keychain.ErrAbsent}, "no keychain", "--store file", 121}},
		"pgenv.Error":      {{&pgenv.Error{Problem: `"A" cannot be kept`, Fix: "leave it out"}, `"A" cannot be kept`, "leave it out", 120}},
		"pglogin.Error": {
			{&pglogin.Error{Kind: pglogin.WakeTimeout, Last: &pglogin.Error{Kind: pglogin.Unreachable}}, "", "--wait-timeout", 123},
			{&pglogin.Error{Kind: pglogin.RoleMissing}, "", "CREATE EXTENSION", 123},
			{&pglogin.Error{Kind: pglogin.BadTarget}, "", "", 120},
		},
		"pglogin.QueryError": {{&pglogin.QueryError{Code: "3F000", Message: "m"}, "refused a statement: m (SQLSTATE 3F000)", "--schema", 123}},
		"setup.GrantError": {{&setup.GrantError{Role: "c", Denied: []setup.Denied{{Kind: "TABLE", Privileges: "SELECT", Names: "a.b", Owner: "ada"}}},
			"not allowed to grant SELECT on table a.b (owner ada)", `GRANT SELECT ON TABLE a.b TO "c";`, 123}},
		"process.Error": {
			{&process.Error{Kind: process.NotExecutable, Reason: "r", Fix: "f", Err: x}, "r", "f", 126},
			{&process.Error{Kind: process.NotFound, Reason: "r", Fix: "f"}, "r", "f", 127},
			{&process.Error{Reason: "r", Fix: "f", Err: x}, "r", "f", 125},
		},
		"retry.Error":          {{&retry.Error{}, "not asked in time", "--timeout", 122}},
		"rootcerts.Error":      {{&rootcerts.Error{Err: x}, "certificates in x", "--sslrootcert", 120}},
		"rootcerts.WriteError": {{&rootcerts.WriteError{Err: &securefile.Error{Path: "/x"}}, `"/x"`, "--sslrootcert", 125}},
		"securefile.Error": {
			{&securefile.Error{Path: "/x", Reason: "r", Advice: "run: chmod 600 /x"}, "/x", "run: chmod 600 /x", 120},
			{file(diskFull), "/a b", "free space", 125},
			{file(nil), "/a b", "'/a b'", 120},
		},
		"cli.UsageError":  {{&UsageError{Problem: "p", Fix: "f"}, "p", "f", 120}},
		"cli.HintedError": {{NoRuntimeDir(x), "no runtime directory", "--runtime-dir", 125}, {&HintedError{Err: &keychain.Error{Err: keychain.ErrTimeout}, Fix: "f"}, "the keychain", "f", 121}},
		"cli.OutputError": {{&OutputError{Err: syscall.EPIPE}, "standard output", "redirect", 125}},
	}
}

// notShown are error types that no user sees as such.
var notShown = map[string]string{
	"pgproxy.ServerError":       "an answer to a client of the proxy",
	"credential.CharacterError": "the reason in another error, with its hint",
}

// diskFull is ENOSPC, for which Windows has another number (winerror.h, ERROR_DISK_FULL).
var diskFull = map[bool]syscall.Errno{false: syscall.ENOSPC, true: 112}[runtime.GOOS == "windows"]

// Every error type is here, with a message, a hint and its exit code, however it is wrapped.
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
	for name, list := range cases {
		if !slices.Contains(found, name) {
			t.Errorf("%s is no error type", name)
		}
		for _, c := range list {
			message, hint := Describe(fmt.Errorf("%w", c.err), config.Config{})
			if !strings.Contains(message, c.message) || !strings.Contains(hint, c.hint) {
				t.Errorf("%s: got %q, hint %q, want %q, hint %q", name, message, hint, c.message, c.hint)
			}
			checkForm(t, name, message, hint)
			for _, err := range []error{c.err, fmt.Errorf("x: %w", c.err), errors.Join(errors.New("x"), c.err)} {
				if got := ExitCode(err); got != c.code {
					t.Errorf("%s as %T: got exit code %d, want %d", name, err, got, c.code)
				}
			}
		}
	}
}

// The cause of a failure decides about the exit code, not the layer that wraps it.
func TestExitCode(t *testing.T) {
	for err, code := range map[error]int{
		nil:                    0,
		errors.New("anything"): 125,
		&exchange.Error{Kind: exchange.KindCertificate, Err: &rootcerts.Error{Err: errors.New("x")}}: 120,
		&auth.SourceError{Err: &securefile.Error{}}:                                                  121,
		&retry.Error{Last: &rootcerts.Error{Err: errors.New("x")}, Attempts: 3}:                      120,
		NoRuntimeDir(&securefile.Error{}):                                                            125,
	} {
		if got := ExitCode(err); got != code {
			t.Errorf("%v: got exit code %d, want %d", err, got, code)
		}
	}
}

// A fault of the machine is never an error of the configuration, whatever it made fail,
// and has a hint.
func TestExitCode_EnvironmentFaults(t *testing.T) {
	faults := []syscall.Errno{diskFull, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM}
	if runtime.GOOS == "windows" {
		faults = []syscall.Errno{diskFull, 39, 1295, 19, 4, 8, 14} // see securefile
	}
	for _, errno := range faults {
		file := &securefile.Error{Path: "/d/f", Reason: errno.Error(), Err: &fs.PathError{Op: "open", Path: "f", Err: errno}}
		for _, err := range []error{
			file,
			&config.Error{Name: "--listen", Problem: file.Error(), Err: file, Fix: "name another directory"},
			&auth.NoSecretError{Err: file},
			&auth.NoLoginError{Err: file},
			&auth.SourceError{Problem: file.Error(), Err: file},
			&rootcerts.Error{Err: file},
			NoRuntimeDir(file),
			&exchange.Error{Kind: exchange.KindNoReply, Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno)}},
			&process.Error{Reason: "r", Fix: "f", Err: errno},
			&process.Error{Kind: process.NotExecutable, Reason: "r", Fix: "f", Err: errno},
			&retry.Error{Last: file, Attempts: 2},
		} {
			message, hint := Describe(err, config.Config{})
			if got := ExitCode(err); got != 125 || message == "" || hint == "" {
				t.Errorf("%T %v: got exit code %d, %q, hint %q, want 125 and both", err, err, got, message, hint)
			}
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
// tokens gives it a hint: at once, with withFix, or where it is a variable first.
func TestErrorConstructors(t *testing.T) {
	n := 0
	for _, f := range parseAll(t) {
		hinted := map[ast.Node]bool{}
		hasHint := func(node ast.Node) bool {
			lit, ok := node.(*ast.CompositeLit)
			return ok && slices.ContainsFunc(lit.Elts, func(e ast.Expr) bool {
				kv, ok := e.(*ast.KeyValueExpr)
				return ok && slices.Contains([]string{"Fix", "Err"}, kv.Key.(*ast.Ident).Name)
			})
		}
		ast.Inspect(f.file, func(node ast.Node) bool {
			name := ""
			switch v := node.(type) {
			case *ast.FuncDecl:
				return v.Name.Name != "errorf"
			case *ast.SelectorExpr:
				hinted[v.X] = v.Sel.Name == "withFix"
			case *ast.AssignStmt:
				hinted[v.Rhs[0]] = v.Tok == token.DEFINE
			case *ast.UnaryExpr:
				hinted[v.X] = hinted[v]
			case *ast.CompositeLit:
				if name = typeName(f.file.Name.Name, v.Type); !slices.Contains([]string{"config.Error", "cli.UsageError", "auth.SourceError"}, name) {
					return true
				}
			case *ast.CallExpr:
				if id, ok := v.Fun.(*ast.Ident); ok && id.Name == "errorf" {
					name = "errorf"
				}
			}
			if name == "" {
				return true
			}
			if n++; !hinted[node] && !hasHint(node) {
				t.Errorf("%s: an error without a hint (%s, after byte %d)", f.path, name, node.Pos())
			}
			return true
		})
	}
	if n < 50 {
		t.Errorf("got %d places, the search is wrong", n)
	}
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

// checkForm checks the form of a message and its hint.
func checkForm(t *testing.T, name, message, hint string) {
	t.Helper()
	for what, text := range map[string]string{"message": message, "hint": hint} {
		if text == "" || strings.ContainsAny(text, "\n\r") || strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text ||
			strings.Contains(text, "%!") || strings.Contains(text, "  ") {
			t.Errorf("%s: the %s is %q", name, what, text)
		}
	}
}

// testConf returns a configuration of options, as change alters it.
func testConf(change func(*config.Config)) config.Config {
	c, err := config.Resolve(config.Input{Options: map[string][]string{"host": {"w.example"}, "client-id": {"client-1"}, "endpoint": {"projects/p/branches/b/endpoints/e"}, "database": {"db"}}})
	if err != nil {
		panic(err)
	}
	if change != nil {
		change(&c)
	}
	return c
}

func ofProd(c *config.Config) {
	c.Profile.Value, c.Workspace.Source.Origin, c.ClientID.Source.Origin = "prod", config.FromProfile, config.FromProfile
}

func TestDescribe(t *testing.T) {
	missing := &auth.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrNotFound}}
	notes := []config.Note{{Name: "DATABRICKS_CLIENT_SECRET", Why: "not used: x"}, {Name: "PGHOST", Why: "not used: y"}}
	refused := &exchange.Error{Call: exchange.CallRefresh, Host: "w.example", Kind: exchange.KindRefreshRefused, Status: 401, Code: "invalid_request", Message: "Refresh token is invalid"}
	unavailable := &exchange.Error{Host: "h", Kind: exchange.KindUnavailable, Status: 503}
	const loginByName = "store it with: lakebase-credential-helper login --host w.example --client-id c"
	byEndpoint := func(c *config.Config) { c.Credential.Value = config.CredentialWorkspace }
	for _, c := range []struct {
		err           error
		change        func(*config.Config)
		message, hint string
	}{
		{errors.New("anything"), nil, "anything", ""},
		{&exchange.Error{Kind: exchange.KindCertificate, Host: "h", Err: &rootcerts.Error{Err: errors.New("r")}}, nil, "certificates in r", "--cacert"},
		{&exchange.Error{Call: exchange.CallDiscovery, Host: "w.example", Kind: exchange.KindForeignHost}, nil, "names an endpoint or audience on another host", "its discovery document points elsewhere"},
		{&retry.Error{Last: unavailable, Attempts: 4, Elapsed: 1500 * time.Millisecond}, nil, "HTTP 503 (4 attempts in 1.5s)", "--timeout"},

		{missing, func(c *config.Config) { c.Notes = notes }, "(DATABRICKS_CLIENT_SECRET is not used: x)", loginByName},
		{missing, ofProd, "", "login --profile prod"},
		{&auth.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrLocked, Detail: "words"}}, nil, "no secret for client c at w.example: ", "unlock the keychain and try again, or set DATABRICKS_CLIENT_SECRET_FILE"},
		{&auth.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrAbsent}}, nil, "", "--store file"},
		// Another host or client is not the profile's, and login there would store for the profile's.
		{missing, func(c *config.Config) { ofProd(c); c.Workspace.Source.Origin = config.FromOption }, "", loginByName},
		{missing, func(c *config.Config) { ofProd(c); c.ClientID.Source.Origin = config.FromOption }, "", loginByName},

		{&auth.NoLoginError{Host: "w.example"}, ofProd, "no client ID given, and no user has signed in at w.example", "login --user-login --profile prod"},
		{&auth.NoLoginError{Host: "w.example", User: "ada"}, nil, "ada has not signed in at w.example", "login --user-login --host w.example"},
		{&auth.NoLoginError{Host: "w.example", User: "ada"}, func(c *config.Config) { c.User.Source.Origin, c.Auth.Value = config.FromEnvironment, "" }, "", "; or give --client-id (DATABRICKS_CLIENT_ID) for a service principal"},
		{&auth.NoLoginError{Host: "w.example", Others: []string{"ada", "bob"}}, nil, "several users have signed in at w.example: ada, bob", "choose one with --user"},
		{&auth.NoLoginError{Host: "w.example", User: "ada", Err: &keychain.Error{Err: keychain.ErrLocked}}, nil, "no login of ada at w.example: ", "unlock the keychain"},
		{&auth.NoLoginError{Host: "w.example", Err: &keychain.Error{Err: keychain.ErrAbsent}}, nil, "stored logins for w.example could not be read: ", "login --user-login --store file"},
		{&auth.NoLoginError{Host: "w.example", User: "ada", Err: refused}, ofProd, "the login of ada at w.example has expired: HTTP 401 invalid_request: Refresh token is invalid", "sign in again with: lakebase-credential-helper login --user-login --profile prod"},
		{&auth.FederationError{Claims: auth.Claims{Issuer: "i", Subject: "s\x07", Audience: []byte(`"a"`)}, Err: refused}, nil, `(iss "i", sub "s\a", aud "a"): HTTP 401`, "federation policy"},

		// The troubleshooting table of the Databricks guide "Connect an external app to Lakebase by API".
		{&pglogin.Error{Kind: pglogin.RoleMissing, Message: "Role does not exist"}, nil, "", "CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role('client-1', 'SERVICE_PRINCIPAL')"},
		{&pglogin.Error{Kind: pglogin.Refused, Message: "authentication failed", Code: "28000"}, nil, "", "databricks_create_role('client-1'"},
		{&pglogin.Error{Kind: pglogin.WakeTimeout, Last: &pglogin.Error{Kind: pglogin.NoAnswer}}, nil, "", "--wait-timeout"},
		{&pglogin.Error{Kind: pglogin.TokenInvalid, Message: "JWT token has expired"}, nil, "", "clock"},
		// An endpoint does not accept a workspace token as a password; an instance does.
		{&pglogin.Error{Kind: pglogin.Refused, Code: "28P01"}, byEndpoint, "", "remove --credential workspace"},
		{&pglogin.Error{Kind: pglogin.Refused, Code: "28P01"}, func(c *config.Config) { byEndpoint(c); c.Endpoint.Value, c.Instance.Value = "", "shop" }, "", "databricks_create_role"},
	} {
		message, hint := Describe(fmt.Errorf("%w", c.err), testConf(c.change))
		if !strings.Contains(message, c.message) || !strings.Contains(hint, c.hint) || c.hint == "" && hint != "" || strings.Contains(message, "PGHOST is") {
			t.Errorf("%T: got %q, hint %q, want %q, hint %q", c.err, message, hint, c.message, c.hint)
		}
	}
}

// A hint's command means the target of the run that failed.
func TestDescribe_SameTarget(t *testing.T) {
	profile, variable := config.Source{Origin: config.FromProfile}, config.Source{Origin: config.FromEnvironment}
	option := config.Source{Origin: config.FromOption}
	host, err := config.ParseWorkspace("a.cloud.databricks.com", option)
	if err != nil {
		t.Fatal(err)
	}
	make := func(profileName string, hostFrom config.Source, id string, idFrom config.Source) (c config.Config) {
		c.Profile.Value, c.Workspace.Value, c.Workspace.Source, c.ClientID.Value, c.ClientID.Source = profileName, host, hostFrom, id, idFrom
		return c
	}
	dev := make("", variable, "", variable)
	dev.DatabricksProfile = config.Value[string]{Value: "DEV", Source: option}
	for want, conf := range map[string]config.Config{
		"":                     {},
		" --profile prod":      make("prod", profile, "id", profile),
		" --profile 'x;$(id)'": make("x;$(id)", profile, "id", profile),
		" --host a.cloud.databricks.com --client-id other": make("prod", profile, "other", option),
		" --host a.cloud.databricks.com --client-id id":    make("", option, "id", option),
		" --client-id id":           make("", variable, "id", option),
		" --databricks-profile DEV": dev,
	} {
		const before = "; list the endpoints with: lakebase-credential-helper endpoints"
		if _, hint := Describe(&exchange.Error{Kind: exchange.KindEndpointNotFound}, conf); !strings.HasSuffix(hint, before+want) {
			t.Errorf("got %s, want %s at the end", hint, before+want)
		}
	}
}

func TestDatabaseHint_SQL(t *testing.T) {
	const id = "5f2b1c3d-0000-4000-8000-0123456789ab"
	const role = `as the project's owner, in db: CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role('`
	for _, c := range []struct {
		kind                 pglogin.Kind
		user, database, auth string
		want                 string
	}{
		{pglogin.RoleMissing, id, "db", auth.AuthM2M, role + id + `', 'SERVICE_PRINCIPAL'); GRANT CONNECT ON DATABASE "db" TO "` + id + `";`},
		{pglogin.RoleMissing, id, "db", auth.AuthPAT, role + id + `', 'SERVICE_PRINCIPAL'); GRANT CONNECT ON DATABASE "db" TO "` + id + `";`},
		{pglogin.Refused, "ada@example.com", "db", auth.AuthBrowser, role + `ada@example.com', 'USER'); GRANT CONNECT ON DATABASE "db" TO "ada@example.com";`},
		{pglogin.Refused, "nobody", "db", auth.AuthM2M, "check --user: a service principal's own role is its client ID"},
		{pglogin.Refused, "ada@example.com", "db", auth.AuthM2M, role + `ada@example.com', 'USER'); GRANT CONNECT ON DATABASE "db" TO "ada@example.com";`},
		{pglogin.Refused, `a'\b`, "db", auth.AuthPAT, strings.TrimSuffix(role, "'") + `E'a''\\b', 'USER'); GRANT CONNECT ON DATABASE "db" TO "a'\b";`},
		{pglogin.ConnectDenied, `a"b`, `d"; DROP TABLE t`, auth.AuthM2M, `as the project's owner, in d"; DROP TABLE t: GRANT CONNECT ON DATABASE "d""; DROP TABLE t" TO "a""b";`},
	} {
		var conf config.Config
		conf.User.Source = config.Source{Origin: config.FromOption, Name: "--user"}
		conf.User.Value, conf.Database.Value, conf.Auth.Value, conf.Credential.Value = c.user, c.database, c.auth, config.CredentialDatabase
		if got := databaseHint(&pglogin.Error{Kind: c.kind}, conf); got != c.want {
			t.Errorf("%s: got %s\nwant %s", c.kind, got, c.want)
		}
	}
}
