package pgproxy

import (
	"crypto/tls"
	"errors"
	"net"
)

// pieces gives what a connection sends, run by run.
type pieces interface {
	// next waits for the next run. It may give a run and an error together. The
	// run is valid until the next call of either method.
	next() ([]byte, error)
	// done gives back the buffer of the last run.
	done()
}

// piecesOf chooses the cheapest way to read c.
func piecesOf(c net.Conn) pieces {
	w, t := wireUnder(c)
	switch {
	case w == nil:
		return &slowPieces{conn: c}
	case t == nil:
		w.joined = true
		return plainPieces{w}
	}
	w.joined = true
	return &tlsPieces{wire: w, conn: t, more: true}
}

// plainPieces reads a socket; its buffer is the run.
type plainPieces struct{ wire *Wire }

func (p plainPieces) next() ([]byte, error) {
	if p.wire.from == p.wire.to {
		if err := p.wire.fill(true); err != nil {
			return nil, err
		}
	}
	return p.wire.in[p.wire.from:p.wire.to], nil
}

func (p plainPieces) done() { p.wire.release() }

// tlsPieces takes out of TLS all records that the last reads brought.
type tlsPieces struct {
	wire *Wire
	conn *tls.Conn
	more bool // there may be records that were read already
	buf  *[bufferSize]byte
	bulk int // bytes since the last small run
}

// In a stream that has brought bulkAfter bytes in runs of bulkRun at the least, a
// short nap lets more arrive than the one record that would wake us: a wake-up
// costs more than its decryption. No answer to a query is that long by accident,
// and none waits for more than the nap.
const (
	bulkRun   = 4 << 10
	bulkAfter = 1 << 20
)

func (p *tlsPieces) next() ([]byte, error) {
	for {
		if !p.more {
			if p.bulk >= bulkAfter {
				nap()
			}
			if err := p.wire.fill(true); err != nil {
				return nil, err
			}
		}
		if p.buf == nil {
			p.buf = buffers.Get().(*[bufferSize]byte)
		}
		n, err := p.records()
		if p.bulk += n; n < bulkRun {
			p.bulk = 0
		}
		if n > 0 || err != nil {
			return p.buf[:n], err
		}
		p.done() // a part of a record: wait for the rest with empty hands
	}
}

// records reads until the buffer is full or the rest would have to be waited for.
func (p *tlsPieces) records() (n int, err error) {
	p.more = true
	for n < bufferSize {
		m, err := p.conn.Read(p.buf[n:])
		n += m
		if errors.Is(err, againError{}) {
			p.more = false
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (p *tlsPieces) done() {
	if p.buf != nil {
		buffers.Put(p.buf)
		p.buf = nil
	}
}

// slowPieces reads any connection. It has to have a buffer in hand while it
// waits: a small one, until that is filled.
type slowPieces struct {
	conn  net.Conn
	small [4 << 10]byte
	big   *[bufferSize]byte
}

func (p *slowPieces) next() ([]byte, error) {
	buf := p.small[:]
	if p.big != nil {
		buf = p.big[:]
	}
	n, err := p.conn.Read(buf)
	switch {
	case p.big == nil && n == len(buf):
		p.big = buffers.Get().(*[bufferSize]byte) // for the next one
	case p.big != nil && n < len(p.small):
		n = copy(p.small[:], buf[:n])
		buffers.Put(p.big)
		p.big, buf = nil, p.small[:]
	}
	return buf[:n], err
}

func (p *slowPieces) done() {}
