//go:build unix

package cli

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

var (
	cleanUp atomic.Pointer[func()] // called before a signal ends the process, unless nil
	held    atomic.Bool            // HoldSignals has been called
)

// cleanUpTimeout bounds the cleanup: a terminal whose output is stopped (Ctrl-S) blocks it.
const cleanUpTimeout = time.Second

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
	if f := cleanUp.Load(); f != nil {
		done := make(chan struct{})
		go func() { (*f)(); close(done) }()
		select {
		case <-done:
		case <-time.After(cleanUpTimeout):
		}
	}
	os.Exit(process.RaiseSignal(sig.(syscall.Signal)))
}

// HoldSignals catches the signals that would end this process, until release.
func HoldSignals() (caught <-chan os.Signal, release func()) {
	held.Store(true)
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

// cleanUpOnSignal calls f before a signal ends the process, until stop. A signal that has
// arrived when stop is called still ends it. There is one f at a time.
func cleanUpOnSignal(f func()) (stop func()) {
	if held.Load() { // their holder ends the process
		return func() {}
	}
	cleanUp.Store(&f)
	caught, done := make(chan os.Signal, 1), make(chan struct{})
	notify(caught, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGABRT)
	go func() {
		defer close(done)
		if sig, ok := <-caught; ok {
			end(sig)
		}
	}()
	return func() {
		signal.Stop(caught)
		close(caught)
		<-done
		cleanUp.Store(nil)
	}
}

// RestoreOnSignal calls restore before a signal ends the process, until stop, and before
// one stops it; it calls resume when the process is continued. Both may be called after
// stop: once SIGTSTP was caught, only we can stop the process.
func RestoreOnSignal(restore, resume func()) (stop func()) {
	stopCleanUp := cleanUpOnSignal(restore)
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE) // a write to a closed pipe must not end us
	jobs := make(chan os.Signal, 8)
	signal.Notify(jobs, syscall.SIGCONT)
	if !process.IsIgnored(syscall.SIGTSTP) {
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
		stopCleanUp()
		signal.Stop(pipe)
	}
}
