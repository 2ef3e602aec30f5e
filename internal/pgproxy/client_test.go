package pgproxy

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// client is a hand-written frontend. It never reads more than it is asked for.
type client struct {
	net.Conn
	t      testing.TB
	pid    uint32
	key    []byte
	params []string
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	network := "unix"
	if _, _, err := net.SplitHostPort(addr); err == nil {
		network = "tcp"
	}
	c, err := net.DialTimeout(network, addr, guard)
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(guard)))
	t.Cleanup(func() { _ = c.Close() })
	return &client{Conn: c, t: t}
}

func (c *client) send(b ...[]byte) {
	c.t.Helper()
	for _, b := range b {
		_, err := c.Write(b)
		must(c.t, err)
	}
}

func (c *client) bytes(n int) []byte {
	c.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		c.t.Fatalf("reading %d bytes: %v", n, err)
	}
	return b
}

func (c *client) message() (kind byte, body []byte) {
	c.t.Helper()
	head := c.bytes(5)
	return head[0], c.bytes(int(binary.BigEndian.Uint32(head[1:])) - 4)
}

// failure reads an ErrorResponse and the end of the connection.
func (c *client) failure() pgproto3.ErrorResponse {
	c.t.Helper()
	kind, body := c.message()
	if kind != 'E' {
		c.t.Fatalf("message %q %q, and not an error", kind, body)
	}
	var e pgproto3.ErrorResponse
	must(c.t, e.Decode(body))
	c.ended()
	return e
}

func (c *client) ended() {
	c.t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		c.t.Fatalf("the connection goes on: %d bytes, %v", n, err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func startup(t testing.TB, pairs ...string) []byte {
	t.Helper()
	m := pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		m.Parameters[pairs[i]] = pairs[i+1]
	}
	b, err := m.Encode(nil)
	must(t, err)
	return b
}

func passwordMessage(t testing.TB, text string) []byte {
	t.Helper()
	b, err := (&pgproto3.PasswordMessage{Password: text}).Encode(nil)
	must(t, err)
	return b
}

func request(code uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, code)
}

// asked reads the question for a password.
func (c *client) asked() {
	c.t.Helper()
	if kind, body := c.message(); kind != 'R' || string(body) != "\x00\x00\x00\x03" {
		c.t.Fatalf("message %q %q, and not AuthenticationCleartextPassword", kind, body)
	}
}

// welcome reads everything up to ReadyForQuery.
func (c *client) welcome() *client {
	c.t.Helper()
	if kind, body := c.message(); kind != 'R' || string(body) != "\x00\x00\x00\x00" {
		c.t.Fatalf("message %q %q, and not AuthenticationOk", kind, body)
	}
	for {
		switch kind, body := c.message(); kind {
		case 'S':
			c.params = append(c.params, string(body))
		case 'K':
			c.pid, c.key = binary.BigEndian.Uint32(body), body[4:]
		case 'Z':
			return c
		default:
			c.t.Fatalf("message %q %q in the greeting", kind, body)
		}
	}
}

// login is the whole road in.
func (c *client) login() *client {
	c.t.Helper()
	c.send(startup(c.t, "user", user, "database", "shop"))
	c.asked()
	c.send(passwordMessage(c.t, password))
	return c.welcome()
}

// says sends text and expects it back.
func (c *client) says(text string) {
	c.t.Helper()
	c.send([]byte(text))
	if got := string(c.bytes(len(text))); got != text {
		c.t.Fatalf("%q came back as %q", text, got)
	}
}

// secured asks for TLS and gets it.
func (c *client) secured() *client {
	c.t.Helper()
	c.send(request(codeSSL))
	if b := c.bytes(1); b[0] != 'S' {
		c.t.Fatalf("SSLRequest is answered with %q", b)
	}
	return c.handshake("localhost")
}

// handshake trusts the certificate that it gets, for the name it was asked for.
func (c *client) handshake(name string, protocols ...string) *client {
	c.t.Helper()
	s := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols, // checked below
		VerifyConnection: func(s tls.ConnectionState) error { return s.PeerCertificates[0].VerifyHostname(name) }})
	must(c.t, s.Handshake())
	return &client{Conn: s, t: c.t}
}

// knock goes as far as the login upstream.
func (c *client) knock() *client {
	c.t.Helper()
	c.send(startup(c.t, "user", user))
	c.asked()
	c.send(passwordMessage(c.t, password))
	return c
}
