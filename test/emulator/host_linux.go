package emulator

import (
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

// holdPort reserves a port while nothing listens on it, with a socket that is bound
// with SO_REUSEADDR and never listens. Connections are refused, the listener can come
// back, and the kernel assigns the port to no other process. Call it before listening;
// held is the address with the port that was found.
func holdPort(addr string) (held string, release func(), err error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return "", nil, err
	}
	family, sa := unix.AF_INET, unix.Sockaddr(nil)
	if ip := tcp.IP.To4(); ip != nil {
		sa = &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(ip)}
	} else {
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: tcp.Port, Addr: [16]byte(tcp.IP.To16())}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		sa, err = unix.Getsockname(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return "", nil, fmt.Errorf("holding %s: %w", addr, err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		tcp.Port = sa.Port
	case *unix.SockaddrInet6:
		tcp.Port = sa.Port
	}
	return tcp.String(), func() { _ = unix.Close(fd) }, nil
}
