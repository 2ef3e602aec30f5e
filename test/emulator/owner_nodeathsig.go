//go:build unix && !linux

package emulator

import "syscall"

// dieWithParent does nothing: only Linux has the signal.
func dieWithParent(*syscall.SysProcAttr) {}
