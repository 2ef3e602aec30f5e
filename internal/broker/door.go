package broker

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/pgproxy"
)

// Tokens supplies a token for a new login. Refresh replaces one that the server has
// rejected.
type Tokens interface {
	Token(ctx context.Context) (credential.Token, error)
	Refresh(ctx context.Context, rejected credential.Secret) (credential.Token, error)
}

// Door makes the logins of a proxy's clients. It is a pgproxy.Upstream.
type Door struct {
	Target  pglogin.Target // its Database is what the client asks for
	Tokens  Tokens
	Explain func(err error) (message, hint string) // for people

	wakes     atomic.Int64
	connector *pglogin.Connector
}

// NewDoor makes a door to t.
func NewDoor(t pglogin.Target, tokens Tokens, explain func(error) (string, string)) *Door {
	return &Door{Target: t, Tokens: tokens, Explain: explain, connector: &pglogin.Connector{Cache: pglogin.NewTLSCache()}}
}

// Wakes counts the logins that had to wait for a sleeping compute.
func (d *Door) Wakes() int64 { return d.wakes.Load() }

// Login logs in for a client. A token that the server refuses is replaced once.
func (d *Door) Login(ctx context.Context, params map[string]string) (*pgproxy.ServerConn, error) {
	t, rest := d.Target, maps.Clone(params)
	t.Database = params["database"]
	delete(rest, "database")
	delete(rest, "user")
	token, err := d.Tokens.Token(ctx)
	if err != nil {
		return nil, d.serverError(err)
	}
	conn, err := d.open(ctx, t, token.Value, rest)
	if refused(err) {
		again, freshErr := d.Tokens.Refresh(ctx, token.Value)
		if freshErr == nil && !again.Value.Equal(token.Value) {
			conn, err = d.open(ctx, t, again.Value, rest)
		}
	}
	if err != nil {
		return nil, d.serverError(err)
	}
	return &pgproxy.ServerConn{Conn: conn.Conn, PID: conn.PID, SecretKey: conn.SecretKey, Parameters: conn.Parameters, TxStatus: conn.TxStatus, Pending: conn.Pending}, nil
}

func (d *Door) open(ctx context.Context, t pglogin.Target, password credential.Secret, params map[string]string) (*pglogin.Conn, error) {
	conn, err := d.connector.Connect(ctx, t, password, params)
	if err == nil && conn.Attempts > 1 {
		d.wakes.Add(1)
	}
	return conn, err
}

// Cancel carries a cancel request.
func (d *Door) Cancel(ctx context.Context, pid uint32, key []byte) error {
	return d.connector.Cancel(ctx, d.Target, pid, key)
}

// SQLSTATEs of errors that no server has sent (PostgreSQL manual, "PostgreSQL
// Error Codes").
const (
	cannotConnectNow = "57P03"
	unableToConnect  = "08001"
)

// serverError is what a client sees of an error: what its server would have said,
// and for the rest our own words.
func (d *Door) serverError(err error) error {
	var e *pglogin.Error
	out := &pgproxy.ServerError{Code: unableToConnect}
	if errors.As(err, &e) {
		switch {
		case e.Kind == pglogin.Canceled:
			return err
		case e.Kind == pglogin.WakeTimeout:
			out.Code = cannotConnectNow
		case e.Code != "":
			return &pgproxy.ServerError{Code: e.Code, Message: e.Message}
		}
	}
	out.Message, out.Hint = d.Explain(err)
	return out
}
