//go:build unix

package pgproxy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const canReadOnce = true

// readOnce reads what there is. It says false if it has to be called again when
// the socket has become readable.
func (w *Wire) readOnce(fd uintptr) bool {
	if w.in == nil {
		w.in = buffers.Get().(*[bufferSize]byte)
	}
	for {
		w.got, w.err = syscall.Read(int(fd), w.in[:])
		if w.err == nil {
			return true
		}
		w.got = 0
		switch {
		case w.err == syscall.EINTR:
		case w.err == syscall.EAGAIN && w.wait:
			w.release()
			return false
		case w.err == syscall.EAGAIN:
			w.err = againError{}
			return true
		default:
			return true
		}
	}
}

// nap sleeps for about a tenth of a millisecond. The runtime's own timers may
// need ten times that.
func nap() {
	t := unix.NsecToTimeval(50_000)
	_, _ = unix.Select(0, nil, nil, nil, &t)
}
