//go:build unix

package process

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// DefaultPath is the search path without PATH (glibc, confstr(_CS_PATH)).
const DefaultPath = "/bin:/usr/bin"

// Exec replaces this process by the command, with exactly the environment given.
// It returns only on failure, always with exit code 0 and an *Error.
func Exec(c Command, environ []string) (exitCode int, err error) {
	return 0, c.start(func(path string, argv []string) error { return syscall.Exec(path, argv, environ) })
}

// start calls exec for the command. A script without a "#!" line runs by the shell, as
// with execvp (POSIX, exec). Errors: *Error.
func (c Command) start(exec func(path string, argv []string) error) error {
	err := exec(c.Path, c.Argv)
	if err == syscall.ENOEXEC && isShellScript(c.Path) {
		script := c.Path
		if script[0] == '-' { // sh would parse it as options
			script = "./" + script
		}
		err = exec("/bin/sh", append([]string{"/bin/sh", script}, c.Argv[1:]...))
	}
	switch {
	case err == nil:
		return nil
	case err == syscall.ENOENT, err == syscall.ENOTDIR:
		if _, statErr := os.Stat(c.Path); statErr != nil {
			return notFound(c.Path, "")
		}
		return notExecutable(c.Path, "its interpreter or loader was not found",
			"check the first line of a script, also for Windows line endings; a program may be built for another system", err)
	case err == syscall.E2BIG, err == syscall.ENOEXEC, err == syscall.ETXTBSY, err == syscall.ELOOP, errors.Is(err, os.ErrPermission):
		return notExecutable(c.Path, err.Error(), "", err)
	}
	return startFailed(c.Path, err)
}

// isShellScript reports whether a file starts with text, which bash too asks of a script,
// and names no interpreter.
func isShellScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 256) // from which Linux detects the format
	n, _ := io.ReadFull(f, head)
	return !bytes.HasPrefix(head, []byte("#!")) && bytes.IndexByte(head[:n], 0) < 0
}

// child is the state of the child on Unix.
type child struct {
	terminal   bool // there is a controlling terminal
	foreground bool // the child's group gets the terminal whenever our group has it
}

func (s *Supervised) start(environ []string) error {
	attr := &syscall.ProcAttr{Env: environ, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	err := s.command.start(func(path string, argv []string) (err error) {
		s.pid, err = syscall.ForkExec(path, argv, attr)
		return err
	})
	if err != nil {
		return err
	}
	if s.foreground {
		s.giveTerminal()
	}
	return nil
}

// reapChild collects status changes of the child.
func (s *Supervised) reapChild() (ended bool) {
	for {
		target := s.pid
		if os.Getpid() == 1 {
			target = -1
		}
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(target, &ws, syscall.WNOHANG|syscall.WUNTRACED, nil)
		switch {
		case err != nil:
			return s.end(Status{}, os.NewSyscallError("wait4", err))
		case pid == 0:
			return false
		case pid != s.pid: // an orphan
		case ws.Stopped():
			s.childStopped(ws.StopSignal())
		default:
			s.takeTerminal()
			status := Status{ExitCode: ws.ExitStatus()}
			if ws.Signaled() {
				status = Status{ExitCode: 128 + int(ws.Signal()), Signal: ws.Signal()}
			}
			if s.childEnded(status) {
				return true
			}
		}
	}
}

// terminate asks the child to end. One that is stopped must be continued to do so;
// systemd, too, sends SIGCONT in any case.
func (s *Supervised) terminate() {
	_ = s.send(syscall.SIGTERM)
	_ = s.send(syscall.SIGCONT)
}

// drainSignals checks whether a signal that ended the child also cancels the
// restart: signals are not ordered, and SIGINT may arrive after SIGCHLD. Other
// signals were for the child that has ended.
func (s *Supervised) drainSignals() {
	for timeout := time.After(20 * time.Millisecond); s.restarting != nil; {
		select {
		case sig := <-s.caught:
			s.cancelRestart(sig)
		case <-timeout:
			return
		}
	}
}

// send signals the child's process group. The child is not reaped yet, so the PID is
// its own.
func (s *Supervised) send(sig syscall.Signal) error {
	// The group does not exist if the child has moved to another one.
	if err := syscall.Kill(-s.pid, sig); err != syscall.ESRCH {
		return err
	}
	return syscall.Kill(s.pid, sig)
}

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
