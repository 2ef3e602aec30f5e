package emulator

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	startupTimeout = 30 * time.Second // of the start-up of a connection, waiting for the compute aside
	maxMessage     = 1 << 20          // more than any message of a login
)

var errProtocol = errors.New("not a PostgreSQL start-up packet")

// noCompute is the error of neondatabase/neon's proxy for a compute that it cannot
// reach; all its errors have severity ERROR and SQLSTATE XX000.
var noCompute = &refusal{"ERROR", "XX000", "Couldn't connect to compute node", ""}

// refusal is an ErrorResponse that ends a login.
type refusal struct {
	severity, code, message, detail string
}

func (e *refusal) Error() string { return e.message }

// send writes one message.
func send(w io.Writer, m pgproto3.BackendMessage) error {
	b, err := m.Encode(nil)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

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
	l.User, l.Application = start.Parameters["user"], start.Parameters["application_name"]
	l.Database = cmp.Or(start.Parameters["database"], l.User)
	if err = g.inject(fault, StageStartup, raw, c); err == nil {
		err = g.authenticate(c, l.User)
	}
	if err == nil {
		err = cmp.Or(g.inject(fault, StagePassword, raw, c), g.injectReady(fault, raw, c))
	}
	if err != nil {
		g.reject(c, l, err)
		return
	}
	backend, err := g.dialBackend(start, isPooled(c))
	if err != nil {
		g.reject(c, l, err)
		return
	}
	defer g.forget(backend)
	defer backend.Close()
	if g.relayLogin(c, backend, l) != nil {
		return
	}
	_ = raw.SetDeadline(time.Time{})
	relay(c, backend)
}

// startup reads packets until the start-up message, which counts over TLS only.
// A cancel request is passed on, and yields neither message nor error.
func (g *gateway) startup(raw net.Conn, fault LoginFault) (net.Conn, *pgproto3.StartupMessage, error) {
	c := raw
	for range 4 { // GSS, SSL, start-up; a client has no reason to ask again
		m, err := pgproto3.NewBackend(c, c).ReceiveStartupMessage()
		if err != nil {
			return c, nil, err
		}
		_, secure := c.(*tls.Conn)
		switch m := m.(type) {
		case *pgproto3.SSLRequest:
			if secure {
				return c, nil, errProtocol
			}
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
		case *pgproto3.GSSEncRequest:
			if _, err := c.Write([]byte("N")); err != nil {
				return c, nil, err
			}
		case *pgproto3.CancelRequest:
			g.record.count(func(n *Counters) { n.Cancels++ })
			return c, nil, g.passCancel(m)
		case *pgproto3.StartupMessage:
			if !secure {
				return c, nil, &refusal{"FATAL", "08P01", fmt.Sprintf("Invalid protocol version. Protocol version: %d", m.ProtocolVersion),
					"Ensure that connection is using SSL. Try using `sslmode=require` in the connection string."}
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
func (g *gateway) authenticate(c net.Conn, user string) error {
	if err := g.rejectAll(c.RemoteAddr()); err != nil {
		return err
	}
	if g.settings.get().PoolerRefusesOAuth && isPooled(c) {
		return &refusal{"FATAL", "08P01", "SASL authentication failed", ""} // as PgBouncer reports it
	}
	// A client that waits is read from, so that its leaving is noticed. It has nothing
	// to send before it is asked for its password.
	b := pgproto3.NewBackend(c, c)
	b.SetMaxBodyLen(maxMessage)
	if err := b.SetAuthType(pgproto3.AuthTypeGSS); err != nil { // for which answers are bytes
		return err
	}
	receive := func() ([]byte, error) {
		m, err := b.Receive()
		if p, ok := m.(*pgproto3.GSSResponse); ok && err == nil {
			return p.Data, nil
		}
		return nil, cmp.Or(err, error(&refusal{"FATAL", "08P01", "expected password response", ""}))
	}
	password, failed := make(chan []byte, 1), make(chan error, 1)
	g.serving.Go(func() {
		data, err := receive()
		if err != nil {
			failed <- err
			return
		}
		password <- data
	})
	w := g.compute.requestWake()
	switch {
	case w == nil || w.mode == NoCompute: // the latter after the password
	case w.mode == StartingUp:
		return &refusal{"FATAL", "57P03", "the database system is starting up", ""}
	default:
		_ = c.SetDeadline(time.Time{})
		select {
		case <-w.done:
			if state, _ := g.compute.status(); state != Up {
				return noCompute
			}
		case err := <-failed:
			return fmt.Errorf("client left while it waited: %w", err)
		case <-password:
			return errProtocol
		case <-g.ctx.Done():
			return g.ctx.Err()
		}
	}
	_ = c.SetDeadline(time.Now().Add(startupTimeout))
	verifier, err := g.verifier(user)
	if err != nil {
		return err
	}
	next := func() ([]byte, error) {
		select {
		case err := <-failed:
			return nil, err
		case data := <-password:
			return data, nil
		}
	}
	if verifier != "" {
		first := true
		err = g.scramLogin(c, user, verifier, func() ([]byte, error) {
			if !first {
				return receive()
			}
			first = false
			return next()
		})
	} else if err = send(c, &pgproto3.AuthenticationCleartextPassword{}); err == nil {
		var token []byte
		if token, err = next(); err == nil {
			err = g.verifyToken(cleartext(token), user)
		}
	}
	if err != nil || w == nil || w.mode != NoCompute {
		return err
	}
	return noCompute
}

// verifyToken verifies a token, whose expiry counts at the login only.
func (g *gateway) verifyToken(token, user string) error {
	s := g.settings.get()
	c, err := g.sign.verify(token, DatabaseToken, s.clock())
	if errors.Is(err, errKind) && s.WorkspacePassword {
		c, err = g.sign.verify(token, WorkspaceToken, s.clock())
	}
	switch {
	case errors.Is(err, errNotJWT):
		return &refusal{"ERROR", "XX000", "Provided authentication token is not a valid JWT encoding", ""}
	case errors.Is(err, errExpiredJWT) && s.PlainExpiredText:
		return &refusal{"ERROR", "XX000", "Invalid authorization: the token has expired", ""}
	case errors.Is(err, errExpiredJWT):
		return &refusal{"ERROR", "XX000", "JWT token has expired (exp=" + c.Expires.String() + ")", ""}
	case err != nil || c.Subject != user:
		return &refusal{"FATAL", "28P01", "password authentication failed for user '" + user + "'", ""}
	case s.RoleMissing:
		return &refusal{"FATAL", "28000", `role "` + user + `" does not exist`, ""}
	}
	// A name in the client's TLS would tell the endpoint; here its token does.
	if c.Endpoint != "" && g.state.disabled(c.Endpoint) {
		return &refusal{"ERROR", "XX000", UID(c.Endpoint) + ": endpoint is disabled", ""}
	}
	return nil
}

// isPooled reports whether a client has connected to a pooled host.
func isPooled(c net.Conn) bool {
	t, ok := c.(*tls.Conn)
	return ok && strings.Contains(t.ConnectionState().ServerName, "-pooler.")
}

// dialBackend connects to the real server, or its pooler, and sends the client's start-up
// message.
func (g *gateway) dialBackend(start *pgproto3.StartupMessage, pooled bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(g.ctx, startupTimeout)
	defer cancel()
	dial := g.compute.server.dial
	if path := g.settings.get().Pooler; pooled && path != "" {
		dial = func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "unix", path) }
	}
	backend, err := dial(ctx)
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

// relayLogin passes on the server's messages until ReadyForQuery, after which the server
// sends nothing by itself, or an error. It does so in one write, and records the login.
// It reads beyond AuthenticationOk because a server that trusts the socket sends that
// before it looks for the role and the database.
func (g *gateway) relayLogin(c, backend net.Conn, l Login) error {
	f := pgproto3.NewFrontend(backend, backend)
	var all []byte
	for {
		m, err := f.Receive()
		if err != nil {
			g.reject(c, l, noCompute)
			return err
		}
		if all, err = m.Encode(all); err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			g.recordLogin(l, "00000", "ok")
			_, err := c.Write(all)
			return errors.Join(err, backend.SetDeadline(time.Time{}))
		case *pgproto3.ErrorResponse:
			g.recordLogin(l, m.Code, m.Message)
			_, _ = c.Write(all)
			return errors.New("refused by the server")
		}
	}
}

// reject sends the client an error, if it can be sent, and records it.
func (g *gateway) reject(c net.Conn, l Login, err error) {
	_ = c.SetDeadline(time.Now().Add(startupTimeout))
	var r *refusal
	if !errors.As(err, &r) {
		g.recordLogin(l, "", err.Error())
		return
	}
	g.recordLogin(l, r.code, r.message)
	_ = send(c, &pgproto3.ErrorResponse{Severity: r.severity, SeverityUnlocalized: r.severity, Code: r.code, Message: r.message, Detail: r.detail})
	if t, ok := c.(*tls.Conn); ok {
		_ = t.CloseWrite()
	} else {
		finish(c, c)
	}
}

// passCancel passes a cancel request to the server, which sends no answer. A sleeping
// compute has nothing to cancel, and is not woken.
func (g *gateway) passCancel(m *pgproto3.CancelRequest) error {
	if state, _ := g.compute.status(); state != Up {
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
	packet, err := m.Encode(nil)
	if err == nil {
		_, err = backend.Write(packet)
	}
	// The server closes once it has acted; the client sees our close after that.
	_, _ = io.Copy(io.Discard, backend)
	return err
}

// Stage is the point of a login at which a LoginFault applies.
type Stage string

// The stages, in order. Before StageStartup nothing is encrypted; at StageHandshake
// the client waits for the server's first TLS record.
const (
	StageAccept    Stage = "accept"    // nothing was read
	StageRequest   Stage = "request"   // the request for TLS was read
	StageHandshake Stage = "handshake" // it was answered with "S"
	StageStartup   Stage = "startup"   // the start-up message was read, over TLS
	StagePassword  Stage = "password"  // the password was received and is right
	StageReady     Stage = "ready"     // AuthenticationOk was sent
)

// Stages returns every stage.
func Stages() []Stage {
	return []Stage{StageAccept, StageRequest, StageHandshake, StageStartup, StagePassword, StageReady}
}

// Action is what a LoginFault does instead of answering.
type Action string

// The actions.
const (
	ActionReset Action = "reset" // RST
	ActionClose Action = "close" // an orderly close, after Send
	ActionHang  Action = "quiet" // nothing, until the client leaves
	ActionFlood Action = "flood" // notices without end
)

// Actions returns every action.
func Actions() []Action { return []Action{ActionReset, ActionClose, ActionHang, ActionFlood} }

// LoginFault makes one login fail at one stage. Before StagePassword, the compute is
// not woken.
type LoginFault struct {
	At     Stage  // "" is StagePassword
	Times  int    // how many logins; 0 and 1: one; below 0: until the fault is removed
	Action Action // "": an ErrorResponse with the fields below

	Severity, Code, Message, Detail string // "" is FATAL, XX000
	Send                            string // bytes to send before the action
}

// inject applies f if this is its stage, and returns the error that ends the login;
// nil at any other stage.
func (g *gateway) inject(f LoginFault, stage Stage, raw, c net.Conn) error {
	if f.At != stage {
		return nil
	}
	if f.Send != "" {
		_, _ = io.WriteString(c, f.Send)
	}
	switch f.Action {
	case ActionReset:
		reset(raw)
	case ActionHang:
		_, _ = io.Copy(io.Discard, raw) // until the client closes
	case ActionFlood:
		notice, _ := (&pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: strings.Repeat("again ", 1000)}).Encode(nil)
		for err := error(nil); err == nil; {
			_, err = c.Write(notice)
		}
	case ActionClose:
		finish(raw, c)
	default:
		return &refusal{cmp.Or(f.Severity, "FATAL"), cmp.Or(f.Code, "XX000"), f.Message, f.Detail}
	}
	return errors.New(string(f.Action) + " at " + string(stage))
}

// injectReady applies a fault of StageReady, once AuthenticationOk was sent.
func (g *gateway) injectReady(f LoginFault, raw, c net.Conn) error {
	if f.At != StageReady {
		return nil
	}
	_ = raw.SetDeadline(time.Now().Add(startupTimeout))
	if err := send(c, &pgproto3.AuthenticationOk{}); err != nil {
		return err
	}
	return g.inject(f, StageReady, raw, c)
}

// finish closes the writing side of c, and reads what the client still sends: closing
// with unread bytes would be a reset, which may overtake what was sent.
func finish(raw, c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, raw)
}
