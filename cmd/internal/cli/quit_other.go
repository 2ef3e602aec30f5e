//go:build !unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// DieOfQuit has nothing to do where there is no SIGQUIT.
func DieOfQuit() {}

// HoldSignals catches what would end this process, from now on until release.
func HoldSignals() (came <-chan os.Signal, release func()) {
	c := make(chan os.Signal, 8)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	return c, func() { signal.Stop(c) }
}

// SignalNumber knows no signals here.
func SignalNumber(string) syscall.Signal { return 0 }
