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

// parent is the one goroutine that knows the child: it alone starts it, signals it
// and waits for it, so that no signal can go to a pid that is free again.
type parent struct {
	*Supervised
	command    Command
	reap       int      // what wait4 waits for: 0 is the child, -1 is everybody
	terminal   bool     // the child is in our own process group, on a terminal
	pid        int      // the child, 0 between two; and its process group unless terminal
	stopped    bool     // by a signal such as SIGTSTP
	caught     *signals // what is sent to us
	restarting *restartRequest
	grace      <-chan time.Time // the end of restarting's patience
}

// Supervise starts the command as a child, with exactly the environment given,
// and returns. A ctx that has ended starts nothing; later it changes nothing. The
// child has our descriptors 0 to 2 and what our own caller left open for it (a
// shell's <(...), say), and none that we opened.
//
// Where we have a controlling terminal the child stays in our process group, as
// the shell's job control needs it; elsewhere it leads its own. What that means
// for signals is said at the list of them, in signals_unix.go.
//
// Errors: as for Exec, and ctx's. There is at most one Supervise at a time.
func Supervise(ctx context.Context, c Command, environ []string, o Options) (*Supervised, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(c.Argv) == 0 {
		return nil, &StartError{Path: c.Path, Err: errors.New("it has no name")}
	}
	p := &parent{Supervised: newSupervised(), command: c, terminal: hasTerminal()}
	if o.PID1 {
		p.reap = -1
	}
	p.caught = catch(p.terminal)
	if o.Caught != nil {
		o.Caught()
	}
	if err := p.start(environ); err != nil {
		p.caught.release()
		return nil, err
	}
	go p.loop()
	return p.Supervised, nil
}

func (p *parent) start(environ []string) error {
	pid, err := withCoreLimit(func() (int, error) {
		return syscall.ForkExec(p.command.Path, p.command.Argv, &syscall.ProcAttr{
			Env:   environ,
			Files: []uintptr{0, 1, 2},
			Sys:   &syscall.SysProcAttr{Setpgid: !p.terminal},
		})
	})
	if err != nil {
		return execError(p.command.Path, err)
	}
	p.pid, p.stopped = pid, false
	p.Supervised.pid.Store(int64(pid))
	return nil
}

// loop ends when the command has.
func (p *parent) loop() {
	for over := false; !over; {
		restarts := p.restarts
		if p.restarting != nil {
			restarts = nil
		}
		select {
		case <-p.caught.children:
			over = p.collect()
		case sig := <-p.caught.others:
			over = p.handle(sig.(syscall.Signal))
		case q := <-p.signals:
			q.reply <- p.request(q.signal)
		case q := <-restarts:
			over = p.askToEnd(q)
		case <-p.grace:
			_ = p.send(syscall.SIGKILL)
		}
	}
}

// collect asks the system what has become of the child. It returns true when all
// is over.
func (p *parent) collect() (over bool) {
	for {
		target := p.pid
		if p.reap != 0 {
			target = p.reap
		}
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(target, &ws, syscall.WNOHANG|syscall.WUNTRACED|syscall.WCONTINUED, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return p.end(Status{}, ErrLost)
		case pid == 0:
			return false
		case pid != p.pid: // an orphan that PID 1 was given
		case ws.Stopped():
			p.stopped = true
			switch {
			case p.terminal: // the shell has to see its job stopped, to take the terminal back
				stopSelf(ws.StopSignal())
			case p.restarting != nil: // it has to hear SIGTERM
				_ = p.send(syscall.SIGCONT)
			}
		case ws.Continued():
			p.stopped = false
		default:
			p.pid = 0 // its number is free again
			p.lastSignals()
			if p.restarting == nil {
				return p.end(statusOf(ws), nil)
			}
			if err := p.startAgain(); err != nil {
				return p.end(Status{}, err)
			}
		}
	}
}

func statusOf(ws syscall.WaitStatus) Status {
	if ws.Signaled() {
		return Status{ExitCode: 128 + int(ws.Signal()), Signal: ws.Signal(), CoreDumped: ws.CoreDump()}
	}
	return Status{ExitCode: ws.ExitStatus()}
}

func (p *parent) end(status Status, err error) (over bool) {
	p.settle(cmp.Or(err, ErrEnded))
	p.caught.release()
	p.finish(status, err)
	return true
}

// settle answers the Restart that is under way, if there is one.
func (p *parent) settle(err error) {
	if p.restarting != nil {
		p.restarting.reply <- err
	}
	p.restarting, p.grace = nil, nil
}

// request is Signal.
func (p *parent) request(sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok {
		return errors.ErrUnsupported
	}
	return p.send(s)
}

// askToEnd is the first half of Restart: it asks the command to end.
func (p *parent) askToEnd(q restartRequest) (over bool) {
	if p.collect() { // it ended by itself: that is its end
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

// lastSignals looks whether the child that is gone was told to end by others
// too: signals overtake each other, and a Ctrl-C may be here after SIGCHLD. The
// other signals were for the child that is gone.
func (p *parent) lastSignals() {
	for moment := time.After(20 * time.Millisecond); p.restarting != nil; {
		select {
		case sig := <-p.caught.others:
			p.callOff(sig)
		case <-moment:
			return
		}
	}
}

// startAgain is the second half.
func (p *parent) startAgain() error {
	err := p.start(p.restarting.environ)
	p.settle(err)
	return err
}

// send signals the child: on a terminal its process, for the group is ours too,
// and else its group. The child is not reaped yet, so that its pid is its own.
func (p *parent) send(sig syscall.Signal) error {
	if !p.terminal {
		// A group can be gone before its first member: that one can go to another.
		if err := syscall.Kill(-p.pid, sig); err != syscall.ESRCH {
			return err
		}
	}
	return syscall.Kill(p.pid, sig)
}
