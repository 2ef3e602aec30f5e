//go:build unix

package rundir

import (
	"os"
	"syscall"
)

// lockFlags never follow a link, and leave the lock out of commands.
const lockFlags = os.O_RDWR | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
