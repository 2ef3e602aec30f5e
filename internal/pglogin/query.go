package pglogin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// QueryError is a statement that failed. Its text holds no secret and is safe to show.
type QueryError struct {
	Code    string // SQLSTATE; empty if the server did not refuse it
	Message string
	cause   error
}

func (e *QueryError) Error() string {
	if e.Code == "" {
		return "the database did not complete a statement: " + e.Message
	}
	return "the database refused a statement: " + e.Message + " (SQLSTATE " + e.Code + ")"
}

// Unwrap returns the error of the network or the context, or nil.
func (e *QueryError) Unwrap() error { return e.cause }

// Hint returns what to do about the error; it may be empty.
func (e *QueryError) Hint() string {
	switch {
	case e.Code == "3F000":
		return "create the schema first, or name another one with --schema"
	case errors.Is(e.cause, context.DeadlineExceeded):
		return "another session may hold a lock: run the command again, or allow more time with --wait-timeout"
	case e.Code == "", strings.HasPrefix(e.Code, "40"), e.Code == "XX000": // "tuple concurrently updated"
		return "run the command again: another session may have changed the same objects, or the connection was lost"
	}
	return ""
}

// maxResult bounds the rows of a Query, in bytes.
const maxResult = 16 << 20

// Query runs statements, separated by semicolons, until ctx ends. It returns the rows of
// all of them as text, NULL as empty. The error is a *QueryError. A connection on which it
// was called is for queries only, from one goroutine.
func (c *Conn) Query(ctx context.Context, sql string) (rows [][]string, err error) {
	if c.queries == nil {
		c.queries = pgproto3.NewFrontend(io.MultiReader(bytes.NewReader(c.Pending), c), c)
		c.queries.SetMaxBodyLen(maxResult)
	}
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	c.queries.Send(&pgproto3.Query{String: sql})
	if err = c.queries.Flush(); err != nil {
		return nil, incomplete(ctx, err)
	}
	for size := 0; ; {
		m, failed := c.queries.Receive()
		if failed != nil {
			return nil, cmp.Or(err, incomplete(ctx, failed))
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			row := make([]string, len(m.Values))
			for i, v := range m.Values {
				row[i] = string(v)
				size += len(v)
			}
			if size += len(row); size > maxResult { // even rows of NULL take memory
				return nil, &QueryError{Message: "its result is too large"}
			}
			rows = append(rows, row)
		case *pgproto3.ErrorResponse:
			err = &QueryError{Code: sqlState(m.Code), Message: sanitize.Line(m.Message)}
		case *pgproto3.ReadyForQuery:
			return rows, err
		}
	}
}

// incomplete returns the error of a statement that the server did not answer.
func incomplete(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &QueryError{Message: "no answer in time", cause: ctx.Err()}
	}
	return &QueryError{Message: sanitize.Line(err.Error()), cause: err}
}
