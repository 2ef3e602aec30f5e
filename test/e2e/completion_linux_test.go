package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// query is a command line, its last word being completed, and what a shell has
// to offer for that.
type query struct {
	line []string
	want []string // each of these
	not  []string // none of these
	all  bool     // want is all
}

// The profiles' names are such as a shell would run, were they not quoted.
const hostile = `$(touch ran)`

var queries = []query{
	{line: []string{"lakebase-exec", "--wa"}, want: []string{"--wait", "--wait-timeout"}, all: true},
	{line: []string{"lakebase-exec", "--wait", ""}, want: []string{"always", "auto", "never"}, all: true},
	{line: []string{"lakebase-exec", "-q", "--cache", "f"}, want: []string{"file"}, all: true},
	{line: []string{"lakebase-exec", "-p", "pr"}, want: []string{"prod", "preview"}, all: true},
	{line: []string{"lakebase-exec", "--profile", "d"}, want: []string{"dev"}, all: true},
	{line: []string{"lakebase-exec", "--host", ""}, all: true},
	{line: []string{"lakebase-exec", "--sslrootcert", "root"}, want: []string{"roots.pem"}, all: true},
	{line: []string{"lakebase-exec", "-"}, want: []string{"-p", "-d", "-U", "-q", "-h", "-V", "--profile", "--print-env", "--set"},
		not: []string{"--format"}},
	{line: []string{"lakebase-exec", "-p", "prod", "--", "lakebase-cred"}, want: []string{"lakebase-credential-helper"}, all: true},
	{line: []string{"lakebase-exec", "-p", "prod", "--", "made-up", "a", "first-of-"}, want: []string{"first-of-its-own"}, all: true},
	{line: []string{"lakebase-exec", "--", "lakebase-credential-helper", "get", "--format", "pg"}, want: []string{"pgpass"}, all: true},
	{line: []string{"lakebase-credential-helper", "log"}, want: []string{"login", "logout"}, all: true},
	{line: []string{"lakebase-credential-helper", "get", "--format", "cred"}, want: []string{"credential-process"}, all: true},
	{line: []string{"lakebase-credential-helper", "get", "-"}, want: []string{"--format", "--wait", "-p"},
		not: []string{"--json", "--secret-stdin", "--keep"}},
	{line: []string{"lakebase-credential-helper", "get", "--wait", ""}, all: true},
	{line: []string{"lakebase-credential-helper", "login", "--store", ""}, want: []string{"keychain", "file"}, all: true},
	{line: []string{"lakebase-credential-helper", "login", "-p", "p"}, want: []string{"prod", "preview"}, all: true},
	{line: []string{"lakebase-credential-helper", "list", "--j"}, want: []string{"--json"}, all: true},
	{line: []string{"lakebase-credential-helper", "completion", ""}, want: []string{"bash", "zsh", "fish", "profiles"},
		not: []string{"login", "--format"}},
}

// completers ask a shell what it offers for a command line.
var completers = map[string]func(*fixture, []string) []string{
	"bash": func(p *fixture, line []string) []string {
		return offered(p.do(append([]string{"bash", "--norc", absolute(p.t, "testdata", "completion", "bash")}, line...)...).wantExit(0).stdout)
	},
	"fish": func(p *fixture, line []string) []string {
		return offered(p.do("fish", "--no-config", absolute(p.t, "testdata", "completion", "fish"), strings.Join(line, " ")).wantExit(0).stdout)
	},
	"zsh": askZsh,
}

// TestCompletion asks real shells what they offer, with the script that the
// helper prints.
func TestCompletion(t *testing.T) {
	t.Parallel()
	p := newFixture(t, startLakebase(t, emulator.Options{NoPostgres: true}))
	p.set("XDG_CONFIG_HOME="+p.home, "TERM=dumb", "ZDOTDIR="+p.home)
	write(t, filepath.Join(p.home, "lakebase", "profiles.ini"),
		"[prod]\nendpoint = projects/shop/branches/a/endpoints/b\n[dev]\n[preview]\n[x y"+hostile+"]\n[steers\x1b[31]\n")
	write(t, filepath.Join(p.home, "roots.pem"), "")
	zshrc, err := os.ReadFile(absolute(t, "testdata", "completion", "zshrc"))
	must(t, err)
	write(t, filepath.Join(p.home, ".zshrc"), string(zshrc))
	o := p.do("lakebase-credential-helper", "completion", "profiles").wantExit(0)
	wantOutput(t, "completion profiles", o.stdout+o.stderr, "prod\ndev\npreview\nx y"+hostile+"\n")
	install := func(shell string) {
		client(t, shell)
		write(t, filepath.Join(p.home, "completion"), p.do("lakebase-credential-helper", "completion", shell).wantExit(0).stdout)
		if o := p.do(shell, "-n", "completion").wantExit(0); o.stderr != "" {
			t.Error(o.stderr)
		}
	}
	for shell, ask := range completers {
		install(shell)
		for _, q := range queries {
			q.check(t, shell, ask(p, q.line))
		}
		// Each shell quotes the candidate, and none runs it.
		if got := ask(p, []string{"lakebase-exec", "-p", "x"}); len(got) != 1 || !strings.Contains(got[0], "touch") {
			t.Errorf("%s: a hostile name: %q", shell, got)
		}
		if _, err := os.Stat(filepath.Join(p.home, "ran")); err == nil {
			t.Errorf("%s: a profile's name was run", shell)
		}
		equals := map[string][]string{"bash": {"lakebase-exec", "--wait", "=", "al"}}[shell] // readline's words
		if equals == nil {
			equals = []string{"lakebase-exec", "--wait=al"}
		}
		if got := ask(p, equals); len(got) != 1 || strings.TrimPrefix(got[0], "--wait=") != "always" {
			t.Errorf("%s: %q", shell, got)
		}
	}
	p.set("FUNCTIONS=" + absolute(t, "..", "..", "completions")) // as packages install them
	queries[0].check(t, "zsh", askZsh(p, queries[0].line))
	nested := query{line: []string{"lakebase-exec", "--", "lakebase-credential-helper", "lo"}, want: []string{"login", "logout"}, all: true}
	nested.check(t, "zsh", askZsh(p, nested.line))

	install("bash")
	p.set("WITHOUT=1") // bash-completion
	for _, q := range queries {
		if behind := slices.Index(q.line, "--"); behind < 0 || len(q.line)-behind == 2 { // else another command's arguments: only files then
			q.check(t, "bash alone", completers["bash"](p, q.line))
		}
	}
	q := query{line: []string{"lakebase-exec", "--", "cat", "root"}, want: []string{"roots.pem"}, all: true}
	q.check(t, "bash alone", completers["bash"](p, q.line))

	// A broken file of profiles is silent.
	write(t, filepath.Join(p.home, "lakebase", "profiles.ini"), "broken\n")
	p.do("lakebase-credential-helper", "completion", "profiles").wantExit(120).wantStderr("profiles.ini:1")
	if got := completers["bash"](p, []string{"lakebase-exec", "-p", ""}); len(got) != 0 {
		t.Errorf("got %q, want nothing", got)
	}
}

func (q query) check(t *testing.T, shell string, got []string) {
	t.Helper()
	bad := q.all && len(got) != len(q.want)
	for _, w := range q.want {
		bad = bad || !slices.Contains(got, w)
	}
	for _, n := range q.not {
		bad = bad || slices.Contains(got, n)
	}
	if bad {
		t.Errorf("%s offers for %q %q, want %q (all of it: %v), not %q", shell, q.line, got, q.want, q.all, q.not)
	}
}

func offered(text string) []string {
	var out []string
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if l, _, _ = strings.Cut(l, "\t"); l != "" {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func askZsh(p *fixture, line []string) []string {
	p.t.Helper()
	for _, name := range []string{"told", "ready", "finished"} {
		_ = os.Remove(filepath.Join(p.home, name))
	}
	s := startOnTerminal(p, "zsh", "-d", "-i")
	there := func(name string) func() bool {
		return func() bool {
			b, err := os.ReadFile(filepath.Join(p.home, name))
			return err == nil && bytes.HasSuffix(b, []byte(".\n"))
		}
	}
	eventually(p.t, "zsh is ready", there("ready"))
	s.typeText(strings.Join(line, " ") + "\t")
	eventually(p.t, fmt.Sprintf("zsh has completed %q (it shows %q)", line, s.output()), there("finished"))
	_ = s.cmd.Process.Kill()
	s.end()
	text, _ := os.ReadFile(filepath.Join(p.home, "told"))
	return offered(string(text))
}
