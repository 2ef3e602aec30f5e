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
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// TestFormats_Readers passes formats to the programs that they are for, with all values that
// can be rendered, or to a server. The script formats_readers has those that read one document
// only, and internal/credformat tests the formats that have no reader here.
func TestFormats_Readers(t *testing.T) {
	t.Parallel()
	f := newFormats(t)
	t.Run("exec-credential by kubectl and client-go", f.kubernetes)
	t.Run("env by bash and dash, fish by fish", f.shells)
	t.Run("dotenv by node", f.dotenv)
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
	p := newKeyringFixture(t, startLakebase(t, emulator.Options{NoPostgres: true}), testkeyring.Unlocked)
	f := &formats{fixture: p, helper: filepath.Join(bin, "lakebase-credential-helper")}
	login := p.command(f.helper, "login", "--profile", "prod", "--secret-stdin", "--no-verify")
	login.Stdin = strings.NewReader(p.lakebase.ClientSecret + "\n")
	p.finish(login).wantExit(0)
	for name := range p.env { // the target is in the profile only
		if strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "DATABRICKS_") || name == "LAKEBASE_CACERT" || name == "ENDPOINT_NAME" {
			delete(p.env, name)
		}
	}
	if f.token = f.read(t, nil, f.helper, "get", "-p", "prod", "--format", "password"); !token.MatchString(f.token) {
		t.Fatal("get prints no token")
	}
	f.token = strings.TrimSuffix(f.token, "\n")
	return f
}

// read runs a reader, whose output may hold the token but not the secret.
func (p *fixture) read(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	client(t, argv[0])
	cmd := p.command(argv...)
	cmd.Env = append(cmd.Env, env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", argv[0], err, &said)
	}
	if secretIn(p.lakebase, string(out)+said.String()) != "" {
		t.Errorf("%s: the secret is in its output", argv[0])
	}
	return string(out)
}

const whoAmI = "select current_user || ' in ' || current_database()"

func (p *fixture) me() string { return p.lakebase.ClientID + " in " + emulator.Database + "\n" }

func wantOutput(t *testing.T, reader, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", reader, got, want)
	}
}

// javaJar is where Debian's libpostgresql-jdbc-java puts the driver.
const javaJar = "/usr/share/java/postgresql.jar"

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
		wantOutput(t, c.argv[0], f.read(t, env, c.argv...), "hello")
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
			f.wantEnvironment(t, user, f.read(t, append(env, "WHO="+user), c.one...))
		}
		docs := documents(t, c.format, "a\x00b")
		sameAs(t, docs, f.read(t, env, append(c.all, paths(docs)...)...))
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
	sameAs(t, docs, f.read(t, nil, append([]string{"node", absolute(t, "node", "dotenv.mjs")}, paths(docs)...)...))
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
		out, err := f.Render(a, func(string) string { return "" })
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

// URLs with any user name and password mean the same to libpq, urllib and pgjdbc.
func TestFormats_URLWithAnyName(t *testing.T) {
	t.Parallel()
	p := newFixture(t, startLakebase(t, emulator.Options{NoPostgres: true}))
	p.set("LC_ALL=C.UTF-8")
	parse := absolute(t, "testdata", "clients", "parse.py")
	for _, c := range []struct {
		name, format string
		argv         []string
	}{
		{"urllib", "url", []string{"/usr/bin/python3", parse, "urllib"}},
		{"libpq", "url", []string{"/usr/bin/python3", parse, "libpq"}},
		{"pgjdbc", "jdbc", []string{"java", "-cp", javaJar, absolute(t, "testdata", "clients", "Parse.java")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			docs := documents(t, c.format, "a\x00b")
			sameAs(t, docs, p.read(t, nil, append(c.argv, paths(docs)...)...))
		})
	}
}
