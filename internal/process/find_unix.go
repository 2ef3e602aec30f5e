//go:build unix

package process

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// defaultPath is where the C library looks when there is no PATH (glibc,
// confstr(_CS_PATH)).
const defaultPath = "/bin:/usr/bin"

// shell runs files that execve does not know, as execvp does (POSIX, exec).
const shell = "/bin/sh"

// Find looks a command up as execvp and the shells do: a name with a slash is a
// path; any other is looked for in PATH, whose empty entries mean the working
// directory. A file that may not be executed does not end the search, and is
// reported if nothing better comes. Then it foresees what execve would say to
// the file's format and interpreter.
//
// Errors: *NotFoundError, *NotExecutableError.
func Find(argv []string, s Search) (Command, error) {
	if len(argv) == 0 || argv[0] == "" {
		return Command{}, &NotFoundError{Reason: "the name of the command is empty"}
	}
	path, err := locate(argv[0], s)
	if err != nil {
		return Command{}, err
	}
	f, err := foresee(path, s.Dir, 0)
	if err != nil {
		return Command{}, err
	}
	if f == formatKnown {
		return Command{Path: path, Argv: argv}, nil
	}
	if err := check(shell); err != nil {
		return Command{}, &NotExecutableError{Path: path, Reason: `it is a script without "#!", and there is no ` + shell + " to run it", Err: err}
	}
	if path[0] == '-' { // else sh takes it for options
		path = "./" + path
	}
	return Command{Path: shell, Argv: append([]string{shell, path}, argv[1:]...)}, nil
}

// locate finds the file.
func locate(name string, s Search) (string, error) {
	if strings.Contains(name, "/") {
		path := under(s.Dir, name)
		return path, refusal(name, path, check(path))
	}
	list := s.Path
	if !s.PathSet {
		list = defaultPath
	}
	var refused error
	for dir := range strings.SplitSeq(list, ":") {
		if dir == "" {
			dir = "."
		}
		path := under(s.Dir, strings.TrimSuffix(dir, "/")+"/"+name)
		err := refusal(name, path, check(path))
		if err == nil {
			return path, nil
		}
		if missing := (*NotFoundError)(nil); refused == nil && !errors.As(err, &missing) {
			refused = err
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", &NotFoundError{Name: name, Reason: "no such command in PATH"}
}

// under puts dir before a relative path. It does not clean: "a/../b" has to go
// through a.
func under(dir, path string) string {
	if dir == "" || path[0] == '/' {
		return path
	}
	return dir + "/" + path
}

var errNotRegular = errors.New("it is not a regular file")

// check says why execve would not take the file at path, whatever it holds.
func check(path string) error {
	var st unix.Stat_t
	if err := restart(func() error { return unix.Stat(path, &st) }); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return ErrDirectory
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errNotRegular
	case st.Mode&0o111 == 0:
		return ErrMode
	}
	return restart(func() error { return unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) })
}

// refusal turns what check said into this package's errors.
func refusal(name, path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENAMETOOLONG):
		return &NotFoundError{Name: name, Reason: "no such file"}
	case errors.Is(err, unix.EACCES):
		return &NotExecutableError{Path: path, Reason: "permission denied (we may not execute it, or may not enter a folder on its path, or its file system is mounted noexec)", Err: err}
	}
	return &NotExecutableError{Path: path, Reason: err.Error(), Err: err}
}

// restart repeats a call that a signal interrupted.
func restart(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
