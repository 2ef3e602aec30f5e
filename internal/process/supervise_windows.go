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

// Harden does nothing: Windows has no /proc, and no core dumps.
func Harden() error { return nil }

// DieOf does nothing: nobody dies of a signal on Windows.
func DieOf(sig syscall.Signal) (exitCode int) { return 128 + int(sig) }

// parent is the one goroutine that knows the child.
type parent struct {
	*Supervised
	command Command
	stdio   Stdio
	process *os.Process
	job     windows.Handle
	waited  chan result // of the child that runs now
	events  chan os.Signal
}

type result struct {
	state *os.ProcessState
	err   error
}

// Supervise starts the command in a job object that ends with this process, with
// exactly the environment given, and returns. A ctx that has ended starts
// nothing; later it changes nothing. Console events reach the command by
// themselves, and we ignore them. When the command ends, what it left behind is
// ended too. (Not run on Windows by anyone yet.)
//
// Errors: as for Exec, and ctx's.
func Supervise(ctx context.Context, c Command, environ []string, o Options) (*Supervised, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &parent{Supervised: newSupervised(), command: c, stdio: o.Stdio, events: make(chan os.Signal, 1)}
	signal.Notify(p.events, os.Interrupt)
	if o.Caught != nil {
		o.Caught()
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
	waited := make(chan result, 1)
	go func() {
		state, err := process.Wait()
		waited <- result{state, err}
	}()
	p.process, p.job, p.waited = process, job, waited
	p.Supervised.pid.Store(int64(process.Pid))
	return nil
}

func (p *parent) loop() {
	for {
		select {
		case r := <-p.waited:
			p.end(r)
			return
		case q := <-p.signals:
			q.reply <- fmt.Errorf("no %v can be sent on Windows: %w", q.signal, errors.ErrUnsupported)
		case q := <-p.restarts:
			if p.restart(q) {
				return
			}
		}
	}
}

func (p *parent) end(r result) {
	_ = windows.CloseHandle(p.job)
	signal.Stop(p.events)
	if r.err != nil {
		p.finish(Status{}, ErrLost)
		return
	}
	p.finish(Status{ExitCode: r.state.ExitCode()}, nil)
}

// restart has no way to ask the command to end, and so has no use for a grace.
func (p *parent) restart(q restartRequest) (over bool) {
	if ended(p.process) {
		p.end(<-p.waited)
		q.reply <- ErrEnded
		return true
	}
	_ = windows.TerminateJobObject(p.job, 1)
	_ = p.process.Kill() // it may have been outside the job
	<-p.waited
	_ = windows.CloseHandle(p.job)
	err := p.start(q.environ)
	if err != nil {
		signal.Stop(p.events)
		p.finish(Status{}, err)
	}
	q.reply <- err
	return err != nil
}
