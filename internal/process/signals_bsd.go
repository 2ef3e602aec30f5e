//go:build unix && !linux

package process

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// This file is for macOS; it also compiles on BSDs with the same system call.
// (Not run there yet.)

// catchesTSTP: only on Linux can the Go runtime's handler be put back afterwards. Here
// a SIGTSTP to our group stops us, and the command runs on in the background.
const catchesTSTP = false

// setNotDumpable does nothing: macOS has no such call, and shows a process's
// initial environment to processes of the same user (ps -E).
func setNotDumpable() error { return nil }

// isIgnored leaves it to signal.Ignored, which does not cover TSTP, TTIN, TTOU and
// CONT.
func isIgnored(syscall.Signal) bool { return false }

// stopSelf stops this process, or its whole process group, like the child. In an
// orphaned process group the kernel discards the signal (POSIX).
func stopSelf(sig syscall.Signal, group bool) {
	if sig == syscall.SIGSTOP {
		sig = syscall.SIGTSTP
	}
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
	const block, setMask = 1, 3 // SIG_BLOCK and SIG_SETMASK
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, before [4]uint32 // at least as large as sigset_t
	set[0] = 1 << (syscall.SIGTTOU - 1)
	if _, _, e := syscall.RawSyscall(syscall.SYS_SIGPROCMASK, block, uintptr(unsafe.Pointer(&set)), uintptr(unsafe.Pointer(&before))); e == 0 {
		defer func() {
			_, _, _ = syscall.RawSyscall(syscall.SYS_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&before)), 0)
		}()
	}
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
