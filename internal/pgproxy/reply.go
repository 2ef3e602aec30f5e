package pgproxy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
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
