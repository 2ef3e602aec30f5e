package process

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// catchesTSTP: Go cannot give TSTP back its default action once it was caught
// (signal.Reset leaves the runtime's handler, which does nothing), so stopSelf
// does that itself.
const catchesTSTP = true

// closeProcess is PR_SET_DUMPABLE: our /proc entry belongs to root now, and is
// still open to ourselves.
func closeProcess() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// action is at least as long as the kernel's struct sigaction, whose first word
// is the handler on amd64 and arm64; the zero value is SIG_DFL.
type action [8]uint64

const ignore = 1 // SIG_IGN

// sigaction is rt_sigaction, past the Go runtime.
func sigaction(sig syscall.Signal, set, old *action) error {
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// ignored adds to signal.Ignored the signals for which Go leaves alone what it
// finds: TSTP, TTIN, TTOU and CONT.
func ignored(sig syscall.Signal) bool {
	var now action
	return sigaction(sig, nil, &now) == nil && now[0] == ignore
}

// raise sends a signal to this very thread: it has taken effect when raise
// returns.
func raise(sig syscall.Signal) { _ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig) }

// stopSelf stops this process as the child was stopped, and returns when it is
// woken. The signal is never STOP: where no shell could wake us the kernel
// discards the others (POSIX, orphaned process group). A Ctrl-Z in the instant
// before the handler is back stops us ahead of the command.
func stopSelf(sig syscall.Signal) {
	if sig == syscall.SIGSTOP {
		sig = syscall.SIGTSTP
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before action
	if sigaction(sig, &action{}, &before) != nil {
		return
	}
	raise(sig)
	_ = sigaction(sig, &before, nil)
}

// die is fatal unless the kernel forbids it.
func die(sig syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = sigaction(sig, &action{}, nil)
	var set unix.Sigset_t
	if n := uint(sig) - 1; n < 64 { // our caller may have blocked it
		set.Val[0] = 1 << n
	}
	_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil)
	raise(sig)
}
