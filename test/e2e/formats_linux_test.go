package e2e

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// TestFormats_Readers passes each format to the program that it is for; internal/credformat
// tests those that have none here. The target is in the profile only: the callers have the
// helper's path and the profile's name.
func TestFormats_Readers(t *testing.T) {
	t.Parallel()
	f := newFormats(t)
	t.Run("credential-process by the AWS CLI", f.aws)
	t.Run("exec-credential by kubectl and client-go", f.kubernetes)
	t.Run("pgpass by psql", f.pgpass)
	t.Run("url by psql and urllib", f.url)
	t.Run("jdbc by pgjdbc", f.jdbc)
	t.Run("libpq by psycopg2", f.libpq)
	t.Run("env by bash and dash, fish by fish", f.shells)
	t.Run("dotenv by node", f.dotenv)
	t.Run("workspace-token by the workspace", f.workspace)
	if n := f.lakebase.Counters(); n.ByCall[emulator.CallCredentials] != 1 {
		t.Errorf("all callers together made the requests %v, not one credential", n.ByCall)
	}
}

type formats struct {
	*fixture
	helper string // its absolute path
	token  string // the cached one
}

func newFormats(t *testing.T) *formats {
	t.Helper()
	l := startLakebase(t, emulator.Options{})
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	login := p.command("lakebase-credential-helper", "login", "--profile", "prod", "--secret-stdin", "--no-verify")
	login.Stdin = strings.NewReader(l.ClientSecret + "\n")
	p.finish(login).wantExit(0)
	// The profile, as the environment is not handed on: other tests delete all tokens
	// from the kernel keyring of the user.
	profiles := filepath.Join(p.home, ".config", "lakebase", "profiles.ini")
	text, err := os.ReadFile(profiles)
	must(t, err)
	write(t, profiles, string(text)+"cache = keychain\n")
	for name := range p.env {
		if strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "DATABRICKS_") || strings.HasPrefix(name, "LAKEBASE_") ||
			name == "ENDPOINT_NAME" {
			delete(p.env, name)
		}
	}
	f := &formats{fixture: p, helper: filepath.Join(bin, "lakebase-credential-helper")}
	if f.token = f.line(t, "password"); !token.MatchString(f.token) {
		t.Fatal("get prints no token")
	}
	return f
}

// line returns what the helper prints, without the line feed at its end.
func (f *formats) line(t *testing.T, format string) string {
	t.Helper()
	return strings.TrimSuffix(f.good(t, nil, f.helper, "get", "-p", "prod", "--format", format), "\n")
}

// read runs a reader, whose output may hold the token but not the secret.
func (f *formats) read(t *testing.T, env []string, argv ...string) (stdout, stderr string, code int) {
	t.Helper()
	f.t = t
	cmd := f.command(argv...)
	cmd.Env = append(cmd.Env, env...)
	if argv[0] == "node" {
		cmd.Dir = "node"
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatalf("%s: %v", argv[0], err)
	}
	if secretIn(f.lakebase, out.String()+said.String()) != "" {
		t.Errorf("%s: the secret is in its output", argv[0])
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

func (f *formats) good(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	client(t, argv[0])
	out, stderr, code := f.read(t, env, argv...)
	if code != 0 || argv[0] == f.helper && stderr != "" {
		t.Fatalf("%s: exit code %d: %s", argv[0], code, stderr)
	}
	return out
}

// bad runs a reader that has to fail with a text on stderr.
func (f *formats) bad(t *testing.T, text string, env []string, argv ...string) {
	t.Helper()
	if _, stderr, code := f.read(t, env, argv...); code == 0 || !strings.Contains(stderr, text) {
		t.Errorf("%v: got exit code %d, want %q:\n%s", argv, code, text, stderr)
	}
}

const whoAmI = "select current_user || ' in ' || current_database()"

func (p *fixture) me() string { return p.lakebase.ClientID + " in " + emulator.Database + "\n" }

func wantOutput(t *testing.T, reader, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", reader, got, want)
	}
}

func (f *formats) pgpass(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "pgpass"), f.line(t, "pgpass")+"\n")
	psql := []string{"psql", "-XwAtc", whoAmI, fmt.Sprintf("host=localhost port=%s user=%s dbname=%s sslmode=verify-full sslrootcert=%s",
		f.lakebase.PGPort(), f.lakebase.ClientID, emulator.Database, f.lakebase.CAFile())}
	wantOutput(t, "psql", f.good(t, []string{"PGPASSFILE=" + file}, psql...), f.me())
	f.bad(t, "no password supplied", []string{"PGPASSFILE=/dev/null"}, psql...)
}

func (f *formats) url(t *testing.T) {
	text := f.line(t, "url")
	wantOutput(t, "psql", f.good(t, nil, "psql", "-XwAtc", whoAmI, text), f.me())
	const script = `
import os, sys, json
from urllib.parse import urlsplit, unquote
u = urlsplit(os.environ["THE_URL"])
json.dump([u.scheme, unquote(u.username), unquote(u.password), u.hostname, u.port, unquote(u.path)], sys.stdout)`
	out := f.good(t, []string{"THE_URL=" + text}, "/usr/bin/python3", "-c", script)
	port, _ := strconv.Atoi(f.lakebase.PGPort())
	want, _ := json.Marshal([]any{"postgresql", f.lakebase.ClientID, f.token, "localhost", port, "/" + emulator.Database})
	wantOutput(t, "urllib", strings.ReplaceAll(out, ", ", ","), string(want))
}

// javaJar is where Debian's libpostgresql-jdbc-java puts the driver.
const javaJar = "/usr/share/java/postgresql.jar"

const asksJDBC = `
import java.sql.*;
public class Ask {
    public static void main(String[] args) throws Exception {
        try (Connection c = DriverManager.getConnection(System.getenv("THE_URL"));
             ResultSet r = c.createStatement().executeQuery(args[0])) {
            r.next();
            System.out.println(r.getString(1));
        }
    }
}
`

func java(t *testing.T, name, source string, args ...string) []string {
	t.Helper()
	client(t, "java")
	if _, err := os.Stat(javaJar); err != nil {
		t.Fatalf("pgjdbc is missing: install Debian's %s", packages["java"])
	}
	return append([]string{"java", "-cp", javaJar, write(t, filepath.Join(t.TempDir(), name+".java"), source)}, args...)
}

func (f *formats) jdbc(t *testing.T) {
	wantOutput(t, "pgjdbc", f.good(t, []string{"THE_URL=" + f.line(t, "jdbc")}, java(t, "Ask", asksJDBC, whoAmI)...), f.me())
}

// libpq: Postico's keys are libpq's keywords, so that libpq itself takes them all.
func (f *formats) libpq(t *testing.T) {
	const script = `
import json, os, psycopg2
c = psycopg2.connect(**json.loads(os.environ["DOCUMENT"])).cursor()
c.execute(os.environ["STATEMENT"])
print(c.fetchone()[0])`
	env := []string{"DOCUMENT=" + f.line(t, "libpq"), "STATEMENT=" + whoAmI, "PGSSLROOTCERT=" + f.lakebase.CAFile()}
	wantOutput(t, "psycopg2", f.good(t, env, "/usr/bin/python3", "-c", script), f.me())
}

func (f *formats) workspace(t *testing.T) {
	const script = `
import json, os, ssl, urllib.request
from datetime import datetime
d = json.loads(os.environ["DOCUMENT"])
assert d["token_type"] == "Bearer" and datetime.strptime(d["expiry"], "%Y-%m-%dT%H:%M:%SZ")
r = urllib.request.Request(os.environ["HOST"] + "/api/2.0/preview/scim/v2/Me", headers={"Authorization": "Bearer " + os.environ.get("BEARER", d["access_token"])})
print(json.load(urllib.request.urlopen(r, timeout=300, context=ssl.create_default_context(cafile=os.environ["CA"])))["userName"])`
	env := []string{"DOCUMENT=" + f.line(t, "workspace-token"), "HOST=" + f.lakebase.WorkspaceURL(), "CA=" + f.lakebase.CAFile()}
	wantOutput(t, "the workspace", f.good(t, env, "/usr/bin/python3", "-c", script), f.lakebase.ClientID+"\n")
	f.bad(t, "HTTP Error 40", append(env, "BEARER="+f.token), "/usr/bin/python3", "-c", script) // the token for the database
}

func (f *formats) aws(t *testing.T) {
	const profile = "[profile %s]\nregion = us-east-1\ncredential_process = \"" + "%s\" get -p %s --format credential-process\n"
	config := write(t, filepath.Join(t.TempDir(), "config"), fmt.Sprintf(profile+profile, "lakebase", f.helper, "prod", "wrong", f.helper, "none"))
	env := []string{"AWS_CONFIG_FILE=" + config, "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true"}
	argv := []string{"/usr/bin/aws", "configure", "export-credentials", "--profile"}
	var got struct{ AccessKeyId, SecretAccessKey, Expiration string }
	must(t, json.Unmarshal([]byte(f.good(t, env, append(argv, "lakebase")...)), &got))
	if got.AccessKeyId != f.lakebase.ClientID || got.SecretAccessKey != f.token {
		t.Errorf("the AWS CLI reads other values")
	}
	if end, err := time.Parse(time.RFC3339, got.Expiration); err != nil || time.Until(end) < 50*time.Minute ||
		time.Until(end) > time.Hour-50*time.Second {
		t.Errorf("the AWS CLI reads the end as %q (%v)", got.Expiration, err)
	}
	f.bad(t, `profile "none" not found`, env, append(argv, "wrong")...)
}

// kubernetes: kubectl of Debian supports v1beta1 only. The server answers only requests
// with the token.
func (f *formats) kubernetes(t *testing.T) {
	var refused atomic.Int32
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+f.token {
			refused.Add(1)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(s.Close)
	program := kubeProgram(t)
	for _, c := range []struct {
		version string
		argv    []string
	}{{"v1beta1", []string{"kubectl", "get", "--raw", "/"}}, {"v1", []string{program, "/"}}} {
		config := map[string]any{
			"apiVersion": "v1", "kind": "Config", "current-context": "c",
			"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": s.URL,
				"certificate-authority-data": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})}}},
			"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "c", "user": "u"}}},
			"users": []any{map[string]any{"name": "u", "user": map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/" + c.version,
				"command": f.helper, "args": []string{"get", "-p", "prod", "--format", "exec-credential"}, "interactiveMode": "Never"}}}},
		}
		text, err := json.Marshal(config)
		must(t, err)
		env := []string{"KUBECONFIG=" + write(t, filepath.Join(t.TempDir(), "kubeconfig"), string(text))}
		wantOutput(t, c.argv[0], f.good(t, env, c.argv...), "hello")
	}
	if n := refused.Load(); n != 0 {
		t.Errorf("%d requests brought another token", n)
	}
}

// redirecting are variables that would send the token elsewhere.
var redirecting = []string{"PGHOSTADDR=127.0.0.9", "PGSERVICE=evil", "PGSERVICEFILE=/evil", "PGPASSFILE=/evil", "PGPASSWORD=stale"}

// shells evaluate the helper's output, and all documents that can be rendered.
func (f *formats) shells(t *testing.T) {
	const posix = `eval "$("$0" get -p prod --format env --user="$WHO")"; exec env -0`
	const posixAll = `for f; do eval "$(cat "$f")"; printf '%s\0%s\0' "$PGUSER" "$PGPASSWORD"; done`
	for _, c := range []struct {
		format string
		one    []string // evaluates what the helper prints
		all    []string // evaluates documents
	}{
		{"env", []string{"bash", "-euc", posix, f.helper}, []string{"bash", "-euc", posixAll, "bash"}},
		{"env", []string{"dash", "-euc", posix, f.helper}, []string{"dash", "-euc", posixAll, "dash"}},
		{"fish", []string{"fish", "--no-config", "-c", `$argv[1] get -p prod --format fish --user="$WHO" | source; env -0`, f.helper},
			[]string{"fish", "--no-config", "-c", `for f in $argv; source $f; printf '%s\0%s\0' "$PGUSER" "$PGPASSWORD"; end`}},
	} {
		env := append(slices.Clone(redirecting), "LC_ALL=C.UTF-8") // in the locale C, fish itself garbles other letters
		for _, user := range hostileUsers {
			f.wantEnvironment(t, user, f.good(t, append(env, "WHO="+user), c.one...))
		}
		docs := documents(t, c.format, "a\x00b")
		sameAs(t, docs, f.good(t, env, append(c.all, paths(docs)...)...))
	}
}

// wantEnvironment checks what a shell has in its environment after it took the values.
func (f *formats) wantEnvironment(t *testing.T, user, environ string) {
	t.Helper()
	env := map[string]string{}
	for _, e := range strings.Split(environ, "\x00") {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	for name, want := range map[string]string{"PGUSER": user, "PGPASSWORD": f.token, "PGHOST": "localhost",
		"PGPORT": f.lakebase.PGPort(), "PGSSLMODE": "verify-full"} {
		if env[name] != want {
			t.Errorf("user %q: %s is another one (%d bytes, not %d)", user, name, len(env[name]), len(want))
		}
	}
	for _, name := range []string{"PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE"} {
		if v, ok := env[name]; ok {
			t.Errorf("%s=%s stays", name, v)
		}
	}
}

func (f *formats) dotenv(t *testing.T) {
	nodeModule(t, "dotenv")
	docs := documents(t, "dotenv", "a\x00b", "a\rb", `\`, `''"`+"`")
	if len(docs) < 200 {
		t.Errorf("dotenv takes only %d documents", len(docs))
	}
	docs = append(docs, rendered{f.lakebase.ClientID, f.token, write(t, filepath.Join(t.TempDir(), "own"), f.line(t, "dotenv"))})
	sameAs(t, docs, f.good(t, nil, append([]string{"node", "--input-type=module", "-e", `
import dotenv from "dotenv";
import { readFileSync } from "node:fs";
const read = (f) => { const e = dotenv.parse(readFileSync(f)); return e.PGUSER + "\0" + e.PGPASSWORD + "\0"; };
process.stdout.write(process.argv.slice(1).map(read).join(""));`}, paths(docs)...)...))
}

// hostileUsers are user names that a careless quoting breaks on.
var hostileUsers = []string{
	`o'br"ien`, `$HOME`, "`id`$(id)", `\`, `a\'b`, `'`, `''`, `"; id; "`, `a b`, ` both ends `, `#x`, `a #b`, `%41%`, `a+b&c=d?e`, `*`, `~`, `!!`,
	`x\n`, `‘it’s‚ ‛`, `üser@exämple.com`, `$'x'`, `{}[]<>|;&()`, `-n`, `a:b@c/d`, `''"` + "`", `\\`,
}

// withControls are the ones that no option and no profile takes, but that a
// format has to hold or refuse all the same; and some that chance makes.
func withControls() []string {
	list := append([]string{"two\nlines", "end\n", "\nfirst", "a\tb", "a\rb", "a\r\nb", "\x01\x1b[31m", "a\x00b"}, hostileUsers...)
	const letters = "aB0 \t\n\r'\"`$\\#;&|<>(){}[]*?!~%+=:@/,.-_^‘’ü\u2028"
	runes, chance := []rune(letters), rand.New(rand.NewPCG(1, 2))
	for range 300 {
		s := make([]rune, 1+chance.IntN(8))
		for i := range s {
			s[i] = runes[chance.IntN(len(runes))]
		}
		list = append(list, string(s))
	}
	return list
}

// rendered is one document, and the values that its reader must find in it.
type rendered struct{ user, password, path string }

// documents renders each value as user and as password. It wants these values to be
// refused and, if that is the only one, no other.
func documents(t *testing.T, format string, wantRefused ...string) (docs []rendered) {
	t.Helper()
	dir := t.TempDir()
	var refused []string
	for i, s := range withControls() {
		a := credformat.Answer{Host: "localhost", Port: 5432, Database: "data base", User: s, SSLMode: "verify-full",
			Password: credential.NewSecret("x" + s + "y"), ExpiresAt: time.Now()}
		f, _ := credformat.Lookup(format)
		out, err := f.Render(a, credformat.Context{Getenv: func(string) string { return "" }})
		if errors.As(err, new(*credformat.Error)) {
			refused = append(refused, s)
			continue
		}
		must(t, err)
		docs = append(docs, rendered{s, "x" + s + "y", write(t, filepath.Join(dir, fmt.Sprintf("%03d", i)), string(out.Stdout))})
	}
	for _, s := range wantRefused {
		if !slices.Contains(refused, s) || len(wantRefused) == 1 && len(refused) != 1 {
			t.Errorf("%s refuses %q, want %q", format, refused, wantRefused)
		}
	}
	return docs
}

// sameAs compares what a reader found: user and password in turn, each ended by a NUL.
func sameAs(t *testing.T, docs []rendered, output string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(output, "\x00"), "\x00")
	if len(got) != 2*len(docs) {
		t.Fatalf("the reader found %d values, not %d", len(got), 2*len(docs))
	}
	for i, d := range docs {
		if got[2*i] != d.user || got[2*i+1] != d.password {
			t.Errorf("the reader finds %q and %q for %q", got[2*i], got[2*i+1], d.user)
		}
	}
}

func paths(docs []rendered) (out []string) {
	for _, d := range docs {
		out = append(out, d.path)
	}
	return out
}

const parsesJDBC = `
import java.nio.file.*;
import java.util.Properties;
public class Parse {
    public static void main(String[] args) throws Exception {
        for (String path : args) {
            Properties p = org.postgresql.Driver.parseURL(Files.readString(Path.of(path)).replaceFirst("\n$", ""), null);
            byte[] out = (p.getProperty("user") + "\0" + p.getProperty("password") + "\0").getBytes("UTF-8");
            System.out.write(out, 0, out.length);
        }
        System.out.flush();
    }
}
`

// URLs with any user name and password mean the same to libpq, urllib and pgjdbc.
func TestFormats_URLWithAnyName(t *testing.T) {
	t.Parallel()
	python := func(read string) []string {
		client(t, "/usr/bin/python3")
		return []string{"/usr/bin/python3", "-c", `
import sys, psycopg2.extensions
from urllib.parse import urlsplit, unquote
for path in sys.argv[1:]:
    text = open(path, newline="").read().removesuffix("\n")
    ` + read + `
    sys.stdout.buffer.write("".join(v + "\0" for v in found).encode())`}
	}
	for _, c := range []struct {
		name, format string
		argv         []string
	}{
		{"urllib", "url", python(`u = urlsplit(text); found = [unquote(u.username), unquote(u.password)]`)},
		{"libpq", "url", python(`d = psycopg2.extensions.parse_dsn(text); found = [d["user"], d["password"]]`)},
		{"pgjdbc", "jdbc", java(t, "Parse", parsesJDBC)},
	} {
		t.Run(c.name, func(t *testing.T) {
			docs := documents(t, c.format, "a\x00b")
			p := &fixture{t: t, home: t.TempDir(), env: map[string]string{"PATH": os.Getenv("PATH"), "LC_ALL": "C.UTF-8"}}
			cmd := p.command(append(c.argv, paths(docs)...)...)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			must(t, err)
			sameAs(t, docs, string(out))
		})
	}
}
