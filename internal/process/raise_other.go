//go:build unix && !linux

package process

import (
	"syscall"
	"time"
	"unsafe"
)

// This file is for macOS and is built on the BSDs that have its system call.
// (Not run there by anyone yet.)

// catchesTSTP: here Ctrl-Z stops us at once, together with the command. Go
// cannot give TSTP back its default action once it was caught, and only Linux
// lets us put Go's handler in place again.
const catchesTSTP = false

// closeProcess has nothing to call: macOS shows the environment a process began
// with to all of the same user (ps -E), so that no secret may be in there.
func closeProcess() error { return nil }

// ignored: TSTP, TTIN, TTOU and CONT are not looked at, only what signal.Ignored
// knows.
func ignored(syscall.Signal) bool { return false }

// stopSelf stops this process as the child was stopped. Where no shell could
// wake us the kernel discards the signal (POSIX, orphaned process group).
func stopSelf(sig syscall.Signal) {
	if sig == syscall.SIGSTOP {
		sig = syscall.SIGTSTP
	}
	_ = syscall.Kill(syscall.Getpid(), sig)
}

// die sets the default action past the Go runtime, which would print its stacks
// for QUIT and do nothing for USR1. The signal may be delivered to another
// thread: that takes a moment.
func die(sig syscall.Signal) {
	var byDefault [8]uint64 // longer than the kernel's struct sigaction; zero is SIG_DFL
	_, _, _ = syscall.RawSyscall(syscall.SYS_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&byDefault)), 0)
	_ = syscall.Kill(syscall.Getpid(), sig)
	time.Sleep(time.Second)
}
