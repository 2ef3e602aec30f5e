//go:build unix

package process

import (
	"cmp"
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// parent is the state of the one goroutine that starts, signals and reaps the
// child, so that no signal can go to a PID that is free again.
type parent struct {
	*Supervised
	command     Command
	pid1        bool // reap all children, not only the command
	terminal    bool // there is a controlling terminal
	foreground  bool // the child's group gets the terminal whenever our group has it
	pid         int  // the child, and its process group; 0 between two
	stopped     bool // by a signal such as SIGTSTP
	caught      *caughtSignals
	restarting  *restartRequest
	grace       <-chan time.Time // when the child that is being restarted is killed
	unstoppable <-chan time.Time // when a stopped child is continued, as we have not been stopped
}

// continueAfter is how long SIGCONT may take to arrive after we have been stopped and
// continued. Without one we were not stopped, because our process group is orphaned.
const continueAfter = 100 * time.Millisecond

// Supervise starts the command as a child, with exactly the environment given, and
// returns. It starts nothing if ctx has ended; later, ctx has no effect. The child
// has descriptors 0 to 2 and those that our caller left open for it (a shell's
// <(...)), and none that we opened.
//
// The child leads a process group of its own, so that every signal to us or to our
// group can be forwarded to it, and reaches it once. See forwarded for the signals,
// and hasOwnJob for the terminal.
//
// Errors: as for Exec, and ctx's. There is at most one Supervise at a time.
func Supervise(ctx context.Context, c Command, environ []string, o Options) (*Supervised, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &parent{Supervised: newSupervised(), command: c, terminal: hasTerminal(), foreground: hasOwnJob(), pid1: o.PID1}
	p.caught = catchSignals(p.terminal)
	if o.SignalsCaught != nil {
		o.SignalsCaught()
	}
	if err := p.start(environ); err != nil {
		p.caught.release()
		return nil, err
	}
	go p.loop()
	return p.Supervised, nil
}

func (p *parent) start(environ []string) error {
	attr := &syscall.ProcAttr{Env: environ, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	pid := 0
	err := p.command.start(func(path string, argv []string) error {
		return withCallersCoreLimit(func() (err error) {
			pid, err = syscall.ForkExec(path, argv, attr)
			return err
		})
	})
	if err != nil {
		return err
	}
	p.pid, p.stopped = pid, false
	p.Supervised.pid.Store(int64(pid))
	if p.foreground {
		p.giveTerminal()
	}
	return nil
}

// loop runs until the command has ended.
func (p *parent) loop() {
	for ended := false; !ended; {
		restarts := p.restarts
		if p.restarting != nil {
			restarts = nil
		}
		select {
		case <-p.caught.child:
			ended = p.reap()
		case sig := <-p.caught.others:
			p.handle(sig.(syscall.Signal))
		case q := <-p.signals:
			q.reply <- p.sendRequested(q.signal)
		case q := <-restarts:
			ended = p.beginRestart(q)
		case <-p.grace:
			_ = p.send(syscall.SIGKILL)
		case <-p.unstoppable:
			p.unstoppable = nil
			_ = p.send(syscall.SIGCONT)
		}
	}
}

// reap collects status changes of the child. It reports whether the command has
// ended for good.
func (p *parent) reap() (ended bool) {
	for {
		target := p.pid
		if p.pid1 {
			target = -1
		}
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(target, &ws, syscall.WNOHANG|syscall.WUNTRACED|syscall.WCONTINUED, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return p.end(Status{}, ErrStatusLost)
		case pid == 0:
			return false
		case pid != p.pid: // an orphan
		case ws.Stopped():
			p.stopped = true
			p.childStopped(ws.StopSignal())
		case ws.Continued():
			p.stopped = false
		default:
			p.takeTerminal()
			p.pid, p.unstoppable = 0, nil // the PID may be reused from now on
			p.drainSignals()
			if p.restarting == nil {
				return p.end(statusOf(ws), nil)
			}
			err := p.start(p.restarting.environ)
			if err != nil {
				return p.end(Status{}, err)
			}
			p.finishRestart(nil)
		}
	}
}

func statusOf(ws syscall.WaitStatus) Status {
	if ws.Signaled() {
		return Status{ExitCode: 128 + int(ws.Signal()), Signal: ws.Signal(), CoreDumped: ws.CoreDump()}
	}
	return Status{ExitCode: ws.ExitStatus()}
}

func (p *parent) end(status Status, err error) (ended bool) {
	p.finishRestart(cmp.Or(err, ErrEnded))
	p.caught.release()
	p.finish(status, err)
	return true
}

// beginRestart asks the child to end; reap starts it again.
func (p *parent) beginRestart(q restartRequest) (ended bool) {
	if p.reap() { // it has ended by itself
		q.reply <- ErrEnded
		return true
	}
	p.restarting, p.grace = &q, time.After(q.grace)
	_ = p.send(syscall.SIGTERM)
	if p.stopped {
		_ = p.send(syscall.SIGCONT)
	}
	return false
}

// finishRestart answers the Restart in progress, if there is one.
func (p *parent) finishRestart(err error) {
	if p.restarting != nil {
		p.restarting.reply <- err
	}
	p.restarting, p.grace = nil, nil
}

// drainSignals checks whether a signal that ended the child also cancels the
// restart: signals are not ordered, and SIGINT may arrive after SIGCHLD. Other
// signals were for the child that has ended.
func (p *parent) drainSignals() {
	for timeout := time.After(20 * time.Millisecond); p.restarting != nil; {
		select {
		case sig := <-p.caught.others:
			p.cancelRestart(sig)
		case <-timeout:
			return
		}
	}
}

func (p *parent) sendRequested(sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok {
		return errors.ErrUnsupported
	}
	return p.send(s)
}

// send signals the child's process group. The child is not reaped yet, so the PID is
// its own.
func (p *parent) send(sig syscall.Signal) error {
	// The group does not exist if the child has moved to another one.
	if err := syscall.Kill(-p.pid, sig); err != syscall.ESRCH {
		return err
	}
	return syscall.Kill(p.pid, sig)
}
