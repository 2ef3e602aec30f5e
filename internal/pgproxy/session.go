package pgproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
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

	unix    bool // a Unix socket, where encryption is not offered
	sslDone bool // TLS was requested or is in use
	gssDone bool // GSSAPI encryption was requested, or TLS is in use
}

// Errors that end a session without an error message to the client.
var (
	errUnreachable = errors.New("client closed or does not speak the protocol")
	errClientGone  = errors.New("client closed the connection")
)

var errLoginTimeout = errors.New("login timed out")

// newSession returns the session of a client that has just connected.
func newSession(p *Proxy, c net.Conn) *session {
	s := &session{p: p, sock: c, conn: c, addr: clientAddr(c), since: time.Now()}
	_, s.unix = c.(*net.UnixConn)
	enableKeepAlive(c)
	_ = c.SetDeadline(s.since.Add(p.o.StartupTimeout))
	return s
}

// handle serves one client, which has a startup slot, from its first byte to its last.
func (p *Proxy) handle(ctx context.Context, s *session) {
	defer p.halfOpen.remove(s)
	forget, ok := p.track(s.sock)
	defer forget()
	defer func() { _ = s.sock.Close() }()
	if !ok {
		return
	}
	err := s.run(ctx)
	var e *ServerError
	if errors.As(err, &e) && ctx.Err() == nil {
		s.sendError(e)
	}
}

// evict ends the startup phase of a session that has lost its slot.
func (s *session) evict() {
	s.evicted.Store(true)
	_ = s.sock.SetReadDeadline(time.Unix(1, 0))
}

func (s *session) tooManyStartups() *ServerError {
	return tooMany(s.p.o.MaxStartups, "connections without a password yet, and closes the oldest")
}

// run returns when the session has ended. A *ServerError has not been sent yet.
func (s *session) run(ctx context.Context) error {
	first, err := s.negotiate()
	if err != nil {
		return s.rejection(err)
	}
	if first.kind == cancelPacket {
		s.p.cancel(ctx, first.cancel.ProcessID, first.cancel.SecretKey)
		return nil
	}
	err = s.logIn(ctx, first)
	if ctx.Err() == nil && errors.As(err, new(*ServerError)) {
		s.p.n.failed.Add(1)
	}
	return err
}

// logIn logs a client in, here and upstream, and relays.
func (s *session) logIn(ctx context.Context, first packet) error {
	if err := s.authenticate(first); err != nil {
		return s.rejection(err)
	}
	if !s.p.halfOpen.authenticated(s) {
		return s.rejection(s.tooManyStartups())
	}
	defer s.p.clients.Add(-1)
	if s.p.clients.Add(1) > int64(s.p.o.MaxConns) {
		return s.rejection(tooMany(s.p.o.MaxConns, "connections (--max-connections)"))
	}
	return s.serve(ctx, first.params)
}

// rejection counts err, if the client will be told, and returns it.
func (s *session) rejection(err error) error {
	var e *ServerError
	if errors.As(err, &e) {
		s.p.countRejected(e, s.sock)
	}
	return err
}

// sendError sends e and waits until the client has had time to read it. There is no limit
// on the number of sessions without a startup slot but this: most of them do not wait.
func (s *session) sendError(e *ServerError) {
	if s.evicted.Load() {
		select {
		case s.p.lingering <- struct{}{}:
			defer func() { <-s.p.lingering }()
		default:
			_ = s.sock.SetDeadline(time.Now().Add(lingerTimeout))
			_, _ = s.conn.Write(e.encode()) // the send buffer has room for it
			return
		}
	}
	_ = s.sock.SetDeadline(time.Now().Add(writeTimeout))
	if _, err := s.conn.Write(e.encode()); err != nil {
		return
	}
	closeWrite(s.conn)
	linger(s.sock)
}

// linger reads what the client still sends, until it closes: closing a socket with
// unread data would reset the connection, and the client would lose the error.
func linger(c net.Conn) {
	closeWrite(c)
	_ = c.SetReadDeadline(time.Now().Add(lingerTimeout))
	_, _ = io.CopyN(io.Discard, c, maxLingerBytes)
}

// read reads once into buf, with space for at least want bytes in all.
func (s *session) read(want int) error {
	s.buf = slices.Grow(s.buf, max(512, want-len(s.buf)))
	n, err := s.conn.Read(s.buf[len(s.buf):cap(s.buf)])
	s.buf = s.buf[:len(s.buf)+n]
	if n > 0 || err == nil {
		return nil
	}
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return errors.Join(errUnreachable, err)
	case s.evicted.Load():
		return s.tooManyStartups()
	}
	return err
}

// serve logs in upstream for an authenticated client and relays.
func (s *session) serve(ctx context.Context, params map[string]string) error {
	start := time.Now()
	server, err := s.connect(ctx, params)
	if err != nil {
		return err
	}
	conn := server.Conn
	defer func() { _ = conn.Close() }()
	forget, ok := s.p.track(conn)
	defer forget()
	if !ok {
		return errUnreachable
	}
	enableKeepAlive(conn)
	key := s.p.keys.add(server.PID, server.SecretKey)
	defer s.p.keys.remove(key)
	reply, err := server.startupReply(key.clientKey())
	if err != nil {
		return &ServerError{Message: "startup reply of the server is too long"}
	}
	s.p.n.logins.Add(1)
	s.p.n.open.Add(1)
	defer s.p.n.open.Add(-1)
	s.p.event(Event{Kind: LoggedIn, Took: time.Since(start)})
	opened := time.Now()
	_ = s.conn.SetWriteDeadline(opened.Add(writeTimeout))
	if _, err := s.conn.Write(reply); err == nil {
		_ = s.conn.SetDeadline(time.Time{})
		_ = conn.SetDeadline(time.Time{})
		buffered := s.buf
		s.buf = nil // not kept while the session lasts
		relay(s.conn, conn, buffered)
	} else {
		terminate(conn)
	}
	s.p.event(Event{Kind: Closed, Took: time.Since(opened)})
	return nil
}

// connect logs in upstream, as one of at most MaxWaiting. Its error is what the
// client is told.
func (s *session) connect(ctx context.Context, params map[string]string) (*ServerConn, error) {
	defer s.p.n.waiting.Add(-1)
	if s.p.n.waiting.Add(1) > int64(s.p.o.MaxWaiting) {
		return nil, s.rejection(tooMany(s.p.o.MaxWaiting, "connections that wait for the database (--max-waiting)"))
	}
	server, err := s.login(ctx, params)
	switch {
	case err == nil:
		return server, nil
	case errors.Is(err, errClientGone):
		s.p.event(Event{Kind: ClientGone})
		return nil, err
	case ctx.Err() == nil:
		s.p.event(Event{Kind: LoginFailed, Peer: peerOf(s.sock), Err: err})
	}
	return nil, s.loginError(err)
}

// login calls Upstream.Login, and cancels it when the client closes. What the client
// sends meanwhile is added to s.buf. Upstream.Login has a goroutine of its own, so that
// its large stack is not kept while the session lasts.
func (s *session) login(ctx context.Context, params map[string]string) (server *ServerConn, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, s.p.o.LoginTimeout, errLoginTimeout)
	defer stop()
	_ = s.conn.SetDeadline(time.Time{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		server, err = s.p.o.Upstream.Login(ctx, params)
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // ends bufferInput
	}()
	if !s.bufferInput() {
		cancel(errClientGone)
	}
	<-done
	_ = s.conn.SetReadDeadline(time.Time{})
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errClientGone):
		if err == nil {
			terminate(server.Conn)
			_ = server.Conn.Close()
		}
		return nil, errClientGone
	case err != nil && errors.Is(cause, errLoginTimeout):
		return nil, errors.Join(errLoginTimeout, err)
	}
	return server, err
}

// bufferInput reads what the client sends, up to maxBuffered, until the read deadline
// is moved into the past. It returns false if the client has closed.
func (s *session) bufferInput() bool {
	for len(s.buf) < maxBuffered {
		s.buf = slices.Grow(s.buf, 1)
		n, err := s.conn.Read(s.buf[len(s.buf):min(cap(s.buf), maxBuffered)])
		s.buf = s.buf[:len(s.buf)+n]
		if err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
	return true
}

// terminate ends a server session whose client has gone.
func terminate(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(closeTimeout))
	if b, err := (&pgproto3.Terminate{}).Encode(nil); err == nil {
		_, _ = c.Write(b)
	}
}

// loginError returns the error of a failed login for the client: the upstream's error
// if it is meant for clients, otherwise one without details.
func (s *session) loginError(err error) error {
	var e *ServerError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, errLoginTimeout), errors.Is(err, context.DeadlineExceeded):
		return &ServerError{Code: "57P03",
			Message: fmt.Sprintf("login to the database timed out after %v", s.p.o.LoginTimeout),
			Hint:    "A suspended compute usually resumes within seconds. Connect again, or see the output of the proxy."}
	}
	return &ServerError{Message: "login to the database failed", Hint: "See the output of the proxy for the cause."}
}
