//go:build unix

package process

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that are caught and passed on to the command, as often
// as they arrive (the system merges pending ones of a kind). No signal is sent that
// was not received: there is no SIGKILL after the third SIGINT.
//
//	HUP          terminate, or "reload your configuration"
//	INT, QUIT    terminate, or "cancel the statement"; STOPSIGNAL of some images
//	TERM         terminate
//	USR1, USR2   the command's own
//	ALRM         a caller's alarm(2) survives execve (perl -e 'alarm 5; exec ...')
//	WINCH        a new window size; httpd's graceful stop
//	CONT         continues the command if it is stopped
//
// Without a terminal the stop signals TSTP, TTIN and TTOU can only come from a
// process and are forwarded too (gunicorn scales its workers with TTIN and TTOU).
// They do not stop us: the token refresh continues.
//
// PIPE is caught and dropped: it concerns our own writes, and would end us when
// the reader of our standard error exits (os/signal, SIGPIPE). Never forwarded:
// CHLD is ours, URG is the Go runtime's, ILL, TRAP, ABRT, BUS, FPE, SEGV and SYS
// report our own faults, KILL and STOP cannot be caught. HUP and INT that the
// caller ignores (nohup) stay ignored; the command inherits that.
//
// On a terminal the command is in our process group. What the terminal sends goes
// to the whole group, so it is not forwarded again. The kernel does not tell Go
// the sender of a signal; terminalMaySend decides by what the terminal can have
// sent at that moment. Everything else is forwarded to the command's process. Two
// consequences: INT, QUIT, TSTP or WINCH sent by a process to us alone, while we
// are in the foreground, is lost (send it to the group); and another signal sent
// to the whole group, such as TERM by kill %1, reaches the command twice.
//
// Ctrl-Z: on Linux we catch TSTP and stop only after the command has, because a
// command that restores the terminal first must be done before the shell resumes.
// TTIN and TTOU stop us directly, as the kernel sends them to the whole group.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGCONT,
}

var stopSignals = []os.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU}

// caughtSignals are caught from catchSignals to release.
type caughtSignals struct {
	child  chan os.Signal // SIGCHLD; one is enough, as one reap sees all changes
	others chan os.Signal
}

func catchSignals(terminal bool) *caughtSignals {
	// os/signal drops signals that do not fit into the channel.
	s := &caughtSignals{make(chan os.Signal, 1), make(chan os.Signal, 64)}
	signal.Notify(s.child, syscall.SIGCHLD)
	list := append([]os.Signal{syscall.SIGPIPE}, forwarded...)
	switch {
	case !terminal:
		list = append(list, stopSignals...)
	case catchesTSTP:
		list = append(list, syscall.SIGTSTP)
	}
	for _, sig := range list {
		if !signal.Ignored(sig) && !isIgnored(sig.(syscall.Signal)) {
			signal.Notify(s.others, sig)
		}
	}
	return s
}

func (s *caughtSignals) release() {
	signal.Stop(s.child)
	signal.Stop(s.others)
}

// handle processes a signal that was sent to us.
func (p *parent) handle(sig syscall.Signal) (ended bool) {
	switch {
	case sig == syscall.SIGPIPE:
	case sig == syscall.SIGCONT && p.terminal:
		// fg continues the whole group. If CONT was sent to us alone, the command is
		// still stopped.
		if p.reap() {
			return true
		}
		if p.stopped {
			_ = p.send(sig)
		}
	case !p.terminal || !terminalMaySend(sig):
		_ = p.send(sig)
	}
	p.cancelRestart(sig)
	return false
}

// cancelRestart cancels a restart in progress if a signal asks the command to end.
func (p *parent) cancelRestart(sig os.Signal) {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM:
		p.finishRestart(ErrRestartCanceled)
	case syscall.SIGHUP:
		if p.terminal && !hasTerminal() {
			p.finishRestart(ErrRestartCanceled)
		}
	}
}

// terminalMaySend reports whether the terminal can have sent the signal.
func terminalMaySend(sig syscall.Signal) bool {
	group, err := foregroundGroup()
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGWINCH:
		return err == nil && group == syscall.Getpgrp()
	case syscall.SIGHUP:
		// On a hang-up only the session leader is signalled; the foreground group when
		// the leader ends, or by a shell (tty_ioctl(4), setsid(2)).
		sid, _ := unix.Getsid(0)
		return err != nil && sid != syscall.Getpid()
	}
	return false
}

func hasTerminal() bool {
	_, err := foregroundGroup()
	return err == nil
}

// foregroundGroup returns the foreground process group of our controlling
// terminal. It fails without one, and after a hang-up.
func foregroundGroup() (group int, err error) {
	for fd := range 3 { // these need no file to be opened, and no /dev
		if group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil {
			return group, nil
		}
	}
	var fd int
	for {
		fd, err = unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.IoctlGetInt(fd, unix.TIOCGPGRP)
}
