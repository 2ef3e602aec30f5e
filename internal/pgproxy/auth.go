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

// authenticate lets the client in, or says why not.
func (s *session) authenticate(first packet) error {
	var b []byte
	if first.minor > 0 || len(first.options) > 0 {
		b = negotiation(first.options)
	}
	if !s.p.o.TrustLocal {
		b, _ = (&pgproto3.AuthenticationCleartextPassword{}).Encode(b)
	}
	if len(b) > 0 {
		if _, err := s.conn.Write(b); err != nil {
			return err
		}
	}
	if !s.p.o.TrustLocal {
		if err := s.checkPassword(first.params["user"]); err != nil {
			return err
		}
	}
	if user := first.params["user"]; user != s.p.o.User {
		// Only who knew the password is told whose door this is.
		return &ServerError{Code: "28000", Message: fmt.Sprintf("role %q is not the one that this proxy logs in as", user),
			Hint: fmt.Sprintf("Connect as %q: it is in PGUSER of the child.", s.p.o.User)}
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
	if given == "" {
		return &ServerError{Code: "28P01", Message: "empty password returned by client"}
	}
	want := s.p.o.Password
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want.Reveal()))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 || want.IsZero() {
		return &ServerError{Code: "28P01", Message: fmt.Sprintf("password authentication failed for user %q", user),
			Hint: "This is a local proxy: what works here is PGPASSWORD of the child, or the proxy's own password file, and no database token."}
	}
	return nil
}

// readPassword reads a PasswordMessage. A client without a password hangs up
// instead, asks for one, and comes again.
func (s *session) readPassword() (string, error) {
	for {
		if len(s.buf) >= 1 && s.buf[0] != 'p' {
			return "", violation(fmt.Sprintf("expected password response, got message type %d", s.buf[0]))
		}
		want := 5
		if len(s.buf) >= want {
			body := binary.BigEndian.Uint32(s.buf[1:])
			if body < 5 || body > maxStartupPacket {
				return "", violation("invalid password packet size")
			}
			want = 1 + int(body)
		}
		if want > 5 && len(s.buf) >= want {
			var m pgproto3.PasswordMessage
			if m.Decode(s.buf[5:want]) != nil || len(m.Password)+6 != want {
				return "", violation("invalid password packet size")
			}
			s.buf = s.buf[want:]
			return m.Password, nil
		}
		if err := s.more(want); err != nil {
			return "", err
		}
	}
}
