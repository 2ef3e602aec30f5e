package process

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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
// Windows cannot replace a process.
//
// Errors: *Error, before the start.
func Exec(c Command, environ []string) (exitCode int, err error) {
	// Never stopped: an event that we handle later than the command must not end us
	// before we have its exit code.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	s, err := Supervise(c, environ, nil)
	if err != nil {
		return 0, err
	}
	status, err := s.Wait()
	return status.ExitCode, err
}

// child is the state of the child on Windows.
type child struct {
	process windows.Handle
	job     windows.Handle // ends its processes when it is closed, at the latest with ours
}

// start starts the command in a new job object, which it may at first be outside of.
func (s *Supervised) start(environ []string) error {
	path, line, err := commandLine(s.command)
	if err != nil {
		return err
	}
	job, err := newJob()
	if err != nil {
		return startFailed(s.command.Path, err)
	}
	pid, handle, err := syscall.StartProcess(path, s.command.Argv, &syscall.ProcAttr{Env: environ, Sys: &syscall.SysProcAttr{CmdLine: line},
		Files: []uintptr{uintptr(syscall.Stdin), uintptr(syscall.Stdout), uintptr(syscall.Stderr)}})
	if err != nil {
		_ = windows.CloseHandle(job)
		return startError(s.command.Path, err)
	}
	process := windows.Handle(handle)
	if err := windows.AssignProcessToJobObject(job, process); err != nil && !hasEnded(process) {
		// Outside the job it would outlive us if we are killed.
		_ = errors.Join(windows.TerminateProcess(process, 1), windows.CloseHandle(process), windows.CloseHandle(job))
		return startFailed(s.command.Path, fmt.Errorf("cannot put the process into a job object: %w", err))
	}
	s.process, s.job, s.pid = process, job, pid
	go func() {
		_, _ = windows.WaitForSingleObject(process, windows.INFINITE)
		s.changed <- os.Interrupt // loop has received that of the child before
	}()
	return nil
}

// commandLine returns the program to start, and its command line unless it is made of
// Argv. A batch file is run by the system's own cmd.exe, whatever ComSpec is.
func commandLine(c Command) (path, line string, err error) {
	if !isBatchFile(c.Path) {
		return c.Path, "", nil
	}
	system, err := windows.GetSystemDirectory()
	if err == nil {
		path, err = filepath.Abs(c.Path)
	}
	if err != nil {
		return "", "", startFailed(c.Path, err)
	}
	line, err = batchLine(path, c.Argv)
	return filepath.Join(system, "cmd.exe"), line, err
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
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		_ = windows.CloseHandle(job)
	}
	return job, err
}

func startError(path string, err error) error {
	switch err {
	case windows.ERROR_FILE_NOT_FOUND, windows.ERROR_PATH_NOT_FOUND:
		return notFound(path, "")
	case windows.ERROR_BAD_EXE_FORMAT, windows.ERROR_EXE_MACHINE_TYPE_MISMATCH, windows.ERROR_FILENAME_EXCED_RANGE,
		windows.ERROR_ACCESS_DENIED:
		return notExecutable(path, err.Error(), "", err)
	}
	return startFailed(path, err)
}

func hasEnded(process windows.Handle) bool {
	event, _ := windows.WaitForSingleObject(process, 0)
	return event == windows.WAIT_OBJECT_0
}

func (s *Supervised) reapChild() (ended bool) {
	if !hasEnded(s.process) {
		return false
	}
	var code uint32
	err := windows.GetExitCodeProcess(s.process, &code)
	_ = errors.Join(windows.CloseHandle(s.process), windows.CloseHandle(s.job))
	if err != nil {
		return s.end(Status{}, err)
	}
	return s.childEnded(Status{ExitCode: int(code)})
}

// terminate ends the child at once: Windows has no signal that asks for it.
func (s *Supervised) terminate() { _ = s.send(syscall.SIGKILL) }

// send ends the child; other signals are not supported.
func (s *Supervised) send(sig syscall.Signal) error {
	if sig != syscall.SIGTERM && sig != syscall.SIGKILL {
		return fmt.Errorf("cannot send %v on Windows: %w", sig, errors.ErrUnsupported)
	}
	_ = windows.TerminateJobObject(s.job, 1)
	return windows.TerminateProcess(s.process, 1) // it may be outside the job
}

func (s *Supervised) catchSignals() { signal.Notify(s.caught, os.Interrupt) }

// handle does nothing: console events reach the command directly.
func (s *Supervised) handle(os.Signal) {}

func (s *Supervised) drainSignals() {}
