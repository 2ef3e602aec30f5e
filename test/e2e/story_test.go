package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// TestStories tells what a user sees, one story a file. Their own words:
//
//	lakebase start [no-postgres] [instance NAME]   a local Lakebase; its variables but the secret
//	                               are set, the secret stands in $SECRET_FILE
//	lakebase COMMAND [WORD…]       steers it, as local-lakebase ctl does; the answer is printed
//	lakebase count NAME N          of its status; fails where it is another number
//	lakebase sql STATEMENT         as the database's owner; rows are printed
//	second COMMAND …               the same for another Lakebase, without setting variables
//	way WAY [WORD…]                sets the variables of a way in alone, as "lakebase env" prints
//	                               them; without a secret for oauth-m2m
//	secret                         puts the secret into DATABRICKS_CLIENT_SECRET
//	desktop MODE                   a private desktop session in $HOME; replaces an earlier one
//	desktop lock|unlock|stop       what happens to it
//	desktop calls METHOD N         how often the keychain was asked; with gnome-keyring
//	                               BeginPrompting counts dialogs
//	listener [count N]             a stranger on loopback, port $LISTENER_PORT; N came to it
//	run CODE PROGRAM [ARG…]        runs it, wants this exit code, and that neither secret nor
//	                               token is in its output; -tokens before CODE allows tokens.
//	                               Lines that tell of a wait are not kept: see withoutProgress
//	within DURATION run …          and that it takes no longer
//	twice NAME=VALUE… CODE PROGRAM runs one of ours with names that stand twice; both its
//	                               outputs become stdout, tokens are allowed
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"listener": func(ts *testscript.TestScript, neg bool, args []string) { of(ts).listener(ts, neg, args) },
			"twice":    func(ts *testscript.TestScript, neg bool, args []string) { of(ts).twice(ts, neg, args) },
			"lakebase": func(ts *testscript.TestScript, neg bool, args []string) { of(ts).lakebase(ts, neg, args, "first") },
			"second":   func(ts *testscript.TestScript, neg bool, args []string) { of(ts).lakebase(ts, neg, args, "second") },
			"way":      func(ts *testscript.TestScript, neg bool, args []string) { of(ts).way(ts, neg, args) },
			"secret":   func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).giveSecret(ts) },
			"desktop":  func(ts *testscript.TestScript, neg bool, args []string) { of(ts).desktop(ts, neg, args) },
			"run":      func(ts *testscript.TestScript, neg bool, args []string) { of(ts).run(ts, neg, args) },
			"within":   within,
		},
	})
}

// story is what one script has brought up.
type story struct {
	dir   string
	bases map[string]*emulator.Lakebase
	desk  *testkeyring.Desktop

	stranger *listener
}

type storyKey struct{}

func of(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

func setup(env *testscript.Env) error {
	s := &story{dir: env.WorkDir, bases: map[string]*emulator.Lakebase{}}
	env.Values[storyKey{}] = s
	home := filepath.Join(env.WorkDir, "home")
	runtime := filepath.Join(env.WorkDir, "run")
	for _, d := range []string{home, runtime} {
		if err := errors.Join(os.MkdirAll(d, 0o700), os.Chmod(d, 0o700)); err != nil {
			return err
		}
	}
	env.Setenv("HOME", home)
	env.Setenv("XDG_RUNTIME_DIR", runtime)
	short, err := os.MkdirTemp("", "r") // the path of a socket is
	if err != nil {
		return err
	}
	env.Setenv("SHORT", short)
	// The kernel's keyring is one for all scripts that run at the same time.
	env.Setenv("LAKEBASE_CACHE", "keychain")
	env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	env.Setenv("BIN", bin)
	// A program with the race detector sleeps for a second before it ends well.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	// Without a desktop there is no bus: the caller's own keychain is left alone.
	env.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(env.WorkDir, "no-bus"))
	env.Setenv("SECRET_FILE", filepath.Join(env.WorkDir, "secret"))
	env.Defer(func() {
		_ = os.RemoveAll(short)
		if s.desk != nil {
			_ = s.desk.Close()
		}
		if s.stranger != nil {
			s.stranger.stop()
		}
		for _, l := range s.bases {
			_ = l.Close()
		}
	})
	return nil
}

// limit bounds what a story's own words may take.
const limit = 5 * time.Minute

func (s *story) lakebase(ts *testscript.TestScript, neg bool, args []string, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if len(args) == 0 {
		ts.Fatalf("lakebase: a command is wanted")
	}
	if args[0] == "start" {
		s.start(ctx, ts, args[1:], name)
		return
	}
	l := s.bases[name]
	if l == nil {
		ts.Fatalf("%s: not started", name)
	}
	var out string
	var err error
	switch args[0] {
	case "sql":
		var rows [][]string
		rows, err = l.SQL(ctx, args[1])
		for _, r := range rows {
			out += strings.Join(r, "|") + "\n"
		}
	case "count":
		out, err = control.Do(ctx, l, []string{"status"})
		ts.Check(err)
		if got := value(out, args[1]); (got == args[2]) == neg {
			ts.Fatalf("%s is %s, not as wanted (%s)\n%s", args[1], got, args[2], out)
		}
		return
	default:
		out, err = control.Do(ctx, l, args)
	}
	ts.Check(err)
	_, err = ts.Stdout().Write([]byte(out))
	ts.Check(err)
}

func value(status, name string) string {
	for _, line := range strings.Split(status, "\n") {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			return v
		}
	}
	return "absent"
}

func (s *story) start(ctx context.Context, ts *testscript.TestScript, args []string, name string) {
	o := emulator.Options{NoPostgres: len(args) > 0 && args[0] == "no-postgres"}
	if n := len(args); n >= 2 && args[n-2] == "instance" {
		o.Instances = args[n-1:]
	}
	l, err := emulator.Start(ctx, o)
	ts.Check(err)
	if old := s.bases[name]; old != nil { // its secrets are looked for all the same
		ts.Check(old.Close())
		s.bases[fmt.Sprintf("%s before %d", name, len(s.bases))] = old
	}
	s.bases[name] = l
	file := filepath.Join(s.dir, map[string]string{"first": "secret", "second": "secret2"}[name])
	ts.Check(os.WriteFile(file, []byte(l.ClientSecret+"\n"), 0o600))
	prefix := map[string]string{"second": "SECOND_"}[name]
	for _, e := range l.Env() {
		k, v, _ := strings.Cut(e, "=")
		if k != "DATABRICKS_CLIENT_SECRET" {
			ts.Setenv(prefix+k, v)
		}
	}
}

func (s *story) giveSecret(ts *testscript.TestScript) {
	ts.Setenv("DATABRICKS_CLIENT_SECRET", s.bases["first"].ClientSecret)
}

func (s *story) desktop(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	switch args[0] {
	case "lock":
		ts.Check(s.desk.Lock(ctx))
		return
	case "unlock":
		ts.Check(s.desk.Unlock(ctx))
		return
	case "calls":
		s.desktopCalls(ts, neg, args[1:])
		return
	}
	if s.desk != nil {
		ts.Check(s.desk.Close())
		s.desk = nil
	}
	if args[0] == "stop" {
		return
	}
	o := testkeyring.Options{Dir: ts.Getenv("HOME"), Mode: testkeyring.Mode(args[0])}
	if len(args) == 2 { // slow
		delay, err := time.ParseDuration(args[1])
		ts.Check(err)
		o.Delay = delay
	}
	d, err := testkeyring.Start(ctx, o)
	ts.Check(err)
	s.desk = d
	for _, e := range d.Env() {
		k, v, _ := strings.Cut(e, "=")
		if k != "XDG_RUNTIME_DIR" {
			ts.Setenv(k, v)
		}
	}
}

func within(ts *testscript.TestScript, neg bool, args []string) {
	most, err := time.ParseDuration(args[0])
	ts.Check(err)
	begin := time.Now()
	of(ts).run(ts, neg, args[2:])
	if took := time.Since(begin); took > most {
		ts.Fatalf("took %s, not %s at the most", took, most)
	}
}

// run runs a program, and searches all that it says.
func (s *story) run(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("run: say the exit code that is wanted")
	}
	tokens := false
	if args[0] == "-tokens" {
		tokens, args = true, args[1:]
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	begin := time.Now()
	err = ts.Exec(args[1], args[2:]...)
	took := time.Since(begin)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if found := s.leak(ts.ReadFile(stream), tokens); found != "" {
			ts.Fatalf("%s has %s in it", stream, found)
		}
	}
	if strings.Contains(ts.ReadFile("stderr"), "DATA RACE") { // execve loses its exit code
		ts.Fatalf("a data race")
	}
	if found := s.search(ts); found != "" {
		ts.Fatalf("%s", found)
	}
	if all := ts.ReadFile("stderr"); withoutProgress(all, took) != all {
		_, err := io.WriteString(ts.Stdout(), ts.ReadFile("stdout")) // both are replaced, or neither
		ts.Check(err)
		_, err = io.WriteString(ts.Stderr(), withoutProgress(all, took))
		ts.Check(err)
	}
}
