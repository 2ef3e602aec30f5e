package pgproxy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"
)

// maxField bounds a field of an error that a client gets, in bytes.
const maxField = 500

// ServerError is an error as a client of Postgres sees it. Severity is FATAL, and
// Code 08006 (connection_failure), unless they are given.
type ServerError struct {
	Severity, Code, Message, Detail, Hint string
}

func (e *ServerError) Error() string { return fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.code()) }

func (e *ServerError) code() string {
	ok := len(e.Code) == 5
	for _, c := range []byte(e.Code) {
		ok = ok && (c >= '0' && c <= '9' || c >= 'A' && c <= 'Z')
	}
	if ok {
		return e.Code
	}
	return "08006"
}

func (e *ServerError) severity() string {
	if e.Severity == "ERROR" || e.Severity == "PANIC" {
		return e.Severity
	}
	return "FATAL"
}

// encode is the ErrorResponse.
func (e *ServerError) encode() []byte {
	m := pgproto3.ErrorResponse{Severity: e.severity(), SeverityUnlocalized: e.severity(), Code: e.code(),
		Message: field(e.Message), Detail: field(e.Detail), Hint: field(e.Hint)}
	if m.Message == "" {
		m.Message = "the connection failed"
	}
	b, _ := m.Encode(nil) // fails only on a message of 1 GiB
	return b
}

// field makes s fit for a client's terminal: no control or direction characters,
// valid UTF-8, bounded.
func field(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s[:min(len(s), 2*maxField)])
	if len(s) > maxField {
		s = s[:maxField]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}

// greeting is all that a client reads between its password and its first query.
func (s *Server) greeting(key []byte) ([]byte, error) {
	b, err := (&pgproto3.AuthenticationOk{}).Encode(nil)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Parameters)) {
		if b, err = (&pgproto3.ParameterStatus{Name: name, Value: s.Parameters[name]}).Encode(b); err != nil {
			return nil, err
		}
	}
	if len(key) > 0 {
		if b, err = (&pgproto3.BackendKeyData{ProcessID: s.PID, SecretKey: key}).Encode(b); err != nil {
			return nil, err
		}
	}
	tx := s.TxStatus
	if tx == 0 {
		tx = 'I'
	}
	if b, err = (&pgproto3.ReadyForQuery{TxStatus: tx}).Encode(b); err != nil {
		return nil, err
	}
	return append(b, s.Pending...), nil
}

// negotiation tells the client that 3.0 is spoken here, and which of its options
// nobody knows. Postgres sends the whole version number, not the minor one alone.
func negotiation(options []string) []byte {
	b, _ := (&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: pgproto3.ProtocolVersion30, UnrecognizedOptions: options}).Encode(nil)
	return b
}
