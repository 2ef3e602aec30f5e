package e2e

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// runLimit bounds one run of a program, so that a test never hangs.
const runLimit = 5 * time.Minute

// longTimeouts is an environment in which no deadline of the programs ends on a slow machine.
var longTimeouts = []string{"LAKEBASE_TIMEOUT=5m", "LAKEBASE_KEYCHAIN_TIMEOUT=5m", "LAKEBASE_WAIT_TIMEOUT=5m"}

func startLakebase(t testing.TB, o emulator.Options) *emulator.Lakebase {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	l, err := emulator.Start(ctx, o)
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("the local Lakebase did not end well: %v", err)
		}
	})
	return l
}

// suspend suspends the compute; its next wake looks like mode and takes this long.
func suspend(t testing.TB, l *emulator.Lakebase, mode emulator.WakeMode, takes time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	must(t, l.Suspend(ctx))
	l.SetWake(mode, takes)
	l.ResetCounters()
}

// wakeAtOnce ends a wake that takes for ever: what waits for it tries again, and finds a
// compute that wakes at once.
func wakeAtOnce(t testing.TB, l *emulator.Lakebase) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	l.SetWake(emulator.Held, 0)
	must(t, l.Suspend(ctx))
}

// fixture is a user: home, runtime directory, environment.
type fixture struct {
	t        testing.TB
	lakebase *emulator.Lakebase
	keyring  *testkeyring.Desktop
	home     string
	run      string // XDG_RUNTIME_DIR
	env      map[string]string
}

// newFixture has no session bus; the secret is in the environment.
func newFixture(t testing.TB, l *emulator.Lakebase) *fixture {
	t.Helper()
	p := &fixture{t: t, lakebase: l, home: t.TempDir(), run: filepath.Join(t.TempDir(), "run")}
	must(t, os.Mkdir(p.run, 0o700))
	p.env = map[string]string{
		"PATH": bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME": p.home, "XDG_RUNTIME_DIR": p.run, "LC_ALL": "C",
		"GORACE": "atexit_sleep_ms=0", // else each program of ours ends a second late
		// The kernel's keyring is one for all tests that run at the same time: those
		// that are about it take the default, see defaultCache.
		"LAKEBASE_CACHE": "keychain",
	}
	p.set(l.Env()...)
	return p
}

// newKeyringFixture has a private session bus with the keychain in this mode; the
// secret is not in the environment.
func newKeyringFixture(t testing.TB, l *emulator.Lakebase, mode testkeyring.Mode) *fixture {
	t.Helper()
	p := newFixture(t, l)
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	d, err := testkeyring.Start(ctx, testkeyring.Options{Dir: p.home, Mode: mode})
	must(t, err)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("the session bus did not end well: %v", err)
		}
	})
	p.keyring = d
	p.set(d.Env()...)
	p.run = p.env["XDG_RUNTIME_DIR"]
	delete(p.env, "DATABRICKS_CLIENT_SECRET")
	return p
}

// defaultCache has the programs use the token store that users get.
func (p *fixture) defaultCache() *fixture {
	delete(p.env, "LAKEBASE_CACHE")
	return p
}

func (p *fixture) set(env ...string) {
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		p.env[name] = value
	}
}

// login stores the secret in the keychain. It mints no token, so the cache is empty
// afterwards.
func (p *fixture) login() {
	p.t.Helper()
	cmd := p.command("lakebase-credential-helper", "login", "--secret-stdin", "--no-verify")
	cmd.Stdin = strings.NewReader(p.lakebase.ClientSecret + "\n")
	p.finish(cmd).wantExit(0)
}

// command is argv with the fixture's environment, not yet started. Programs of the
// project come first.
func (p *fixture) command(argv ...string) *exec.Cmd {
	p.t.Helper()
	path := argv[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(bin, path)
		if _, err := os.Stat(path); err != nil {
			if path, err = exec.LookPath(argv[0]); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	p.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Dir = p.home
	cmd.WaitDelay = time.Minute
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		cmd.Env = append(cmd.Env, name+"="+p.env[name])
	}
	return cmd
}

func (p *fixture) do(argv ...string) *result {
	p.t.Helper()
	return p.finish(p.command(argv...))
}

func (p *fixture) finish(cmd *exec.Cmd) *result {
	p.t.Helper()
	r := p.start(cmd)
	return r.wait()
}

// running is a program that runs.
type running struct {
	*fixture
	cmd   *exec.Cmd
	begin time.Time
	out   *bytes.Buffer
	err   *bytes.Buffer
}

func (p *fixture) start(cmd *exec.Cmd) *running {
	p.t.Helper()
	r := &running{fixture: p, cmd: cmd, out: &bytes.Buffer{}, err: &bytes.Buffer{}, begin: time.Now()}
	cmd.Stdout, cmd.Stderr = r.out, r.err
	must(p.t, cmd.Start())
	return r
}

// wait waits for the end, and searches what was said for secrets and tokens.
func (r *running) wait() *result {
	r.t.Helper()
	err := r.cmd.Wait()
	o := &result{t: r.t, argv: r.cmd.Args, took: time.Since(r.begin), stdout: r.out.String(), stderr: r.err.String()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("%v: %v\n%s", o.argv, err, o.stderr)
	}
	o.status = r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if found := leakIn(r.lakebase, o.stdout+"\n"+o.stderr); found != "" {
		r.t.Errorf("%v: its output has %s in it", o.argv, found)
	}
	if strings.Contains(o.stderr, "DATA RACE") { // the exit code is lost where a command follows
		r.t.Errorf("%v:\n%s", o.argv, o.stderr)
	}
	return o
}

// result is how a program ended.
type result struct {
	t              testing.TB
	argv           []string
	status         syscall.WaitStatus
	took           time.Duration
	stdout, stderr string
}

// stderrWithoutProgress is what it said on stderr beside what it waits for.
func (o *result) stderrWithoutProgress() string { return withoutProgress(o.stderr, o.took) }

// wantExit fails the test unless the program exited by itself with this code.
func (o *result) wantExit(code int) *result {
	o.t.Helper()
	if !o.status.Exited() || o.status.ExitStatus() != code {
		o.t.Fatalf("%v: ended with %s, not with exit code %d\nstdout: %s\nstderr: %s", o.argv, exitStatus(o.status), code, o.stdout, o.stderr)
	}
	return o
}

// wantStderr fails the test unless stderr has each of the texts.
func (o *result) wantStderr(texts ...string) *result {
	o.t.Helper()
	for _, text := range texts {
		if !strings.Contains(o.stderr, text) {
			o.t.Errorf("%v: stderr does not say %q:\n%s", o.argv, text, o.stderr)
		}
	}
	return o
}

func exitStatus(s syscall.WaitStatus) string {
	if s.Signaled() {
		return "signal " + s.Signal().String()
	}
	return "exit code " + strconv.Itoa(s.ExitStatus())
}

// leakIn names what must not be in text: the secret in any form, or a token.
func leakIn(l *emulator.Lakebase, text string) string {
	if what := secretIn(l, text); what != "" {
		return what
	}
	if token.MatchString(text) {
		return "a token"
	}
	return ""
}

// eventually waits until ok, for what happens in another process.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(runLimit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// until waits until ok or the end of ctx.
func until(ctx context.Context, ok func() bool) error {
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// write writes a file that only its owner can read, and returns its path.
func write(t testing.TB, path, text string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freeAddress returns an address on which nothing listens at the moment.
func freeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	return ln.Addr().String()
}
