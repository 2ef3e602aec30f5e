package process

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Options configure Supervise.
type Options struct {
	Stdio Stdio // Windows only, as for Exec
	// PID1: this process is the first one of a container, or a subreaper, and reaps
	// orphans. It must then not wait for other children of its own. Unix only.
	PID1 bool
	// SignalsCaught, if not nil, is called before the command is started, when
	// signals to this process are caught and will be forwarded to the command.
	SignalsCaught func()
}

// Status is how a command ended.
type Status struct {
	ExitCode   int            // its own, or 128+n after a signal
	Signal     syscall.Signal // the signal that ended it; 0 if none. Unix only
	CoreDumped bool
}

var (
	// ErrEnded: the command has ended and cannot be signalled or restarted.
	ErrEnded = errors.New("the command has ended")
	// ErrRestartCanceled: a signal asked for the end of the command during Restart;
	// it is not started again.
	ErrRestartCanceled = errors.New("restart canceled by a signal")
	// ErrStatusLost: other code in this process waited for the command.
	ErrStatusLost = errors.New("the command's exit status is lost")
)

// Supervised is a command that runs as our child. Its methods are safe for
// concurrent use.
type Supervised struct {
	signals  chan signalRequest
	restarts chan restartRequest
	done     chan struct{}
	status   Status // status and err are written before done is closed
	err      error
	pid      atomic.Int64
}

type signalRequest struct {
	signal os.Signal
	reply  chan error
}

type restartRequest struct {
	environ []string
	grace   time.Duration
	reply   chan error // buffered: the caller may have stopped waiting
}

func newSupervised() *Supervised {
	return &Supervised{signals: make(chan signalRequest), restarts: make(chan restartRequest), done: make(chan struct{})}
}

// PID returns the command's PID; 0 when it does not run.
func (s *Supervised) PID() int { return int(s.pid.Load()) }

// Done is closed when the command has ended and is not started again.
func (s *Supervised) Done() <-chan struct{} { return s.done }

// Wait waits for Done. Afterwards no zombie, goroutine or signal handler is left;
// a caller with cleanup to do after Wait needs a signal.Notify of its own.
//
// Errors: those of a Restart that could not start the command, or ErrStatusLost.
func (s *Supervised) Wait() (Status, error) {
	<-s.done
	return s.status, s.err
}

// Signal sends a signal to the command's process group. Errors: ErrEnded,
// errors.ErrUnsupported (always on Windows) and the system's own.
func (s *Supervised) Signal(sig os.Signal) error {
	q := signalRequest{sig, make(chan error, 1)}
	select {
	case s.signals <- q:
		return <-q.reply
	case <-s.done:
		return ErrEnded
	}
}

// Restart ends the command with SIGTERM, and after grace with SIGKILL (on Windows
// at once, with its descendants), then starts it again with the environment given.
// It returns when the new process runs. A command that has ended by itself is not
// started again, and neither is one that SIGINT, SIGQUIT, SIGTERM or a hang-up asks
// to end meanwhile. A second Restart waits for the first. When ctx ends, only the
// waiting ends: a restart that has begun continues.
//
// Errors: ErrEnded, ErrRestartCanceled, ctx's, and those of Exec if the command
// does not start again; then Wait returns the same error.
func (s *Supervised) Restart(ctx context.Context, environ []string, grace time.Duration) error {
	q := restartRequest{environ, grace, make(chan error, 1)}
	select {
	case s.restarts <- q:
	case <-s.done:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-q.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finish records the end and unblocks all callers.
func (s *Supervised) finish(status Status, err error) {
	s.pid.Store(0)
	s.status, s.err = status, err
	close(s.done)
}
