package process

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Find looks up a command as execvp and shells do: a name with a separator is a
// path, any other is searched in PATH. An empty entry of PATH is the working
// directory (on Windows it is skipped). A file that cannot be executed does not
// end the search; it is reported if nothing better is found. The file's format is
// checked by the system when the command is started.
//
// Unlike exec.LookPath, Find reads PATH from s, distinguishes 126 from 127, and
// returns commands in the working directory if PATH names it.
//
// Errors: *NotFoundError, *NotExecutableError.
func Find(argv []string, s Search) (Command, error) {
	if len(argv) == 0 || argv[0] == "" {
		return Command{}, &NotFoundError{}
	}
	name := argv[0]
	if isPath(name) {
		path, err := lookPath(name)
		if err != nil {
			return Command{}, err
		}
		return Command{Path: path, Argv: argv}, nil
	}
	var refused error
	for _, dir := range s.dirs() {
		path, err := lookPath(strings.TrimSuffix(dir, "/") + "/" + name)
		if err == nil {
			return Command{Path: path, Argv: argv}, nil
		}
		if notExecutable := (*NotExecutableError)(nil); refused == nil && errors.As(err, &notExecutable) {
			refused = err
		}
	}
	if refused != nil {
		return Command{}, refused
	}
	return Command{}, &NotFoundError{Name: name, InPath: true}
}

func (s Search) dirs() []string {
	list := s.Path
	if !s.PathSet {
		list = defaultPath
	}
	var dirs []string
	for _, dir := range strings.Split(list, string(filepath.ListSeparator)) {
		switch {
		case dir != "":
			dirs = append(dirs, dir)
		case runtime.GOOS != "windows":
			dirs = append(dirs, ".")
		}
	}
	return dirs
}

// isPath reports whether name is a path, which is not searched in PATH.
func isPath(name string) bool {
	return filepath.VolumeName(name) != "" || strings.ContainsFunc(name, func(r rune) bool { return r < 0x80 && os.IsPathSeparator(byte(r)) })
}

// lookPath returns path if it can be executed; on Windows with an extension of
// PATHEXT.
func lookPath(path string) (string, error) {
	found, err := exec.LookPath(path)
	if err == nil {
		return found, nil
	}
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	fi, statErr := os.Stat(path)
	switch {
	case statErr == nil && fi.IsDir():
		err = errDirectory
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		return "", &NotFoundError{Name: path}
	case statErr == nil && fi.Mode()&0o111 == 0:
		err = errMode
	}
	return "", &NotExecutableError{Path: path, Reason: err.Error(), Err: err}
}
