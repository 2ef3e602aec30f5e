//go:build unix

package process

import (
	"os"
	"os/signal"
	"syscall"
)

// forwarded are the signals that are caught and passed on to the command, which is in
// another process group and gets none of them twice. Those that the caller ignores (nohup)
// are not caught; the command inherits that. ALRM: a caller's alarm(2) survives execve.
//
// Without a terminal the stop signals are forwarded too (gunicorn scales its workers with
// TTIN and TTOU) and do not stop us. PIPE is caught and dropped: it would end us when the
// reader of our standard error exits (os/signal, SIGPIPE).
//
// Ctrl-Z: we stop only after the command has, so that it can restore the terminal before
// the shell resumes. With a terminal the kernel sends TTIN and TTOU to our group when
// another process of the job uses it in the background, and they must stop us too; a
// session leader cannot be stopped and catches them.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGCONT,
}

var stopSignals = []os.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU}

func (s *Supervised) catchSignals() {
	s.terminal, s.foreground = hasTerminal(), hasOwnJob()
	signal.Notify(s.changed, syscall.SIGCHLD)
	list := append([]os.Signal{syscall.SIGPIPE}, forwarded...)
	switch {
	case !s.terminal || isSessionLeader():
		list = append(list, stopSignals...)
	case catchesTSTP:
		list = append(list, syscall.SIGTSTP)
	}
	for _, sig := range list {
		if !signal.Ignored(sig) && !IsIgnored(sig.(syscall.Signal)) {
			signal.Notify(s.caught, sig)
		}
	}
}

// handle forwards a signal that was sent to us.
func (s *Supervised) handle(sig os.Signal) {
	switch sig {
	case syscall.SIGPIPE:
		return
	case syscall.SIGCONT:
		if s.timerSignal == syscall.SIGCONT {
			s.timer = nil
		}
		if s.foreground {
			s.giveTerminal()
		}
	}
	_ = s.send(sig.(syscall.Signal))
	s.cancelRestart(sig)
}

// cancelRestart cancels a restart in progress if a signal asks the command to end.
func (s *Supervised) cancelRestart(sig os.Signal) {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM:
		s.finishRestart(ErrEnded)
	case syscall.SIGHUP:
		if s.terminal && !hasTerminal() {
			s.finishRestart(ErrEnded)
		}
	}
}

// RaiseSignal ends this process by the signal that the command died of, without a core
// dump. If the signal does not end us, as PID 1, it returns 128+n as the exit code.
func RaiseSignal(sig syscall.Signal) (exitCode int) {
	_ = DisableCoreDumps()
	raiseDefault(sig)
	return 128 + int(sig)
}
