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

// bashCompletion is what completes other commands' arguments in bash.
const bashCompletion = "/usr/share/bash-completion/bash_completion"

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
	{line: []string{"lakebase-exec", "--endpoint", "projects/sh"}, want: []string{"projects/shop/branches/a/endpoints/b"}, all: true},
	{line: []string{"lakebase-exec", "--host", ""}, all: true},
	{line: []string{"lakebase-exec", "--sslrootcert", "root"}, want: []string{"roots.pem"}, all: true},
	{line: []string{"lakebase-exec", "--keep", "MARKED_"}, want: []string{"MARKED_NAME"}, all: true},
	{line: []string{"lakebase-exec", "-"}, want: []string{"-p", "-d", "-U", "-q", "-h", "-V", "--profile", "--print-env", "--set"}, not: []string{"--format"}},
	{line: []string{"lakebase-exec", "-p", "prod", "--", "lakebase-cred"}, want: []string{"lakebase-credential-helper"}, all: true},
	{line: []string{"lakebase-exec", "-p", "prod", "--", "made-up", "a", "first-of-"}, want: []string{"first-of-its-own"}, all: true},
	{line: []string{"lakebase-exec", "--", "lakebase-credential-helper", "get", "--format", "pg"}, want: []string{"pgpass"}, all: true},
	{line: []string{"lakebase-credential-helper", "log"}, want: []string{"login", "logout"}, all: true},
	{line: []string{"lakebase-credential-helper", "get", "--format", "cred"}, want: []string{"credential-process"}, all: true},
	{line: []string{"lakebase-credential-helper", "get", "-"}, want: []string{"--format", "--wait", "-p"}, not: []string{"--json", "--secret-stdin", "--keep"}},
	{line: []string{"lakebase-credential-helper", "get", "--wait", ""}, all: true},
	{line: []string{"lakebase-credential-helper", "login", "--store", ""}, want: []string{"keychain", "file"}, all: true},
	{line: []string{"lakebase-credential-helper", "login", "-p", "p"}, want: []string{"prod", "preview"}, all: true},
	{line: []string{"lakebase-credential-helper", "list", "--j"}, want: []string{"--json"}, all: true},
	{line: []string{"lakebase-credential-helper", "completion", ""}, want: []string{"bash", "zsh", "fish", "profiles"}, not: []string{"login", "--format"}},
}

// TestCompletion asks real shells what they offer, with the script that the
// helper prints.
func TestCompletion(t *testing.T) {
	t.Parallel()
	p := newFixture(t, startLakebase(t, emulator.Options{NoPostgres: true}))
	p.env["MARKED_NAME"] = "1"
	p.env["XDG_CONFIG_HOME"] = p.home
	write(t, filepath.Join(p.home, "lakebase", "profiles.ini"), "[prod]\nendpoint = projects/shop/branches/a/endpoints/b\n[dev]\n[preview]\n[x y"+hostile+"]\n[steers\x1b[31]\n")
	write(t, filepath.Join(p.home, "roots.pem"), "")
	if o := p.do("lakebase-credential-helper", "completion", "profiles").wantExit(0); o.stdout != "prod\ndev\npreview\nx y"+hostile+"\n" || o.stderr != "" {
		t.Errorf("%q %q", o.stdout, o.stderr)
	}
	for shell, ask := range map[string]func(*fixture, []string) []string{"bash": askBash, "zsh": askZsh, "fish": askFish} {
		t.Run(shell, func(t *testing.T) {
			client(t, shell)
			p.t = t
			script := p.do("lakebase-credential-helper", "completion", shell).wantExit(0)
			write(t, filepath.Join(p.home, "completion"), script.stdout)
			if o := p.do(shell, "-n", "completion").wantExit(0); o.stderr != "" {
				t.Error(o.stderr)
			}
			for _, q := range queries {
				q.check(t, ask(p, q.line))
			}
			// Each shell quotes the candidate, and none runs it.
			if got := ask(p, []string{"lakebase-exec", "-p", "x"}); len(got) != 1 || !strings.Contains(got[0], "touch") {
				t.Errorf("a hostile name: %q", got)
			}
			if _, err := os.Stat(filepath.Join(p.home, "ran")); err == nil {
				t.Error("a profile's name was run")
			}
		})
	}
	t.Run("zsh's functions", func(t *testing.T) { // as packages install them
		p.t = t
		var err error
		if p.env["FUNCTIONS"], err = filepath.Abs("../../completions"); err != nil {
			t.Fatal(err)
		}
		queries[0].check(t, askZsh(p, queries[0].line))
		nested := query{line: []string{"lakebase-exec", "--", "lakebase-credential-helper", "lo"}, want: []string{"login", "logout"}, all: true}
		nested.check(t, askZsh(p, nested.line))
	})
	t.Run("equals", func(t *testing.T) {
		p.t = t
		delete(p.env, "FUNCTIONS")
		for shell, got := range map[string]func() []string{
			"bash": func() []string { return askBash(p, []string{"lakebase-exec", "--wait", "=", "al"}) }, // readline's words
			"zsh":  func() []string { return askZsh(p, []string{"lakebase-exec", "--wait=al"}) },
			"fish": func() []string { return askFish(p, []string{"lakebase-exec", "--wait=al"}) },
		} {
			write(t, filepath.Join(p.home, "completion"), p.do("lakebase-credential-helper", "completion", shell).wantExit(0).stdout)
			if got := got(); len(got) != 1 || strings.TrimPrefix(got[0], "--wait=") != "always" {
				t.Errorf("%s: %q", shell, got)
			}
		}
	})
	t.Run("bash alone", func(t *testing.T) {
		p.t = t
		write(t, filepath.Join(p.home, "completion"), p.do("lakebase-credential-helper", "completion", "bash").wantExit(0).stdout)
		p.env["WITHOUT"] = "1" // bash-completion
		defer delete(p.env, "WITHOUT")
		for _, q := range queries {
			if behind := slices.Index(q.line, "--"); behind >= 0 && len(q.line)-behind > 2 {
				continue // another command's arguments: only files then
			}
			q.check(t, askBash(p, q.line))
		}
		query{line: []string{"lakebase-exec", "--", "cat", "root"}, want: []string{"roots.pem"}, all: true}.
			check(t, askBash(p, []string{"lakebase-exec", "--", "cat", "root"}))
	})
	t.Run("a broken file of profiles is silent", func(t *testing.T) {
		p.t = t
		write(t, filepath.Join(p.home, "lakebase", "profiles.ini"), "broken\n")
		p.do("lakebase-credential-helper", "completion", "profiles").wantExit(120).wantStderr("profiles.ini:1")
		if got := askBash(p, []string{"lakebase-exec", "-p", ""}); len(got) != 0 {
			t.Errorf("%q", got)
		}
	})
}

func (q query) check(t *testing.T, got []string) {
	t.Helper()
	for _, w := range q.want {
		if !slices.Contains(got, w) {
			t.Errorf("%q: %q is not among %q", q.line, w, got)
		}
	}
	for _, n := range q.not {
		if slices.Contains(got, n) {
			t.Errorf("%q: %q is offered", q.line, n)
		}
	}
	if q.all && len(got) != len(q.want) {
		t.Errorf("%q: %q is offered, and not just %q", q.line, got, q.want)
	}
}

// offered reads a shell's answer, one a line.
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

// askBash calls the function that is registered, as readline does.
func askBash(p *fixture, line []string) []string {
	p.t.Helper()
	if _, err := os.Stat(bashCompletion); err != nil {
		p.t.Fatalf("%v: install %s", err, packages["bash"])
	}
	const script = `
[ -n "$WITHOUT" ] || . ` + bashCompletion + `
. ./completion
_made_up() { COMPREPLY=($(compgen -W "first-of-its-own second" -- "$2")); }
complete -F _made_up made-up
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
f=$(complete -p -- "$1"); f=${f#*-F }
${f%% *} "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
`
	write(p.t, filepath.Join(p.home, "ask"), script)
	return offered(p.do(append([]string{"bash", "--norc", "ask"}, line...)...).wantExit(0).stdout)
}

func askFish(p *fixture, line []string) []string {
	p.t.Helper()
	const script = `
source completion
function made-up; end
complete -c made-up -f -a 'first-of-its-own second'
complete -C "$argv[1]"
`
	write(p.t, filepath.Join(p.home, "ask"), script)
	return offered(p.do("fish", "--no-config", "ask", strings.Join(line, " ")).wantExit(0).stdout)
}

// askZsh types into a zsh on a terminal. A replaced compadd writes the candidates to a
// file.
func askZsh(p *fixture, line []string) []string {
	p.t.Helper()
	const script = `
PROMPT= RPROMPT=
if [[ -n $FUNCTIONS ]]; then fpath=($FUNCTIONS $fpath); fi
autoload -Uz compinit && compinit -u -d ./dump$+FUNCTIONS
if [[ -z $FUNCTIONS ]]; then source ./completion; fi
_made_up() { compadd first-of-its-own second }
compdef _made_up made-up
compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-[OAD]\ * ]]; then
    builtin compadd "$@"
    return
  fi
  local -a told
  builtin compadd -A told "$@"
  print -rl -- $told >>! told
  builtin compadd "$@"
}
finished() { print -r -- . >>! finished }
bindkey '^I' complete-word
zstyle ':completion:*' insert-tab false
typeset -ga comppostfuncs=(finished)
`
	write(p.t, filepath.Join(p.home, ".zshrc"), script+"print -r -- . >! ready\n")
	for _, name := range []string{"told", "ready", "finished"} {
		_ = os.Remove(filepath.Join(p.home, name))
	}
	p.env["TERM"] = "dumb"
	p.env["ZDOTDIR"] = p.home
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
