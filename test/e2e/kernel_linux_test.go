package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// The kernel's keyring is one for all programs of a user, so every "logout --all" of a
// test runs without access to it.

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
