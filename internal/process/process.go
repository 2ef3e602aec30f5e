// Package process finds a command and starts it: in place of this process (Exec)
// or as its child (Supervise). It starts a command once, unless Restart is called,
// with exactly the environment that it is given, and never prints.
//
// On Unix the command inherits what a process keeps in execve(2): under Exec all of it,
// under Supervise all but PID, parent and process group. Two things are lost, because
// the Go runtime replaces them before any code of ours runs: ignored signals other than
// HUP, INT, CONT, TSTP, TTIN and TTOU have their default action in the command (runtime,
// initsig), and HUP, INT, QUIT, TERM, ABRT, CHLD, URG, PROF, SYS and those of faults
// are not blocked (runtime, blockableSig).
package process

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Command is what Exec and Supervise start.
type Command struct {
	Path string   // the file
	Argv []string // Argv[0] is the name as it was typed
}

// Find looks up a command as execvp and shells do: a name with a separator is a path, any
// other is searched in path, a list as in PATH. An empty entry is the working directory
// (on Windows it is skipped). Unlike exec.LookPath, Find reports a file that cannot be
// executed if nothing better is found.
//
// Errors: *NotFoundError, *NotExecutableError.
func Find(argv []string, path string) (Command, error) {
	if len(argv) == 0 || argv[0] == "" {
		return Command{}, &NotFoundError{}
	}
	name := argv[0]
	named, _ := filepath.Split(name)
	files, inPath := []string{name}, named == ""
	if inPath {
		files = nil
		for _, dir := range strings.Split(path, string(filepath.ListSeparator)) {
			if dir != "" || runtime.GOOS != "windows" {
				files = append(files, strings.TrimSuffix(cmp.Or(dir, "."), "/")+"/"+name)
			}
		}
	}
	var refused *NotExecutableError
	for _, file := range files {
		found, err := exec.LookPath(file) // on Windows with an extension of PATHEXT
		if err == nil && runtime.GOOS == "windows" && isBatchFile(found) {
			if _, err := batchLine(found, argv); err != nil {
				return Command{}, err
			}
		}
		if err == nil {
			return Command{Path: found, Argv: argv}, nil
		}
		if refused == nil {
			refused = whyNotExecutable(file, errors.Unwrap(err))
		}
	}
	if refused != nil {
		return Command{}, refused
	}
	return Command{}, &NotFoundError{Name: name, InPath: inPath}
}

// whyNotExecutable explains an error of exec.LookPath; nil if there is no such file.
func whyNotExecutable(file string, err error) *NotExecutableError {
	info, statErr := os.Stat(file)
	switch {
	case statErr == nil && info.IsDir():
		return &NotExecutableError{Path: file, Reason: "is a directory", fix: "name a program inside the directory", Err: err}
	case errors.Is(err, os.ErrNotExist), errors.Is(err, exec.ErrNotFound), errors.Is(err, syscall.ENOTDIR),
		errors.Is(err, syscall.ENAMETOOLONG):
		return nil
	case statErr == nil && info.Mode()&0o111 == 0:
		return &NotExecutableError{Path: file, Reason: "no execute permission", fix: "run: chmod +x " + sanitize.ShellQuote(file), Err: err}
	}
	return &NotExecutableError{Path: file, Reason: err.Error(), Err: err}
}

// NotFoundError reports that a command does not exist. A shell exits with 127.
type NotFoundError struct {
	Name   string
	InPath bool // Name was looked up in PATH
}

func (e *NotFoundError) Error() string {
	name, where := e.Name, ""
	if variable, ok := e.assigned(); ok { // the value may be a secret
		name = variable + "=…"
	}
	if e.InPath {
		where = " in PATH"
	}
	return fmt.Sprintf("command %q not found%s", name, where)
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

// NotExecutableError reports that a file cannot be executed. A shell exits with 126.
type NotExecutableError struct {
	Path   string
	Reason string
	Err    error
	fix    string
}

func (e *NotExecutableError) Error() string {
	return fmt.Sprintf("cannot execute %q: %s", e.Path, e.Reason)
}

func (e *NotExecutableError) Unwrap() error { return e.Err }

// Hint is what to do about it.
func (e *NotExecutableError) Hint() string {
	return cmp.Or(e.fix, "check that the command runs from a shell on this machine")
}

// StartError reports that the system could not start a file, as for lack of memory.
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
