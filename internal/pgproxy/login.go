package pgproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

var (
	errClientGone = errors.New("the client is gone")
	errTooLong    = errors.New("the login took too long")
)

// serve logs in upstream for a client that was let in, and joins the two.
func (s *session) serve(ctx context.Context, params map[string]string) error {
	began := time.Now()
	server, early, err := s.waiting(ctx, params)
	if err != nil {
		return err
	}
	s.buf = nil
	conn := server.Conn
	defer func() { _ = conn.Close() }()
	forget, ok := s.p.track(conn)
	defer forget()
	if !ok {
		return errSilent
	}
	keepAlive(conn)
	k := s.p.keys.add(server.PID, server.SecretKey)
	defer s.p.keys.remove(k)
	greeting, err := server.greeting(k.shown())
	if err != nil {
		return &ServerError{Message: "the server's greeting is too long"}
	}
	s.p.n.logins.Add(1)
	s.p.n.open.Add(1)
	defer s.p.n.open.Add(-1)
	s.p.event(Event{Kind: LoggedIn, Took: time.Since(began)})
	opened := time.Now()
	_ = s.conn.SetWriteDeadline(opened.Add(writeTimeout))
	if _, err := s.conn.Write(greeting); err == nil {
		_ = s.conn.SetDeadline(time.Time{})
		_ = conn.SetDeadline(time.Time{})
		join(s.conn, conn, early, s.p.alone)
	} else {
		hangUp(conn)
	}
	s.p.event(Event{Kind: Closed, Took: time.Since(opened)})
	return nil
}

// waiting makes the login upstream, one of MaxWaiting.
func (s *session) waiting(ctx context.Context, params map[string]string) (*Server, []byte, error) {
	if n := s.p.n.waiting.Add(1); n > int64(s.p.o.MaxWaiting) {
		s.p.n.waiting.Add(-1)
		return nil, nil, s.refuse(tooMany("of logins under way", s.p.o.MaxWaiting))
	}
	defer s.p.n.waiting.Add(-1)
	server, early, err := s.login(ctx, params)
	switch {
	case err == nil:
		return server, early, nil
	case errors.Is(err, errClientGone):
		s.p.event(Event{Kind: ClientGone})
	case ctx.Err() == nil:
		s.p.n.failed.Add(1)
		s.p.event(Event{Kind: LoginFailed, Err: err})
	}
	return nil, nil, s.explain(err)
}

// login asks the upstream, and gives up as soon as the client has. What the
// client sends meanwhile is returned.
func (s *session) login(ctx context.Context, params map[string]string) (*Server, []byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, s.p.o.LoginTimeout, errTooLong)
	defer stop()
	_ = s.conn.SetDeadline(time.Time{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if !s.collect() {
			cancel(errClientGone)
		}
	}()
	server, err := s.p.o.Upstream.Login(ctx, params)
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // wakes collect
	<-watched
	_ = s.conn.SetReadDeadline(time.Time{})
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errClientGone):
		if err == nil {
			hangUp(server.Conn)
			_ = server.Conn.Close()
		}
		return nil, nil, errClientGone
	case err == nil:
		return server, s.buf, nil
	case errors.Is(cause, errTooLong):
		err = errors.Join(errTooLong, err)
	}
	return nil, nil, err
}

// hangUp says goodbye to a server whose client did not wait for it.
func hangUp(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(farewellTime))
	if b, err := (&pgproto3.Terminate{}).Encode(nil); err == nil {
		_, _ = c.Write(b)
	}
}

// collect keeps what the client sends, up to maxEarly, until the read deadline is
// moved into the past. It says false if the client is gone.
func (s *session) collect() bool {
	for len(s.buf) < maxEarly {
		s.buf = slices.Grow(s.buf, 1)
		room := s.buf[len(s.buf):min(cap(s.buf), maxEarly)]
		n, err := s.conn.Read(room)
		s.buf = s.buf[:len(s.buf)+n]
		if err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
	return true
}

// explain is what a client is told about a login that failed: the words of the
// upstream if they were meant for it, and else nothing from inside.
func (s *session) explain(err error) error {
	var told *ServerError
	switch {
	case errors.Is(err, errClientGone):
		return errSilent
	case errors.As(err, &told):
		return told
	case errors.Is(err, errTooLong), errors.Is(err, context.DeadlineExceeded):
		return &ServerError{Code: "57P03",
			Message: fmt.Sprintf("the database did not let anybody in within %v", s.p.o.LoginTimeout),
			Hint:    "A sleeping compute usually wakes within seconds. Connect again, or see what the proxy reported."}
	}
	return &ServerError{Message: "the login at the database failed", Hint: "What went wrong is in the proxy's own output."}
}
