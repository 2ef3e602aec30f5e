package process

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Options is how a command is supervised.
type Options struct {
	Stdio Stdio // Windows only, as for Exec
	// PID1: we are the first process of a container, or a subreaper, and collect
	// what other processes leave behind. Nothing else in this process may then
	// wait for children of its own: their status would be taken. Unix only.
	PID1 bool
	// Caught, if it is not nil, is called before the command is started, when signals
	// that are sent to this process are caught and will be forwarded to the command.
	Caught func()
}

// Status is how a command ended.
type Status struct {
	ExitCode   int            // its own, or 128+n after a signal
	Signal     syscall.Signal // what it died of; 0: it ended by itself. Unix only
	CoreDumped bool
}

var (
	// ErrEnded: the command is over, and there is nothing to signal or restart.
	ErrEnded = errors.New("the command has ended")
	// ErrCalledOff: while Restart waited for the command's end, somebody asked
	// for the end of it all. Nothing is started again.
	ErrCalledOff = errors.New("the restart was called off: a signal asks for the end of the command")
	// ErrLost: something else in this process waited for the command, and has
	// its status.
	ErrLost = errors.New("the command is gone and its status is lost")
)

// Supervised is a command that runs as our child. All methods may be called
// from any goroutine.
type Supervised struct {
	signals  chan signalRequest
	restarts chan restartRequest
	done     chan struct{}
	status   Status // these two are written before done is closed
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
	reply   chan error // holds one: the caller may have gone
}

func newSupervised() *Supervised {
	return &Supervised{signals: make(chan signalRequest), restarts: make(chan restartRequest), done: make(chan struct{})}
}

// PID is the command's; 0 when it does not run.
func (s *Supervised) PID() int { return int(s.pid.Load()) }

// Done is closed when the command has ended, and is not to be started again.
func (s *Supervised) Done() <-chan struct{} { return s.done }

// Wait waits for Done. Afterwards nothing of the supervision is left: no
// zombie, goroutine, or signal handler. Who has something to tidy up after Wait
// keeps a signal.Notify of its own over that time.
//
// Errors: of a Restart that could not start the command, or ErrLost.
func (s *Supervised) Wait() (Status, error) {
	<-s.done
	return s.status, s.err
}

// Signal sends a signal to the command's process, or to its process group where
// it has its own. Errors: ErrEnded, errors.ErrUnsupported (on Windows, always),
// and the system's own.
func (s *Supervised) Signal(sig os.Signal) error {
	q := signalRequest{sig, make(chan error, 1)}
	select {
	case s.signals <- q:
		return <-q.reply
	case <-s.done:
		return ErrEnded
	}
}

// Restart ends the command with SIGTERM, after grace with SIGKILL (on Windows at
// once and with all that it started), and starts it again with the environment
// given. It returns when the new one runs. A command that has already ended by
// itself is not started again, and neither is one whose end is asked for
// meanwhile by SIGINT, SIGQUIT, SIGTERM or a hang-up. A second Restart waits for
// the first. When ctx ends, only the waiting does: a restart that began goes on.
//
// Errors: ErrEnded, ErrCalledOff, ctx's, and those of Exec when the command does
// not start again; then Wait returns too, with the same error.
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

// finish tells everybody that it is over.
func (s *Supervised) finish(status Status, err error) {
	s.pid.Store(0)
	s.status, s.err = status, err
	close(s.done)
}
