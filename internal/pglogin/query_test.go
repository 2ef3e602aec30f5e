package pglogin

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A server that floods, closes or does not answer ends a query with a *QueryError.
func TestQuery_OtherServers(t *testing.T) {
	fatal := &pgproto3.ErrorResponse{Severity: "FATAL", Code: "XX000", Message: "tuple concurrently\x1b updated"}
	for name, c := range map[string]struct {
		answer     func(*session)
		limit      time.Duration
		want, hint string
	}{
		"floods": {func(s *session) {
			for row := (&pgproto3.DataRow{Values: [][]byte{bytes.Repeat([]byte("x"), 1<<20)}}); s.send(row); {
			}
		}, testTimeout, "its result is too large", "again"},
		"closes":   {func(*session) {}, testTimeout, "did not complete a statement: unexpected EOF", "again"},
		"refuses":  {func(s *session) { s.send(fatal) }, testTimeout, `refused a statement: tuple concurrently\x1B updated (SQLSTATE XX000)`, "again"},
		"is quiet": {func(s *session) { s.drain() }, 100 * time.Millisecond, "no answer in time", "--wait-timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeServer(t, func(_ int, s *session) {
				if s.ask() && s.accept() {
					if _, err := s.be.Receive(); err == nil {
						c.answer(s)
					}
				}
			})
			conn, err := connector().Connect(within(t, testTimeout), f.target(), secret, nil)
			must(t, err)
			defer conn.Terminate()
			ctx, cancel := context.WithTimeout(t.Context(), c.limit)
			defer cancel()
			rows, err := conn.Query(ctx, "SELECT 1")
			e, ok := errors.AsType[*QueryError](err)
			if !ok || len(rows) > 0 || !strings.Contains(e.Error(), c.want) || !strings.Contains(e.Hint(), c.hint) {
				t.Errorf("got %d rows, %v, want %q with a hint of %q", len(rows), err, c.want, c.hint)
			}
		})
	}
}
