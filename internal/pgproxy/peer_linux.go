package pgproxy

import (
	"fmt"
	"net"
	"syscall"
)

// unixPeer returns the process at the other end.
func unixPeer(c *net.UnixConn) string {
	peer := "the Unix socket"
	raw, err := c.SyscallConn()
	if err != nil {
		return peer
	}
	_ = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			peer = fmt.Sprintf("process %d of user %d", cred.Pid, cred.Uid)
		}
	})
	return peer
}
