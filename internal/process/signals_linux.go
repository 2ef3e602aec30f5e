package process

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// catchesTSTP: once SIGTSTP was caught, Go does not restore its default action
// (signal.Reset leaves the runtime's handler, which does nothing). stopSelf does
// it with a system call.
const catchesTSTP = true

// DisableCoreDumps protects this process's memory, which holds the secret: there is no
// core dump, and other processes of the same user can neither read our /proc entry nor
// trace us (PR_SET_DUMPABLE(2const)). execve makes the command dumpable again.
func DisableCoreDumps() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// sigactiont is at least as large as the kernel's struct sigaction. Its first word
// is the handler on amd64 and arm64; the zero value is SIG_DFL.
type sigactiont [8]uint64

const sigIgn = 1 // SIG_IGN

// sigaction calls rt_sigaction directly, without the Go runtime. It fails for KILL and STOP.
func sigaction(sig syscall.Signal, set, old *sigactiont) (ok bool) {
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	return e == 0
}

// IsIgnored adds to signal.Ignored the signals whose disposition Go does not
// change at start: TSTP, TTIN, TTOU and CONT.
func IsIgnored(sig syscall.Signal) bool {
	var current sigactiont
	return sigaction(sig, nil, &current) && current[0] == sigIgn
}

// raise sends a signal to the current thread: it has taken effect when raise returns.
func raise(sig syscall.Signal) { _ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig) }

// stopSelf stops this process, or its whole process group, like the child and returns
// once it is continued. It never uses SIGSTOP: in an orphaned process group, where no
// shell could continue us, the kernel discards the others (POSIX). A Ctrl-Z in the
// instant before the handler is restored stops us before the command.
func stopSelf(sig syscall.Signal, group bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before sigactiont
	sigaction(sig, &sigactiont{sigIgn}, &before)
	if group { // only the others: we would receive it at some time, perhaps after SIGCONT
		_ = syscall.Kill(0, sig)
	}
	sigaction(sig, &sigactiont{}, nil)
	raise(sig)
	sigaction(sig, &before, nil)
}

// StopByTSTP stops this process as SIGTSTP does, although it is caught, and returns once
// it is continued. A signal that ends processes ends this one as soon as it is continued:
// if it were caught, a read from the terminal in the background could stop us first.
func StopByTSTP() {
	_ = DisableCoreDumps()
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		var before sigactiont
		if !IsIgnored(sig) {
			sigaction(sig, &sigactiont{}, &before)
			defer sigaction(sig, &before, nil)
		}
	}
	stopSelf(syscall.SIGTSTP, false)
}

// withSIGTTOUBlocked calls f with SIGTTOU blocked in its thread.
func withSIGTTOUBlocked(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, before unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGTTOU - 1)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &set, &before) == nil {
		defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }()
	}
	f()
}

// raiseDefault restores the signal's default action, unblocks it and raises it.
func raiseDefault(sig syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sigaction(sig, &sigactiont{}, nil)
	var set unix.Sigset_t
	if n := uint(sig) - 1; n < 64 { // the caller may have blocked it
		set.Val[0] = 1 << n
	}
	_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil)
	raise(sig)
}
