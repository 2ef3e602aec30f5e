package pgproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// session is the connection of one client.
type session struct {
	p    *Proxy
	sock net.Conn
	conn net.Conn // sock, or TLS on it
	buf  []byte   // read from conn and not consumed

	addr    netip.Prefix // see clientAddr
	since   time.Time
	evicted atomic.Bool // has lost its startup slot

	login    bool // a startup message has arrived
	upstream bool // the login upstream has begun
}

// newSession returns the session of a client that has just connected.
func newSession(p *Proxy, c net.Conn) *session {
	s := &session{p: p, sock: c, conn: c, addr: clientAddr(c.RemoteAddr()), since: time.Now()}
	_ = c.SetDeadline(s.since.Add(p.o.StartupTimeout))
	return s
}

// handle serves the client, which has a startup slot, from its first byte to its last.
func (s *session) handle(ctx context.Context) {
	defer s.p.halfOpen.release(s, false)
	defer closeWhenDone(ctx, s.sock)()
	defer func() { _ = s.sock.Close() }()
	e, ok := errors.AsType[*ServerError](s.run(ctx))
	if !ok || ctx.Err() != nil {
		return
	}
	if s.login {
		s.p.n.failed.Add(1)
	}
	s.p.o.Observer.Rejected(peerOf(s.sock), e, s.upstream)
	s.sendError(e)
}

// evict ends the startup phase of a session that has lost its slot.
func (s *session) evict() {
	s.evicted.Store(true)
	_ = s.sock.SetReadDeadline(time.Unix(1, 0))
}

func (s *session) tooManyStartups() *ServerError {
	return tooMany(s.p.o.MaxStartups, "connections without a password yet, and closes the oldest")
}

// run returns when the session has ended. The client has not received a *ServerError yet.
func (s *session) run(ctx context.Context) error {
	first, err := s.negotiate()
	if err != nil {
		return err
	}
	if first.code == codeCancel {
		s.p.cancel(ctx, first.cancel)
		return nil
	}
	s.login = true
	if err := s.authenticate(first); err != nil {
		return err
	}
	if !s.p.halfOpen.release(s, true) {
		return s.tooManyStartups()
	}
	defer s.p.clients.Add(-1)
	if s.p.clients.Add(1) > int64(s.p.o.MaxConns) {
		return tooMany(s.p.o.MaxConns, "connections (--max-connections)")
	}
	start := time.Now()
	server, err := s.connect(ctx, first.params)
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	defer closeWhenDone(ctx, server.Conn)()
	return s.serve(server, start)
}

// sendError sends e and waits until the client has had time to read it.
func (s *session) sendError(e *ServerError) {
	_ = s.sock.SetDeadline(time.Now().Add(writeTimeout))
	b, _ := (&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: e.Code,
		Message: sanitize.Line(e.Message), Hint: sanitize.Line(e.Hint)}).Encode(nil) // fails only on a message of 1 GiB
	if _, err := s.conn.Write(b); err != nil || s.evicted.Load() {
		return // the number of sessions without a startup slot is not limited: they do not wait
	}
	closeWrite(s.conn)
	// Closing a socket with unread data would reset the connection, and the client
	// would lose the error.
	_ = s.sock.SetReadDeadline(time.Now().Add(lingerTimeout))
	_, _ = io.CopyN(io.Discard, s.sock, maxLingerBytes)
}

// fill reads until buf has at least n bytes.
func (s *session) fill(n int) error {
	for len(s.buf) < n {
		s.buf = slices.Grow(s.buf, 512)
		got, err := s.conn.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+got]
		switch {
		case got > 0:
		case errors.Is(err, os.ErrDeadlineExceeded) && s.evicted.Load():
			return s.tooManyStartups()
		case err != nil:
			return err
		}
	}
	return nil
}

// connect logs in upstream, as one of at most MaxWaiting, and cancels that when the
// client closes. What the client sends meanwhile is added to s.buf. The login has a
// goroutine of its own, so that its large stack is not kept while the session lasts.
func (s *session) connect(ctx context.Context, params map[string]string) (server *pglogin.Conn, err error) {
	defer s.p.n.waiting.Add(-1)
	if s.p.n.waiting.Add(1) > int64(s.p.o.MaxWaiting) {
		return nil, tooMany(s.p.o.MaxWaiting, "connections that wait for the database (--max-waiting)")
	}
	s.upstream = true
	ctx, cancel := context.WithTimeout(ctx, s.p.o.LoginTimeout)
	defer cancel()
	_ = s.conn.SetDeadline(time.Time{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		server, err = s.p.login(ctx, params)
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // ends fill
	}()
	reading := s.fill(maxBuffered)
	gone := reading != nil && !errors.Is(reading, os.ErrDeadlineExceeded)
	if gone {
		cancel()
	}
	<-done
	_ = s.conn.SetReadDeadline(time.Time{})
	if gone && err == nil {
		server.Terminate()
	}
	if gone {
		return nil, reading
	}
	return server, err
}

// serve completes the client's login, which began at start, and relays.
func (s *session) serve(server *pglogin.Conn, start time.Time) error {
	key, forget := s.p.addKey(server.PID, server.SecretKey)
	defer forget()
	s.p.n.logins.Add(1)
	s.p.n.open.Add(1)
	defer s.p.n.open.Add(-1)
	s.p.o.Observer.LoggedIn(time.Since(start))
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err := s.sendReady(server, key); err != nil {
		server.Terminate()
		return err
	}
	_ = s.conn.SetDeadline(time.Time{})
	_ = server.SetDeadline(time.Time{})
	buffered := s.buf
	s.buf = nil // not kept while the session lasts
	relay(s.conn, server.Conn, buffered, &s.p.n)
	return nil
}
