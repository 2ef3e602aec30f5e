//go:build unix && !linux

package emulator

import "syscall"

// dieWithParent does nothing: only Linux has parent-death signals.
func dieWithParent(*syscall.SysProcAttr) {}
