//go:build unix && !linux

package process

import (
	"syscall"
	"time"
	"unsafe"
)

// This file is for macOS; it also compiles on BSDs with the same system call.
// (Not run there yet.)

// catchesTSTP: here Ctrl-Z stops us together with the command, because only on
// Linux can the Go runtime's handler be put back afterwards.
const catchesTSTP = false

// setNotDumpable does nothing: macOS has no such call, and shows a process's
// initial environment to processes of the same user (ps -E).
func setNotDumpable() error { return nil }

// isIgnored leaves it to signal.Ignored, which does not cover TSTP, TTIN, TTOU and
// CONT.
func isIgnored(syscall.Signal) bool { return false }

// stopSelf stops this process like the child. In an orphaned process group the
// kernel discards the signal (POSIX).
func stopSelf(sig syscall.Signal) {
	if sig == syscall.SIGSTOP {
		sig = syscall.SIGTSTP
	}
	_ = syscall.Kill(syscall.Getpid(), sig)
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
