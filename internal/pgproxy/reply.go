package pgproxy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// ServerError is an error for a client, an ErrorResponse of the protocol. Code is a
// SQLSTATE.
type ServerError struct{ Code, Message, Hint string }

func (e *ServerError) Error() string { return fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code) }

// encode returns the ErrorResponse.
func (e *ServerError) encode() []byte {
	m := pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: e.Code,
		Message: sanitize.Line(e.Message), Hint: sanitize.Line(e.Hint)}
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
