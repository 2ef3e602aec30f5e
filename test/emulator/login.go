package emulator

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// startupTimeout bounds the start-up of a connection, waiting for the compute aside.
const startupTimeout = 30 * time.Second

// noCompute is the error of neondatabase/neon's proxy for a compute that it cannot
// reach; all its errors have severity ERROR and SQLSTATE XX000.
var noCompute = &refusal{"ERROR", "XX000", "Couldn't connect to compute node", ""}

// login handles one connection from its first byte to the end of the session.
func (g *gateway) login(raw net.Conn, l Login) {
	_ = raw.SetDeadline(time.Now().Add(startupTimeout))
	fault := g.settings.takeLogin()
	if err := g.inject(fault, StageAccept, raw, raw); err != nil {
		g.reject(raw, l, err)
		return
	}
	c, start, err := g.startup(raw, fault)
	if start == nil {
		if err != nil {
			g.reject(raw, l, err)
		}
		return
	}
	l.User, l.Database, l.Application = start.Parameters["user"], start.Parameters["database"], start.Parameters["application_name"]
	if l.Database == "" {
		l.Database = l.User
	}
	if err := g.inject(fault, StageStartup, raw, c); err != nil {
		g.reject(c, l, err)
		return
	}
	br := bufio.NewReader(c)
	if err := g.authenticate(c, br, start, &l); err != nil {
		g.reject(c, l, err)
		return
	}
	if err := cmp.Or(g.inject(fault, StagePassword, raw, c), g.injectReady(fault, raw, c)); err != nil {
		g.reject(c, l, err)
		return
	}
	backend, err := g.dialBackend(start)
	if err != nil {
		g.reject(c, l, err)
		return
	}
	defer g.forget(backend)
	defer backend.Close()
	if err := g.relayLogin(c, backend, l); err != nil {
		return
	}
	_ = raw.SetDeadline(time.Time{})
	g.compute.addClients(1)
	defer g.compute.addClients(-1)
	relay(c, br, backend)
}

// startup reads packets until the start-up message, which counts over TLS only.
// A cancel request is passed on, and yields neither message nor error.
func (g *gateway) startup(raw net.Conn, fault LoginFault) (net.Conn, *pgproto3.StartupMessage, error) {
	c := raw
	for range 4 { // GSS, SSL, start-up; a client has no reason to ask again
		code, packet, err := readStartup(c)
		if err != nil {
			return c, nil, err
		}
		_, secure := c.(*tls.Conn)
		switch {
		case code == gssEncRequest, code == sslRequest && secure:
			if _, err := c.Write([]byte("N")); err != nil {
				return c, nil, err
			}
		case code == sslRequest:
			if err := g.inject(fault, StageRequest, raw, c); err != nil {
				return c, nil, err
			}
			if _, err := c.Write([]byte("S")); err != nil {
				return c, nil, err
			}
			if err := g.inject(fault, StageHandshake, raw, c); err != nil {
				return c, nil, err
			}
			t := tls.Server(c, g.tls)
			if err := t.HandshakeContext(g.ctx); err != nil {
				return c, nil, fmt.Errorf("TLS: %w", err)
			}
			c = t
		case code == cancelRequest:
			g.record.count(func(n *Counters) { n.Cancels++ })
			return c, nil, g.passCancel(packet)
		case !secure:
			return c, nil, &refusal{"FATAL", "08P01", fmt.Sprintf("Invalid protocol version. Protocol version: %d", code),
				"Ensure that connection is using SSL. Try using `sslmode=require` in the connection string."}
		default:
			m := &pgproto3.StartupMessage{}
			if err := m.Decode(packet[4:]); err != nil {
				return c, nil, &refusal{"FATAL", "08P01", "invalid startup packet", ""}
			}
			return c, m, negotiate(c, m)
		}
	}
	return c, nil, errProtocol
}

// negotiate brings a client of a later minor version, or with protocol options, down
// to 3.0, which every server supports.
func negotiate(c net.Conn, m *pgproto3.StartupMessage) error {
	var options []string
	for k := range m.Parameters {
		if strings.HasPrefix(k, "_pq_.") {
			options = append(options, k)
			delete(m.Parameters, k)
		}
	}
	if m.ProtocolVersion == pgproto3.ProtocolVersion30 && len(options) == 0 {
		return nil
	}
	m.ProtocolVersion = pgproto3.ProtocolVersion30
	return send(c, &pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: 0, UnrecognizedOptions: options})
}

// authenticate waits for the compute, depending on the wake mode, asks for the password
// and checks it.
func (g *gateway) authenticate(c net.Conn, br *bufio.Reader, start *pgproto3.StartupMessage, l *Login) error {
	if err := g.rejectAll(c.RemoteAddr()); err != nil {
		return err
	}
	// A client that waits is read from, so that its leaving is noticed. It has nothing
	// to send before it is asked for its password.
	first := make(chan error, 1)
	g.serving.Go(func() { _, err := br.Peek(1); first <- err })
	w := g.compute.requestWake()
	if w != nil {
		switch w.mode {
		case StartingUp:
			return &refusal{"FATAL", "57P03", "the database system is starting up", ""}
		case NoCompute: // after the password
		default:
			if err := g.waitForWake(c, w, first); err != nil {
				return err
			}
		}
	}
	_ = c.SetDeadline(time.Now().Add(startupTimeout))
	if err := send(c, &pgproto3.AuthenticationCleartextPassword{}); err != nil {
		return err
	}
	if err := <-first; err != nil {
		return err
	}
	kind, m, err := readMessage(br)
	if err != nil {
		return err
	}
	var password pgproto3.PasswordMessage
	if kind != 'p' || password.Decode(m[5:]) != nil {
		return &refusal{"FATAL", "08P01", "expected password response", ""}
	}
	id, err := g.verifyToken(password.Password, start.Parameters["user"])
	if l.Token = id; err != nil {
		return err
	}
	if w != nil && w.mode == NoCompute {
		return noCompute
	}
	return nil
}

// waitForWake waits until the wake has ended or the client has left.
func (g *gateway) waitForWake(c net.Conn, w *wake, first chan error) error {
	_ = c.SetDeadline(time.Time{})
	select {
	case <-w.done:
		if state, _ := g.compute.status(); state != Up {
			return noCompute
		}
		return nil
	case err := <-first:
		if err == nil {
			return errProtocol
		}
		return errors.Join(errors.New("client left while it waited"), err)
	case <-g.ctx.Done():
		return g.ctx.Err()
	}
}

// verifyToken verifies a token and returns its ID. Its expiry counts at the login
// only.
func (g *gateway) verifyToken(token, user string) (string, error) {
	s := g.settings.get()
	c, err := g.sign.verify(token, DatabaseToken, s.clock())
	if errors.Is(err, errKind) && s.WorkspacePassword {
		c, err = g.sign.verify(token, WorkspaceToken, s.clock())
	}
	switch {
	case errors.Is(err, errNotJWT):
		return c.ID, &refusal{"ERROR", "XX000", "Provided authentication token is not a valid JWT encoding", ""}
	case errors.Is(err, errExpiredJWT) && s.PlainExpiredText:
		return c.ID, &refusal{"ERROR", "XX000", "Invalid authorization: the token has expired", ""}
	case errors.Is(err, errExpiredJWT):
		return c.ID, &refusal{"ERROR", "XX000", "JWT token has expired (exp=" + c.Expires.String() + ")", ""}
	case err != nil || c.Subject != user:
		return c.ID, &refusal{"FATAL", "28P01", "password authentication failed for user '" + user + "'", ""}
	case s.RoleMissing:
		return c.ID, &refusal{"FATAL", "28000", `role "` + user + `" does not exist`, ""}
	}
	// A name in the client's TLS would tell the endpoint; here its token does.
	if r, ok := g.catalog.get(c.Endpoint); ok && r.Disabled {
		return c.ID, &refusal{"ERROR", "XX000", label("ep", r.Name) + ": endpoint is disabled", ""}
	}
	return c.ID, nil
}

// dialBackend connects to the real server and sends the client's start-up message.
func (g *gateway) dialBackend(start *pgproto3.StartupMessage) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(g.ctx, startupTimeout)
	defer cancel()
	backend, err := g.compute.server.dial(ctx)
	if err != nil {
		return nil, noCompute
	}
	_ = backend.SetDeadline(time.Now().Add(startupTimeout))
	b, err := start.Encode(nil)
	if err == nil {
		_, err = backend.Write(b)
	}
	if err != nil || !g.track(backend) {
		_ = backend.Close()
		return nil, noCompute
	}
	return backend, nil
}

// reject sends the client an error, if it can be sent, and records it.
func (g *gateway) reject(c net.Conn, l Login, err error) {
	_ = c.SetDeadline(time.Now().Add(startupTimeout))
	var r *refusal
	if errors.As(err, &r) {
		g.recordLogin(l, r.code, r.message)
		_ = send(c, r.response())
		if t, ok := c.(*tls.Conn); ok {
			_ = t.CloseWrite()
		} else {
			finish(c, c)
		}
		return
	}
	g.recordLogin(l, "", err.Error())
}
