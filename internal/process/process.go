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
// Errors: *Error, with the kind NotFound or NotExecutable.
func Find(argv []string, path string) (Command, error) {
	if len(argv) == 0 || argv[0] == "" {
		return Command{}, notFound("", "")
	}
	name := argv[0]
	named, _ := filepath.Split(name)
	files, where := []string{name}, ""
	if named == "" {
		files, where = nil, " in PATH"
		for _, dir := range strings.Split(path, string(filepath.ListSeparator)) {
			if dir != "" || runtime.GOOS != "windows" {
				files = append(files, strings.TrimSuffix(cmp.Or(dir, "."), "/")+"/"+name)
			}
		}
	}
	var refused *Error
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
	return Command{}, notFound(name, where)
}

// whyNotExecutable explains an error of exec.LookPath; nil if there is no such file.
func whyNotExecutable(file string, err error) *Error {
	info, statErr := os.Stat(file)
	switch {
	case statErr == nil && info.IsDir():
		return notExecutable(file, "is a directory", "name a program inside the directory", err)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, exec.ErrNotFound), errors.Is(err, syscall.ENOTDIR),
		errors.Is(err, syscall.ENAMETOOLONG):
		return nil
	case statErr == nil && info.Mode()&0o111 == 0:
		return notExecutable(file, "no execute permission", "run: chmod +x "+sanitize.ShellQuote(file), err)
	}
	return notExecutable(file, err.Error(), "", err)
}

// Kind is what kept a command from being started.
type Kind int

// The kinds.
const (
	StartFailed   Kind = iota // the system could not start it, as for lack of memory
	NotFound                  // a shell exits with 127
	NotExecutable             // a shell exits with 126
)

// Error reports a command that was not started.
type Error struct {
	Kind   Kind
	Reason string
	Fix    string
	Err    error // the system's; may be nil
}

func (e *Error) Error() string { return e.Reason }
func (e *Error) Unwrap() error { return e.Err }

// Hint is what to do about it.
func (e *Error) Hint() string { return e.Fix }

// notFound reports a command that does not exist; where is empty or " in PATH".
func notFound(name, where string) *Error {
	shown, fix := name, "check the command's name and PATH"
	variable, _, assigns := strings.Cut(name, "=")
	word, _, hasSpace := strings.Cut(strings.TrimSpace(name), " ")
	switch {
	case assigns && variable != "" && !strings.ContainsAny(variable, "/. -"):
		shown = variable + "=…" // the value may be a secret
		fix = "no shell sets variables here: write env before " + shown + ", as in -- env " + shown + " COMMAND"
	case hasSpace:
		fix = "leave out the quotes around the whole command, as in -- " + word + " ARG, or write: -- sh -c " + sanitize.ShellQuote(name)
	}
	return &Error{Kind: NotFound, Reason: fmt.Sprintf("command %q not found%s", shown, where), Fix: fix}
}

func notExecutable(path, reason, fix string, err error) *Error {
	fix = cmp.Or(fix, "check that the command runs from a shell on this machine")
	return &Error{Kind: NotExecutable, Reason: fmt.Sprintf("cannot execute %q: %s", path, reason), Fix: fix, Err: err}
}

func startFailed(path string, err error) *Error {
	return &Error{Reason: fmt.Sprintf("cannot start %q: %v", path, err), Err: err,
		Fix: "check the limits on memory, processes and arguments (ulimit -a), then try again"}
}
