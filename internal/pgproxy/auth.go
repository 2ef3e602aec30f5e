package pgproxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5/pgproto3"
)

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
	if user != s.p.o.User {
		// Only a client with the password learns which user is served.
		return &ServerError{Code: "28000", Message: fmt.Sprintf("role %q is not served by this proxy", user),
			Hint: fmt.Sprintf("Connect as %q, the value of PGUSER in the command's environment.", s.p.o.User)}
	}
	return nil
}

func (s *session) checkPassword(user string) error {
	const hint = "This is a local proxy: use PGPASSWORD from the command's environment, " +
		"or the content of the proxy's password file, not a database token."
	given, err := s.readPassword()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &ServerError{Code: "57014", Message: "canceling authentication due to timeout"}
	}
	if err != nil {
		return err
	}
	if given == "" {
		return &ServerError{Code: "28P01", Message: "empty password returned by client"}
	}
	want := s.p.o.Password
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want.Reveal()))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 || want.IsZero() {
		return &ServerError{Code: "28P01", Message: fmt.Sprintf("password authentication failed for user %q", user), Hint: hint}
	}
	return nil
}

// readPassword reads a PasswordMessage. A client that has no password closes the
// connection instead, asks its user, and connects again.
func (s *session) readPassword() (string, error) {
	if err := s.fill(1); err != nil {
		return "", err
	}
	if s.buf[0] != 'p' {
		return "", violation(fmt.Sprintf("expected password response, got message type %d", s.buf[0]))
	}
	if err := s.fill(5); err != nil {
		return "", err
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
