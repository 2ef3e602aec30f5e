// Package process owns the step from the wrapper to the command: it finds the
// command, foresees why the system would refuse it, and starts it: in place of
// this process (Exec), or as its child (Supervise). It must never start a
// command twice unless Restart asks for it, change the environment that it is
// given, print, or end the process unless DieOf asks for it.
//
// On Unix, Exec replaces this process. The command has our pid, parent,
// terminal, working directory, umask, nice value, limits and descriptors 0 to 2;
// all other descriptors of a Go program are close-on-exec. syscall.Exec gives
// back the soft limit of open files that the Go runtime raised at start, unless
// somebody called syscall.Setrlimit for it. Signals: execve sets caught ones back to
// their default, and ignored ones stay ignored, so the caller of Exec first
// undoes its own signal.Ignore. One thing is lost: a signal other than HUP and
// INT that was ignored when the wrapper started has its default action in
// the command, because the Go runtime had put its own handler in place (runtime,
// sigInstallGoHandler). Supervise hands on the same things, but for the pid and
// the parent, and loses the same one.
package process

import (
	"errors"
	"fmt"
	"os"
)

// Command is what Exec starts.
type Command struct {
	Path string   // the file
	Argv []string // Argv[0] is the name as it was typed, or /bin/sh for a script without "#!"
}

// Search says where Find looks.
type Search struct {
	Path    string // the caller's PATH
	PathSet bool   // whether the caller has a PATH at all; without one the C library's default holds
	PathExt string // the caller's PATHEXT; Windows only
	Dir     string // what relative names and PATH entries are relative to; "" is the working directory
}

// Stdio is what the command reads and writes. Only Windows needs it: on Unix the
// command keeps the process's own.
type Stdio struct{ In, Out, Err *os.File }

// NotFoundError: there is no such command. A shell exits 127.
type NotFoundError struct {
	Name   string
	Reason string
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("%q: %s", e.Name, e.Reason) }

// What people can mend, as the Err of a NotExecutableError.
var (
	ErrDirectory = errors.New("it is a directory")
	ErrMode      = errors.New("it has no execute permission")
	ErrLineEnds  = errors.New("it is a script with Windows line ends")
)

// NotExecutableError: there is such a file, and the system will not or did not
// run it. A shell exits 126. Err is the system's own error, if it gave one.
type NotExecutableError struct {
	Path   string
	Reason string
	Err    error
}

func (e *NotExecutableError) Error() string { return fmt.Sprintf("%q: %s", e.Path, e.Reason) }
func (e *NotExecutableError) Unwrap() error { return e.Err }

// StartError: the system could not start a command that is sound, for want of
// memory or processes for instance.
type StartError struct {
	Path string
	Err  error
}

func (e *StartError) Error() string { return fmt.Sprintf("%q could not be started: %v", e.Path, e.Err) }
func (e *StartError) Unwrap() error { return e.Err }
