package pgproxy

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// TokenSource supplies tokens for logins. Refresh replaces one that the server has
// rejected.
type TokenSource interface {
	Token(ctx context.Context) (credential.Token, error)
	Refresh(ctx context.Context, rejected credential.Secret) (credential.Token, error)
}

// connector is a *pglogin.Connector, or a fake.
type connector interface {
	Connect(ctx context.Context, t pglogin.Target, password credential.Secret, params map[string]string) (*pglogin.Conn, error)
	Cancel(ctx context.Context, t pglogin.Target, pid uint32, key []byte) error
}

// Dialer is the Upstream that logs in with tokens.
type Dialer struct {
	target    pglogin.Target
	tokens    TokenSource
	describe  func(error) (message, hint string)
	connector connector

	mu    sync.Mutex
	wakes int64
	awake time.Time // when a login last succeeded
}

// NewDialer returns a Dialer for a target; clients choose the database. describe
// returns the texts of errors that do not come from the server.
func NewDialer(t pglogin.Target, tokens TokenSource, describe func(error) (message, hint string)) *Dialer {
	return &Dialer{target: t, tokens: tokens, describe: describe, connector: &pglogin.Connector{}}
}

// Wakes returns how often logins have waited until the compute was up. All that wait at
// the same time count as one.
func (d *Dialer) Wakes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wakes
}

// countLogin records a login that began at begin and has succeeded. If another one
// succeeded meanwhile, what this one waited for was counted then, or was no wake.
func (d *Dialer) countLogin(begin time.Time, waited bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if waited && !d.awake.After(begin) {
		d.wakes++
	}
	d.awake = time.Now()
}

// Login logs in for a client. A token that the server refuses is replaced once.
func (d *Dialer) Login(ctx context.Context, params map[string]string) (*pglogin.Conn, error) {
	t, rest := d.target, maps.Clone(params)
	t.Database = params["database"]
	delete(rest, "database")
	delete(rest, "user")
	token, err := d.tokens.Token(ctx)
	if err != nil {
		return nil, d.serverError(err)
	}
	begin := time.Now()
	conn, err := d.connector.Connect(ctx, t, token.Value, rest)
	var e *pglogin.Error
	if errors.As(err, &e) && e.TokenRefused() {
		next, refreshErr := d.tokens.Refresh(ctx, token.Value)
		if refreshErr == nil && !next.Value.Equal(token.Value) {
			conn, err = d.connector.Connect(ctx, t, next.Value, rest)
		}
	}
	if err != nil {
		return nil, d.serverError(err)
	}
	d.countLogin(begin, conn.Waited)
	return conn, nil
}

// Cancel sends a cancel request.
func (d *Dialer) Cancel(ctx context.Context, pid uint32, key []byte) error {
	return d.connector.Cancel(ctx, d.target, pid, key)
}

// serverError returns the error that a client receives: the server's own, or else
// one with our texts and the SQLSTATE sqlclient_unable_to_establish_sqlconnection or
// cannot_connect_now. A client that has gone receives none.
func (d *Dialer) serverError(err error) error {
	var e *pglogin.Error
	out := &ServerError{Code: "08001"}
	if errors.As(err, &e) {
		switch {
		case e.Kind == pglogin.Canceled:
			return err
		case e.Kind == pglogin.WakeTimeout:
			out.Code = "57P03"
		case e.Code != "":
			return &ServerError{Code: e.Code, Message: e.Message}
		}
	}
	out.Message, out.Hint = d.describe(err)
	return out
}
