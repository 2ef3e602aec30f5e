package pgproxy

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// PathTooLongError says that a socket's path does not fit into sun_path.
type PathTooLongError struct {
	Path string
	Max  int // bytes that fit
}

func (e *PathTooLongError) Error() string {
	return fmt.Sprintf("the socket path %q has %d bytes; %d fit", e.Path, len(e.Path), e.Max)
}

// maxSocketPath is the size of sun_path without the NUL at its end, which libpq
// wants to be there.
func maxSocketPath() int {
	if runtime.GOOS == "linux" || runtime.GOOS == "windows" {
		return 107
	}
	return 103
}

// ListenUnix listens on the socket by which libpq knows port in dir, a folder
// that the caller has closed to others. The socket is removed when the listener
// is closed; one that was left by a process that is gone is replaced. Errors:
// *PathTooLongError, or the system's (EADDRINUSE while somebody else listens).
func ListenUnix(dir string, port int) (net.Listener, error) {
	path := filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port))
	if most := maxSocketPath(); len(path) > most {
		return nil, &PathTooLongError{Path: path, Max: most}
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

// removeStale removes a socket that nobody listens on.
func removeStale(path string) {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
}

// Reach says which addresses a TCP listener may have.
type Reach int

// The reaches.
const (
	Loopback Reach = iota
	AnyAddress
)

// NotLoopbackError says that an address can be reached by other machines.
type NotLoopbackError struct{ Addr string }

func (e *NotLoopbackError) Error() string {
	return fmt.Sprintf("%q is no loopback address", e.Addr)
}

// ListenTCP listens on addr, host:port, where the host is an IP literal or
// localhost. Port 0 takes a free one. Errors: *NotLoopbackError, or the system's.
func ListenTCP(addr string, reach Reach) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ip := net.ParseIP(host)
	if reach != AnyAddress && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, &NotLoopbackError{Addr: addr}
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	// What localhost means is the resolver's word.
	if a, ok := ln.Addr().(*net.TCPAddr); reach != AnyAddress && (!ok || !a.IP.IsLoopback()) {
		_ = ln.Close()
		return nil, &NotLoopbackError{Addr: addr}
	}
	return ln, nil
}
