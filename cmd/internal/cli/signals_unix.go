//go:build unix

package cli

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// restoreBeforeQuit, unless nil, is called before SIGQUIT ends the process.
var restoreBeforeQuit atomic.Pointer[func()]

var quit = make(chan os.Signal, 1)

// HoldSignals catches the signals that would end this process, until release.
func HoldSignals() (caught <-chan os.Signal, release func()) {
	c := make(chan os.Signal, 8)
	notify(c, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	signal.Stop(quit)
	return c, func() { signal.Stop(c) }
}

// notify relays the signals that are not ignored.
func notify(c chan<- os.Signal, signals ...os.Signal) {
	for _, s := range signals {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
}

// SignalNumber returns the signal of a name without SIG; 0 if there is none.
func SignalNumber(name string) syscall.Signal { return unix.SignalNum("SIG" + name) }

// ResetSIGQUIT makes SIGQUIT kill the process as it kills others. Go would dump all
// stacks, in which arguments and so secrets may be, and exit with 2. A shell has the
// signal's default action, and no core is dumped.
func ResetSIGQUIT() {
	if signal.Ignored(syscall.SIGQUIT) {
		return
	}
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		<-quit
		if restore := restoreBeforeQuit.Load(); restore != nil {
			(*restore)()
		}
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
		_ = syscall.Exec("/bin/sh", []string{"sh", "-c", "kill -s QUIT $$"}, nil)
		os.Exit(128 + int(syscall.SIGQUIT))
	}()
}

// RestoreOnSignal calls restore before a signal ends the process, until stop.
func RestoreOnSignal(restore func()) (stop func()) {
	c := make(chan os.Signal, 1)
	done := make(chan struct{})
	notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	restoreBeforeQuit.Store(&restore)
	go func() {
		select {
		case s := <-c:
			restore()
			signal.Reset()
			_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
		case <-done:
		}
	}()
	return func() { restoreBeforeQuit.Store(nil); signal.Stop(c); close(done) }
}
