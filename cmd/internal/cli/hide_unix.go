//go:build unix

package cli

import (
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/internal/safefile"
)

const (
	secretVariable = "DATABRICKS_CLIENT_SECRET"
	// pipeVariable names the descriptor over which the secret came instead. It is
	// between two lives of one process, and is handed to nobody.
	pipeVariable = "LAKEBASE_SECRET_FD"
)

// HideSecret replaces this process by itself with the secret out of its
// environment, which stays readable for as long as the process lives: on macOS by
// every program of the same user (ps eww), on Linux by root. The secret comes over
// a pipe. It returns where there is nothing to hide, or with an error.
func (p *Process) HideSecret() error {
	secret := p.Env(secretVariable)
	if secret == "" || p.hidden || len(secret) > safefile.MaxSecret {
		return nil
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
	_, err = io.WriteString(w, secret) // a pipe holds as much
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if _, err := unix.FcntlInt(r.Fd(), unix.F_SETFD, 0); err != nil {
		return err
	}
	environ := slices.DeleteFunc(slices.Clone(p.Environ), func(e string) bool { return strings.HasPrefix(e, secretVariable+"=") })
	environ = append(environ, pipeVariable+"="+strconv.Itoa(int(r.Fd())))
	return syscall.Exec(self, append([]string{p.name}, p.Args...), environ)
}

// takeSecret puts the secret that an earlier life has hidden back into the
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
	if info, err := f.Stat(); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		return environ, false
	}
	secret, err := io.ReadAll(io.LimitReader(f, safefile.MaxSecret+1))
	if err != nil || len(secret) == 0 || len(secret) > safefile.MaxSecret {
		return environ, false
	}
	return append(environ, secretVariable+"="+string(secret)), true
}
