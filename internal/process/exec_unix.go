//go:build unix

package process

import (
	"errors"
	"syscall"
)

// Exec replaces this process by the command, with exactly the environment given;
// an empty one is empty. It returns only on failure, always with exit code 0 and
// an error: *NotFoundError when the file went away, *NotExecutableError when the
// system refuses the file, its arguments or its environment, *StartError else.
func Exec(c Command, environ []string, _ Stdio) (exitCode int, err error) {
	if len(c.Argv) == 0 {
		return 0, &StartError{Path: c.Path, Err: errors.New("it has no name")}
	}
	return 0, execError(c.Path, syscall.Exec(c.Path, c.Argv, environ))
}

// execError tells what an error of execve means.
func execError(path string, err error) error {
	reason := ""
	switch {
	case errors.Is(err, syscall.E2BIG):
		reason = "its arguments and environment together are longer than the system takes"
	case errors.Is(err, syscall.ENOEXEC):
		reason = "the system cannot run its format: it is damaged, or was built for another machine"
	case errors.Is(err, syscall.ETXTBSY):
		reason = "the file is open for writing: it is just being written"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		reason = "permission denied"
	case errors.Is(err, syscall.ELOOP):
		reason = "too many symbolic links, or too many interpreters"
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		if check(path) != nil {
			return &NotFoundError{Name: path, Reason: "the file went away after it was found"}
		}
		reason = "its interpreter or loader is missing"
	default:
		return &StartError{Path: path, Err: err}
	}
	return &NotExecutableError{Path: path, Reason: reason, Err: err}
}
