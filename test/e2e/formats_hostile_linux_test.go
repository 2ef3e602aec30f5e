package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
)

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
type rendered struct {
	user, password string
	path, text     string
}

// documents renders each value as user and as password. The error for a value that is
// refused names the format and the field.
func documents(t *testing.T, format string) (docs []rendered, refused []string) {
	t.Helper()
	dir := t.TempDir()
	for i, s := range withControls() {
		a := credformat.Answer{Host: "localhost", Port: 5432, Database: "data base", User: s, SSLMode: "verify-full",
			Password: credential.NewSecret("x" + s + "y"), ExpiresAt: time.Now()}
		f, _ := credformat.Lookup(format)
		out, err := f.Render(a, credformat.Context{Getenv: func(string) string { return "" }})
		var e *credformat.Error
		switch {
		case errors.As(err, &e):
			if e.Format != format || e.Field != "user" && e.Field != "password" || e.What == "" {
				t.Errorf("%q is refused with %v", s, err)
			}
			refused = append(refused, s)
			continue
		case err != nil:
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%03d", i))
		if err := os.WriteFile(path, out.Stdout, 0o600); err != nil {
			t.Fatal(err)
		}
		docs = append(docs, rendered{s, "x" + s + "y", path, string(out.Stdout)})
	}
	return docs, refused
}

// sameAs compares what a reader found, user and password in turn.
func sameAs(t *testing.T, docs []rendered, got []string) {
	t.Helper()
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

// zeros splits text at NULs.
func zeros(s string) []string { return strings.Split(strings.TrimSuffix(s, "\x00"), "\x00") }

// redirecting are variables that would send the token elsewhere.
var redirecting = []string{"PGHOSTADDR=127.0.0.9", "PGSERVICE=evil", "PGSERVICEFILE=/evil", "PGPASSFILE=/evil", "PGPASSWORD=stale"}

// evaluated checks what a shell has in its environment after it took the values.
func (f *formats) evaluated(t *testing.T, user, environ string) {
	t.Helper()
	env := map[string]string{}
	for _, e := range zeros(environ) {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	for name, want := range map[string]string{"PGUSER": user, "PGPASSWORD": f.token, "PGHOST": "localhost", "PGPORT": f.lakebase.PGPort(), "PGSSLMODE": "verify-full"} {
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

func (f *formats) posix(t *testing.T) {
	docs, refused := documents(t, "env")
	if !slices.Equal(refused, []string{"a\x00b"}) {
		t.Errorf("env refuses %q", refused)
	}
	for _, shell := range []string{"bash", "dash"} {
		reader(t, shell)
		for _, user := range hostileUsers {
			out := f.good(t, append(redirecting, "WHO="+user), shell, "-euc", `eval "$("$0" get -p prod --format env --user="$WHO")"; exec env -0`, f.helper)
			f.evaluated(t, user, out)
		}
		out := f.good(t, nil, append([]string{shell, "-euc", `for f; do eval "$(cat "$f")"; printf '%s\0%s\0' "$PGUSER" "$PGPASSWORD"; done`, shell}, paths(docs)...)...)
		sameAs(t, docs, zeros(out))
	}
}

func (f *formats) fish(t *testing.T) {
	const utf8 = "LC_ALL=C.UTF-8" // in the locale C, fish itself garbles other letters
	reader(t, "fish")
	for _, user := range hostileUsers {
		out := f.good(t, append(redirecting, "WHO="+user, utf8), "fish", "--no-config", "-c", `$argv[1] get -p prod --format fish --user="$WHO" | source; env -0`, f.helper)
		f.evaluated(t, user, out)
	}
	docs, refused := documents(t, "fish")
	if !slices.Equal(refused, []string{"a\x00b"}) {
		t.Errorf("fish refuses %q", refused)
	}
	out := f.good(t, []string{utf8}, append([]string{"fish", "--no-config", "-c", `for f in $argv; source $f; printf '%s\0%s\0' "$PGUSER" "$PGPASSWORD"; end`}, paths(docs)...)...)
	sameAs(t, docs, zeros(out))
}

func (f *formats) dotenv(t *testing.T) {
	node := filepath.Join("node", "node_modules", "dotenv")
	if _, err := os.Stat(node); err != nil {
		t.Fatalf("node's dotenv is missing: run npm ci in test/e2e/node (%v)", err)
	}
	reader(t, "node")
	docs, refused := documents(t, "dotenv")
	for _, want := range []string{"a\x00b", "a\rb", `\`, `''"` + "`"} {
		if !slices.Contains(refused, want) {
			t.Errorf("dotenv takes %q", want)
		}
	}
	if len(docs) < 200 {
		t.Errorf("dotenv refuses %d of %d", len(refused), len(docs)+len(refused))
	}
	own := write(t, filepath.Join(t.TempDir(), "own"), f.get(t, "dotenv"))
	docs = append(docs, rendered{f.lakebase.ClientID, f.token, own, ""})
	f.fixture.t = t
	cmd := f.fixture.command(append([]string{"node", "--input-type=module", "-e", `
import dotenv from "dotenv";
import { readFileSync } from "node:fs";
const read = (f) => { const e = dotenv.parse(readFileSync(f)); return [e.PGUSER, e.PGPASSWORD]; };
process.stdout.write(JSON.stringify(process.argv.slice(1).flatMap(read)));`}, paths(docs)...)...)
	cmd.Dir = filepath.Dir(filepath.Dir(node))
	out, stderr, code := f.runCmd(t, cmd)
	var got []string
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("%v; exit code %d: %s", err, code, stderr)
	}
	sameAs(t, docs, got)
}

// URLs with any user name and password mean the same to libpq, urllib and pgjdbc.
func TestFormats_URLWithAnyName(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, docs []rendered, argv ...string) {
		t.Helper()
		p := &fixture{t: t, home: t.TempDir(), env: map[string]string{"PATH": os.Getenv("PATH"), "LC_ALL": "C.UTF-8"}}
		cmd := p.command(append(argv, paths(docs)...)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		sameAs(t, docs, zeros(string(out)))
	}
	docs, refused := documents(t, "url")
	if !slices.Equal(refused, []string{"a\x00b"}) {
		t.Errorf("url refuses %q", refused)
	}
	for name, read := range map[string]string{
		"urllib": `u = urlsplit(text); found = [unquote(u.username), unquote(u.password)]`,
		"libpq":  `d = psycopg2.extensions.parse_dsn(text); found = [d["user"], d["password"]]`,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, docs, reader(t, "/usr/bin/python3"), "-c", `
import sys, psycopg2.extensions
from urllib.parse import urlsplit, unquote
for path in sys.argv[1:]:
    text = open(path, newline="").read().removesuffix("\n")
    `+read+`
    sys.stdout.buffer.write("".join(v + "\0" for v in found).encode())`)
		})
	}
	t.Run("pgjdbc", func(t *testing.T) {
		if _, err := os.Stat(javaJar); err != nil {
			t.Fatalf("pgjdbc is missing: install Debian's %s", readers["java"])
		}
		docs, refused := documents(t, "jdbc")
		if !slices.Equal(refused, []string{"a\x00b"}) {
			t.Errorf("jdbc refuses %q", refused)
		}
		source := write(t, filepath.Join(t.TempDir(), "Parse.java"), `
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
`)
		run(t, docs, reader(t, "java"), "-cp", javaJar, source)
	})
}
