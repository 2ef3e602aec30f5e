package pgproxy

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A listener whose queue is full is in use: its socket must not be replaced.
func TestListenUnix_BusyListener(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".s.PGSQL.5432")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer func() { _ = unix.Close(fd) }()
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	must(t, unix.Listen(fd, 0))
	for full := false; !full; {
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		must(t, err)
		defer func() { _ = unix.Close(c) }()
		err = unix.Connect(c, &unix.SockaddrUnix{Name: path})
		if full = errors.Is(err, unix.EAGAIN); !full {
			must(t, err)
		}
	}
	if ln, err := ListenUnix(dir, 5432); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v, %v; want EADDRINUSE", ln, err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket was removed: %v", err)
	}
}
