//go:build unix

package cli

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// beforeQuit is what is done before the process dies of SIGQUIT, if anything.
var beforeQuit atomic.Pointer[func()]

var quit = make(chan os.Signal, 1)

// HoldSignals catches what would end this process, from now on until release, so
// that there is time to tidy up. came gives them.
func HoldSignals() (came <-chan os.Signal, release func()) {
	c := make(chan os.Signal, 8)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT} {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
	signal.Stop(quit)
	return c, func() { signal.Stop(c) }
}

// SignalNumber is the signal of this name, without SIG; 0 is none.
func SignalNumber(name string) syscall.Signal { return unix.SignalNum("SIG" + name) }

// DieOfQuit makes SIGQUIT kill the process as it kills others. Go's own answer
// to it is a dump of all stacks, in which arguments and so secrets may stand,
// and exit code 2. A shell has the signal's default, and no core may be left.
func DieOfQuit() {
	if signal.Ignored(syscall.SIGQUIT) {
		return
	}
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		<-quit
		if restore := beforeQuit.Load(); restore != nil {
			(*restore)()
		}
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
		_ = syscall.Exec("/bin/sh", []string{"sh", "-c", "kill -s QUIT $$"}, nil)
		os.Exit(128 + int(syscall.SIGQUIT))
	}()
}
