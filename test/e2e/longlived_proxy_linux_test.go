package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

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
	if own := process(t, s.cmd.Process.Pid)["environ"]; !strings.Contains(own, "PGUSER="+l.ClientID) || leakIn(l, own) != "" || strings.Contains(own, "eyJ") {
		t.Error("the supervisor's own environment was not read, or holds a token or the secret")
	}
	idle := descriptors(t, s.cmd.Process.Pid)

	l.ResetCounters()
	span, least := longLivedSpan()
	r := &renewals{t: t, base: l}
	talkers := append(s.readers(path), s.talk("pgxpool", nil, path, "pgxpool", answers), s.node("postgres"))
	c := newClientLoad(s, r, span)
	var beside sync.WaitGroup
	beside.Go(c.pgbench)
	beside.Go(c.dumps)
	beside.Go(c.suspend)
	r.run(span, talkers)
	beside.Wait()

	r.tokens(talkers, least-1) // the first came before the counters
	c.check(least)
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
	TokenExpiresAt  time.Time `json:"token_expires_at"`
	Refreshes       int       `json:"refreshes"`
	FailedRefreshes int       `json:"failed_refreshes"`
	LastError       string    `json:"last_error"`
	Logins          int       `json:"logins"`
	FailedLogins    int       `json:"failed_logins"`
	Wakes           int       `json:"wakes"`
	Restarts        int       `json:"restarts"`
	Ready           bool      `json:"ready"`
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
	if said, err := os.ReadFile(o.file); err != nil || string(said) != o.address+"\n" || warned != failed || !failed && end.stderrWithoutProgress() != "" {
		o.t.Errorf("got output %q (%v) and %q", said, err, end.stderr)
	}
}

func (p *fixture) psqlAt(host, port, password string) *exec.Cmd {
	p.t.Helper()
	cmd := p.command("psql", "-XwAtc", whoAmI)
	cmd.Env = append(cmd.Env, "PGHOST="+host, "PGPORT="+port, "PGPASSWORD="+password, "PGSSLMODE=prefer", "PGSSLROOTCERT=/none")
	return cmd
}
