//go:build unix

package cli

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

// restoreAtEnd, unless nil, is called before a signal ends the process.
var restoreAtEnd atomic.Pointer[func()]

// ending receives the signals that end the process.
var ending = make(chan os.Signal, 1)

// EndBySignal makes the signals that end processes end this one as they end others. The
// Go runtime does so for HUP, INT and TERM, but on QUIT it would dump all stacks, in
// which arguments and so secrets may be, and exit with 2. As PID 1, which the kernel
// lets no signal end, it would exit with 2 on all four; the exit code is 128+n instead.
func EndBySignal() {
	list := []os.Signal{syscall.SIGQUIT}
	if os.Getpid() == 1 {
		list = append(list, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	}
	notify(ending, list...)
	go func() { end(<-ending) }()
}

// end ends the process by a signal.
func end(sig os.Signal) {
	if restore := restoreAtEnd.Load(); restore != nil {
		(*restore)()
	}
	os.Exit(process.RaiseSignal(sig.(syscall.Signal)))
}

// HoldSignals catches the signals that would end this process, until release.
func HoldSignals() (caught <-chan os.Signal, release func()) {
	c := make(chan os.Signal, 8)
	notify(c, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	signal.Stop(ending)
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

// RestoreOnSignal calls restore before a signal ends the process, until stop, and before
// one stops it; it calls resume when the process is continued. Both may be called after
// stop: once SIGTSTP was caught, only we can stop the process.
func RestoreOnSignal(restore, resume func()) (stop func()) {
	restoreAtEnd.Store(&restore)
	atEnd := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGABRT}
	notify(ending, atEnd...)
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE) // a write to a closed pipe must not end us
	jobs := make(chan os.Signal, 8)
	signal.Notify(jobs, syscall.SIGCONT)
	if !process.IgnoresTSTP() {
		signal.Notify(jobs, syscall.SIGTSTP)
	}
	go func() {
		for sig := range jobs {
			if sig == syscall.SIGTSTP {
				restore()
				process.StopByTSTP()
			}
			resume()
		}
	}()
	return func() {
		restoreAtEnd.Store(nil)
		signal.Stop(pipe)
		if os.Getpid() != 1 {
			signal.Reset(atEnd...)
		}
	}
}
