// Package process finds a command and starts it: in place of this process (Exec)
// or as its child (Supervise). It starts a command once, unless Restart is called,
// with exactly the environment that it is given, and never prints.
//
// On Unix, Exec replaces this process. The command keeps our PID, parent,
// terminal, working directory, umask, nice value, limits and descriptors 0 to 2;
// all other descriptors of a Go program are close-on-exec. syscall.Exec restores
// the soft limit of open files that the Go runtime raised at start, unless
// syscall.Setrlimit was called for it. Execve resets caught signals to their
// default and keeps ignored ones ignored. Two things are lost,
// because the Go runtime replaces them before any code of ours runs: ignored signals
// other than HUP, INT, CONT, TSTP, TTIN and TTOU have their default action in the
// command (runtime, initsig), and HUP, INT, QUIT, TERM, ABRT, CHLD, URG, PROF, SYS and
// those of faults are not blocked (runtime, blockableSig). Supervise
// passes on the same except PID, parent and process group.
package process

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Command is what Exec and Supervise start.
type Command struct {
	Path string   // the file
	Argv []string // Argv[0] is the name as it was typed
}

// Search is where Find looks.
type Search struct {
	Path    string // the caller's PATH
	PathSet bool   // false: the caller has no PATH, and the C library's default is used
}

// Stdio is what the command reads and writes. It is used on Windows only: on Unix
// the command inherits descriptors 0 to 2.
type Stdio struct{ In, Out, Err *os.File }

// NotFoundError reports that a command does not exist. A shell exits with 127.
type NotFoundError struct {
	Name   string
	InPath bool // Name was looked up in PATH
}

func (e *NotFoundError) Error() string {
	if name, ok := e.assigned(); ok { // the value may be a secret
		return fmt.Sprintf("command %q not found", name+"=…")
	}
	if e.InPath {
		return fmt.Sprintf("command %q not found in PATH", e.Name)
	}
	return fmt.Sprintf("command %q not found", e.Name)
}

// Hint is what to do about it.
func (e *NotFoundError) Hint() string {
	if name, ok := e.assigned(); ok {
		return "no shell sets variables here: write env before " + name + "=…, as in -- env " + name + "=… COMMAND"
	}
	if word, _, found := strings.Cut(strings.TrimSpace(e.Name), " "); found && word != "" {
		return "leave out the quotes around the whole command, as in -- " + word + " ARG, or write: -- sh -c " + sanitize.ShellQuote(e.Name)
	}
	return "check the command's name and PATH"
}

// assigned returns NAME where the command is NAME=VALUE, which only a shell takes.
func (e *NotFoundError) assigned() (name string, ok bool) {
	name, _, ok = strings.Cut(e.Name, "=")
	return name, ok && name != "" && !strings.ContainsAny(name, "/. -")
}

// Errors with a hint of their own, as the Err of a NotExecutableError.
var (
	errDirectory   = errors.New("is a directory")
	errMode        = errors.New("no execute permission")
	errLineEndings = errors.New("script has Windows line endings")
)

// NotExecutableError reports that the system cannot run an existing file. A shell
// exits with 126. Err is the system's error or one of this package's.
type NotExecutableError struct {
	Path   string
	Reason string
	Err    error
}

func (e *NotExecutableError) Error() string {
	return fmt.Sprintf("cannot execute %q: %s", e.Path, e.Reason)
}

func (e *NotExecutableError) Unwrap() error { return e.Err }

// Hint returns what to do about it.
func (e *NotExecutableError) Hint() string {
	switch {
	case errors.Is(e, errDirectory):
		return "name a program inside the directory"
	case errors.Is(e, errMode):
		return "run: chmod +x " + sanitize.ShellQuote(e.Path)
	case errors.Is(e, errLineEndings):
		return "save the script with Unix line endings"
	}
	return "check that the command runs from a shell on this machine"
}

// StartError reports that the system could not start an executable file, for example
// for lack of memory or processes.
type StartError struct {
	Path string
	Err  error
}

func (e *StartError) Error() string { return fmt.Sprintf("cannot start %q: %v", e.Path, e.Err) }
func (e *StartError) Unwrap() error { return e.Err }

// Hint is what to do about it.
func (e *StartError) Hint() string {
	return "check the limits on memory, processes and arguments (ulimit -a), then try again"
}
