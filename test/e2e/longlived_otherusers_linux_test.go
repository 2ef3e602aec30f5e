package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// otherUID is a user of the machine who is not root. Only root can become one.
const otherUID = 65534

func as(t *testing.T, uid uint32, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test becomes another user: run it as root")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Dir = "/"
	return cmd
}

// otherUsersSeeNothing: a user other than root cannot read the supervisor's memory or
// environment, not even of his own, and cannot log in through its proxy.
func otherUsersSeeNothing(t *testing.T) {
	l := startLakebase(t, emulator.Options{})
	t.Run("whole run as another user", func(t *testing.T) {
		p := otherUserFixture(t, l)
		for _, mode := range []string{"passfile", "proxy"} {
			o := p.finish(as(t, otherUID, p.command("lakebase-exec", "--refresh", mode, "--", "sh", "-c", script(t, "search"))))
			observed(t, mode, o)
			if !strings.Contains(o.stdout, "HOME="+p.home) {
				t.Errorf("%s: the search did not read its own environment:\n%s", mode, o.stdout)
			}
			p.nothingLeft()
		}
		// The twin: without a supervisor of ours the same search finds it.
		cmd := as(t, otherUID, p.command("sh", "-c", `sh -c "$0"; true`, script(t, "search")))
		out, err := cmd.Output()
		if err != nil || strings.Count(string(out), l.ClientSecret) < 3 || !strings.Contains(string(out), "read environ") || !strings.Contains(string(out), "read fd") {
			t.Errorf("the search finds nothing where the secret is (%v)", err)
		}
	})
	t.Run("proxy", func(t *testing.T) { proxySocketIsPrivate(t, l) })
}

// observed checks what a search has found; wait has checked for secrets and tokens.
func observed(t *testing.T, mode string, o *result) {
	t.Helper()
	o.wantExit(0)
	if strings.Contains(o.stdout, "eyJ") || !strings.Contains(o.stdout, "lakebase-exec\x00--refresh\x00"+mode) || !strings.Contains(o.stdout, "read cmdline") {
		t.Errorf("%s: a token is seen, or nothing at all:\n%s", mode, o.stdout)
	}
	for _, file := range []string{"environ", "mem", "maps", "fd"} {
		if strings.Contains(o.stdout, "read "+file+"\n") {
			t.Errorf("%s: the command could read its parent's %s", mode, file)
		}
	}
}

func otherUserFixture(t *testing.T, l *emulator.Lakebase) *fixture {
	t.Helper()
	p := newSandbox(t, l)
	p.home = filepath.Join(p.run, "home")
	p.set("HOME="+p.home, "XDG_RUNTIME_DIR="+filepath.Join(p.run, "run"))
	ca := filepath.Join(p.home, "ca.pem")
	p.set("PGSSLROOTCERT="+ca, "LAKEBASE_CACERT="+ca)
	pem, err := os.ReadFile(l.CAFile())
	must(t, errors.Join(err, os.Chmod(p.run, 0o711), os.Mkdir(p.home, 0o700), os.Mkdir(p.env["XDG_RUNTIME_DIR"], 0o700), os.WriteFile(ca, pem, 0o600)))
	for _, path := range []string{p.home, ca, p.env["XDG_RUNTIME_DIR"]} {
		err = errors.Join(err, os.Chown(path, otherUID, otherUID))
	}
	must(t, err)
	p.run = p.env["XDG_RUNTIME_DIR"]
	return p
}

// proxySocketIsPrivate: the proxy is closed to other users of the machine, on a socket by
// its directory's mode, on loopback by its password.
func proxySocketIsPrivate(t *testing.T, l *emulator.Lakebase) {
	p := newSandbox(t, l)
	socket := p.supervise("--refresh", "proxy")
	if dir, err := os.Stat(socket.value("PGHOST")); err != nil || dir.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v (%v)", dir, err)
	}
	if err := os.Chmod(p.run, 0o711); err != nil { // so that the directory itself is what is closed
		t.Fatal(err)
	}
	must(t, os.Chmod(filepath.Dir(socket.value("PGHOST")), 0o711))
	loopback := p.supervise("--refresh", "proxy", "--listen", "127.0.0.1:0")
	ask := []string{"psql", "-XwAtc", "select 42"}
	p.finish(as(t, otherUID, socket.client("psql", ask...))).wantExit(2).wantStderr(`connection to server on socket`, "Permission denied")
	wrong := as(t, otherUID, loopback.client("psql", ask...))
	wrong.Env = append(wrong.Env, "PGPASSWORD="+socket.value("PGPASSWORD"))
	p.finish(wrong).wantExit(2).wantStderr("FATAL:  password authentication failed for user")
	none := as(t, otherUID, loopback.client("psql", ask...))
	none.Env = append(none.Env, "PGPASSWORD=")
	p.finish(none).wantExit(2).wantStderr("no password supplied")
	for _, cmd := range []*exec.Cmd{socket.client("psql", ask...), as(t, otherUID, loopback.client("psql", ask...))} {
		if o := p.finish(cmd).wantExit(0); o.stdout != "42\n" {
			t.Errorf("with the right password: %q", o.stdout)
		}
	}
	_ = loopback.stdin.Close()
	loopback.wait().wantExit(0)
	socket.end()
}
