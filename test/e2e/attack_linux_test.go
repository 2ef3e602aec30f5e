package e2e

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// attacker is a second user of the machine, beside otherUID.
const attacker = 65533

// TestAttack_OtherUser: what another user of the machine can see of each program
// while it has something to hide.
func TestAttack_OtherUser(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := otherUserFixture(t, l)
	l.Set(func(s *emulator.Settings) { s.Latency = 4 * time.Second }) // two requests are within get's ten seconds
	t.Run("seen", func(t *testing.T) {                                // at the same time: what they do is wait
		for name, argv := range map[string][]string{
			"get":  {"lakebase-credential-helper", "get", "--cache", "file"},
			"exec": {"lakebase-exec", "--cache", "file", "--", "sleep", "60"},
			"passfile": {"lakebase-exec", "--refresh", "passfile", "--wait", "never", "--status-file", filepath.Join(p.home, "status"),
				"--", "sleep", "60"},
			"proxy":  {"lakebase-exec", "--refresh", "proxy", "--", "sleep", "60"},
			"login":  {"lakebase-credential-helper", "login", "--secret-stdin", "--store", "file"},
			"person": {"lakebase-credential-helper", "login", "--user-login", "--no-browser", "--store", "file"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p.of(t).watched(t, name, argv)
			})
		}
	})
	l.Set(func(s *emulator.Settings) { s.Latency = 0 })
	p.open(t)
}

// watched runs a program, and has the other user look while it signs in and after.
func (p *fixture) watched(t *testing.T, name string, argv []string) {
	if name == "person" {
		p.env["DATABRICKS_CLIENT_ID"], p.env["DATABRICKS_CLIENT_SECRET"], p.env["PGUSER"] = "", "", ""
	}
	cmd := as(t, otherUID, p.command(argv...))
	cmd.Cancel = terminate(cmd)
	in, err := cmd.StdinPipe()
	must(t, err)
	r := p.start(cmd)
	pid := cmd.Process.Pid
	if name == "login" {
		_, _ = io.WriteString(in, p.lakebase.ClientSecret+"\n")
		_ = in.Close()
	}
	for range 3 {
		time.Sleep(400 * time.Millisecond)
		p.seenBy(t, pid, argv)
	}
	if name == "get" || name == "exec" { // the twin: to its owner the same search tells all
		look := as(t, otherUID, p.command("sh", "-c", script(t, "look"), "sh", strconv.Itoa(pid), p.home))
		look.Env = []string{"PATH=" + os.Getenv("PATH")}
		if out, err := look.Output(); err != nil || !strings.Contains(string(out), p.lakebase.ClientSecret) ||
			!strings.Contains(string(out), "read environ\n") || !strings.Contains(string(out), "read fd\n") || !strings.Contains(string(out), p.home+"/ca.pem") {
			t.Errorf("the search finds nothing where the secret is (%v)", err)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = r.cmd.Wait()
	if found := leakIn(p.lakebase, r.out.String()+r.err.String()); found != "" && name != "get" {
		t.Errorf("it says %s", found)
	}
}

func (p *fixture) of(t *testing.T) *fixture {
	again := *p
	again.t, again.env = t, map[string]string{}
	for name, value := range p.env {
		again.env[name] = value
	}
	return &again
}

// seenBy has the other user look. The arguments are everybody's to see.
func (p *fixture) seenBy(t *testing.T, pid int, argv []string) {
	t.Helper()
	look := p.command("sh", "-c", script(t, "look"), "sh", strconv.Itoa(pid), p.home, p.run)
	look.Env = []string{"PATH=" + os.Getenv("PATH")}
	o := p.finish(as(t, attacker, look)).wantExit(0)
	if !strings.Contains(o.stdout, strings.Join(argv, "\x00")) && !strings.Contains(o.stdout, "sleep\x00") ||
		!strings.Contains(o.stdout, "read cmdline\n") {
		t.Errorf("%v: the search sees nothing:\n%s", argv, o.stdout)
	}
	for _, file := range []string{"environ", "mem", "maps", "auxv", "syscall", "stack", "io", "fd", "cwd", "task/" + strconv.Itoa(pid) + "/environ"} {
		if strings.Contains(o.stdout, "read "+file+"\n") {
			t.Errorf("%v: another user could read its %s", argv, file)
		}
	}
	if strings.Contains(o.stdout, "eyJ") || strings.Contains(o.stdout, "\n"+p.run+"/") || strings.Contains(o.stdout, "\n"+p.home+"/") {
		t.Errorf("%v: another user sees a token, or what is in our folders:\n%s", argv, o.stdout)
	}
}

// open makes the directories of the programs and the user's home accessible: each file
// and socket in them must be private by its own mode.
func (p *fixture) open(t *testing.T) {
	p.finish(as(t, otherUID, p.command("lakebase-credential-helper", "login", "-p", "prod",
		"--store", "file", "--secret-file", p.secretFile(t)))).wantExit(0)
	for name, options := range map[string][]string{"passfile": {"--refresh", "passfile", "--cache", "file"},
		"proxy": {"--refresh", "proxy", "--cache", "file"}} {
		done := filepath.Join(p.home, name)
		cmd := as(t, otherUID, p.command(append(append([]string{"lakebase-exec"}, options...), "--status-file", done+".status", "--",
			"sh", "-c", `env >"$0"; exec cat`, done)...))
		cmd.Cancel = terminate(cmd)
		in, err := cmd.StdinPipe()
		must(t, err)
		r := p.start(cmd)
		eventually(t, "the command runs", func() bool {
			data, err := os.ReadFile(done)
			return err == nil && strings.Contains(string(data), "PGUSER=")
		})
		must(t, os.Remove(done)) // it is the test's own
		eventually(t, "its state is told", func() bool { _, err := os.Stat(done + ".status"); return err == nil })
		p.tryAll(t, name)
		_ = in.Close()
		r.wait().wantExit(0)
	}
}

// secretFile is a file of the first user's with the secret.
func (p *fixture) secretFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(p.home), "secret-file")
	must(t, errors.Join(os.WriteFile(path, []byte(p.lakebase.ClientSecret), 0o600), os.Chown(path, otherUID, otherUID)))
	return path
}

// tryAll reads, writes, locks and connects to every file as the other user, with all
// directories accessible.
func (p *fixture) tryAll(t *testing.T, name string) {
	t.Helper()
	var files, dirs []string
	kinds := map[string]bool{}
	for _, top := range []string{p.home, p.run} {
		must(t, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				dirs = append(dirs, path)
				return nil
			}
			if d.Name() != "ca.pem" {
				files = append(files, path)
			}
			kinds[strings.TrimLeft(filepath.Ext(d.Name()), ".")] = true
			kinds[d.Name()] = true
			return nil
		}))
	}
	for _, want := range []string{"json", "lock", "status", "ini", map[string]string{"passfile": "passfile", "proxy": "5432"}[name]} {
		if !kinds[want] {
			t.Errorf("%s: there is no %s among %v", name, want, files)
		}
	}
	modes := map[string]fs.FileMode{}
	for _, d := range dirs {
		fi, err := os.Stat(d)
		must(t, err)
		if modes[d] = fi.Mode().Perm(); modes[d]&0o077 != 0 {
			t.Errorf("%s has mode %v", d, modes[d])
		}
		must(t, os.Chmod(d, 0o711))
	}
	o := p.finish(as(t, attacker, p.command(append([]string{"sh", "-c", script(t, "try"), "sh"}, files...)...))).wantExit(0)
	if o.stdout != "" {
		t.Errorf("%s: with its folders open another user has\n%s", name, o.stdout)
	}
	o = p.finish(as(t, otherUID, p.command(append([]string{"sh", "-c", script(t, "try"), "sh"}, files...)...))).wantExit(0) // the twin
	for _, deed := range []string{"read", "wrote", "locked", map[string]string{"passfile": "read", "proxy": "reached"}[name]} {
		if !strings.Contains(o.stdout, deed) {
			t.Errorf("%s: the owner himself has %s nothing", name, deed)
		}
	}
	for d, mode := range modes {
		must(t, os.Chmod(d, mode))
	}
}

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

// otherUsersSeeNothing: a user other than root cannot read the memory or environment of
// a supervisor, not even of his own.
func otherUsersSeeNothing(t *testing.T) {
	l := startLakebase(t, emulator.Options{})
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
	found := string(out)
	if err != nil || strings.Count(found, l.ClientSecret) < 3 || !strings.Contains(found, "read environ") || !strings.Contains(found, "read fd") {
		t.Errorf("the search finds nothing where the secret is (%v)", err)
	}
}

// observed checks what a search has found; wait has checked for secrets and tokens.
func observed(t *testing.T, mode string, o *result) {
	t.Helper()
	o.wantExit(0)
	if strings.Contains(o.stdout, "eyJ") || !strings.Contains(o.stdout, "lakebase-exec\x00--refresh\x00"+mode) ||
		!strings.Contains(o.stdout, "read cmdline") {
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
	must(t, errors.Join(err, os.Chmod(p.run, 0o711), os.Mkdir(p.home, 0o700), os.Mkdir(p.env["XDG_RUNTIME_DIR"], 0o700),
		os.WriteFile(ca, pem, 0o600)))
	for _, path := range []string{p.home, ca, p.env["XDG_RUNTIME_DIR"]} {
		err = errors.Join(err, os.Chown(path, otherUID, otherUID))
	}
	must(t, err)
	p.run = p.env["XDG_RUNTIME_DIR"]
	return p
}
