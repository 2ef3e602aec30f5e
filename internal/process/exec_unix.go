//go:build unix

package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// DefaultPath is the search path without PATH (glibc, confstr(_CS_PATH)).
const DefaultPath = "/bin:/usr/bin"

// Exec replaces this process by the command, with exactly the environment given.
// It returns only on failure, always with exit code 0 and an error:
// *NotFoundError if the file no longer exists, *NotExecutableError if the system
// rejects the file, its arguments or its environment, otherwise *StartError.
func Exec(c Command, environ []string) (exitCode int, err error) {
	return 0, c.start(func(path string, argv []string) error { return syscall.Exec(path, argv, environ) })
}

// start calls exec for the command. A script without a "#!" line runs by the shell, as
// with execvp (POSIX, exec). Errors: those of Exec.
func (c Command) start(exec func(path string, argv []string) error) error {
	err := exec(c.Path, c.Argv)
	if err == syscall.ENOEXEC {
		if interpreter, isText := readShebang(c.Path); isText && interpreter == "" {
			script := c.Path
			if script[0] == '-' { // sh would parse it as options
				script = "./" + script
			}
			err = exec("/bin/sh", append([]string{"/bin/sh", script}, c.Argv[1:]...))
		}
	}
	if err == nil {
		return nil
	}
	return execError(c.Path, err)
}

// execError explains an error of execve.
func execError(path string, err error) error {
	refused := &NotExecutableError{Path: path, Reason: err.Error(), Err: err}
	switch {
	case err == syscall.ENOENT || err == syscall.ENOTDIR:
		_, statErr := os.Stat(path)
		switch interpreter, _ := readShebang(path); {
		case statErr != nil:
			return &NotFoundError{Name: path}
		case strings.HasSuffix(interpreter, "\r"):
			refused.Reason, refused.fix = "script has Windows line endings", "save the script with Unix line endings"
		case interpreter != "":
			refused.Reason = fmt.Sprintf("interpreter %q not found", interpreter)
		default:
			refused.Reason = "its loader (ld.so) was not found: it was built for another system"
		}
	case err == syscall.E2BIG, err == syscall.ENOEXEC, err == syscall.ETXTBSY, err == syscall.ELOOP, errors.Is(err, os.ErrPermission):
	default:
		return &StartError{Path: path, Err: err}
	}
	return refused
}

// readShebang returns the program named by a script's "#!" line, if there is one, and
// whether the first bytes of the file are text, which bash too asks of a script.
func readShebang(path string) (interpreter string, isText bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	head := make([]byte, 256) // from which Linux detects the format
	n, _ := io.ReadFull(f, head)
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	if line, ok := strings.CutPrefix(line, "#!"); ok {
		interpreter, _, _ = strings.Cut(strings.ReplaceAll(strings.Trim(line, " \t"), "\t", " "), " ")
	}
	return interpreter, bytes.IndexByte(head[:n], 0) < 0
}
