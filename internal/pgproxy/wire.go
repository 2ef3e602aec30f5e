package pgproxy

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"syscall"
)

// bufferSize is what is read from a socket at once: four full TLS records. A
// buffer is held while there is data, never while a connection is idle.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// A Wire is a socket that TLS can be put on and that still knows its own file
// descriptor: once joined it is read in large pieces, without a buffer while it
// is idle, and the records of one TLS write leave in one system call. Until then
// it is the connection that it was made from.
type Wire struct {
	net.Conn
	raw    syscall.RawConn // nil: the platform or the socket has none, and joining is plainer
	joined bool            // set before the goroutines that join start

	in      *[bufferSize]byte // read and not yet taken; nil is none
	from    int
	to      int
	drained bool // the last read took all that there was
	wait    bool // what try does when there is nothing
	got     int
	err     error
	try     func(fd uintptr) bool // readOnce, bound once so that reading does not allocate
	look    *lookout              // nil: a wait begins with sleep

	mu     sync.Mutex // writes: a TLS read may have to answer a key update
	corked *[]byte
}

// NewWire wraps a TCP or Unix connection before TLS is put on it. Whoever dials
// for an Upstream does it there; without it the joining is correct, and slower.
func NewWire(c net.Conn) *Wire {
	w := &Wire{Conn: c}
	if s, ok := c.(syscall.Conn); ok && canReadOnce {
		if raw, err := s.SyscallConn(); err == nil {
			w.raw = raw
			w.try = w.readOnce
		}
	}
	return w
}

// againError says that there is nothing to read now. crypto/tls goes on after an
// error that calls itself temporary.
type againError struct{}

func (againError) Error() string   { return "nothing to read now" }
func (againError) Timeout() bool   { return true }
func (againError) Temporary() bool { return true }

// Read gives what was read ahead first. A joined wire does not wait.
func (w *Wire) Read(p []byte) (int, error) {
	if w.from == w.to {
		if !w.joined {
			return w.Conn.Read(p)
		}
		if w.drained {
			return 0, againError{}
		}
		if err := w.fill(false); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.in[w.from:w.to])
	if w.from += n; w.from == w.to {
		w.release()
	}
	return n, nil
}

// unread puts b back, before joining.
func (w *Wire) unread(b []byte) {
	w.in = buffers.Get().(*[bufferSize]byte)
	w.from, w.to = 0, copy(w.in[:], b)
}

func (w *Wire) release() {
	if w.in != nil {
		buffers.Put(w.in)
	}
	w.in, w.from, w.to = nil, 0, 0
}

// fill reads once into an empty in. If nothing is there it waits for it with no
// buffer in hand, or says againError.
func (w *Wire) fill(wait bool) error {
	if wait && w.drained && w.look != nil {
		w.look.out()
	}
	w.wait, w.got, w.err = wait, 0, nil
	err := w.raw.Read(w.try)
	if err == nil {
		err = w.err
	}
	if err == nil && w.got == 0 {
		err = io.EOF
	}
	if err != nil {
		w.release()
		return err
	}
	w.from, w.to = 0, w.got
	w.drained = w.got < bufferSize
	return nil
}

// Write sends p, or keeps it while the wire is corked.
func (w *Wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.corked == nil {
		return w.Conn.Write(p)
	}
	*w.corked = append(*w.corked, p...)
	return len(p), nil
}

// corks holds room for the records of one full buffer.
var corks = sync.Pool{New: func() any {
	b := make([]byte, 0, bufferSize+1024)
	return &b
}}

func (w *Wire) cork() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corked = corks.Get().(*[]byte)
}

func (w *Wire) uncork() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.corked
	w.corked = nil
	_, err := w.Conn.Write(*b)
	*b = (*b)[:0]
	corks.Put(b)
	return err
}

// CloseWrite ends what the peer reads, where the connection can say so.
func (w *Wire) CloseWrite() error {
	if c, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// wireUnder finds the wire of a connection, and its TLS if it has one.
func wireUnder(c net.Conn) (w *Wire, t *tls.Conn) {
	if t, _ = c.(*tls.Conn); t != nil {
		c = t.NetConn()
	}
	if w, _ = c.(*Wire); w != nil && w.raw == nil {
		w = nil
	}
	return w, t
}
