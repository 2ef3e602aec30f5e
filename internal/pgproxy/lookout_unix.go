//go:build unix

package pgproxy

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lookFor is how long a socket is looked at before its reader sleeps. To sleep
	// and be woken costs more than a short query on the same machine.
	lookFor = 100 * time.Microsecond
	// mostSkipped bounds how many waits begin with sleep after looking was in vain:
	// a database far away is never that quick, and shall cost nothing.
	mostSkipped = 1023
)

// lookout looks at both sockets of a session, as whoever sleeps last keeps the
// other's wake-up short, too. Each side has its own.
type lookout struct {
	near, far syscall.RawConn
	alone     func() bool // with company there is better to do than to look
	skip      int         // so many waits are not looked at
	skipped   int         // the length of the last such row
	fds       [2]unix.PollFd
	found     bool
	nearby    func(fd uintptr)
	both      func(fd uintptr)
}

// watch has two joined wires look out for each other.
func watch(a, b *Wire, alone func() bool) {
	if a != nil && b != nil && runtime.NumCPU() > 1 {
		a.look, b.look = newLookout(a.raw, b.raw, alone), newLookout(b.raw, a.raw, alone)
	}
}

func newLookout(near, far syscall.RawConn, alone func() bool) *lookout {
	l := &lookout{near: near, far: far, alone: alone}
	l.nearby = func(fd uintptr) {
		l.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		_ = l.far.Control(l.both)
	}
	l.both = func(fd uintptr) {
		l.fds[1] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		for end := time.Now().Add(lookFor); !l.found && time.Now().Before(end); {
			n, err := unix.Poll(l.fds[:], 0)
			l.found = n > 0 && err == nil
		}
	}
	return l
}

// out looks until one of the two has something to read, lookFor at the longest.
func (l *lookout) out() {
	switch {
	case l.skip > 0:
		l.skip--
		return
	case !l.alone():
		return
	}
	l.found = false
	if _ = l.near.Control(l.nearby); l.found {
		l.skipped = 0
		return
	}
	l.skipped = min(2*l.skipped+1, mostSkipped)
	l.skip = l.skipped
}
