//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// RestoreOnSignal calls restore and then dies of the signal, when one comes
// that ends the process. stop ends the watch.
func RestoreOnSignal(restore func()) (stop func()) {
	c := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case s := <-c:
			restore()
			signal.Reset()
			_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
		case <-done:
		}
	}()
	return func() { signal.Stop(c); close(done) }
}
