//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// detach starts the browser in a new session: Ctrl-C and the end of the terminal do
// not reach it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
