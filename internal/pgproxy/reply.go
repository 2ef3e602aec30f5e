package pgproxy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// ServerError is an error for a client, an ErrorResponse of the protocol. The default
// of Severity is FATAL, that of Code 08006 (connection_failure).
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

// encode returns the ErrorResponse.
func (e *ServerError) encode() []byte {
	m := pgproto3.ErrorResponse{Severity: e.severity(), SeverityUnlocalized: e.severity(), Code: e.code(),
		Message: sanitize.Line(e.Message), Detail: sanitize.Line(e.Detail), Hint: sanitize.Line(e.Hint)}
	if m.Message == "" {
		m.Message = "the connection failed"
	}
	b, _ := m.Encode(nil) // fails only on a message of 1 GiB
	return b
}

// startupReply returns all messages from AuthenticationOk to ReadyForQuery.
func (s *ServerConn) startupReply(key []byte) ([]byte, error) {
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
