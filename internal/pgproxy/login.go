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

// wakes counts how often logins have waited for the compute, and how long in all. Those
// that wait at the same time count as one.
type wakes struct {
	mu      sync.Mutex
	n       int64
	time    time.Duration
	waiting time.Time // when the first of those began that waited for the last wake
	awake   time.Time // when a login last succeeded
}

// add records a login that began at begin and has succeeded. If another one succeeded
// meanwhile, what this one waited for was counted then, or was no wake.
func (w *wakes) add(begin time.Time, waited bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	switch {
	case !waited:
	case !w.awake.After(begin):
		w.n++
		w.time += now.Sub(begin)
		w.waiting = begin
	case begin.Before(w.waiting):
		w.time += w.waiting.Sub(begin)
		w.waiting = begin
	}
	w.awake = now
}

// login logs in with a client's startup parameters, which include user and database,
// and waits for a suspended compute until ctx ends. A token that the server refuses is
// replaced once. Unless ctx was canceled, an error is a *ServerError.
func (p *Proxy) login(ctx context.Context, params map[string]string) (*pglogin.Conn, error) {
	t, rest := p.o.Target, maps.Clone(params)
	t.Database = params["database"]
	delete(rest, "database")
	delete(rest, "user")
	token, err := p.o.Tokens.Token(ctx)
	if err != nil {
		return nil, p.serverError(err)
	}
	begin := time.Now()
	conn, err := p.connector.Connect(ctx, t, token.Value, rest)
	var e *pglogin.Error
	if errors.As(err, &e) && e.TokenRefused() {
		next, refreshErr := p.o.Tokens.Refresh(ctx, token.Value)
		if refreshErr == nil && !next.Value.Equal(token.Value) {
			conn, err = p.connector.Connect(ctx, t, next.Value, rest)
		}
	}
	if err != nil {
		return nil, p.serverError(err)
	}
	p.wakes.add(begin, conn.Waited)
	return conn, nil
}

// serverError returns the error that a client receives: the server's own, or else
// one with our texts and the SQLSTATE sqlclient_unable_to_establish_sqlconnection or
// cannot_connect_now. A client that has gone receives none.
func (p *Proxy) serverError(err error) error {
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
	out.Message, out.Hint = p.o.Describe(err)
	return out
}
