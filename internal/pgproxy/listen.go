package pgproxy

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ErrPathTooLong means that the path of a socket does not fit into sun_path.
var ErrPathTooLong = errors.New("socket path is too long")

// ErrNotLoopback means that other machines can reach an address.
var ErrNotLoopback = errors.New("not a loopback address")

// maxSocketPath is the size of sun_path, without the terminating NUL, which libpq requires.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// ListenUnix listens on the Unix socket that libpq uses for port in dir, a directory
// to which only the user has access. It replaces a socket without a listener, left by a
// killed process. Closing the listener removes the socket. The error is ErrPathTooLong
// or the system's.
func ListenUnix(dir string, port int) (net.Listener, error) {
	path := filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port))
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%w: %q has %d bytes, maximum %d", ErrPathTooLong, path, len(path), maxSocketPath)
	}
	removeStale(path)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// wsaConnRefused is ECONNREFUSED of Windows sockets (winerror.h).
const wsaConnRefused syscall.Errno = 10061

// removeStale removes a socket on which no process listens.
func removeStale(path string) {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
	} else if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaConnRefused) {
		_ = os.Remove(path)
	}
}

// ListenLoopback listens on addr, host:port, whose host is localhost or a loopback IP
// address. Port 0 means any free port. The error is ErrNotLoopback or the system's.
func ListenLoopback(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%q is %w", addr, ErrNotLoopback)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	// The resolver may map localhost to another address.
	if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		_ = ln.Close()
		return nil, fmt.Errorf("%q is %w", addr, ErrNotLoopback)
	}
	return ln, nil
}
