package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
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
	const fill = `n=0 failed=0
while [ $n -lt 100 ] && [ $failed -lt 5 ]; do
	if head -c 500 /dev/zero | keyctl padd user filler$n @u; then n=$((n+1)) failed=0; else failed=$((failed+1)); sleep 0.2; fi
done 2>&1`
	p.finish(as(t, otherUID, p.command("sh", "-c", fill))).wantExit(0)
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
