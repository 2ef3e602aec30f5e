//go:build unix

package process

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// continueAfter is how long SIGCONT may take to arrive after we have been stopped and
// continued. Without one we were not stopped, because our process group is orphaned,
// and the child must be continued.
const continueAfter = 100 * time.Millisecond

// hasOwnJob reports whether we are the only process of the shell's job, or a session
// leader as in a container: we lead our process group, and our output is not the input
// of another process. Then the command gets the terminal at its start.
//
// In a pipeline or a script the other processes need it too ("| less", Ctrl-C). There the
// command gets it when the kernel stops it for reading from it or changing its settings.
func hasOwnJob() bool {
	if syscall.Getpgrp() != syscall.Getpid() {
		return false
	}
	var stdout unix.Stat_t
	err := unix.Fstat(1, &stdout)
	kind := stdout.Mode & unix.S_IFMT
	return err != nil || kind != unix.S_IFIFO && kind != unix.S_IFSOCK // ksh connects a pipeline by sockets
}

func isSessionLeader() bool {
	sid, _ := unix.Getsid(0) // cannot fail for this process
	return sid == syscall.Getpid()
}

// childStopped follows the command when a signal has stopped it.
func (s *Supervised) childStopped(sig syscall.Signal) {
	wantsTerminal := sig == syscall.SIGTTIN || sig == syscall.SIGTTOU
	switch {
	case s.restarting != nil: // it must receive SIGTERM
		_ = s.send(syscall.SIGCONT)
	case !s.terminal:
	case wantsTerminal && s.giveTerminal():
		s.foreground = true
		_ = s.send(syscall.SIGCONT)
	default:
		// The shell must see its whole job stopped to take the terminal back. If our
		// group has the terminal, the keyboard has stopped the rest of the job.
		took, self := s.takeTerminal(), sig
		if sig == syscall.SIGSTOP {
			self = syscall.SIGTSTP
		}
		if !isSessionLeader() {
			stopSelf(self, took || wantsTerminal)
		}
		if sig != syscall.SIGSTOP {
			s.timer, s.timerSignal = time.After(continueAfter), syscall.SIGCONT
		}
	}
}

// giveTerminal makes the child's process group the foreground group if ours is. It
// reports whether the child's is.
func (s *Supervised) giveTerminal() bool {
	current, err := foregroundGroup()
	if err != nil {
		return false
	}
	return current == s.pid || current == syscall.Getpgrp() && setForegroundGroup(s.pid) == nil
}

// takeTerminal makes our process group the foreground group if the child's is, or if
// the child has left the terminal to a group that is gone. It reports whether it did.
func (s *Supervised) takeTerminal() bool {
	current, err := foregroundGroup()
	if err != nil || current != s.pid && syscall.Kill(-current, 0) != syscall.ESRCH {
		return false
	}
	return setForegroundGroup(syscall.Getpgrp()) == nil
}

func hasTerminal() bool {
	_, err := foregroundGroup()
	return err == nil
}

// foregroundGroup returns the foreground process group of our controlling terminal. It
// fails without one, and after a hang-up.
func foregroundGroup() (group int, err error) {
	err = onTerminal(func(fd int) (err error) {
		group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	return group, err
}

// setForegroundGroup sets the foreground process group of our controlling terminal.
func setForegroundGroup(group int) (err error) {
	withSIGTTOUBlocked(func() { // it would stop a process in the background that does this
		err = onTerminal(func(fd int) error { return unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group) })
	})
	return err
}

// onTerminal calls f with descriptors until one is that of our controlling terminal. In a
// chroot without /dev, and without free descriptors, only the first three are available.
func onTerminal(f func(fd int) error) error {
	for fd := range 3 {
		if err := f(fd); err == nil {
			return nil
		}
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer tty.Close()
	return f(int(tty.Fd()))
}
