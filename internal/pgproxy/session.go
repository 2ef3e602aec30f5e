package pgproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// session is one client's connection.
type session struct {
	p    *Proxy
	wire *Wire
	conn net.Conn // the wire, or TLS on it
	buf  []byte   // read and not yet understood

	local   bool   // a Unix socket: there is no TLS on it
	sslDone bool   // asked for once
	gssDone bool   // asked for once
	admit   func() // gives back the start-up slot
}

// errSilent ends a session without a word: the client is gone, or what it sent is
// no Postgres.
var errSilent = errors.New("nobody to tell")

func itoa(n int) string { return strconv.Itoa(n) }

// handle serves one connection from its first byte to its last.
func (p *Proxy) handle(ctx context.Context, c net.Conn) {
	s := &session{p: p, wire: NewWire(c), admit: sync.OnceFunc(func() { <-p.startups })}
	s.conn = s.wire
	_, s.local = c.(*net.UnixConn)
	defer s.admit()
	forget, ok := p.track(c)
	defer forget()
	defer func() { _ = c.Close() }()
	if !ok {
		return
	}
	keepAlive(c)
	_ = c.SetDeadline(time.Now().Add(p.o.StartupTimeout))
	err := s.run(ctx)
	var told *ServerError
	if errors.As(err, &told) && ctx.Err() == nil {
		s.tell(told)
	}
}

// run is the life of a session. A *ServerError is still to be told.
func (s *session) run(ctx context.Context) error {
	first, err := s.begin()
	if err != nil {
		return s.refuse(err)
	}
	if first.kind == cancelPacket {
		s.p.carry(ctx, first.cancel.ProcessID, first.cancel.SecretKey)
		return nil
	}
	if err := s.authenticate(first); err != nil {
		return s.refuse(err)
	}
	s.admit()
	if n := s.p.taken.Add(1); n > int64(s.p.o.MaxConns) {
		s.p.taken.Add(-1)
		return s.refuse(tooMany("of connections", s.p.o.MaxConns))
	}
	defer s.p.taken.Add(-1)
	return s.serve(ctx, first.params)
}

// refuse counts an error that the client gets, and passes it on.
func (s *session) refuse(err error) error {
	var told *ServerError
	if errors.As(err, &told) {
		s.p.refused(told)
	}
	return err
}

// tell sends an error and gives the client time to read it: a socket that is
// closed with unread bytes in it may lose what was sent.
func (s *session) tell(e *ServerError) {
	_ = s.wire.SetDeadline(time.Now().Add(writeTimeout))
	if _, err := s.conn.Write(e.encode()); err != nil {
		return
	}
	endWrite(s.conn)
	linger(s.wire.Conn)
}

func linger(c net.Conn) {
	endWrite(c)
	_ = c.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c, lingerBytes)
}

// begin reads packets until one says what the connection is for, and puts TLS on
// it if it is asked for.
func (s *session) begin() (packet, error) {
	if err := s.more(1); err != nil {
		return packet{}, err
	}
	if s.buf[0] == 0x16 && !s.local { // PostgreSQL 17: TLS without asking
		s.wire.unread(s.buf)
		s.buf = nil
		if err := s.secure(); err != nil {
			return packet{}, err
		}
		if s.conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != alpn {
			return packet{}, violation("received direct SSL connection request without ALPN protocol negotiation extension")
		}
	}
	for {
		first, err := s.packet()
		if err != nil {
			return packet{}, err
		}
		switch {
		case first.kind == sslPacket && !s.sslDone:
			err = s.answerSSL()
		case first.kind == gssPacket && !s.gssDone:
			s.gssDone = true
			err = s.answer('N', "received unencrypted data after GSSAPI encryption request")
		case first.kind == sslPacket:
			err = unsupported(codeSSL)
		case first.kind == gssPacket:
			err = unsupported(codeGSS)
		default:
			return first, nil
		}
		if err != nil {
			return packet{}, err
		}
	}
}

// answer replies with one byte to a request for encryption. Bytes behind such a
// request were sent before the answer was known, and may be somebody else's:
// CVE-2021-23214.
func (s *session) answer(b byte, unread string) error {
	if len(s.buf) > 0 {
		e := violation(unread)
		e.Detail = "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack."
		return e
	}
	_, err := s.conn.Write([]byte{b})
	return err
}

func (s *session) answerSSL() error {
	s.sslDone = true
	const unread = "received unencrypted data after SSL request"
	if s.local {
		return s.answer('N', unread)
	}
	if err := s.answer('S', unread); err != nil {
		return err
	}
	return s.secure()
}

// secure puts TLS on the connection. Nothing asks for encryption inside it.
func (s *session) secure() error {
	s.sslDone, s.gssDone = true, true
	config, err := s.p.tls()
	if err != nil {
		return err
	}
	t := tls.Server(s.wire, config)
	if err := t.Handshake(); err != nil {
		return errors.Join(errSilent, err)
	}
	s.conn = t
	return nil
}

// packet reads one start-up packet.
func (s *session) packet() (packet, error) {
	for {
		first, n, want, bad := parsePacket(s.buf)
		if bad != nil {
			return first, bad
		}
		if n > 0 {
			s.buf = s.buf[n:]
			return first, nil
		}
		if err := s.more(want); err != nil {
			return first, err
		}
	}
}

// more reads once, with room for at least want bytes in all.
func (s *session) more(want int) error {
	s.buf = slices.Grow(s.buf, max(512, want-len(s.buf)))
	n, err := s.conn.Read(s.buf[len(s.buf):cap(s.buf)])
	s.buf = s.buf[:len(s.buf)+n]
	if n > 0 || err == nil {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return errors.Join(errSilent, err)
}
