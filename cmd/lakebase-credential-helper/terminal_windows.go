package main

import (
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/term"
)

// promptSecret prompts and reads a line from the console without echo.
func promptSecret(in *os.File, out io.Writer, text string) ([]byte, error) {
	if _, err := io.WriteString(out, text); err != nil {
		return nil, err
	}
	return term.ReadPassword(int(in.Fd()))
}

// detach keeps the console's events from the browser.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
