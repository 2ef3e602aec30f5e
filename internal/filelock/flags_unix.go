//go:build unix

package filelock

import (
	"os"
	"syscall"
)

// openFlags do not follow a symbolic link.
const openFlags = os.O_CREATE | os.O_RDWR | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
