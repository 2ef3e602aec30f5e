package emulator

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Codes that a start-up packet carries in place of a protocol version
// (PostgreSQL manual, "Message Formats").
const (
	sslRequest    = 80877103
	gssEncRequest = 80877104
	cancelRequest = 80877102
)

// Packets of a start-up are read to the byte, never ahead: what follows an
// SSLRequest belongs to TLS, and what follows a login is only relayed.
const (
	maxStartup = 10_000  // PostgreSQL's MAX_STARTUP_PACKET_LENGTH
	maxMessage = 1 << 20 // more than any message of a login
)

var errProtocol = errors.New("not a PostgreSQL start-up packet")

// readStartup reads one packet without a type byte: its code and all its bytes,
// length included.
func readStartup(r io.Reader) (code uint32, packet []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 8 || n > maxStartup {
		return 0, nil, errProtocol
	}
	packet = make([]byte, n)
	copy(packet, head[:])
	if _, err := io.ReadFull(r, packet[4:]); err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint32(packet[4:]), packet, nil
}

// readMessage reads one typed message whole.
func readMessage(r io.Reader) (kind byte, message []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > maxMessage {
		return 0, nil, errProtocol
	}
	message = make([]byte, 1+n)
	copy(message, head[:])
	if _, err := io.ReadFull(r, message[5:]); err != nil {
		return 0, nil, err
	}
	return head[0], message, nil
}

// send writes one message.
func send(w io.Writer, m pgproto3.BackendMessage) error {
	b, err := m.Encode(nil)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// refusal is an ErrorResponse that ends a login.
type refusal struct {
	severity, code, message, detail string
}

func (e *refusal) Error() string { return e.message }

func (e *refusal) response() *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{Severity: e.severity, SeverityUnlocalized: e.severity, Code: e.code, Message: e.message, Detail: e.detail}
}

// relayLogin passes on the server's messages until ReadyForQuery or an error, in one
// write, and records the login. It reads beyond AuthenticationOk because a server that
// trusts the socket sends that before it looks for the role and the database.
func (g *gateway) relayLogin(c, backend net.Conn, l Login) error {
	var all []byte
	for {
		kind, m, err := readMessage(backend)
		if err != nil {
			g.reject(c, l, noCompute)
			return err
		}
		all = append(all, m...)
		switch kind {
		case 'Z':
			g.recordLogin(l, "00000", "ok")
			_, err := c.Write(all)
			return errors.Join(err, backend.SetDeadline(time.Time{}))
		case 'E':
			var e pgproto3.ErrorResponse
			if err := e.Decode(m[5:]); err != nil {
				return err
			}
			g.recordLogin(l, e.Code, e.Message)
			_, err := c.Write(all)
			return errors.Join(err, errRefused)
		}
	}
}

// errRefused is a login that the real Postgres has refused.
var errRefused = errors.New("refused by the server")

// relay copies bytes both ways until the server has closed. When the client closes its
// writing side, so does the server's; when the server closes, both close.
func relay(client net.Conn, fromClient io.Reader, backend net.Conn) {
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

// passCancel passes a cancel request to the server, which sends no answer. A sleeping
// compute has nothing to cancel, and is not woken.
func (g *gateway) passCancel(packet []byte) error {
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
	if _, err := backend.Write(packet); err != nil {
		return err
	}
	// The server closes once it has acted; the client sees our close after that.
	_, _ = io.Copy(io.Discard, backend)
	return nil
}
