package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
	must(o.t, o.cmd.Process.Signal(syscall.SIGTERM))
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
