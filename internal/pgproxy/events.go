package pgproxy

import (
	"sync/atomic"
	"time"
)

// Stats is what a door is doing, and what it has done.
type Stats struct {
	HalfOpen int64 // not let in yet
	Waiting  int64 // their login upstream is under way
	Open     int64 // joined

	Logins       int64 // that worked
	FailedLogins int64 // upstream said no, or nothing in time
	Refused      int64 // sent away by a limit, or for a wrong user, password or packet
	Cancels      int64 // carried
}

type counters struct {
	waiting, open                   atomic.Int64
	logins, failed, refused, cancel atomic.Int64
}

// Stats may be called at any time.
func (p *Proxy) Stats() Stats {
	return Stats{
		HalfOpen: int64(len(p.startups)), Waiting: p.n.waiting.Load(), Open: p.n.open.Load(),
		Logins: p.n.logins.Load(), FailedLogins: p.n.failed.Load(), Refused: p.n.refused.Load(), Cancels: p.n.cancel.Load(),
	}
}

// EventKind says what happened.
type EventKind int

// The kinds. Err is nil where none is named.
const (
	LoggedIn     EventKind = iota + 1 // Took: how long the login upstream needed
	LoginFailed                       // Err is what Upstream.Login returned
	ClientGone                        // while its login waited
	Closed                            // Took: how long the connection was open
	Refused                           // Err is the *ServerError that the client got
	CancelDone                        // a cancel request was carried
	CancelFailed                      // Err is what Upstream.Cancel returned, or ErrUnknownKey
	AcceptFailed                      // Err is the listener's; it is tried again
)

// Event is one thing that happened. It holds no secret.
type Event struct {
	Kind EventKind
	Took time.Duration
	Err  error
}

func (p *Proxy) event(e Event) {
	if p.o.Event != nil {
		p.o.Event(e)
	}
}
