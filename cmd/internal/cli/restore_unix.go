//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// RestoreOnSignal calls restore and then dies of the signal, when one comes
// that ends the process; SIGQUIT is left to DieOfQuit. stop ends the watch.
func RestoreOnSignal(restore func()) (stop func()) {
	c := make(chan os.Signal, 1)
	done := make(chan struct{})
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
	beforeQuit.Store(&restore)
	go func() {
		select {
		case s := <-c:
			restore()
			signal.Reset()
			_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
		case <-done:
		}
	}()
	return func() { beforeQuit.Store(nil); signal.Stop(c); close(done) }
}
