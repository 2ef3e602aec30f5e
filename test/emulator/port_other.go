//go:build !linux

package emulator

import "net"

// holdPort only finds a free port: the gateway binds it again each time, and retries
// until it can.
func holdPort(addr string) (held string, release func(), err error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, err
	}
	defer ln.Close()
	return ln.Addr().String(), func() {}, nil
}
