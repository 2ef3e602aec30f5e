//go:build unix

package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipeVariable names the descriptor of a pipe with secrets that were in the
// environment. It passes between two executions of one process.
const pipeVariable = "LAKEBASE_SECRET_FD"

// maxPiped bounds the secrets in the pipe, in bytes: each system's pipe holds as much
// before it is read.
const maxPiped = 16 << 10

// isSecret reports whether an entry of the environment holds a secret.
func (e *Environment) isSecret(entry string) bool {
	name, value, _ := strings.Cut(entry, "=")
	switch name {
	case "DATABRICKS_CLIENT_SECRET", "DATABRICKS_TOKEN", "DATABRICKS_OIDC_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", strings.TrimSpace(e.Env("DATABRICKS_OIDC_TOKEN_ENV")):
		return value != ""
	}
	return false
}

// ReexecWithoutSecrets executes the program again without the secrets in its
// environment, which can be read while a process runs: on macOS by every
// program of the same user (ps eww), on Linux by root. The secrets go over a pipe. It
// returns if there are none, or with an error.
func (e *Environment) ReexecWithoutSecrets() error {
	var secrets, rest []string
	for _, entry := range e.Environ {
		if e.isSecret(entry) {
			secrets = append(secrets, entry)
		} else {
			rest = append(rest, entry)
		}
	}
	if len(secrets) == 0 || e.reexecuted {
		return nil
	}
	text := strings.Join(secrets, "\x00")
	if len(text) > maxPiped {
		return errors.New("they are longer than 16 KiB")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	_, writeErr := io.WriteString(w, text)
	_, flagErr := unix.FcntlInt(r.Fd(), unix.F_SETFD, 0)
	if err := errors.Join(writeErr, w.Close(), flagErr); err != nil {
		return err
	}
	return syscall.Exec(self, append([]string{e.argv0}, e.Args...), append(rest, fmt.Sprintf("%s=%d", pipeVariable, r.Fd())))
}

// readPipedSecrets returns environ with the secrets of the pipe that it names. What is
// not a pipe, or one that still has a writer and could block for ever, is not read.
func readPipedSecrets(environ []string) (all []string, piped bool) {
	isPipe := func(entry string) bool { return strings.HasPrefix(entry, pipeVariable+"=") }
	i := slices.IndexFunc(environ, isPipe)
	if i < 0 {
		return environ, false
	}
	fd, err := strconv.Atoi(strings.TrimPrefix(environ[i], pipeVariable+"="))
	environ = slices.DeleteFunc(slices.Clone(environ), isPipe)
	if err != nil || fd < 3 {
		return environ, false
	}
	f := os.NewFile(uintptr(fd), pipeVariable)
	defer f.Close()
	info, err := f.Stat()
	state := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, pollErr := unix.Poll(state, 0); err != nil || pollErr != nil || info.Mode().Type() != fs.ModeNamedPipe || state[0].Revents&unix.POLLHUP == 0 {
		return environ, false
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPiped+1))
	if err != nil || len(text) == 0 || len(text) > maxPiped {
		return environ, false
	}
	return append(environ, strings.Split(string(text), "\x00")...), true
}
