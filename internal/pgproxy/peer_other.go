//go:build !linux

package pgproxy

import "net"

func unixPeer(*net.UnixConn) string { return "the Unix socket" }
