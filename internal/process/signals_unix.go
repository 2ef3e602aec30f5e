//go:build unix

package process

import (
	"os"
	"os/signal"
	"syscall"
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
// The command has its own process group, so none of these reaches it unless we send
// it: a signal to us or to our group arrives once. What the keyboard sends goes to the
// terminal's foreground group: to the command's group if it has the terminal, otherwise
// to ours and from us to the command (see hasOwnJob).
//
// Ctrl-Z: we stop only after the command has, because a command that restores the
// terminal first must be done before the shell resumes. With a terminal TTIN and TTOU
// are not caught: the kernel sends them to our group when another process of the job
// uses the terminal in the background, and stops us too. A session leader catches them:
// it cannot be stopped by them.
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
	case !terminal || isSessionLeader():
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

// IgnoresTSTP reports whether our caller has us ignore SIGTSTP.
func IgnoresTSTP() bool { return isIgnored(syscall.SIGTSTP) }

func (s *caughtSignals) release() {
	signal.Stop(s.child)
	signal.Stop(s.others)
}

// handle processes a signal that was sent to us.
func (p *parent) handle(sig syscall.Signal) {
	switch sig {
	case syscall.SIGPIPE:
		return
	case syscall.SIGCONT:
		p.unstoppable = nil
		if p.foreground {
			p.giveTerminal()
		}
	}
	_ = p.send(sig)
	p.cancelRestart(sig)
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
