package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// TestScripts runs the scripts of testdata/script, one user-visible behaviour a
// file. Beside testscript's own commands there are:
//
//	lakebase start [no-postgres] [instance NAME]   starts a local Lakebase and sets its variables
//	                               except the secret, which is in the file $SECRET_FILE
//	lakebase COMMAND [WORD...]     controls it like local-lakebase ctl; prints the reply
//	lakebase count NAME N          fails unless this line of its status is N
//	lakebase until NAME VALUE      waits until this line of its status is VALUE
//	lakebase sql STATEMENT         runs it as the database's owner; prints the rows
//	second COMMAND ...             the same for a second Lakebase; sets variables with the prefix SECOND_
//	auth TYPE [WORD...]            sets the variables of one auth type only, as "lakebase env" prints
//	                               them; for oauth-m2m without the secret
//	secret                         sets DATABRICKS_CLIENT_SECRET
//	keyring MODE                   starts a private session bus with a keyring in $HOME, in place of
//	                               an earlier one
//	keyring lock|unlock|stop       locks, unlocks or stops it
//	keyring calls METHOD N         fails unless METHOD was called N times; with gnome-keyring
//	                               BeginPrompting counts dialogs
//	listener [count N]             starts an untrusted server on loopback, port $LISTENER_PORT; fails
//	                               unless N connections were made to it
//	run [-tokens] CODE PROGRAM [ARG...]
//	                               runs it, wants this exit code and no secret in its output and files,
//	                               and no token in its output unless -tokens is given. Progress lines
//	                               are removed from stderr: see withoutProgress
//	within DURATION run ...        fails also if it takes longer
//	twice NAME=VALUE... CODE PROGRAM   runs it with names that occur twice in the environment; stdout
//	                               holds both of its outputs, tokens are allowed
func TestScripts(t *testing.T) {
	t.Parallel()
	drivers(t)      // for native_password
	buildMigrate(t) // for first_block
	variables := []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "GOSUMDB", "GOTOOLCHAIN"}
	values, err := exec.Command("go", append([]string{"env"}, variables...)...).Output()
	must(t, err)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			for i, name := range variables {
				env.Setenv(name, strings.Split(string(values), "\n")[i])
			}
			return setupScript(env)
		},
		Cmds: scriptCommands,
	})
}

var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	"listener": positive((*scriptEnv).listener),
	"twice":    positive((*scriptEnv).twice),
	"auth":     positive((*scriptEnv).auth),
	"run":      positive((*scriptEnv).run),
	"within":   positive((*scriptEnv).within),
	"secret": positive(func(s *scriptEnv, ts *testscript.TestScript, _ []string) {
		ts.Setenv("DATABRICKS_CLIENT_SECRET", s.lakebases["first"].ClientSecret)
	}),
	"lakebase": func(ts *testscript.TestScript, neg bool, args []string) {
		envOf(ts).lakebaseCommand(ts, neg, args, "first")
	},
	"second": func(ts *testscript.TestScript, neg bool, args []string) {
		envOf(ts).lakebaseCommand(ts, neg, args, "second")
	},
	"keyring": func(ts *testscript.TestScript, neg bool, args []string) { envOf(ts).keyringCommand(ts, neg, args) },
}

func positive(f func(s *scriptEnv, ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command cannot be negated")
		}
		f(envOf(ts), ts, args)
	}
}

// scriptEnv holds the servers and processes of one script.
type scriptEnv struct {
	dir       string
	lakebases map[string]*emulator.Lakebase
	keyring   *testkeyring.Desktop

	untrusted *listener
}

type scriptKey struct{}

func envOf(ts *testscript.TestScript) *scriptEnv { return ts.Value(scriptKey{}).(*scriptEnv) }

func setupScript(env *testscript.Env) error {
	s := &scriptEnv{dir: env.WorkDir, lakebases: map[string]*emulator.Lakebase{}}
	env.Values[scriptKey{}] = s
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
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	env.Setenv("REPOSITORY", repository)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	env.Setenv("TEST_BINARY", self) // see withoutKeyrings
	// A program with the race detector sleeps for a second before it ends well.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	// Without a desktop there is no bus, so that the caller's own keychain is not used.
	env.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(env.WorkDir, "no-bus"))
	env.Setenv("SCRAPES", cmp.Or(os.Getenv("SCRAPES"), "5"))
	env.Setenv("SECRET_FILE", filepath.Join(env.WorkDir, "secret"))
	env.Defer(func() {
		_ = os.RemoveAll(short)
		if s.keyring != nil {
			_ = s.keyring.Close()
		}
		if s.untrusted != nil {
			s.untrusted.stop()
		}
		for _, l := range s.lakebases {
			_ = l.Close()
		}
	})
	return nil
}

// limit bounds what a script's own commands may take.
const limit = 5 * time.Minute

func (s *scriptEnv) lakebaseCommand(ts *testscript.TestScript, neg bool, args []string, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if len(args) == 0 {
		ts.Fatalf("lakebase: needs a command")
	}
	if args[0] == "start" {
		s.start(ctx, ts, args[1:], name)
		return
	}
	l := s.lakebases[name]
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
			ts.Fatalf("got %s %s, want %s\n%s", args[1], got, args[2], out)
		}
		return
	case "until":
		ts.Check(until(ctx, func() bool {
			out, err = control.Do(ctx, l, []string{"status"})
			return err != nil || value(out, args[1]) == args[2]
		}))
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

func (s *scriptEnv) start(ctx context.Context, ts *testscript.TestScript, args []string, name string) {
	o := emulator.Options{NoPostgres: len(args) > 0 && args[0] == "no-postgres"}
	if n := len(args); n >= 2 && args[n-2] == "instance" {
		o.Instances = args[n-1:]
	}
	l, err := emulator.Start(ctx, o)
	ts.Check(err)
	if old := s.lakebases[name]; old != nil { // its secrets are looked for all the same
		ts.Check(old.Close())
		s.lakebases[fmt.Sprintf("%s before %d", name, len(s.lakebases))] = old
	}
	s.lakebases[name] = l
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

func (s *scriptEnv) keyringCommand(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	switch args[0] {
	case "lock":
		ts.Check(s.keyring.Lock(ctx))
		return
	case "unlock":
		ts.Check(s.keyring.Unlock(ctx))
		return
	case "calls":
		if got := fmt.Sprint(s.keyring.Calls()[args[1]]); (got == args[2]) == neg {
			ts.Fatalf("%s was called %s times\n%v", args[1], got, s.keyring.Calls())
		}
		return
	}
	if s.keyring != nil {
		ts.Check(s.keyring.Close())
		s.keyring = nil
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
	s.keyring = d
	for _, e := range d.Env() {
		k, v, _ := strings.Cut(e, "=")
		if k != "XDG_RUNTIME_DIR" {
			ts.Setenv(k, v)
		}
	}
}

func (s *scriptEnv) within(ts *testscript.TestScript, args []string) {
	most, err := time.ParseDuration(args[0])
	ts.Check(err)
	begin := time.Now()
	s.run(ts, args[2:])
	if took := time.Since(begin); took > most {
		ts.Fatalf("took %s, want at most %s", took, most)
	}
}

func (s *scriptEnv) run(ts *testscript.TestScript, args []string) {
	tokens := args[0] == "-tokens"
	if tokens {
		args = args[1:]
	}
	argv := args[1:]
	if slices.Contains(argv, "logout") && slices.Contains(argv, "--all") {
		argv = slices.Concat([]string{"env", withoutKeyrings + "=1", ts.Getenv("TEST_BINARY")}, argv)
	}
	begin := time.Now()
	err := ts.Exec(argv[0], argv[1:]...)
	took, got := time.Since(begin), 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got, err = exit.ExitCode(), nil
	}
	ts.Check(err)
	if want, err := strconv.Atoi(args[0]); err != nil || got != want {
		ts.Fatalf("got exit code %d, want %s", got, args[0])
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	for stream, text := range map[string]string{"stdout": stdout, "stderr": stderr} {
		if found := s.findLeak(text, tokens); found != "" {
			ts.Fatalf("%s has %s in it", stream, found)
		}
	}
	if strings.Contains(stderr, "DATA RACE") { // execve loses its exit code
		ts.Fatalf("a data race")
	}
	if found := s.searchFiles(); found != "" {
		ts.Fatalf("%s", found)
	}
	if rest := withoutProgress(stderr, took); rest != stderr {
		_, err := io.WriteString(ts.Stdout(), stdout) // both are replaced, or neither
		ts.Check(err)
		_, err = io.WriteString(ts.Stderr(), rest)
		ts.Check(err)
	}
}

// listener is an untrusted server on this machine that counts connections and closes
// them.
type listener struct {
	net.Listener
	came atomic.Int64
	done chan struct{}
}

func newListener(ctx context.Context, network, address string) (*listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l := &listener{Listener: ln, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			l.came.Add(1)
			_ = c.Close()
		}
	}()
	return l, nil
}

func (l *listener) stop() {
	_ = l.Close()
	<-l.done
}

func (l *listener) port() string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }

// listener is the command: without arguments it opens one and sets
// $LISTENER_PORT, with "count N" it wants N connections.
func (s *scriptEnv) listener(ts *testscript.TestScript, args []string) {
	if len(args) == 0 {
		if s.untrusted != nil {
			s.untrusted.stop()
		}
		var err error
		s.untrusted, err = newListener(context.Background(), "tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Setenv("LISTENER_PORT", s.untrusted.port())
		return
	}
	if len(args) != 2 || args[0] != "count" || s.untrusted == nil {
		ts.Fatalf("usage: listener [count N]")
	}
	// A connection in the queue counts too.
	for end := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := strconv.FormatInt(s.untrusted.came.Load(), 10)
		if got == args[1] && (got != "0" || time.Now().After(end.Add(-900*time.Millisecond))) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("got %s connections, want %s", got, args[1])
		}
	}
}

// twice runs BIN/PROGRAM with names that stand twice in its environment, which
// os/exec would not let through: the words NAME=VALUE before the program stand
// before the script's own.
func (s *scriptEnv) twice(ts *testscript.TestScript, args []string) {
	var environ []string
	for len(args) > 0 && strings.Contains(args[0], "=") {
		environ, args = append(environ, args[0]), args[1:]
	}
	if len(args) < 2 {
		ts.Fatalf("usage: twice NAME=VALUE… CODE PROGRAM [ARG…]")
	}
	// testscript has no function for its environment, so a program prints it.
	ts.Check(ts.Exec("env", "-0"))
	environ = append(environ, strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\x00"), "\x00")...)
	out, err := os.OpenFile(filepath.Join(s.dir, ".twice.out"), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	ts.Check(err)
	defer out.Close()
	p, err := os.StartProcess(filepath.Join(bin, args[1]), args[1:], &os.ProcAttr{Dir: s.dir, Env: environ, Files: []*os.File{nil, out, out}})
	ts.Check(err)
	watch := time.AfterFunc(limit, func() { _ = p.Kill() })
	defer watch.Stop()
	state, err := p.Wait()
	ts.Check(err)
	text, err := os.ReadFile(out.Name())
	ts.Check(err)
	ts.Check(os.Remove(out.Name()))
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
	if got := strconv.Itoa(state.ExitCode()); got != args[0] {
		ts.Fatalf("got exit code %s, want %s\n%s", got, args[0], text)
	}
	if found := s.findLeak(string(text), true); found != "" {
		ts.Fatalf("the output has %s in it", found)
	}
}

// authVariables are set by one authentication type and must be unset for the others.
var authVariables = []string{"DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", "DATABRICKS_TOKEN", "DATABRICKS_OIDC_TOKEN",
	"DATABRICKS_OIDC_TOKEN_FILEPATH", "DATABRICKS_OIDC_TOKEN_ENV", "DATABRICKS_AUTH_TYPE", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "PGUSER"}

// auth sets the variables of one authentication type, as "lakebase env" prints them,
// and unsets those of the others.
func (s *scriptEnv) auth(ts *testscript.TestScript, args []string) {
	l := s.lakebases["first"]
	if l == nil || len(args) == 0 {
		ts.Fatalf("usage, after lakebase start: auth TYPE [WORD…]")
	}
	out, err := control.Do(context.Background(), l, append([]string{"env"}, args...))
	ts.Check(err)
	for _, name := range authVariables {
		ts.Setenv(name, "")
	}
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		name, value, _ := strings.Cut(line, "=")
		ts.Setenv(name, value)
	}
	if emulator.AuthType(args[0]) == emulator.AuthM2M {
		ts.Setenv("DATABRICKS_CLIENT_SECRET", "")
	}
}

// findLeak finds a secret, or unless they are allowed a token, in text.
func (s *scriptEnv) findLeak(text string, tokens bool) string {
	for _, l := range s.lakebases {
		if what := secretIn(l, text); what != "" {
			return what
		}
	}
	if !tokens && token.MatchString(text) {
		return "a token"
	}
	return ""
}

// searchFiles looks through every file that a run may have left (gnome-keyring encrypts
// its own, so a secret in clear is found there too), except those into which a script
// itself puts a secret, and those of login --store file.
func (s *scriptEnv) searchFiles() (found string) {
	_ = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		switch name := filepath.Base(path); {
		case err != nil || !d.Type().IsRegular(), name == "secret", name == "secret2", name == ".databrickscfg",
			strings.Contains(filepath.Dir(path), "/lakebase/secrets"):
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil && found == "" {
			// Only --cache file may store a token in a file.
			if what := s.findLeak(string(data), strings.HasPrefix(filepath.Base(path), "token-")); what != "" {
				found = fmt.Sprintf("file %s has %s in it", path, what)
			}
		}
		return nil
	})
	return found
}
