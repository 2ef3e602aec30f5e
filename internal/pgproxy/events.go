package pgproxy

import (
	"net"
	"sync/atomic"
	"time"
)

// Stats are the current and total numbers of a Proxy.
type Stats struct {
	Waiting int64 // login upstream in progress
	Open    int64 // relayed

	Logins       int64 // succeeded upstream
	FailedLogins int64 // ended with an error, here (wrong password or user, a limit) or upstream
}

type counters struct{ waiting, open, logins, failed atomic.Int64 }

// Stats returns the current numbers. It may be called at any time.
func (p *Proxy) Stats() Stats {
	return Stats{Waiting: p.n.waiting.Load(), Open: p.n.open.Load(), Logins: p.n.logins.Load(), FailedLogins: p.n.failed.Load()}
}

// EventKind is what happened.
type EventKind int

// The kinds of events. Err is nil unless the kind names it.
const (
	LoggedIn     EventKind = iota + 1 // Took: duration of the login upstream
	LoginFailed                       // Err: the *ServerError of Upstream.Login; Peer
	Rejected                          // Err: the *ServerError sent to the client; Peer
	CancelFailed                      // Err: from Upstream.Cancel, or errUnknownKey
	AcceptFailed                      // Err: from the listener; Accept is tried again
)

// Event is an event of the proxy. It contains no secret.
type Event struct {
	Kind EventKind
	Took time.Duration
	Peer string // the client's address or, on a Unix socket, its process
	Err  error
}

// peerOf describes the client of a socket.
func peerOf(c net.Conn) string {
	if u, ok := c.(*net.UnixConn); ok {
		return unixPeer(u)
	}
	return c.RemoteAddr().String()
}
