package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/windows"
)

// DisableCoreDumps does nothing: Windows has neither /proc nor core dumps.
func DisableCoreDumps() error { return nil }

// RaiseSignal does nothing: no process ends by a signal on Windows.
func RaiseSignal(sig syscall.Signal) (exitCode int) { return 128 + int(sig) }

// parent is the state of the one goroutine that manages the child.
type parent struct {
	*Supervised
	command Command
	stdio   Stdio
	process *os.Process
	job     windows.Handle
	exited  chan exit // of the current child
	events  chan os.Signal
}

type exit struct {
	state *os.ProcessState
	err   error
}

// Supervise starts the command in a job object that ends with this process, with
// exactly the environment given, and returns. It starts nothing if ctx has ended;
// later, ctx has no effect. Console events reach the command directly; we ignore
// them. When the command ends, so do the processes that it left behind. (Not run
// on Windows yet.)
//
// Errors: as for Exec, and ctx's.
func Supervise(ctx context.Context, c Command, environ []string, o Options) (*Supervised, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &parent{Supervised: newSupervised(), command: c, stdio: o.Stdio, events: make(chan os.Signal, 1)}
	signal.Notify(p.events, os.Interrupt)
	if o.SignalsCaught != nil {
		o.SignalsCaught()
	}
	if err := p.start(environ); err != nil {
		signal.Stop(p.events)
		return nil, err
	}
	go p.loop()
	return p.Supervised, nil
}

func (p *parent) start(environ []string) error {
	process, job, err := startInJob(p.command, environ, p.stdio)
	if err != nil {
		return err
	}
	exited := make(chan exit, 1)
	go func() {
		state, err := process.Wait()
		exited <- exit{state, err}
	}()
	p.process, p.job, p.exited = process, job, exited
	p.Supervised.pid.Store(int64(process.Pid))
	return nil
}

func (p *parent) loop() {
	for {
		select {
		case e := <-p.exited:
			p.end(e)
			return
		case q := <-p.signals:
			q.reply <- fmt.Errorf("cannot send %v on Windows: %w", q.signal, errors.ErrUnsupported)
		case q := <-p.restarts:
			if p.restart(q) {
				return
			}
		}
	}
}

func (p *parent) end(e exit) {
	_ = windows.CloseHandle(p.job)
	signal.Stop(p.events)
	if e.err != nil {
		p.finish(Status{}, ErrStatusLost)
		return
	}
	p.finish(Status{ExitCode: e.state.ExitCode()}, nil)
}

// restart kills the child at once: Windows has no signal that asks it to end.
func (p *parent) restart(q restartRequest) (ended bool) {
	if hasEnded(p.process) {
		p.end(<-p.exited)
		q.reply <- ErrEnded
		return true
	}
	_ = windows.TerminateJobObject(p.job, 1)
	_ = p.process.Kill() // it may be outside the job
	<-p.exited
	_ = windows.CloseHandle(p.job)
	err := p.start(q.environ)
	if err != nil {
		signal.Stop(p.events)
		p.finish(Status{}, err)
	}
	q.reply <- err
	return err != nil
}
