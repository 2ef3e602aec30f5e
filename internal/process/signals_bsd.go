//go:build unix && !linux

package process

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is for macOS; it also compiles on BSDs with the same system call.
// (Not run there yet.)

// catchesTSTP: only on Linux can the Go runtime's handler be put back afterwards. Here
// a SIGTSTP to our group stops us, and the command runs on in the background.
const catchesTSTP = false

// DisableCoreDumps prevents core dumps of this process and of the command. macOS shows a
// process's initial environment to processes of the same user all the same (ps -E).
func DisableCoreDumps() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	limit.Cur = 0
	return unix.Setrlimit(unix.RLIMIT_CORE, &limit)
}

// IsIgnored leaves it to signal.Ignored, which does not cover TSTP, TTIN, TTOU and CONT.
func IsIgnored(syscall.Signal) bool { return false }

// stopSelf stops this process, or its whole process group, like the child. In an
// orphaned process group the kernel discards the signal (POSIX).
func stopSelf(sig syscall.Signal, group bool) {
	pid := syscall.Getpid()
	if group {
		pid = 0
	}
	_ = syscall.Kill(pid, sig)
}

// StopByTSTP stops this process as SIGTSTP does, although it is caught, and returns once
// it is continued. A session leader is not stopped: no shell could continue it.
func StopByTSTP() {
	if !isSessionLeader() {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	}
}

// withSIGTTOUBlocked calls f with SIGTTOU blocked in its thread.
func withSIGTTOUBlocked(f func()) {
	const block, unblock = 1, 2 // SIG_BLOCK and SIG_UNBLOCK
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	set := [4]uint32{1 << (syscall.SIGTTOU - 1)} // at least as large as sigset_t
	_, _, _ = syscall.RawSyscall(syscall.SYS_SIGPROCMASK, block, uintptr(unsafe.Pointer(&set)), 0)
	defer func() {
		_, _, _ = syscall.RawSyscall(syscall.SYS_SIGPROCMASK, unblock, uintptr(unsafe.Pointer(&set)), 0)
	}()
	f()
}

// raiseDefault sets the default action with a system call: the Go runtime would
// print stacks for QUIT and do nothing for USR1. The signal may be delivered to
// another thread, which takes a moment.
func raiseDefault(sig syscall.Signal) {
	var defaultAction [8]uint64 // larger than the kernel's struct sigaction; zero is SIG_DFL
	_, _, _ = syscall.RawSyscall(syscall.SYS_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&defaultAction)), 0)
	_ = syscall.Kill(syscall.Getpid(), sig)
	time.Sleep(time.Second)
}
