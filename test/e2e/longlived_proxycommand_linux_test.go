package e2e

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

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
	if err := o.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		o.t.Fatal(err)
	}
	end := o.wait().wantExit(0)
	warned := strings.Contains(end.stderr, "warning: proxy: login from 127.0.0.1:") && strings.Count(end.stderr, "\n") <= 5
	if said, err := os.ReadFile(o.file); err != nil || string(said) != o.address+"\n" || warned != failed || !failed && end.stderrWithoutProgress() != "" {
		o.t.Errorf("got output %q (%v) and %q", said, err, end.stderr)
	}
}

// psqlAt returns psql with this host, port and password.
func (p *fixture) psqlAt(host, port, password string) *exec.Cmd {
	p.t.Helper()
	cmd := p.command("psql", "-XwAtc", whoAmI)
	cmd.Env = append(cmd.Env, "PGHOST="+host, "PGPORT="+port, "PGPASSWORD="+password, "PGSSLMODE=prefer", "PGSSLROOTCERT=/none")
	return cmd
}

// proxyCommand tests lakebase-credential-helper proxy.
func proxyCommand(t *testing.T) {
	l := startLakebase(t, emulator.Options{})
	p := newSandbox(t, l)
	me := l.ClientID + " in " + emulator.Database + "\n"
	t.Run("password file", func(t *testing.T) {
		p.t = t
		d := p.proxy("--listen", "127.0.0.1:0", "--password-file", write(t, filepath.Join(t.TempDir(), "password"), "open sesame\n"))
		host, port, err := net.SplitHostPort(d.address)
		if err != nil || host != "127.0.0.1" {
			t.Fatalf("the address is %q (%v)", d.address, err)
		}
		if o := p.finish(p.psqlAt(host, port, "open sesame")).wantExit(0); o.stdout != me || o.stderrWithoutProgress() != "" {
			t.Errorf("psql says %q and %q", o.stdout, o.stderr)
		}
		p.finish(p.psqlAt(host, port, "open barley")).wantExit(2).wantStderr("FATAL:  password authentication failed for user")
		d.term(true)
		if c, err := net.Dial("tcp", d.address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the address is still open: %v (%v)", c, err)
		}
	})
	t.Run("trust", func(t *testing.T) {
		p.t = t
		dir := filepath.Join(p.run, "socket")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		d := p.proxy("--listen", dir, "--trust-local")
		if want := filepath.Join(dir, ".s.PGSQL."+l.PGPort()); d.address != want {
			t.Errorf("the address is %q, not %q", d.address, want)
		}
		if o := p.finish(p.psqlAt(dir, l.PGPort(), "")).wantExit(0); o.stdout != me {
			t.Errorf("psql says %q", o.stdout)
		}
		d.term(false)
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("it left %v (%v)", left, err)
		}
	})
	t.Run("trust beyond loopback", func(t *testing.T) {
		p.t = t
		l.ResetCounters()
		o := p.do("lakebase-credential-helper", "proxy", "--listen", "0.0.0.0:0", "--trust-local").wantExit(120)
		o.wantStderr(`error: --listen: "0.0.0.0:0" is not a loopback address; --trust-local requires one`)
		if n := l.Counters(); o.stdout != "" || n.Requests != 0 {
			t.Errorf("got output %q and %d requests", o.stdout, n.Requests)
		}
	})
	p.t = t
	p.nothingLeft()
}
