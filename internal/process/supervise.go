package process

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Status is how a command ended.
type Status struct {
	ExitCode int            // its own, or 128+n after a signal
	Signal   syscall.Signal // the signal that ended it; 0 if none. Unix only
}

// ErrEnded reports that the command has ended, or that a signal has ended a Restart.
var ErrEnded = errors.New("the command has ended")

// Supervised is a command that runs as our child. Its methods are safe for concurrent use.
type Supervised struct {
	restarts chan restartRequest
	done     chan struct{}
	status   Status // status and err are written before done is closed
	err      error

	// Only loop writes what follows. It holds mu while it reaps the child, so that no
	// signal can go to a PID that is free again.
	mu  sync.Mutex
	pid int // also its process group; 0 when it does not run
	child
	command     Command
	changed     chan os.Signal // the child's status may have changed
	caught      chan os.Signal
	restarting  *restartRequest
	timer       <-chan time.Time
	timerSignal syscall.Signal // sent to the child when the timer fires
}

type restartRequest struct {
	environ []string
	grace   time.Duration
	reply   chan error // buffered: the caller may have stopped waiting
}

// Supervise starts the command as a child, with exactly the environment given, and
// returns. signalsCaught, unless nil, is called before the start, when signals to this
// process are caught and will be forwarded to the command.
//
// On Unix the child leads a process group of its own, see forwarded for the signals and
// hasOwnJob for the terminal. It inherits no descriptor that we opened. As PID 1, this
// process also reaps orphans, and must not wait for other children of its own.
//
// On Windows the child and what it starts end with this process, and its descendants
// with the child. Console events reach it directly; we ignore them.
//
// Errors: as for Exec. There is at most one Supervise at a time.
func Supervise(c Command, environ []string, signalsCaught func()) (*Supervised, error) {
	s := newSupervised(c)
	s.catchSignals()
	if signalsCaught != nil {
		signalsCaught()
	}
	if err := s.start(environ); err != nil {
		s.releaseSignals()
		return nil, err
	}
	go s.loop()
	return s, nil
}

func newSupervised(c Command) *Supervised {
	return &Supervised{
		command: c, restarts: make(chan restartRequest), done: make(chan struct{}),
		changed: make(chan os.Signal, 1),  // one is enough, as one reap sees all changes
		caught:  make(chan os.Signal, 64), // os/signal drops signals that do not fit
	}
}

func (s *Supervised) releaseSignals() {
	signal.Stop(s.changed)
	signal.Stop(s.caught)
}

// PID returns the command's PID; 0 when it does not run.
func (s *Supervised) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid
}

// Wait waits until the command has ended and is not started again. Afterwards no zombie,
// goroutine or signal handler is left; a caller with cleanup to do after Wait needs a
// signal.Notify of its own. Errors: those of a Restart that could not start the command.
func (s *Supervised) Wait() (Status, error) {
	<-s.done
	return s.status, s.err
}

// Signal sends a signal to the command's process group. Errors: ErrEnded and the
// system's own; on Windows only SIGTERM and SIGKILL are supported, both end the command.
func (s *Supervised) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid == 0 {
		return ErrEnded
	}
	return s.send(sig)
}

// Restart ends the command with SIGTERM, and after grace with SIGKILL (on Windows at
// once), then starts it again. It returns when the new process runs. A command that has
// ended by itself, or that SIGINT, SIGQUIT, SIGTERM or a hang-up asks to end meanwhile, is
// not started again. When ctx ends, only the waiting ends: the restart continues.
//
// Errors: ErrEnded, ctx's, and those of Exec if the command does not start again; then
// Wait returns the same error.
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

// loop runs until the command has ended.
func (s *Supervised) loop() {
	for ended := false; !ended; {
		restarts := s.restarts
		if s.restarting != nil {
			restarts = nil
		}
		select {
		case <-s.changed:
			ended = s.reap()
		case sig := <-s.caught:
			s.handle(sig)
		case q := <-restarts:
			ended = s.beginRestart(q)
		case <-s.timer:
			s.timer = nil
			_ = s.send(s.timerSignal)
		}
	}
}

// reap follows what the child does. It reports whether the command has ended for good.
func (s *Supervised) reap() (ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reapChild()
}

// beginRestart asks the child to end; childEnded starts it again.
func (s *Supervised) beginRestart(q restartRequest) (ended bool) {
	if s.reap() { // it has ended by itself
		q.reply <- ErrEnded
		return true
	}
	s.restarting, s.timer, s.timerSignal = &q, time.After(q.grace), syscall.SIGKILL
	s.terminate()
	return false
}

// finishRestart answers the Restart in progress, if there is one.
func (s *Supervised) finishRestart(err error) {
	if s.restarting != nil {
		s.restarting.reply <- err
	}
	s.restarting, s.timer = nil, nil
}

// childEnded starts the command again for Restart, or reports that it has ended for good.
func (s *Supervised) childEnded(status Status) (ended bool) {
	s.pid, s.timer = 0, nil
	s.drainSignals()
	if s.restarting == nil {
		return s.end(status, nil)
	}
	if err := s.start(s.restarting.environ); err != nil {
		return s.end(Status{}, err)
	}
	s.finishRestart(nil)
	return false
}

// end records the end and unblocks all callers.
func (s *Supervised) end(status Status, err error) (ended bool) {
	s.pid = 0
	s.finishRestart(cmp.Or(err, ErrEnded))
	s.releaseSignals()
	s.status, s.err = status, err
	close(s.done)
	return true
}
