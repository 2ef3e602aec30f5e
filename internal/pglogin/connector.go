// Package pglogin logs in to Postgres over TLS, with exactly the values that the
// child will get, and repeats that until the compute is awake. It schedules the
// attempts and classifies what a server answers. It never runs a query, never
// sends a password before TLS is established as the target requires, never falls
// back to plain text, and never puts a password in an error.
//
// Connections are pgx's pgconn. Its ParseConfig reads PG* variables from the
// process. Target sets every value that they could set, so they have no effect;
// but PGSERVICE names a file that is read first, and a login fails if that file or
// service is missing. The program must clear PG* from its own environment before
// it calls this package.
package pglogin

import (
	"context"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// hedgeDelay is how long an attempt may go without an answer before a second one
// starts, and how long each second one may last.
const hedgeDelay = time.Second

// Connector logs in to a server that may be asleep. It retries with the schedule
// retry.Wake until a login succeeds, a failure is final, or the context ends,
// which must have a deadline.
//
// The first attempt starts at once. An attempt without an answer is kept; a second
// one is tried concurrently and replaced each second, in case the compute dropped the
// first connection while it woke. At most two attempts
// are open, and none when a method returns.
//
// Every error is an *Error: WakeTimeout at the deadline, Canceled if the context
// was canceled (errors.Is finds context.Canceled), else what went wrong.
//
// A Connector may be used concurrently.
type Connector struct {
	// Cache, if set, is shared with other Connectors of the same target.
	Cache *TLSCache
	// Progress, if set, is called after each failure and when a second attempt
	// starts, with the last failure or nil. It must not block.
	Progress func(last *Error)

	// Set by tests.
	schedule   retry.Schedule // zero: retry.Wake
	hedgeDelay time.Duration  // zero: the constant
}

// Login logs in once and closes the connection.
func (c *Connector) Login(ctx context.Context, t Target, password credential.Secret) error {
	_, err := c.run(ctx, t, func() (connectFunc, error) {
		cfg, err := t.config(password, c.Cache)
		return func(ctx context.Context) (*Conn, error) { return nil, login(ctx, t, cfg, password) }, err
	})
	return err
}

// Connect logs in and returns the connection. params are start-up parameters
// besides user and database, by their protocol names.
func (c *Connector) Connect(ctx context.Context, t Target, password credential.Secret, params map[string]string) (*Conn, error) {
	return c.run(ctx, t, func() (connectFunc, error) {
		cfg, err := t.config(password, c.Cache)
		if err != nil {
			return nil, err
		}
		cfg.RuntimeParams = params
		return func(ctx context.Context) (*Conn, error) { return connect(ctx, t, cfg, password) }, nil
	})
}

// Probe connects to the target, does the TLS handshake and closes: it sends no
// password and does not log in. A connection wakes a compute. The Peer is that of
// the last attempt that reached one, also when Probe fails.
func (c *Connector) Probe(ctx context.Context, t Target) (Peer, error) {
	var mu sync.Mutex
	var last Peer
	_, err := c.run(ctx, t, func() (connectFunc, error) {
		cfg, err := t.tls(c.Cache)
		return func(ctx context.Context) (*Conn, error) {
			conn, peer, err := dialTLS(ctx, t, cfg)
			if conn != nil {
				_ = conn.Close()
			}
			if peer != (Peer{}) {
				mu.Lock()
				last = peer
				mu.Unlock()
			}
			return nil, err
		}, err
	})
	return last, err
}

// connectFunc makes one attempt. Login's and Probe's return no connection.
type connectFunc func(context.Context) (*Conn, error)

// run calls prepare for what all attempts share, so that the roots are read once,
// and makes the attempts.
func (c *Connector) run(ctx context.Context, t Target, prepare func() (connectFunc, error)) (*Conn, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, badTarget("the context has no deadline")
	}
	l := newLoop(ctx, c)
	var err error
	if l.connect, err = prepare(); err == nil {
		err = l.run()
	}
	if err != nil {
		return nil, l.annotate(err, t)
	}
	if l.conn != nil {
		l.conn.Waited = l.waited || l.conn.Waited && l.attempts > 1
	}
	return l.conn, nil
}
