package e2e

import (
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
