package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// shortLife is the life of a token in these tests.
const shortLife = 20 * time.Second

// longLivedSpan is how long a client runs, and how many tokens it must use at least.
func longLivedSpan() (time.Duration, int) {
	if testing.Short() {
		return 30 * time.Second, 2
	}
	return 60 * time.Second, 4
}

// TestLongLived is about commands that outlive their token. Its parts mostly wait, so
// they run concurrently.
func TestLongLived(t *testing.T) {
	t.Parallel()
	parts := map[string]func(*testing.T){
		"passfile":   passfileLives,
		"proxy":      proxyLives,
		"otherusers": otherUsersSeeNothing,
		"outage":     workspaceOutage,
		"onrefresh":  onRefresh,
	}
	var all sync.WaitGroup
	for name, part := range parts {
		all.Go(func() { t.Run(name, part) })
	}
	all.Wait()
}

// newSandbox returns a fixture whose paths are short enough for a socket.
func newSandbox(t *testing.T, l *emulator.Lakebase) *fixture {
	t.Helper()
	p := newFixture(t, l)
	dir, err := os.MkdirTemp("", "ll-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p.run = dir
	p.set("XDG_RUNTIME_DIR=" + dir)
	p.mark()
	return p
}

// fixtureVariable marks the processes that nothingLeft looks for.
const fixtureVariable = "E2E_FIXTURE"

func (p *fixture) mark() { p.set(fixtureVariable + "=" + p.home) }

// supervised is a command that waits for the end of its standard input under a
// supervisor, and the environment of its clients.
type supervised struct {
	*running
	child int
	env   []string
	stdin io.Closer // closing it ends the command
}

// writePIDAndWait is a command that writes its PID to a file and waits.
const writePIDAndWait = `echo $$ >"$0.new" && mv "$0.new" "$0" && exec cat`

func (p *fixture) supervise(options ...string) *supervised {
	p.t.Helper()
	file := filepath.Join(p.home, fmt.Sprintf("pid-%d", time.Now().UnixNano()))
	cmd := p.command(slices.Concat([]string{"lakebase-exec"}, options, []string{"--", "sh", "-c", writePIDAndWait, file})...)
	cmd.Cancel = terminate(cmd)
	stdin, err := cmd.StdinPipe()
	must(p.t, err)
	s := &supervised{running: p.start(cmd), stdin: stdin}
	eventually(p.t, "the command runs", func() bool {
		data, err := os.ReadFile(file)
		s.child, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil && s.child > 0
	})
	eventually(p.t, "its environment can be read", func() bool { // not during an execve
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.child))
		s.env = strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
		return err == nil && len(data) > 0
	})
	return s
}

func eventuallySlow(t *testing.T, what string, ok func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		time.Sleep(100 * time.Millisecond)
		return ok()
	})
}

// terminate ends a supervisor when its test has failed, so that its command ends too.
func terminate(cmd *exec.Cmd) func() error {
	return func() error { return cmd.Process.Signal(syscall.SIGTERM) }
}

func (s *supervised) value(name string) string {
	for _, e := range s.env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func (s *supervised) end() *result {
	s.t.Helper()
	_ = s.stdin.Close()
	o := s.wait().wantExit(0)
	s.nothingLeft()
	return o
}

func (p *fixture) runDirs() []string {
	p.t.Helper()
	found, err := filepath.Glob(filepath.Join(p.run, "lakebase", "run-*"))
	must(p.t, err)
	return found
}

// nothingLeft fails the test if a run has left its directory or a process.
func (p *fixture) nothingLeft() {
	p.t.Helper()
	if left := p.runDirs(); len(left) != 0 {
		p.t.Errorf("run directories are left: %v", left)
	}
	found, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range found {
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(fixtureVariable+"="+p.env[fixtureVariable]+"\x00")) {
			argv, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			p.t.Errorf("a process is left: %s %q", path, argv)
		}
	}
}

// tokensIn returns how many tokens these logins need at least: two that are further
// apart than the life of a token need two.
func tokensIn(logins []emulator.Login, life time.Duration) (n int) {
	var last time.Time
	for _, l := range logins {
		if l.SQLState == "00000" && (n == 0 || l.Time.Sub(last) > life) {
			n, last = n+1, l.Decided
		}
	}
	return n
}

func by(app string, logins []emulator.Login) []emulator.Login {
	return slices.DeleteFunc(slices.Clone(logins), func(l emulator.Login) bool { return l.Application != app })
}
