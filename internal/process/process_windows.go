package process

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// DefaultPath is the search path without PATH.
const DefaultPath = ""

// DisableCoreDumps does nothing: Windows has neither /proc nor core dumps.
func DisableCoreDumps() error { return nil }

// RaiseSignal does nothing: no process ends by a signal on Windows.
func RaiseSignal(sig syscall.Signal) (exitCode int) { return 128 + int(sig) }

// Exec runs the command as Supervise does, waits for it and returns its exit code:
// Windows cannot replace a process. (Not run on Windows yet.)
//
// Errors: *NotFoundError, *NotExecutableError, *StartError, all before the start.
func Exec(c Command, environ []string) (exitCode int, err error) {
	s, err := Supervise(c, environ, nil)
	if err != nil {
		return 0, err
	}
	status, err := s.Wait()
	return status.ExitCode, err
}

// child is the state of the child on Windows.
type child struct {
	process *os.Process
	job     windows.Handle // ends its processes when it is closed, at the latest with ours
	exit    atomic.Pointer[exit]
}

type exit struct {
	state *os.ProcessState
	err   error
}

// start starts the command in a new job object. What the command starts in the first
// instant may be outside of it.
func (s *Supervised) start(environ []string) error {
	job, err := newJob()
	if err != nil {
		return &StartError{Path: s.command.Path, Err: err}
	}
	p, err := os.StartProcess(s.command.Path, s.command.Argv, &os.ProcAttr{Env: environ, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		_ = windows.CloseHandle(job)
		return startError(s.command.Path, err)
	}
	_ = p.WithHandle(func(h uintptr) { _ = windows.AssignProcessToJobObject(job, windows.Handle(h)) }) // fails if it has ended
	s.process, s.job, s.pid = p, job, p.Pid
	s.exit.Store(nil)
	go func() {
		state, err := p.Wait()
		s.exit.Store(&exit{state, err})
		s.changed <- os.Interrupt // reap has taken that of the child before
	}()
	return nil
}

// newJob creates a job object whose processes end when its last handle is closed.
func newJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, err
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		_ = windows.CloseHandle(job)
	}
	return job, err
}

func startError(path string, err error) error {
	is := func(targets ...syscall.Errno) bool {
		return slices.ContainsFunc(targets, func(target syscall.Errno) bool { return errors.Is(err, target) })
	}
	switch {
	case is(windows.ERROR_FILE_NOT_FOUND, windows.ERROR_PATH_NOT_FOUND):
		return &NotFoundError{Name: path}
	case is(windows.ERROR_BAD_EXE_FORMAT, windows.ERROR_EXE_MACHINE_TYPE_MISMATCH, windows.ERROR_FILENAME_EXCED_RANGE, windows.ERROR_ACCESS_DENIED):
		return &NotExecutableError{Path: path, Reason: err.Error(), Err: err}
	}
	return &StartError{Path: path, Err: err}
}

func (s *Supervised) reapChild() (ended bool) {
	e := s.exit.Load()
	if e == nil {
		return false
	}
	_ = windows.CloseHandle(s.job)
	if e.err != nil {
		return s.end(Status{}, e.err)
	}
	return s.childEnded(Status{ExitCode: e.state.ExitCode()})
}

// terminate ends the child at once: Windows has no signal that asks for it.
func (s *Supervised) terminate() { _ = s.send(syscall.SIGKILL) }

// send ends the child; other signals are not supported.
func (s *Supervised) send(sig syscall.Signal) error {
	if sig != syscall.SIGTERM && sig != syscall.SIGKILL {
		return fmt.Errorf("cannot send %v on Windows: %w", sig, errors.ErrUnsupported)
	}
	_ = windows.TerminateJobObject(s.job, 1)
	return s.process.Kill() // it may be outside the job
}

func (s *Supervised) catchSignals() { signal.Notify(s.caught, os.Interrupt) }

// handle does nothing: console events reach the command directly.
func (s *Supervised) handle(os.Signal) {}

func (s *Supervised) drainSignals() {}
