//go:build unix

package process

import (
	"os"
	"syscall"
	"time"
)

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
		case err == syscall.EINTR:
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
