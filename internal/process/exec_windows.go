package process

import (
	"context"
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

const defaultPath = ""

// Exec runs the command as Supervise does, waits for it and returns its exit code:
// Windows cannot replace a process. (Not run on Windows yet.)
//
// Errors: *NotFoundError, *NotExecutableError, *StartError, all before the start.
func Exec(c Command, environ []string, stdio Stdio) (exitCode int, err error) {
	s, err := Supervise(context.Background(), c, environ, Options{Stdio: stdio})
	if err != nil {
		return 0, err
	}
	status, err := s.Wait()
	return status.ExitCode, err
}

// startInJob starts the command in a new job object. What the command starts in the
// first instant may be outside of it.
func startInJob(c Command, environ []string, stdio Stdio) (*os.Process, windows.Handle, error) {
	job, err := newJob()
	if err != nil {
		return nil, 0, &StartError{Path: c.Path, Err: err}
	}
	if environ == nil {
		environ = []string{} // nil would mean our own
	}
	p, err := os.StartProcess(c.Path, c.Argv, &os.ProcAttr{Env: environ, Files: []*os.File{stdio.In, stdio.Out, stdio.Err}})
	if err != nil {
		_ = windows.CloseHandle(job)
		return nil, 0, startError(c.Path, err)
	}
	var assigned error
	err = p.WithHandle(func(h uintptr) { assigned = windows.AssignProcessToJobObject(job, windows.Handle(h)) })
	if err := errors.Join(err, assigned); err != nil && !hasEnded(p) {
		_ = p.Kill()
		_, _ = p.Wait()
		_ = windows.CloseHandle(job)
		return nil, 0, &StartError{Path: c.Path, Err: err}
	}
	return p, job, nil
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
		return 0, err
	}
	return job, nil
}

// hasEnded reports whether the command has ended already: then it cannot be
// assigned to a job.
func hasEnded(p *os.Process) bool {
	ended := false
	_ = p.WithHandle(func(h uintptr) {
		event, err := windows.WaitForSingleObject(windows.Handle(h), 0)
		ended = err == nil && event == windows.WAIT_OBJECT_0
	})
	return ended
}

func startError(path string, err error) error {
	reason := ""
	switch {
	case errors.Is(err, windows.ERROR_FILE_NOT_FOUND), errors.Is(err, windows.ERROR_PATH_NOT_FOUND):
		return &NotFoundError{Name: path}
	case errors.Is(err, windows.ERROR_BAD_EXE_FORMAT), errors.Is(err, windows.ERROR_EXE_MACHINE_TYPE_MISMATCH):
		reason = "not a program for this system"
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		reason = "permission denied"
	case errors.Is(err, windows.ERROR_FILENAME_EXCED_RANGE):
		reason = "the command line is too long for the system"
	default:
		return &StartError{Path: path, Err: err}
	}
	return &NotExecutableError{Path: path, Reason: reason, Err: err}
}
