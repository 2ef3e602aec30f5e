package pgproxy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestServe_LeavesNoDescriptors(t *testing.T) {
	p := start(t, Options{}, echo)
	short := start(t, Options{StartupTimeout: 50 * time.Millisecond}, echo)
	first := dial(t, p.unix)
	first.login().echo("hello") // initializes the poller and the certificate
	must(t, first.Close())
	eventually(t, "the session to end", func() bool { return p.Stats().Open == 0 })
	sockets := func() (n int) {
		all, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		for _, f := range all {
			if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, "socket:") {
				n++
			}
		}
		return n
	}
	time.Sleep(50 * time.Millisecond)
	before := sockets()
	var silent []*client
	for range 10 {
		open := dial(t, p.tcp).startTLS().login()
		open.echo("hello")
		cancel := dial(t, p.unix)
		cancel.cancel(open.pid, open.key)
		silent = append(silent, dial(t, short.unix))
		invalid := dial(t, p.tcp)
		invalid.send([]byte("GET / HTTP/1.1\r\n\r\n"))
		invalid.failure()
		for _, c := range []*client{open, cancel, invalid} {
			_ = c.Close()
		}
	}
	for _, c := range silent {
		c.ended()
		_ = c.Close()
	}
	eventually(t, "all sockets to be closed", func() bool { return sockets() <= before })
}

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
