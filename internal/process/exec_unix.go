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

// defaultPath is the search path without PATH (glibc, confstr(_CS_PATH)).
const defaultPath = "/bin:/usr/bin"

// shell runs scripts without a "#!" line, as execvp does (POSIX, exec).
const shell = "/bin/sh"

// headSize is how much of a file Linux reads to detect its format.
const headSize = 256

var errNoArgv = errors.New("no argv[0]")

// Exec replaces this process by the command, with exactly the environment given.
// It returns only on failure, always with exit code 0 and an error:
// *NotFoundError if the file no longer exists, *NotExecutableError if the system
// rejects the file, its arguments or its environment, otherwise *StartError.
func Exec(c Command, environ []string, _ Stdio) (exitCode int, err error) {
	return 0, c.start(func(path string, argv []string) error { return syscall.Exec(path, argv, environ) })
}

// start calls exec for the command, and for a script without a "#!" line again
// with the shell. It explains exec's error.
func (c Command) start(exec func(path string, argv []string) error) error {
	if len(c.Argv) == 0 {
		return &StartError{Path: c.Path, Err: errNoArgv}
	}
	err := exec(c.Path, c.Argv)
	if errors.Is(err, syscall.ENOEXEC) && isShellScript(readHead(c.Path)) {
		script := c.Path
		if script[0] == '-' { // sh would parse it as options
			script = "./" + script
		}
		err = exec(shell, append([]string{shell, script}, c.Argv[1:]...))
	}
	if err == nil {
		return nil
	}
	return execError(c.Path, err)
}

// execError explains an error of execve.
func execError(path string, err error) error {
	reason := ""
	switch interpreter := interpreter(readHead(path)); {
	case errors.Is(err, syscall.E2BIG):
		reason = "arguments and environment are too long for the system"
	case errors.Is(err, syscall.ENOEXEC):
		reason = "exec format error (the file is damaged or was built for another architecture)"
	case errors.Is(err, syscall.ETXTBSY):
		reason = "the file is open for writing"
	case errors.Is(err, syscall.ELOOP):
		reason = "too many levels of symbolic links or interpreters"
	case errors.Is(err, syscall.EACCES) && interpreter != "":
		reason = fmt.Sprintf("permission denied (for the file or its interpreter %q)", interpreter)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		reason = "permission denied"
	case !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR):
		return &StartError{Path: path, Err: err}
	case !exists(path):
		return &NotFoundError{Name: path}
	case strings.HasSuffix(interpreter, "\r"):
		reason, err = errLineEndings.Error(), errLineEndings
	case interpreter != "":
		reason = fmt.Sprintf("interpreter %q not found", interpreter)
	default:
		reason = "its loader (ld.so) was not found: it was built for another system"
	}
	return &NotExecutableError{Path: path, Reason: reason, Err: err}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readHead returns the first bytes of the file; empty if it cannot be read.
func readHead(path string) []byte {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not block
	if err != nil {
		return nil
	}
	defer f.Close()
	head := make([]byte, headSize)
	n, _ := io.ReadFull(f, head)
	return head[:n]
}

// interpreter returns the program named by a script's "#!" line, if there is one.
func interpreter(head []byte) string {
	line, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return ""
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	name, _, _ := strings.Cut(strings.Trim(string(line), " \t"), " ")
	name, _, _ = strings.Cut(name, "\t")
	return name
}

// isShellScript reports whether a file that execve rejects may be given to the
// shell: it names no interpreter and, as bash checks too, is not binary.
func isShellScript(head []byte) bool {
	return interpreter(head) == "" && bytes.IndexByte(head, 0) < 0
}
