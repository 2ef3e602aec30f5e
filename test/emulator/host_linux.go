package emulator

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent makes Postgres shut down when the process that started it ends, however
// it ends. SIGQUIT lets it remove its shared memory.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }

// minFree is the free space that shared memory must have for a cluster of some 40 MB:
// containers have 64 MB of it in all.
const minFree = 1 << 30

// fastDir returns /dev/shm if it has space: a cluster has 1,300 files, which take some
// disks most of a second. It returns "" if TMPDIR is set.
func fastDir() string {
	const shm = "/dev/shm"
	var fs unix.Statfs_t
	if os.Getenv("TMPDIR") != "" || unix.Statfs(shm, &fs) != nil || fs.Bavail*uint64(fs.Bsize) < minFree || unix.Access(shm, unix.W_OK) != nil {
		return ""
	}
	return shm
}

// holdPort reserves a port of loopback while nothing listens on it, with a socket that is
// bound with SO_REUSEADDR and never listens. Connections are refused, the listener can
// come back, and the kernel assigns the port to no other process.
func holdPort() (addr string, release func(), err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	var bound unix.Sockaddr
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		bound, err = unix.Getsockname(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return "", nil, fmt.Errorf("holding a port: %w", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port), func() { _ = unix.Close(fd) }, nil
}

// listenFull listens and accepts no connection: the queue has room for one connection, which
// filler takes, and the kernel drops all further ones without an answer (listen(2),
// tcp_abort_on_overflow).
func listenFull(ctx context.Context, addr string) (ln net.Listener, filler net.Conn, err error) {
	if ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", addr); err != nil {
		return nil, nil, err
	}
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err == nil {
		controlErr := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) })
		err = cmp.Or(err, controlErr)
	}
	if err == nil {
		filler, err = (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		_ = ln.Close()
	}
	return ln, filler, err
}
