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

// shortLife is how long a token of these tests lives.
const shortLife = 12 * time.Second

// longLivedSpan is how long a client goes on, and how many tokens it must get through
// at the least.
func longLivedSpan() (time.Duration, int) {
	if testing.Short() {
		return 30 * time.Second, 2
	}
	return 60 * time.Second, 4
}

// TestLongLived is about commands that outlive their token. What its parts do is
// wait, so they run side by side.
func TestLongLived(t *testing.T) {
	t.Parallel()
	parts := map[string]func(*testing.T){
		"passfile": passfileLives,
		"killed":   killedSupervisor,
		"proxy":    proxyLives,
		"others":   otherUsersSeeNothing,
		"outage":   workspaceIsDown,
		"cancel":   cancelOnce,
		"clients":  proxysClients,
		"door":     proxyWithoutCommand,
		"on":       onRefresh,
	}
	var all sync.WaitGroup
	for name, part := range parts {
		all.Go(func() { t.Run(name, part) })
	}
	all.Wait()
}

// newSandbox is a place whose paths are short enough for a socket.
func newSandbox(t *testing.T, l *emulator.Lakebase) *fixture {
	t.Helper()
	p := newFixture(t, l)
	dir, err := os.MkdirTemp("", "ll-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p.run = dir
	p.set("XDG_RUNTIME_DIR=" + dir)
	p.mark()
	return p
}

// fixtureVariable is a variable by which nothingLeft knows what was started here.
const fixtureVariable = "E2E_PLACE"

func (p *fixture) mark() { p.set(fixtureVariable + "=" + p.home) }

// supervised is a command that waits for its end under a supervisor, and what its
// clients find in their environment.
type supervised struct {
	*running
	child int
	env   []string
	feed  io.Closer // its end is the command's
}

// waits is a command that tells its number and waits.
const waits = `echo $$ >"$0.new" && mv "$0.new" "$0" && exec cat`

// supervise starts the command behind these options.
func (p *fixture) supervise(options ...string) *supervised {
	p.t.Helper()
	file := filepath.Join(p.home, fmt.Sprintf("pid-%d", time.Now().UnixNano()))
	cmd := p.command(slices.Concat([]string{"lakebase-exec"}, options, []string{"--", "sh", "-c", waits, file})...)
	cmd.Cancel = gently(cmd)
	feed, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	s := &supervised{running: p.start(cmd), feed: feed}
	eventually(p.t, "the command runs", func() bool {
		data, err := os.ReadFile(file)
		s.child, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil && s.child > 0
	})
	eventually(p.t, "its environment can be read", func() bool { // not in the midst of an execve
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.child))
		s.env = strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
		return err == nil && len(data) > 0
	})
	return s
}

// slowly is eventually for what takes seconds.
func slowly(t *testing.T, what string, ok func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		time.Sleep(100 * time.Millisecond)
		return ok()
	})
}

// gently ends a supervisor of a test that has failed, so that its command ends too.
func gently(cmd *exec.Cmd) func() error {
	return func() error { return cmd.Process.Signal(syscall.SIGTERM) }
}

// value is of one variable of the command's.
func (s *supervised) value(name string) string {
	for _, e := range s.env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// end ends the command, and then nothing may be left.
func (s *supervised) end() *result {
	s.t.Helper()
	_ = s.feed.Close()
	o := s.wait().wantExit(0)
	s.nothingLeft()
	return o
}

// folders are those of runs.
func (p *fixture) folders() []string {
	p.t.Helper()
	found, err := filepath.Glob(filepath.Join(p.run, "lakebase", "run-*"))
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

// nothingLeft fails the test where a run has left its folder or a process.
func (p *fixture) nothingLeft() {
	p.t.Helper()
	if left := p.folders(); len(left) != 0 {
		p.t.Errorf("folders are left: %v", left)
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

// tokensIn is how many tokens these logins cannot do without: two that are
// further apart than a token lives need two.
func tokensIn(logins []emulator.Login, life time.Duration) (n int) {
	var last time.Time
	for _, l := range logins {
		if l.SQLState == "00000" && (n == 0 || l.Time.Sub(last) > life) {
			n, last = n+1, l.Decided
		}
	}
	return n
}

// by is the logins of one program.
func by(app string, logins []emulator.Login) []emulator.Login {
	return slices.DeleteFunc(slices.Clone(logins), func(l emulator.Login) bool { return l.Application != app })
}
