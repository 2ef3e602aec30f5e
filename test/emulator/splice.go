package emulator

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// relayLogin passes on what the server says until it is ready for a query, in
// one write, and records it. It reads beyond AuthenticationOk because a server
// that trusts the socket sends that before it looks for the role and the database.
func (g *gateway) relayLogin(c, backend net.Conn, l Login) error {
	var all []byte
	for {
		kind, m, err := readMessage(backend)
		if err != nil {
			g.end(c, l, noCompute)
			return err
		}
		all = append(all, m...)
		switch kind {
		case 'Z':
			g.note(l, "00000", "ok")
			_, err := c.Write(all)
			return errors.Join(err, backend.SetDeadline(time.Time{}))
		case 'E':
			var e pgproto3.ErrorResponse
			if err := e.Decode(m[5:]); err != nil {
				return err
			}
			g.note(l, e.Code, e.Message)
			_, err := c.Write(all)
			return errors.Join(err, errRefused)
		}
	}
}

// errRefused describes that the real Postgres has refused a login.
var errRefused = errors.New("refused by the server")

// join copies bytes both ways until the server has nothing more to say. When
// the client is done, the server hears it; when the server is done, both close.
func join(client net.Conn, fromClient io.Reader, backend net.Conn) {
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, _ = io.Copy(backend, fromClient)
		if u, ok := backend.(*net.UnixConn); ok {
			_ = u.CloseWrite()
		}
	}()
	_, _ = io.Copy(client, backend)
	_ = client.Close()
	_ = backend.Close()
	<-up
}

// carryCancel hands a cancel request to the server, which never answers one. A
// sleeping compute has nothing to cancel, and is not woken.
func (g *gateway) carryCancel(packet []byte) error {
	if g.compute.now() != Up {
		return nil
	}
	ctx, cancel := context.WithTimeout(g.ctx, startupTimeout)
	defer cancel()
	backend, err := g.compute.server.dial(ctx)
	if err != nil {
		return err
	}
	defer backend.Close()
	_ = backend.SetDeadline(time.Now().Add(startupTimeout))
	if _, err := backend.Write(packet); err != nil {
		return err
	}
	// The server closes once it has acted; the client sees our close after that.
	_, _ = io.Copy(io.Discard, backend)
	return nil
}
