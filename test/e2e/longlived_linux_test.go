package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// TestLongLived is about commands that outlive their token. Its parts mostly wait, so
// they run concurrently.
func TestLongLived(t *testing.T) {
	t.Parallel()
	parts := map[string]func(*testing.T){
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
	return p
}

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
		if err == nil && bytes.Contains(data, []byte("\x00HOME="+p.env["HOME"]+"\x00")) {
			argv, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			p.t.Errorf("a process is left: %s %q", path, argv)
		}
	}
}

// recordSignal writes its PID when it starts, and a line for each signal.
const recordSignal = `exec 2>/dev/null
trap 'echo USR1 >>"$0"' USR1
echo $$ >>"$0"
while :; do sleep 1; done`

// onRefresh: what --on-refresh does, and what the status file and the probes show.
func onRefresh(t *testing.T) {
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: shortLife}})
	p := newSandbox(t, l)
	signalled := p.runWithStatus("signal:USR1", "proxy", "sh", "-c", recordSignal)
	restarted := p.runWithStatus("restart", "passfile", "sh", "-c", `echo $$ >>"$0"; exec sleep 600`)
	passfile := watchPassfile(t, l, filepath.Join(p.run, "lakebase", "run-*", "passfile"))
	eventuallySlow(t, "the token is refreshed", func() bool { return signalled.status(t).Refreshes >= 2 })
	for _, path := range []string{"/startup", "/readiness", "/liveness"} {
		for _, r := range []*reportingRun{signalled, restarted} {
			if code, text := r.probe(t, path); code != http.StatusOK {
				t.Errorf("%s: got %d %q", path, code, text)
			}
		}
	}

	eventuallySlow(t, "one signal for each new token", func() bool {
		s, received := signalled.status(t), strings.Fields(signalled.signals(t))
		return s.Refreshes >= 2 && s.Restarts == 0 && s.Ready && received[0] == strconv.Itoa(s.ChildPID) &&
			len(received) == s.Refreshes+1 && strings.Count(strings.Join(received, " "), " USR1") == s.Refreshes
	})
	eventuallySlow(t, "one restart for each new token", func() bool {
		starts, s := strings.Fields(restarted.signals(t)), restarted.status(t)
		return s.Restarts >= 2 && s.Restarts == s.Refreshes && len(starts) == s.Restarts+1 && starts[len(starts)-1] == strconv.Itoa(s.ChildPID)
	})

	passfile(3)

	// An expired token is reported, and the command keeps running.
	l.Set(func(w *emulator.Settings) {
		w.Faults = []emulator.Fault{emulator.Answer(emulator.AnyCall, -1, 503, "")}
	})
	eventuallySlow(t, "it is not ready", func() bool {
		code, text := signalled.probe(t, "/readiness")
		return code == http.StatusServiceUnavailable && strings.HasPrefix(text, "not ready: the token expired at ")
	})
	for _, path := range []string{"/startup", "/liveness"} {
		if code, text := signalled.probe(t, path); code != http.StatusOK {
			t.Errorf("%s: got %d %q", path, code, text)
		}
	}
	eventuallySlow(t, "the status file is not ready", func() bool { return !signalled.status(t).Ready })
	l.Set(func(w *emulator.Settings) { w.Faults = nil })
	eventuallySlow(t, "it is ready again", func() bool { code, _ := signalled.probe(t, "/readiness"); return code == http.StatusOK })
	for _, r := range []*reportingRun{signalled, restarted} {
		r.term(t)
	}
	p.nothingLeft()
}

// watchPassfile reads a password file all the time, until the function that it returns is
// called with the number of tokens that it must have had at least. The file must be private,
// one whole line, and replaced rather than written again.
func watchPassfile(t *testing.T, l *emulator.Lakebase, pattern string) (stop func(least int)) {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("got password files %v (%v), want one", found, err)
	}
	line := regexp.MustCompile(fmt.Sprintf(`\Alocalhost:%s:[^:\n]+:%s:eyJ[A-Za-z0-9_.-]+\n\z`, l.PGPort(), l.ClientID))
	ending, ended := make(chan struct{}), make(chan struct{})
	finish := sync.OnceFunc(func() { close(ending); <-ended })
	t.Cleanup(finish)
	var seen []string
	go func() {
		defer close(ended)
		var last *os.File // stays open, so that its inode number is not used again
		var lastInfo os.FileInfo
		defer func() { _ = last.Close() }()
		for {
			f, err := os.Open(found[0])
			if err != nil {
				t.Errorf("the password file: %v", err)
				return
			}
			info, err := f.Stat()
			text, err2 := io.ReadAll(f)
			if err := errors.Join(err, err2); err != nil || info.Mode() != 0o600 || !line.Match(text) {
				t.Errorf("the password file: %v, %v, %d bytes", err, info, len(text))
			}
			same := lastInfo != nil && os.SameFile(info, lastInfo)
			if same == (len(seen) == 0 || string(text) != seen[len(seen)-1]) {
				t.Errorf("the password file was written again, or replaced without a new token")
			}
			if !same {
				seen = append(seen, string(text))
			}
			_ = last.Close()
			last, lastInfo = f, info
			select {
			case <-ending:
				return
			case <-time.After(4 * time.Millisecond):
			}
		}
	}()
	return func(least int) {
		t.Helper()
		finish()
		if len(seen) < least || len(slices.Compact(slices.Sorted(slices.Values(seen)))) != len(seen) {
			t.Errorf("got %d tokens in the password file, want at least %d and each once", len(seen), least)
		}
	}
}

// reportingRun is a supervisor with a status file and probes.
type reportingRun struct {
	*running
	file, log, health string
}

// runWithStatus starts argv with the name of a log as its last argument.
func (p *fixture) runWithStatus(on, mode string, argv ...string) *reportingRun {
	p.t.Helper()
	name := filepath.Join(p.home, mode)
	r := &reportingRun{file: name + ".json", log: name + ".log", health: freeAddress(p.t)}
	options := []string{"lakebase-exec", "--refresh", mode, "--on-refresh", on, "--status-file", r.file, "--health-listen", r.health,
		"--timeout", "5s", "--"}
	cmd := p.command(append(append(options, argv...), r.log)...)
	cmd.Cancel = terminate(cmd)
	r.running = p.start(cmd)
	eventually(p.t, "the command runs", func() bool {
		_, err := os.Stat(r.file)
		_, err2 := os.Stat(r.log)
		return err == nil && err2 == nil
	})
	return r
}

func (r *reportingRun) status(t *testing.T) statusDocument { t.Helper(); return readStatus(t, r.file) }

func (r *reportingRun) signals(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(r.log)
	must(t, err)
	return string(data)
}

func (r *reportingRun) probe(t *testing.T, path string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.health+path, nil)
	must(t, err)
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	return answer.StatusCode, string(text)
}

func (r *reportingRun) term(t *testing.T) {
	t.Helper()
	must(t, r.cmd.Process.Signal(syscall.SIGTERM))
	if o := r.wait(); !o.status.Signaled() || o.status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %s, want SIGTERM:\n%s", exitStatus(o.status), o.stderr)
	}
	if _, err := os.Stat(r.file); !os.IsNotExist(err) {
		t.Errorf("the status file is left (%v)", err)
	}
	if code, text := r.probe(t, "/liveness"); code != 0 || !strings.Contains(text, "connection refused") {
		t.Errorf("the probes still answer: %d %s", code, text)
	}
}

// workspaceOutage: the workspace fails for half a minute, just when the token is to be
// replaced. Logins continue with the old one; afterwards there is a new one.
func workspaceOutage(t *testing.T) {
	const life = 90 * time.Second // refreshed after 46 to 74 s
	span, from := life+3*time.Second, 30*time.Second
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: life}})
	var all sync.WaitGroup
	ends := map[string]*supervised{}
	var statuses []string
	for _, mode := range []string{"passfile", "proxy"} {
		p := newSandbox(t, l)
		status := filepath.Join(p.home, "status.json")
		s := p.supervise("--refresh", mode, "--timeout", "4s", "--status-file", status)
		ends[mode], statuses = s, append(statuses, status)
		psql, begin := s.once("psql", "-XwAtc", whoAmI), time.Now()
		all.Go(func() {
			for time.Since(begin) < span {
				if err := psql.ask(); err != nil {
					t.Errorf("%s: %s after its start a login failed: %v", mode, time.Since(begin), err)
				}
				time.Sleep(time.Second)
			}
		})
	}
	// The workspace drops connections, then answers 503, until both have reported it.
	requests := func(status int) (n int) {
		for _, q := range l.Requests() {
			if q.Status == status {
				n++
			}
		}
		return n
	}
	faults := func(f ...emulator.Fault) { l.Set(func(w *emulator.Settings) { w.Faults = f }) }
	time.Sleep(from)
	faults(emulator.Fault{Call: emulator.AnyCall, Times: -1, Drop: true})
	eventuallySlow(t, "connections are dropped", func() bool { return requests(0) >= 2 })
	faults(emulator.Answer(emulator.AnyCall, -1, 503, ""))
	eventuallySlow(t, "both refreshes fail", func() bool {
		return requests(503) >= 2 && !slices.ContainsFunc(statuses, func(path string) bool { return readStatus(t, path).FailedRefreshes == 0 })
	})
	faults()
	all.Wait()
	for _, n := range l.Logins() { // one without a state is given up by the proxy
		if n.SQLState != "00000" && n.SQLState != "" {
			t.Errorf("a login was refused: %+v", n)
		}
	}
	for mode, s := range ends {
		assertOutageReported(t, mode, s.end().stderrWithoutProgress())
	}
	if n := requests(0) + requests(503); n > 200 {
		t.Errorf("got %d failed requests, want at most 200", n)
	}
}

// assertOutageReported checks that a supervisor reported an outage once, with the time
// until which logins work, and its end.
func assertOutageReported(t *testing.T, mode, stderr string) {
	t.Helper()
	const when = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	want := []string{
		`^lakebase-exec: warning: the token could not be refreshed; new logins work until ` + when + `: .*`,
		`^lakebase-exec: token refreshed again; valid until ` + when + `$`,
	}
	ok := len(lines) == len(want)
	for i := range want {
		ok = ok && regexp.MustCompile(want[i]).MatchString(lines[i])
	}
	if !ok {
		t.Errorf("%s: got\n%s\nwant %q", mode, stderr, want)
	}
	t.Logf("%s: %s", mode, lines[0])
}
