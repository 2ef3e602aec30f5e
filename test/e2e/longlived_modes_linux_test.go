package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// passfileLives: clients that read the file at each login go on and on.
func passfileLives(t *testing.T) {
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: shortLife}})
	p := newSandbox(t, l)
	path := drivers(t)
	s := p.supervise("--refresh", "passfile")
	file := s.value("PGPASSFILE")
	if dir, err := os.Stat(filepath.Dir(file)); err != nil || dir.Mode() != os.ModeDir|0o700 ||
		!slices.Equal(p.runDirs(), []string{filepath.Dir(file)}) {
		t.Fatalf("the folder of %q: %v (%v), of %v", file, dir, err, p.runDirs())
	}
	holdsNoToken(t, l, s)
	w := watch(l, file)
	l.ResetCounters()
	span, least := longLivedSpan()
	r := &renewals{t: t, base: l}
	talkers := s.readers(path)
	r.run(span, talkers)
	w.check(t, least)
	r.tokens(talkers, least-1) // the first came before the counters
	for _, n := range l.Logins() {
		if n.SQLState != "00000" {
			t.Errorf("a login failed: %+v", n)
		}
	}
	if o := s.end(); o.stdout+o.stderrWithoutProgress() != "" {
		t.Errorf("it says %q, %q", o.stdout, o.stderr)
	}
}

// arguments are those of a process; empty when it is gone.
func arguments(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(data)
}

// holdsNoToken checks that neither token nor secret is in the environment.
func holdsNoToken(t *testing.T, l *emulator.Lakebase, s *supervised) {
	t.Helper()
	if len(s.env) < 5 || s.value("PGUSER") != l.ClientID {
		t.Errorf("this is not the command's environment: %q", s.env)
	}
	for what, text := range map[string]string{"environment": strings.Join(s.env, "\n"), "arguments": arguments(s.child)} {
		if found := leakIn(l, text); found != "" || strings.Contains(text, "eyJ") {
			t.Errorf("%s is in the command's %s", found, what)
		}
	}
}

// watched reads a password file all the time. It keeps each file that it saw
// open, so that no inode number is used twice, and a later change of it is seen.
type watched struct {
	path  string
	line  *regexp.Regexp
	stop  chan struct{}
	ended chan struct{}
	reads int
	wrong error
	seen  []generation
}

type generation struct {
	file *os.File
	info os.FileInfo
	text string
}

func watch(l *emulator.Lakebase, path string) *watched {
	line := fmt.Sprintf(`\Alocalhost:%s:[^:\n]+:%s:eyJ[A-Za-z0-9_.-]+\n\z`, l.PGPort(), l.ClientID)
	w := &watched{path: path, line: regexp.MustCompile(line), stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for w.wrong == nil {
			w.wrong = w.look()
			select {
			case <-w.stop:
				return
			case <-time.After(4 * time.Millisecond):
			}
		}
	}()
	return w
}

func (w *watched) look() error {
	w.reads++
	f, err := os.Open(w.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	text, err2 := io.ReadAll(f)
	switch {
	case err != nil || err2 != nil:
		return errors.Join(err, err2)
	case info.Mode() != 0o600:
		return fmt.Errorf("its mode is %s", info.Mode())
	case !w.line.Match(text):
		return fmt.Errorf("it is not one whole line, but %d bytes", len(text))
	}
	if n := len(w.seen); n > 0 && os.SameFile(info, w.seen[n-1].info) {
		return f.Close()
	}
	w.seen = append(w.seen, generation{f, info, string(text)})
	return nil
}

func (w *watched) check(t *testing.T, least int) {
	t.Helper()
	close(w.stop)
	<-w.ended
	if w.wrong != nil {
		t.Errorf("the password file: %v", w.wrong)
	}
	tokens := map[string]bool{}
	for i, g := range w.seen {
		defer g.file.Close()
		tokens[g.text] = true
		now, err := io.ReadAll(io.NewSectionReader(g.file, 0, 1<<20))
		info, err2 := g.file.Stat()
		if err != nil || err2 != nil || string(now) != g.text || !info.ModTime().Equal(g.info.ModTime()) {
			t.Errorf("the password file no. %d was written again (%v, %v)", i, err, err2)
		} else if last := i == len(w.seen)-1; (info.Sys().(*syscall.Stat_t).Nlink == 1) != last {
			t.Errorf("the password file no. %d of %d is not what was replaced", i, len(w.seen))
		}
	}
	if len(w.seen) < least || len(tokens) != len(w.seen) || w.reads < 1000 {
		t.Errorf("%d reads saw %d files with %d tokens, not %d at the least", w.reads, len(w.seen), len(tokens), least)
	}
}

// proxyLives: every client goes on and on, also those that read the password
// once, and also when the compute is suspended under them.
func proxyLives(t *testing.T) {
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: shortLife}})
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	p.login()
	p.mark()
	path := drivers(t)
	status := filepath.Join(p.home, "status.json")
	s := p.supervise("--refresh", "proxy", "--status-file", status)
	if got := p.runDirs(); len(got) != 1 || s.value("PGHOST") != got[0] {
		t.Fatalf("the socket's folder is %q, of %v", s.value("PGHOST"), got)
	}
	holdsNoToken(t, l, s)
	if own := process(t, s.cmd.Process.Pid)["environ"]; !strings.Contains(own, "PGUSER="+l.ClientID) || leakIn(l, own) != "" ||
		strings.Contains(own, "eyJ") {
		t.Error("the supervisor's own environment was not read, or holds a token or the secret")
	}
	idle := descriptors(t, s.cmd.Process.Pid)

	l.ResetCounters()
	span, least := longLivedSpan()
	r := &renewals{t: t, base: l}
	talkers := append(s.readers(path), s.talk("pgxpool", nil, path, "pgxpool", answers), s.node("postgres"))
	var beside sync.WaitGroup
	beside.Go(func() { r.suspend(span) })
	r.run(span, talkers)
	beside.Wait()

	r.tokens(talkers, least-1) // the first came before the counters
	r.wantOneSuspension()
	got := readStatus(t, status)
	if got.Wakes < 1 || got.FailedLogins != 0 || got.Refreshes < least-1 || got.FailedRefreshes != 0 {
		t.Errorf("the status is %+v", got)
	}
	eventually(t, "the supervisor has no more open than in the beginning", func() bool { return descriptors(t, s.cmd.Process.Pid) <= idle })
	if o := s.end(); o.stdout+o.stderrWithoutProgress() != "" {
		t.Errorf("it says %q, %q", o.stdout, o.stderr)
	}
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		t.Fatal(err) // a hardened process is open to root alone
	}
	return len(list)
}

// statusDocument is the part of a status file that the tests read.
type statusDocument struct {
	ChildPID        int       `json:"child_pid"`
	Refreshes       int       `json:"refreshes"`
	FailedRefreshes int       `json:"failed_refreshes"`
	LastError       string    `json:"last_error"`
	Logins          int       `json:"logins"`
	FailedLogins    int       `json:"failed_logins"`
	OpenConnections int       `json:"open_connections"`
	WaitingLogins   int       `json:"waiting_logins"`
	Wakes           int       `json:"wakes"`
	Restarts        int       `json:"restarts"`
	Goroutines      int       `json:"goroutines"`
	Ready           bool      `json:"ready"`
	UpdatedAt       time.Time `json:"updated_at"`
}

func readStatus(t *testing.T, path string) (f statusDocument) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil {
		t.Fatalf("the status file: %v: %q", err, data)
	}
	return f
}

// proxyProcess is a proxy command that has printed its address.
type proxyProcess struct {
	*running
	file    string // of its standard output
	address string
}

func (p *fixture) proxy(options ...string) *proxyProcess {
	p.t.Helper()
	o := &proxyProcess{file: filepath.Join(p.t.TempDir(), "stdout")}
	o.running = p.start(p.command(append([]string{"sh", "-c", `exec lakebase-credential-helper proxy "$@" >"$0"`, o.file}, options...)...))
	eventually(p.t, "the address is printed", func() bool {
		data, err := os.ReadFile(o.file)
		line, ended := strings.CutSuffix(string(data), "\n")
		o.address = line
		return err == nil && ended
	})
	return o
}

// term ends it by SIGTERM. It must have printed only its address, and warnings about
// clients whose logins failed if there were any.
func (o *proxyProcess) term(failed bool) {
	o.t.Helper()
	must(o.t, o.cmd.Process.Signal(syscall.SIGTERM))
	end := o.wait().wantExit(0)
	warned := strings.Contains(end.stderr, "warning: proxy: login from 127.0.0.1:") && strings.Count(end.stderr, "\n") <= 5
	if said, err := os.ReadFile(o.file); err != nil || string(said) != o.address+"\n" || warned != failed ||
		!failed && end.stderrWithoutProgress() != "" {
		o.t.Errorf("got output %q (%v) and %q", said, err, end.stderr)
	}
}

func (p *fixture) psqlAt(host, port, password string) *exec.Cmd {
	p.t.Helper()
	cmd := p.command("psql", "-XwAtc", whoAmI)
	cmd.Env = append(cmd.Env, "PGHOST="+host, "PGPORT="+port, "PGPASSWORD="+password, "PGSSLMODE=prefer", "PGSSLROOTCERT=/none")
	return cmd
}
