//go:build unix

package process

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// core holds the caller's core dump limit once DisableCoreDumps has set it to 0.
var core struct {
	sync.Mutex
	caller *unix.Rlimit
}

// DisableCoreDumps protects this process's memory, which holds the secret. On Linux
// other processes of the same user, the command included, can then neither read
// our /proc entry nor trace us, and there is no core dump (PR_SET_DUMPABLE(2const);
// root still can). On other Unixes it only prevents core dumps; on Windows it does
// nothing. The command is unaffected: it gets the caller's limit, and execve makes
// it dumpable again. Call it before the secret is read; calling it twice is fine.
func DisableCoreDumps() error {
	core.Lock()
	defer core.Unlock()
	if core.caller == nil {
		var caller unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &caller); err != nil {
			return err
		}
		if err := setCoreLimit(0, caller); err != nil {
			return err
		}
		core.caller = &caller
	}
	return setNotDumpable()
}

// setCoreLimit sets the soft limit only: the hard limit could be raised again for
// the command by root alone.
func setCoreLimit(soft uint64, limit unix.Rlimit) error {
	limit.Cur = soft
	return unix.Setrlimit(unix.RLIMIT_CORE, &limit)
}

// withCallersCoreLimit runs start, which forks and executes, under the caller's
// limit: Go cannot set a limit between fork and exec.
func withCallersCoreLimit(start func() error) error {
	core.Lock()
	defer core.Unlock()
	if core.caller == nil {
		return start()
	}
	if err := setCoreLimit(core.caller.Cur, *core.caller); err != nil {
		return err
	}
	defer func() { _ = setCoreLimit(0, *core.caller) }()
	return start()
}

// RaiseSignal ends this process by the signal that the command died of, without a
// core dump, so that the caller sees the same wait status as without a wrapper. It
// returns only if the signal does not end us (as PID 1, or a signal that does not
// kill), with 128+n as the exit code.
func RaiseSignal(sig syscall.Signal) (exitCode int) {
	_ = DisableCoreDumps()
	raiseDefault(sig)
	return 128 + int(sig)
}
