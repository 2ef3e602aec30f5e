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

// connector is a *pglogin.Connector, or a fake.
type connector interface {
	Connect(ctx context.Context, t pglogin.Target, password credential.Secret, params map[string]string) (*pglogin.Conn, error)
	Cancel(ctx context.Context, t pglogin.Target, pid uint32, key []byte) error
}

// dialer logs in at the database.
type dialer struct {
	target    pglogin.Target
	tokens    TokenSource
	describe  func(error) (message, hint string)
	connector connector

	mu       sync.Mutex
	wakes    int64         // how often logins have waited for the compute; all that wait at the same time count as one
	wakeTime time.Duration // how long, in all
	waiting  time.Time     // when the first of those began that waited for the last wake
	awake    time.Time     // when a login last succeeded
}

// countLogin records a login that began at begin and has succeeded. If another one
// succeeded meanwhile, what this one waited for was counted then, or was no wake.
func (d *dialer) countLogin(begin time.Time, waited bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	switch {
	case !waited:
	case !d.awake.After(begin):
		d.wakes++
		d.wakeTime += now.Sub(begin)
		d.waiting = begin
	case begin.Before(d.waiting):
		d.wakeTime += d.waiting.Sub(begin)
		d.waiting = begin
	}
	d.awake = now
}

// wakeStats returns how often logins have waited for the compute, and how long in all.
func (d *dialer) wakeStats() (int64, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wakes, d.wakeTime
}

// login logs in with a client's startup parameters, which include user and database,
// and waits for a suspended compute until ctx ends. A token that the server refuses is
// replaced once. Unless ctx was canceled, an error is a *ServerError.
func (d *dialer) login(ctx context.Context, params map[string]string) (*pglogin.Conn, error) {
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

// serverError returns the error that a client receives: the server's own, or else
// one with our texts and the SQLSTATE sqlclient_unable_to_establish_sqlconnection or
// cannot_connect_now. A client that has gone receives none.
func (d *dialer) serverError(err error) error {
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
