//go:build unix

package process

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// core is this process's limit of core dumps as our caller had it, once Harden
// has set it to 0.
var core struct {
	sync.Mutex
	before *unix.Rlimit
}

// Harden keeps other processes out of our memory, which holds the secret. On
// Linux no other process of our user, the command included, can read our /proc
// entry or trace us any more, and there is no core dump (PR_SET_DUMPABLE(2const);
// root can still do so). On other Unixes there is only no core dump, and Windows
// has nothing like it. The command is not affected: it has our caller's limit,
// and execve makes it open to its user again. Call it before the secret is read.
// It may be called twice.
func Harden() error {
	core.Lock()
	defer core.Unlock()
	if core.before == nil {
		var before unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
			return err
		}
		if err := setCoreLimit(before, true); err != nil {
			return err
		}
		core.before = &before
	}
	return closeProcess()
}

// setCoreLimit leaves the hard limit alone: only root could raise it again for
// the command.
func setCoreLimit(l unix.Rlimit, none bool) error {
	if none {
		l.Cur = 0
	}
	return unix.Setrlimit(unix.RLIMIT_CORE, &l)
}

// withCoreLimit starts a command with our caller's limit. The limit is ours as
// well for that moment, for Go cannot set it between fork and exec.
func withCoreLimit(start func() (pid int, err error)) (int, error) {
	core.Lock()
	defer core.Unlock()
	if core.before == nil {
		return start()
	}
	if err := setCoreLimit(*core.before, false); err != nil {
		return 0, err
	}
	defer func() { _ = setCoreLimit(*core.before, true) }()
	return start()
}

// DieOf ends this process by the signal that the command died of, so that our
// caller sees what it would have seen without us; there is no core dump of ours.
// It returns only if the system does not let us die so (as PID 1, or of a signal
// that does not kill), with 128+n to exit with.
func DieOf(sig syscall.Signal) (exitCode int) {
	_ = Harden()
	die(sig)
	return 128 + int(sig)
}
