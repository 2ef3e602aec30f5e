package main

import (
	"os/exec"
	"path/filepath"
	"syscall"
)

// systemBrowser hands the address to the protocol's handler. cmd's start would
// read its & as the end of a command. (Not run on Windows by anyone yet.)
func systemBrowser(env func(string) string, address string) [][]string {
	root := env("SYSTEMROOT")
	if root == "" {
		root = `C:\Windows`
	}
	return [][]string{{filepath.Join(root, "System32", "rundll32.exe"), "url.dll,FileProtocolHandler", address}}
}

// detach keeps the console's events from the browser.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
