//go:build unix

package filelock

import (
	"os"
	"syscall"
)

// openFlags never follow a link: a lock file is a plain file of ours.
const openFlags = os.O_CREATE | os.O_RDWR | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
