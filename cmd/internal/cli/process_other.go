//go:build !unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// EndBySignal does nothing: the Go runtime ends the process on console events.
func EndBySignal() {}

// HoldSignals catches the signals that would end this process, until release.
func HoldSignals() (caught <-chan os.Signal, release func()) {
	c := make(chan os.Signal, 8)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	return c, func() { signal.Stop(c) }
}

// cleanUpOnSignal does nothing: a signal leaves the spinner's line on the terminal.
func cleanUpOnSignal(func()) (stop func()) { return func() {} }

// SignalNumber returns 0: no signal can be sent here.
func SignalNumber(string) syscall.Signal { return 0 }

// ReexecWithoutSecrets does nothing: other users cannot read an environment here.
func (e *Environment) ReexecWithoutSecrets() error { return nil }

func readPipedSecrets(environ []string) (all []string, piped bool) { return environ, false }

// isClosed cannot be known here.
func isClosed(*os.File) bool { return false }
