package pglogin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Hint returns what to do about the error; it may be empty.
func (e *QueryError) Hint() string {
	if e.Code == "3F000" {
		return "create the schema first, or name another one with --schema"
	}
	return ""
}

// Session runs statements on a connection that has logged in. It is for one goroutine.
type Session struct {
	conn     *Conn
	frontend *pgproto3.Frontend
}

// QueryError is a statement that the server refused. Its text holds no secret and is
// safe to show.
type QueryError struct {
	Code    string // SQLSTATE
	Message string
}

func (e *QueryError) Error() string {
	return "the database refused a statement: " + e.Message + " (SQLSTATE " + e.Code + ")"
}

// NewSession returns a Session, which takes over the connection.
func NewSession(c *Conn) *Session {
	f := pgproto3.NewFrontend(io.MultiReader(bytes.NewReader(c.Pending), c), c)
	f.SetMaxBodyLen(16 << 20)
	return &Session{c, f}
}

// Close ends the session.
func (s *Session) Close() { s.conn.Terminate() }

// Query runs statements, separated by semicolons, until ctx ends. It returns the rows of
// all of them as text, NULL as empty. Errors: *QueryError, those of the network.
func (s *Session) Query(ctx context.Context, sql string) (rows [][]string, err error) {
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })()
	s.frontend.Send(&pgproto3.Query{String: sql})
	if err = s.frontend.Flush(); err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	for {
		m, failed := s.frontend.Receive()
		if failed != nil {
			return nil, errors.Join(err, ctx.Err(), failed)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			row := make([]string, len(m.Values))
			for i, v := range m.Values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		case *pgproto3.ErrorResponse:
			err = &QueryError{Code: sqlState(m.Code), Message: sanitize.Line(m.Message)}
		case *pgproto3.ReadyForQuery:
			return rows, err
		}
	}
}
