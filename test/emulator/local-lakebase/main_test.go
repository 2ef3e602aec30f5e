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
	"runtime"
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
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Closer
	env    map[string]string
	lines  string
	stderr bytes.Buffer
}

func launch(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p := &program{t: t, cmd: exec.CommandContext(ctx, os.Args[0], args...), env: map[string]string{}}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) } // a kill would leave its directory
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

// ctl runs `local-lakebase ctl` in-process, and returns the name=value lines that it
// prints.
func (p *program) ctl(line string) map[string]string {
	p.t.Helper()
	var out bytes.Buffer
	if err := ctl(append([]string{"--control", p.env[controlVar]}, strings.Fields(line)...), &out); err != nil {
		p.t.Fatalf("ctl %s: %v", line, err)
	}
	values := map[string]string{}
	for line := range strings.Lines(out.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	return values
}

// wantGone waits until a process has ended, and checks that the files are gone.
func wantGone(t *testing.T, pid int, files ...string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); syscall.Kill(pid, 0) == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d is left", pid)
		}
	}
	for _, path := range files {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// postmaster reads the pid of the real Postgres.
func postmaster(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	pid, err2 := strconv.Atoi(strings.SplitN(string(b), "\n", 2)[0])
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return pid
}

// The exports, the control commands, and a clean end when standard input ends.
func TestProgram(t *testing.T) {
	files := t.TempDir()
	envFile, secretFile := filepath.Join(files, "env"), filepath.Join(files, "secret")
	p := launch(t, "--stdin", "--suspended", "--without-secret", "--wake", "57P03", "--wake-time", "never", "--env-file", envFile,
		"--secret-file", secretFile)
	if strings.Contains(p.lines, "dose") || p.env["DATABRICKS_CLIENT_SECRET"] != "" || p.env["DATABRICKS_CLIENT_ID"] == "" {
		t.Errorf("got exports %q", p.lines)
	}
	for path, want := range map[string]string{envFile: "export PGPORT='" + p.env["PGPORT"] + "'\n", secretFile: "dose"} {
		b, err := os.ReadFile(path)
		info, err2 := os.Stat(path)
		if err != nil || err2 != nil || !strings.Contains(string(b), want) || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v, %v, want it to hold %q", path, info.Mode(), err, err2, want)
		}
	}
	want := func(line string, values map[string]string) map[string]string {
		t.Helper()
		p.ctl(line)
		got := p.ctl("status")
		for name, value := range values {
			if got[name] != value {
				t.Errorf("after %s: got %s %q, want %q", line, name, got[name], value)
			}
		}
		return got
	}
	want("reset", map[string]string{"state": "suspended", "up_at": "0", "wake": "57P03", "wake_time": "never"})
	s := want("resume", map[string]string{"state": "up"})
	if at, err := strconv.ParseInt(s["up_at"], 10, 64); err != nil || time.Since(time.Unix(0, at)).Abs() > time.Minute {
		t.Errorf("got up_at %q", s["up_at"])
	}
	pid := postmaster(t, s["dir"])
	want("wake refused 250ms", map[string]string{"wake": "refused", "wake_time": "250ms"})
	want("fault token times=3 status=503", map[string]string{"faults": "1"})
	for _, args := range [][]string{{"--control", p.env[controlVar], "sleep"}, {"--control"}, {"--control-x", "y"}} {
		if err := ctl(args, io.Discard); !errors.Is(err, control.ErrUsage) {
			t.Errorf("ctl %v: got %v, want a usage error", args, err)
		}
	}
	if err := ctl([]string{"--control=" + p.env[controlVar], "remove", "projects/none"}, io.Discard); err == nil || errors.Is(err, control.ErrUsage) {
		t.Errorf("got %v, want an error that is not of usage", err)
	}
	_ = p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("end: %v %s", err, p.stderr.String())
	}
	wantGone(t, pid, s["dir"], envFile, secretFile)
}

// A killed one leaves no Postgres, and the next one, whose exports are those that its
// options say, removes its directory. TERM ends that cleanly.
func TestProgram_Killed(t *testing.T) {
	p := launch(t)
	dir := p.ctl("status")["dir"]
	pid := postmaster(t, dir)
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	if runtime.GOOS == "linux" { // which alone has parent-death signals
		wantGone(t, pid)
	}
	const first = "projects/lab/branches/main/endpoints/e"
	p = launch(t, "--no-postgres", "--auth", "pat", "--user-name", "grace@example.com", "--endpoint", first,
		"--endpoint", "projects/lab/branches/dev/endpoints/e", "--set", "page-size=1")
	if p.env["PGUSER"] != "grace@example.com" || p.env["DATABRICKS_CLIENT_SECRET"] != "" || p.env["ENDPOINT_NAME"] != first ||
		len(p.ctl("resources")) != 5 {
		t.Errorf("got exports %v, resources %v", p.env, p.ctl("resources"))
	}
	if _, ok := p.ctl("pat")[p.env["DATABRICKS_TOKEN"]]; !ok {
		t.Errorf("got DATABRICKS_TOKEN %q, want %v", p.env["DATABRICKS_TOKEN"], p.ctl("pat"))
	}
	own := p.ctl("status")["dir"]
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after TERM: %v %s", err, p.stderr.String())
	}
	wantGone(t, p.cmd.Process.Pid, dir, own)
}

func TestParse(t *testing.T) {
	for _, args := range [][]string{{"--wake", "softly"}, {"--no-such"}, {"surplus"}, {"--wake-time", "soon"}, {"--auth", "azure-cli"},
		{"--set", "page-size"}, {"--set", "no=1"}} {
		if _, err := parse(args); !errors.Is(err, control.ErrUsage) {
			t.Errorf("%v: got %v, want a usage error", args, err)
		}
	}
}
