//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

// asProgram makes the test binary be local-lakebase.
const asProgram = "LOCAL_LAKEBASE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

// program is a running local-lakebase.
type program struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	env    map[string]string
	lines  string
	stderr bytes.Buffer
}

func launch(t *testing.T, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p := &program{cmd: exec.CommandContext(ctx, self, args...), env: map[string]string{}}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	// If it is killed, it leaves its directory for the next start, and there may be
	// none.
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 20 * time.Second
	p.cmd.Stderr = &p.stderr
	in, err1 := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p.stdin = in
	t.Cleanup(func() { cancel(); _ = p.cmd.Wait() })
	r := bufio.NewScanner(out)
	for r.Scan() && r.Text() != "# ready" {
		p.lines += r.Text() + "\n"
		if kv, ok := strings.CutPrefix(r.Text(), "export "); ok {
			name, value, _ := strings.Cut(kv, "=")
			p.env[name] = strings.Trim(value, "'")
		}
	}
	if r.Text() != "# ready" {
		t.Fatalf("never ready:\n%s%s", p.lines, p.stderr.String())
	}
	return p
}

// ctl runs `local-lakebase ctl` in-process.
func (p *program) ctl(t *testing.T, words ...string) (map[string]string, error) {
	t.Helper()
	var out bytes.Buffer
	err := ctl(append([]string{"--control", p.env[controlVar]}, words...), &out)
	values := map[string]string{}
	for line := range strings.Lines(out.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	return values, err
}

func (p *program) must(t *testing.T, words ...string) map[string]string {
	t.Helper()
	values, err := p.ctl(t, words...)
	if err != nil {
		t.Fatalf("ctl %v: %v", words, err)
	}
	return values
}

// gone waits until no process works in the emulator's directory.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		alive := 0
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				alive++
			}
		}
		if alive == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("of processes %v %d are left", pids, alive)
		}
	}
}

// postmaster reads the pid of the real Postgres.
func postmaster(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(b), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// The exports, the control commands, and a clean end when standard input ends.
func TestProgram(t *testing.T) {
	files := t.TempDir()
	envFile, secretFile := filepath.Join(files, "env"), filepath.Join(files, "secret")
	p := launch(t, "--stdin", "--suspended", "--without-secret", "--wake", "57P03", "--wake-time", "never", "--env-file", envFile, "--secret-file", secretFile)
	for _, name := range []string{"DATABRICKS_HOST", "DATABRICKS_CLIENT_ID", "ENDPOINT_NAME", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSSLROOTCERT", "LAKEBASE_CACERT"} {
		if p.env[name] == "" {
			t.Errorf("%s is not exported", name)
		}
	}
	if strings.Contains(p.lines, "dose") || p.env["DATABRICKS_CLIENT_SECRET"] != "" {
		t.Errorf("the secret is on stdout in spite of --without-secret")
	}
	for path, want := range map[string]string{envFile: "export PGPORT='" + p.env["PGPORT"] + "'\n", secretFile: "dose"} {
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, want it to hold %q", path, err, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	s := p.must(t, "status")
	if s["state"] != "suspended" || s["up_at"] != "0" || s["wake"] != "57P03" || s["wake_time"] != "never" {
		t.Errorf("status %v", s)
	}
	p.must(t, "resume")
	s = p.must(t, "status")
	if at, err := strconv.ParseInt(s["up_at"], 10, 64); s["state"] != "up" || err != nil || time.Since(time.Unix(0, at)).Abs() > 10*time.Second {
		t.Errorf("status after resume %v", s)
	}
	pid := postmaster(t, s["dir"])
	p.must(t, "wake", "refused", "250ms")
	p.must(t, "set", "latency=5ms", "role-missing=true", "expires-in=string")
	p.must(t, "fault", "token", "times=3", "status=503", "retry-after=1")
	if s = p.must(t, "status"); s["wake"] != "refused" || s["wake_time"] != "250ms" || s["faults"] != "1" {
		t.Errorf("status after set %v", s)
	}
	_ = p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("end: %v %s", err, p.stderr.String())
	}
	gone(t, []int{pid})
	for _, path := range []string{s["dir"], envFile, secretFile} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

func TestBadWords(t *testing.T) {
	p := launch(t, "--stdin", "--no-postgres")
	for _, words := range [][]string{{}, {"sleep"}, {"wake", "softly", "1s"}, {"wake", "held"}, {"wake", "held", "-1s"}, {"set", "latency"}, {"set", "latency=soon"},
		{"set", "latency=9s", "no=1"}, {"fault", "nothing"}, {"fault", "token", "times=x"}} {
		if _, err := p.ctl(t, words...); !errors.Is(err, control.ErrUsage) {
			t.Errorf("ctl %v: %v, want a usage error", words, err)
		}
	}
	if _, err := p.ctl(t, "suspend"); err == nil || errors.Is(err, control.ErrUsage) || !strings.Contains(err.Error(), "NoPostgres") {
		t.Errorf("suspend without Postgres: %v", err)
	}
	p.must(t, "set", "latency=1ms")
	for _, args := range [][]string{{"--wake", "softly"}, {"--no-such"}, {"surplus"}, {"--wake-time", "soon"}} {
		if _, err := parse(args); !errors.Is(err, control.ErrUsage) {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
	}
}

// TERM ends it cleanly.
func TestEnds(t *testing.T) {
	p := launch(t)
	s := p.must(t, "status")
	pid := postmaster(t, s["dir"])
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after TERM: %v %s", err, p.stderr.String())
	}
	gone(t, []int{pid})
	if _, err := os.Stat(s["dir"]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder after TERM: %v", err)
	}
}

// TestInstance checks that the exports name an instance instead of the endpoint.
func TestInstance(t *testing.T) {
	p := launch(t, "--stdin", "--no-postgres", "--instance", "shop")
	if p.env["LAKEBASE_INSTANCE"] != "shop" || p.env["ENDPOINT_NAME"] != "" {
		t.Errorf("the exports are %v", p.env)
	}
	p.must(t, "set", "instance-state=STOPPED", "read-only-host=none", "workspace-password=false")
	p.must(t, "set", "instance-state=")
	if _, err := p.ctl(t, "set", "instance-state=RESTING"); !errors.Is(err, control.ErrUsage) || !strings.Contains(err.Error(), "FAILING_OVER") {
		t.Errorf("an unknown state: %v", err)
	}
}
