//go:build unix

package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// pipeVariable names the descriptor over which secrets came that stood in the
// environment. It is between two lives of one process, and is handed to nobody.
const pipeVariable = "LAKEBASE_SECRET_FD"

// maxHidden bounds what goes over the pipe, in bytes: every system's pipe holds as
// much before anybody reads.
const maxHidden = 16 << 10

// hideable lists the variables that hold a secret to sign in with.
func (p *Process) hideable() []string {
	names := []string{"DATABRICKS_CLIENT_SECRET", "DATABRICKS_TOKEN", "DATABRICKS_OIDC_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"}
	if named := strings.TrimSpace(p.Env("DATABRICKS_OIDC_TOKEN_ENV")); named != "" {
		names = append(names, named)
	}
	return names
}

// HideSecret replaces this process by itself with the secrets out of its
// environment, which stays readable for as long as the process lives: on macOS by
// every program of the same user (ps eww), on Linux by root. They come over a
// pipe. It returns where there is nothing to hide, or with an error.
func (p *Process) HideSecret() error {
	names := p.hideable()
	hides := func(e string) bool {
		name, value, _ := strings.Cut(e, "=")
		return value != "" && slices.Contains(names, name)
	}
	var hidden []string
	for _, e := range p.Environ {
		if hides(e) {
			hidden = append(hidden, e)
		}
	}
	if len(hidden) == 0 || p.hidden {
		return nil
	}
	text := strings.Join(hidden, "\x00")
	if len(text) > maxHidden {
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
	_, err = io.WriteString(w, text)
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if _, err := unix.FcntlInt(r.Fd(), unix.F_SETFD, 0); err != nil {
		return err
	}
	environ := slices.DeleteFunc(slices.Clone(p.Environ), hides)
	environ = append(environ, pipeVariable+"="+strconv.Itoa(int(r.Fd())))
	return syscall.Exec(self, append([]string{p.name}, p.Args...), environ)
}

// ended says whether a pipe has no writer any more. Ours has none before anybody
// reads; another one could be waited for without end.
func ended(fd int) bool {
	state := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	_, err := unix.Poll(state, 0)
	return err == nil && state[0].Revents&unix.POLLHUP != 0
}

// takeSecret puts the secrets that an earlier life has hidden back into the
// snapshot. What is no pipe is not read.
func takeSecret(environ []string) (snapshot []string, hidden bool) {
	i := slices.IndexFunc(environ, func(e string) bool { return strings.HasPrefix(e, pipeVariable+"=") })
	if i < 0 {
		return environ, false
	}
	number := strings.TrimPrefix(environ[i], pipeVariable+"=")
	environ = slices.DeleteFunc(slices.Clone(environ), func(e string) bool { return strings.HasPrefix(e, pipeVariable+"=") })
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return environ, false
	}
	f := os.NewFile(uintptr(fd), pipeVariable)
	if f == nil {
		return environ, false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Type() != fs.ModeNamedPipe || !ended(fd) {
		return environ, false
	}
	text, err := io.ReadAll(io.LimitReader(f, maxHidden+1))
	if err != nil || len(text) == 0 || len(text) > maxHidden {
		return environ, false
	}
	return append(environ, strings.Split(string(text), "\x00")...), true
}
