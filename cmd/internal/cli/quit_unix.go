//go:build unix

package cli

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// beforeQuit is what is done before the process dies of SIGQUIT, if anything.
var beforeQuit atomic.Pointer[func()]

// DieOfQuit makes SIGQUIT kill the process as it kills others. Go's own answer
// to it is a dump of all stacks, in which arguments and so secrets may stand,
// and exit code 2. A shell has the signal's default, and no core may be left.
func DieOfQuit() {
	if signal.Ignored(syscall.SIGQUIT) {
		return
	}
	quit := make(chan os.Signal, 1)
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
