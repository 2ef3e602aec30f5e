package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// These tests use the kernel's keyring of real users. All programs of a user share it,
// so every "logout --all" of other tests runs without access to it.

// withoutKeyrings makes the test binary block the system calls of the kernel's keyrings
// by seccomp and then execute another program.
const withoutKeyrings = "E2E_WITHOUT_KEYRINGS"

func init() {
	if os.Getenv(withoutKeyrings) == "" {
		return
	}
	_ = os.Unsetenv(withoutKeyrings)
	runtime.LockOSThread()
	path, err := exec.LookPath(os.Args[1])
	if err == nil {
		err = refuseKeyrings()
	}
	if err == nil {
		err = syscall.Exec(path, os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(99)
}

// refuseKeyrings installs a seccomp filter by which keyctl and add_key fail with
// EPERM, as in Docker's default profile.
func refuseKeyrings() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: unix.SYS_KEYCTL},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_ADD_KEY},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return errno
	}
	return nil
}

// requests checks how many requests the workspace got since the last check.
func requests(t *testing.T, l *emulator.Lakebase, what string, want int) {
	t.Helper()
	if n := l.Counters(); n.Requests != want {
		t.Errorf("%s: got %d requests, want %d: %v", what, n.Requests, want, n.ByCall)
	}
	l.ResetCounters()
}

// get runs a command that prints a token, and wants it to succeed.
func (p *fixture) get(cmd *exec.Cmd) (stdout, stderr string) {
	p.t.Helper()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "eyJ") {
		p.t.Fatalf("%v: %v, want a token\n%s", cmd.Args, err, errs.String())
	}
	return out.String(), errs.String()
}

// With a token in the kernel's keyring no start asks the keychain, whatever state
// it is in.
func TestKernelCache_KeychainIsNotAsked(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	for _, mode := range []testkeyring.Mode{testkeyring.Unlocked, testkeyring.Locked, testkeyring.Silent, testkeyring.NoProvider} {
		p := newKeyringFixture(t, l, mode).defaultCache()
		p.set("DATABRICKS_CLIENT_SECRET=" + l.ClientSecret)
		p.do("lakebase-exec", "--", "true").wantExit(0)
		delete(p.env, "DATABRICKS_CLIENT_SECRET")
		l.ResetCounters()
		before := calls(p.keyring)
		p.do("lakebase-exec", "--", "true").wantExit(0)
		p.get(p.command("lakebase-credential-helper", "get"))
		requests(t, l, fmt.Sprintf("keychain %v", mode), 0)
		if n := calls(p.keyring) - before; n != 0 {
			t.Errorf("keychain %v: got %d calls, want none", mode, n)
		}
	}

	// A session bus that accepts connections and never answers.
	p := newFixture(t, l).defaultCache()
	socket := filepath.Join(p.run, "bus")
	ln, err := net.Listen("unix", socket)
	must(t, err)
	defer ln.Close()
	delete(p.env, "DATABRICKS_CLIENT_SECRET")
	p.set("DBUS_SESSION_BUS_ADDRESS=unix:path=" + socket)
	p.do("lakebase-exec", "--", "true").wantExit(0)
	requests(t, l, "silent bus", 0)
	must(t, ln.(*net.UnixListener).SetDeadline(time.Now()))
	if _, err := ln.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v from the bus's socket, want no connection", err)
	}
}

// Two sessions of one user share a token, however the sessions were created.
func TestKernelCache_SessionsShare(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := newFixture(t, l).defaultCache()
	p.do("lakebase-exec", "--", "true").wantExit(0)
	l.ResetCounters()
	for _, session := range [][]string{
		{"keyctl", "session", "-"},
		{"keyctl", "session", "-", "keyctl", "session", "-"},
		{"setsid", "-w"},
		{"setpriv", fmt.Sprintf("--reuid=%d", os.Getuid()), "--clear-groups", "--inh-caps=-all"},
		{"env", "-u", "XDG_RUNTIME_DIR"},
	} {
		p.do(append(session, "lakebase-exec", "--", "true")...).wantExit(0)
		requests(t, l, strings.Join(session, " "), 0)
	}
	p.do("su", "-p", "-s", "/bin/sh", "-c", "PATH="+p.env["PATH"]+"; lakebase-exec -- true", "root").wantExit(0)
	requests(t, l, "su", 0)
	// The twin: another store has no token.
	p.do("lakebase-exec", "--cache", "file", "--", "true").wantExit(0)
	requests(t, l, "--cache file", 2)
}

// Without a private keyring no token is cached, which is reported with --verbose only.
func TestKernelCache_NotShared(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := newFixture(t, l).defaultCache()
	p.set("DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(p.run, "none"))
	p.do("lakebase-exec", "--", "true").wantExit(0)
	l.ResetCounters()
	for _, c := range []struct {
		name string
		env  string
		argv []string
		note string // with --verbose
	}{
		{"user namespace", "", []string{"unshare", "--user", "--map-current-user"}, ""},
		{"container with the host's user namespace", "", []string{"unshare", "--pid", "--fork", "--mount-proc"},
			"note: cache: kernel keyring: shared with other containers"},
		{"seccomp", withoutKeyrings + "=1", []string{os.Args[0]}, "note: cache: kernel keyring: operation not permitted"},
	} {
		p := newFixture(t, l).defaultCache()
		p.set("DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(p.run, "none"))
		if c.env != "" {
			p.set(c.env)
		}
		o := p.do(append(c.argv, "lakebase-exec", "--", "true")...).wantExit(0)
		if o.stderrWithoutProgress() != "" {
			t.Errorf("%s: stderr %q, want none", c.name, o.stderr)
		}
		requests(t, l, c.name, 2)
		p.do(append(c.argv, "lakebase-exec", "--verbose", "--", "true")...).wantExit(0).wantStderr(c.note)
		l.ResetCounters()
	}
	p.do("lakebase-exec", "--", "true").wantExit(0)
	requests(t, l, "the first session again", 0)
	p.do("unshare", "--user", "--map-current-user", "sh", "-c", "lakebase-exec -- true && lakebase-exec -- true").wantExit(0)
	requests(t, l, "two runs in one user namespace", 2)
}

// Another user cannot read the token; a user whose quota is used up has no cache.
func TestKernelCache_OtherUser(t *testing.T) {
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	p := otherUserFixture(t, l).defaultCache()
	p.set("LAKEBASE_WAIT=never", "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(p.run, "none"))
	clear := func() { p.finish(as(t, otherUID, p.command("keyctl", "clear", "@u"))).wantExit(0) }
	clear()
	t.Cleanup(clear)
	get := func(more ...string) (stderr string) {
		t.Helper()
		_, stderr = p.get(as(t, otherUID, p.command(append([]string{"lakebase-credential-helper", "get"}, more...)...)))
		return stderr
	}
	first := newFixture(t, l).defaultCache()
	first.get(first.command("lakebase-credential-helper", "get"))
	requests(t, l, "the first user", 2)
	get()
	requests(t, l, "another user", 2)
	get()
	requests(t, l, "the other user again", 0)

	// Only the owner, in the owner's user namespace, can read the key.
	key := p.finish(as(t, otherUID, p.command("sh", "-c", "keyctl show @u | sed -n 's/^ *\\([0-9]*\\) .*user: lakebase:.*/\\1/p'"))).wantExit(0)
	id := strings.TrimSpace(key.stdout)
	if id == "" {
		t.Fatal("the key is not shown to its owner")
	}
	p.get(as(t, otherUID, p.command("keyctl", "session", "-", "sh", "-c", "keyctl link @u @s && keyctl print "+id)))
	if o := p.finish(as(t, attacker, p.command("keyctl", "print", id))); o.status.ExitStatus() == 0 || strings.Contains(o.stdout, "eyJ") {
		t.Errorf("another user reads the key: %s", o.stdout)
	}
	if o := p.finish(as(t, otherUID, p.command("unshare", "--user", "--map-current-user", "keyctl", "session", "-", "sh", "-c",
		"keyctl link @u @s && keyctl print "+id))); strings.Contains(o.stdout, "eyJ") {
		t.Errorf("another user namespace reads the key: %s", o.stdout)
	}

	clear()
	p.finish(as(t, otherUID, p.command("sh", "-c", "n=0 failed=0; while [ $n -lt 100 ] && [ $failed -lt 5 ]; do if head -c 500 /dev/zero | keyctl padd user filler$n @u; then n=$((n+1)) failed=0; else failed=$((failed+1)); sleep 0.2; fi; done 2>&1; true"))).wantExit(0)
	for range 2 {
		if stderr := get(); stderr != "" {
			t.Errorf("stderr %q, want none", stderr)
		}
	}
	requests(t, l, "a full quota", 4)
	if stderr := get("--verbose"); !strings.Contains(stderr, "note: storing the token: kernel keyring: the user's quota is exceeded") {
		t.Errorf("stderr does not name the quota:\n%s", stderr)
	}
}

// logout takes the token out of every store, and it is in no file before.
func TestKernelCache_Logout(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	p := newKeyringFixture(t, l, testkeyring.Unlocked).defaultCache()
	p.set("LAKEBASE_WAIT=never")
	p.login()
	token, _ := p.get(p.command("lakebase-credential-helper", "get", "--format", "password"))
	token = strings.TrimSpace(token)
	for _, dir := range []string{p.home, p.run, "/run"} {
		if found := filesWhere(t, dir, func(_, text string) bool { return strings.Contains(text, token) }); len(found) != 0 {
			t.Errorf("the token is in %v", found)
		}
	}
	if o := p.do("lakebase-credential-helper", "list").wantExit(0); !strings.Contains(o.stdout, " kernel ") {
		t.Errorf("list does not name the store:\n%s", o.stdout)
	}
	p.get(p.command("lakebase-credential-helper", "get", "--cache", "file"))
	p.get(p.command("lakebase-credential-helper", "get", "--cache", "keychain"))
	if found := filesWhere(t, p.run, func(_, text string) bool { return strings.Contains(text, "eyJ") }); len(found) != 1 {
		t.Errorf("the search finds tokens in %v, want one file", found)
	}
	p.do("lakebase-credential-helper", "logout").wantExit(0)
	for _, store := range []string{"kernel", "file", "keychain"} {
		if o := p.do("lakebase-credential-helper", "list", "--cache", store).wantExit(0); strings.Contains(o.stdout, l.ClientID) {
			t.Errorf("after logout %s holds\n%s", store, o.stdout)
		}
	}

	// A new login leaves none of the old tokens in a store that is not in use.
	p.login()
	for _, store := range []string{"kernel", "file", "keychain"} {
		p.get(p.command("lakebase-credential-helper", "get", "--cache", store))
	}
	p.set("LAKEBASE_CACHE=off")
	p.login()
	for _, store := range []string{"kernel", "file", "keychain"} {
		if o := p.do("lakebase-credential-helper", "list", "--cache", store).wantExit(0); strings.Contains(o.stdout, "TOKEN OF") &&
			strings.Contains(o.stdout, "primary") && strings.Contains(strings.SplitN(o.stdout, "TOKEN OF", 2)[1], l.ClientID) {
			t.Errorf("after a new login %s holds\n%s", store, o.stdout)
		}
	}
}
