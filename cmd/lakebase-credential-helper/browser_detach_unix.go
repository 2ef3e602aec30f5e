//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// detach gives the browser a session of its own: Ctrl-C and the end of the
// terminal are not for it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
