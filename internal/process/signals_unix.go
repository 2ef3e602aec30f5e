//go:build unix

package process

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded is what we catch in order to hand it on. How often it comes is how
// often the command gets it, as far as the system does not merge two of a kind
// that are under way at the same time; nothing is ever made of it that was not
// sent, such as a SIGKILL after the third SIGINT.
//
//	HUP          an end, or "read your configuration again"
//	INT, QUIT    an end, or "cancel the statement"; the STOPSIGNAL of some container images
//	TERM         an end
//	USR1, USR2   the command's own
//	ALRM         a caller's alarm(2) outlives execve and is meant for the command (perl -e 'alarm 5; exec ...')
//	WINCH        a window's new size; httpd's graceful stop
//	CONT         wakes the command, if it is stopped
//
// Without a terminal the three that stop a job come from a process only, and are
// the command's own as well (gunicorn counts its workers by TTIN and TTOU). They
// do not stop us: what we do for the command goes on.
//
// PIPE is caught and dropped: it is about our own writing, and uncaught it would
// end us when the reader of our standard error goes away (os/signal, SIGPIPE).
// Never handed on: CHLD is ours, URG is the Go runtime's own, ILL, TRAP, ABRT,
// BUS, FPE, SEGV and SYS tell of our own faults, and KILL and STOP cannot be
// caught. HUP and INT that our caller had us ignore (nohup) we do not touch: the
// command inherits that.
//
// On a terminal the command is in our process group. What the terminal sends
// goes to the group: the command has it already, and it is not sent again. The
// kernel does not tell Go who sent a signal, so we look at what the terminal can
// have sent at that moment: INT, QUIT, TSTP and WINCH only while our group is in
// the foreground; HUP, unless we lead the session, only when the terminal is
// gone. All else is handed on to the command's process. One case is lost: a
// process that sends one of those four to us alone while we are in the
// foreground. It should send it to the group. And who sends another signal, such
// as TERM, to the whole group (kill %1), reaches the command twice.
//
// Ctrl-Z: we catch TSTP (on Linux) and stop after the command has: a command that
// sets the terminal right before it stops must be done before the shell comes
// back. TTIN and TTOU stop us by themselves, as the kernel sends them to the
// whole group.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGCONT,
}

var stopping = []os.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU}

// signals are caught from catch to release.
type signals struct {
	children chan os.Signal // SIGCHLD: holds one, for one look sees all changes
	others   chan os.Signal
}

func catch(terminal bool) *signals {
	// os/signal drops what a channel has no room for; the loop is quick.
	s := &signals{make(chan os.Signal, 1), make(chan os.Signal, 64)}
	signal.Notify(s.children, syscall.SIGCHLD)
	list := append([]os.Signal{syscall.SIGPIPE}, forwarded...)
	switch {
	case !terminal:
		list = append(list, stopping...)
	case catchesTSTP:
		list = append(list, syscall.SIGTSTP)
	}
	for _, sig := range list {
		if !signal.Ignored(sig) && !ignored(sig.(syscall.Signal)) {
			signal.Notify(s.others, sig)
		}
	}
	return s
}

func (s *signals) release() {
	signal.Stop(s.children)
	signal.Stop(s.others)
}

// handle does what is to be done about a signal that was sent to us.
func (p *parent) handle(sig syscall.Signal) (over bool) {
	switch {
	case sig == syscall.SIGPIPE:
	case sig == syscall.SIGCONT && p.terminal:
		// fg wakes the whole group. Only if CONT was sent to us alone is the command
		// still asleep.
		if p.collect() {
			return true
		}
		if p.stopped {
			_ = p.send(sig)
		}
	case !p.terminal || !sentByTerminal(sig):
		_ = p.send(sig)
	}
	p.callOff(sig)
	return false
}

// callOff ends a restart when a signal asks for the end of the command.
func (p *parent) callOff(sig os.Signal) {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM:
		p.settle(ErrCalledOff)
	case syscall.SIGHUP:
		if p.terminal && !hasTerminal() {
			p.settle(ErrCalledOff)
		}
	}
}

// sentByTerminal says whether the terminal can have sent a signal.
func sentByTerminal(sig syscall.Signal) bool {
	group, err := foreground()
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGWINCH:
		return err == nil && group == syscall.Getpgrp()
	case syscall.SIGHUP:
		// The leader of the session is told alone, its foreground group when the
		// leader ends or, by a shell, when that is told (tty_ioctl(4), setsid(2)).
		sid, _ := unix.Getsid(0)
		return err != nil && sid != syscall.Getpid()
	}
	return false
}

func hasTerminal() bool {
	_, err := foreground()
	return err == nil
}

// foreground returns the foreground process group of our controlling terminal.
// It fails without one, and when that is hung up.
func foreground() (group int, err error) {
	for fd := range 3 { // they need no file to be opened, and no /dev
		if group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil {
			return group, nil
		}
	}
	var fd int
	err = restart(func() error {
		fd, err = unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.IoctlGetInt(fd, unix.TIOCGPGRP)
}
