//go:build unix

package process

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
)

// DefaultPath is the search path without PATH (glibc, confstr(_CS_PATH)).
const DefaultPath = "/bin:/usr/bin"

// Exec replaces this process by the command, with exactly the environment given.
// It returns only on failure, always with exit code 0 and an *Error.
func Exec(c Command, environ []string) (exitCode int, err error) {
	return 0, c.start(func(path string, argv []string) error { return syscall.Exec(path, argv, environ) })
}

// start calls exec for the command. A script without a "#!" line runs by the shell, as
// with execvp (POSIX, exec). Errors: *Error.
func (c Command) start(exec func(path string, argv []string) error) error {
	err := exec(c.Path, c.Argv)
	if err == syscall.ENOEXEC && isShellScript(c.Path) {
		script := c.Path
		if script[0] == '-' { // sh would parse it as options
			script = "./" + script
		}
		err = exec("/bin/sh", append([]string{"/bin/sh", script}, c.Argv[1:]...))
	}
	switch {
	case err == nil:
		return nil
	case err == syscall.ENOENT, err == syscall.ENOTDIR:
		if _, statErr := os.Stat(c.Path); statErr != nil {
			return notFound(c.Path, "")
		}
		return notExecutable(c.Path, "its interpreter or loader was not found",
			"check the first line of a script, also for Windows line endings; a program may be built for another system", err)
	case err == syscall.E2BIG, err == syscall.ENOEXEC, err == syscall.ETXTBSY, err == syscall.ELOOP, errors.Is(err, os.ErrPermission):
		return notExecutable(c.Path, err.Error(), "", err)
	}
	return startFailed(c.Path, err)
}

// isShellScript reports whether a file starts with text, which bash too asks of a script,
// and names no interpreter.
func isShellScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 256) // from which Linux detects the format
	n, _ := io.ReadFull(f, head)
	return !bytes.HasPrefix(head, []byte("#!")) && bytes.IndexByte(head[:n], 0) < 0
}
