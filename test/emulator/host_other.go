//go:build !linux

package emulator

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// dieWithParent does nothing: only Linux has parent-death signals.
func dieWithParent(*syscall.SysProcAttr) {}

// fastDir returns "": there is no such directory.
func fastDir() string { return "" }

// holdPort only finds a free port: the gateway binds it again each time, and retries
// until it can.
func holdPort() (addr string, release func(), err error) {
	ln, err := net.Listen("tcp", anyPort)
	if err != nil {
		return "", nil, err
	}
	defer ln.Close()
	return ln.Addr().String(), func() {}, nil
}

// listenFull fails: what a full queue does differs between systems.
func listenFull(context.Context, string) (net.Listener, net.Conn, error) {
	return nil, nil, errors.New("a port that drops connections works on Linux only")
}
