package pgproxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// Limits and codes of the startup phase, from PostgreSQL's pqcomm.h.
const (
	maxStartupPacket = 10_000 // MAX_STARTUP_PACKET_LENGTH: without the length field
	codeCancel       = 1234<<16 | 5678
	codeSSL          = 1234<<16 | 5679
	codeGSS          = 1234<<16 | 5680
)

// packet is a packet of the startup phase.
type packet struct {
	code    uint32            // codeCancel, codeSSL, codeGSS, or the version of protocol 3
	params  map[string]string // of a startup message: includes user and database
	options []string          // of a startup message: names of protocol options (_pq_.*)
	cancel  pgproto3.CancelRequest
}

func violation(text string) *ServerError { return &ServerError{Code: "08P01", Message: text} }

func unsupported(version uint32) *ServerError {
	return &ServerError{Code: "0A000", Message: fmt.Sprintf(
		"unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", version>>16, version&0xffff)}
}

// readPacket reads a packet of the startup phase.
func (s *session) readPacket() (p packet, err error) {
	if err := s.fill(8); err != nil {
		return p, err
	}
	length := binary.BigEndian.Uint32(s.buf)
	p.code = binary.BigEndian.Uint32(s.buf[4:])
	startup := p.code>>16 == 3
	switch {
	case length < 8 || length > maxStartupPacket+4 || (p.code == codeSSL || p.code == codeGSS) && length != 8:
		return p, violation("invalid length of startup packet")
	case !startup && p.code != codeSSL && p.code != codeGSS && p.code != codeCancel:
		return p, unsupported(p.code) // before the rest of the packet arrives
	}
	if err := s.fill(int(length)); err != nil {
		return p, err
	}
	b := s.buf[4:length]
	s.buf = s.buf[length:]
	if startup {
		return p, p.decodeParams(b)
	}
	if p.code == codeCancel && p.cancel.Decode(b) != nil {
		return p, violation("invalid length of query cancel packet")
	}
	return p, nil
}

// decodeParams decodes the parameters of a startup message.
func (p *packet) decodeParams(b []byte) error {
	binary.BigEndian.PutUint32(b, pgproto3.ProtocolVersion30) // Decode accepts few minor versions
	var m pgproto3.StartupMessage
	err := m.Decode(b)
	if _, unnamed := m.Parameters[""]; unnamed || err != nil {
		return violation("invalid startup packet layout: expected terminator as last byte")
	}
	p.params = m.Parameters
	for name := range p.params {
		if strings.HasPrefix(name, "_pq_.") {
			p.options = append(p.options, name)
			delete(p.params, name)
		}
	}
	slices.Sort(p.options)
	if p.params["user"] == "" {
		return &ServerError{Code: "28000", Message: "no PostgreSQL user name specified in startup packet"}
	}
	if p.params["database"] == "" {
		p.params["database"] = p.params["user"]
	}
	return nil
}

// authenticate verifies the client's password, then its user.
func (s *session) authenticate(first packet) error {
	var b []byte
	if first.code != pgproto3.ProtocolVersion30 || len(first.options) > 0 {
		// PostgreSQL sends the whole version number, not only the minor one.
		b, _ = (&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: pgproto3.ProtocolVersion30, UnrecognizedOptions: first.options}).Encode(b)
	}
	if !s.p.o.TrustLocal {
		b, _ = (&pgproto3.AuthenticationCleartextPassword{}).Encode(b)
	}
	if len(b) > 0 {
		if _, err := s.conn.Write(b); err != nil {
			return err
		}
	}
	user := first.params["user"]
	if !s.p.o.TrustLocal {
		if err := s.checkPassword(user); err != nil {
			return err
		}
	}
	if user != s.p.o.Target.User {
		// Only a client with the password learns which user is served.
		return &ServerError{Code: "28000", Message: fmt.Sprintf("role %q is not served by this proxy", user),
			Hint: fmt.Sprintf("Connect as %q, the value of PGUSER in the command's environment.", s.p.o.Target.User)}
	}
	return nil
}

func (s *session) checkPassword(user string) error {
	given, err := s.readPassword()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &ServerError{Code: "57014", Message: "canceling authentication due to timeout"}
	}
	if err != nil {
		return err
	}
	want := s.p.o.Password
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want.Reveal()))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 || want.IsZero() {
		return &ServerError{Code: "28P01", Message: fmt.Sprintf("password authentication failed for user %q", user),
			Hint: "This is a local proxy: use PGPASSWORD from the command's environment, " +
				"or the content of the proxy's password file, not a database token."}
	}
	return nil
}

// readPassword reads a PasswordMessage. A client that has no password closes the
// connection instead, asks its user, and connects again.
func (s *session) readPassword() (string, error) {
	if err := s.fill(5); err != nil {
		return "", err
	}
	if s.buf[0] != 'p' {
		return "", violation(fmt.Sprintf("expected password response, got message type %d", s.buf[0]))
	}
	const sizeError = "invalid password packet size"
	length := binary.BigEndian.Uint32(s.buf[1:])
	if length < 5 || length > maxStartupPacket {
		return "", violation(sizeError)
	}
	end := 1 + int(length)
	if err := s.fill(end); err != nil {
		return "", err
	}
	var m pgproto3.PasswordMessage
	if m.Decode(s.buf[5:end]) != nil || 5+len(m.Password)+1 != end {
		return "", violation(sizeError)
	}
	s.buf = s.buf[end:]
	return m.Password, nil
}

// ServerError is an error for a client, an ErrorResponse of the protocol. Code is a
// SQLSTATE.
type ServerError struct{ Code, Message, Hint string }

func (e *ServerError) Error() string { return fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code) }

// sendReady sends all messages from AuthenticationOk to ReadyForQuery, and what the
// server has sent since.
func (s *session) sendReady(server *pglogin.Conn, key []byte) error {
	to := pgproto3.NewBackend(nil, s.conn)
	to.Send(&pgproto3.AuthenticationOk{})
	for _, name := range slices.Sorted(maps.Keys(server.Parameters)) {
		to.Send(&pgproto3.ParameterStatus{Name: name, Value: server.Parameters[name]})
	}
	if len(key) > 0 {
		to.Send(&pgproto3.BackendKeyData{ProcessID: server.PID, SecretKey: key})
	}
	to.Send(&pgproto3.ReadyForQuery{TxStatus: server.TxStatus})
	if err := to.Flush(); err != nil || len(server.Pending) == 0 {
		return err
	}
	_, err := s.conn.Write(server.Pending)
	return err
}
