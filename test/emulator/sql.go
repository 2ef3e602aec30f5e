package emulator

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// session is a superuser's connection over the socket. It uses the protocol directly,
// because pgconn reads PG* variables, which tests set.
type session struct {
	conn net.Conn
	*pgproto3.Frontend
}

// sqlTimeout bounds a statement whose context has no deadline.
const sqlTimeout = 2 * time.Minute

func (s *server) login(ctx context.Context, database string) (*session, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(sqlTimeout)
	}
	_ = conn.SetDeadline(deadline)
	c := &session{conn: conn, Frontend: pgproto3.NewFrontend(conn, conn)}
	c.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30,
		Parameters: map[string]string{"user": superuser, "database": database, "application_name": "local-lakebase"}})
	if _, err := c.roundTrip(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// roundTrip flushes, reads up to ReadyForQuery and returns the rows as text, NULL as "".
func (c *session) roundTrip() ([][]string, error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	var rows [][]string
	var failed error
	for {
		m, err := c.Receive()
		if err != nil {
			if failed != nil {
				err = failed
			}
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			row := make([]string, len(m.Values))
			for i, v := range m.Values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		case *pgproto3.ErrorResponse:
			failed = fmt.Errorf("%s: %s (SQLSTATE %s)", m.Severity, m.Message, m.Code)
		case *pgproto3.ReadyForQuery:
			return rows, failed
		}
	}
}

func (c *session) close() {
	c.Send(&pgproto3.Terminate{})
	_ = c.Flush()
	_ = c.conn.Close()
}

// query runs statements in order, each in a transaction of its own, and returns
// the rows of the last.
func (s *server) query(ctx context.Context, database string, statements ...string) ([][]string, error) {
	c, err := s.login(ctx, database)
	if err != nil {
		return nil, err
	}
	defer c.close()
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var rows [][]string
	for _, q := range statements {
		c.Send(&pgproto3.Query{String: q})
		if rows, err = c.roundTrip(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// createRoles creates roles as databricks_create_role does, with the grants of the guide
// and those that migrations, pg_dump and pgbench -i need. It is one round trip, because
// every test runs it.
func (s *server) createRoles(ctx context.Context, names ...string) error {
	var all []string
	for _, name := range names {
		role := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		all = append(all, "CREATE ROLE "+role+" LOGIN CREATEDB IN ROLE databricks_superuser",
			"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "+Database+" TO "+role,
			"GRANT USAGE, CREATE ON SCHEMA public TO "+role)
	}
	_, err := s.query(ctx, Database, strings.Join(all, "; "))
	return err
}
