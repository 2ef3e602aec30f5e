// Package pglogin logs in to Postgres over TLS and repeats that until the compute is
// awake. It never sends a password before TLS is established as the target requires, never
// falls back to plain text, and never puts a password in an error.
//
// Connections are pgx's pgconn, whose ParseConfig reads PG* variables. The settings of
// this package override them all, but a login fails if the file or the service that
// PGSERVICE names is missing: a program clears PG* from its own environment first.
package pglogin

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// hedgeDelay is how long an attempt may go without an answer before a second one
// starts, and how long each second one may last.
const hedgeDelay = time.Second

// Connector logs in to a server that may be asleep. It retries with the schedule
// retry.Wake until a login succeeds, a failure is final, or the context ends, which
// must have a deadline. An attempt without an answer is kept; a second one is tried
// concurrently and replaced each second, in case the compute dropped the first
// connection while it woke. At most two are open, and none when a method returns.
// With a context of retry.Once it makes one attempt.
//
// Every error is an *Error: WakeTimeout at the deadline, Canceled if the context was
// canceled (errors.Is finds context.Canceled), else what went wrong. Roots that cannot be
// read are a *rootcerts.Error.
//
// The zero Connector is ready to use, also concurrently. Its logins share the root
// certificates, which take milliseconds to read, and TLS sessions.
type Connector struct {
	// Set by tests.
	schedule   retry.Schedule // zero: retry.Wake
	hedgeDelay time.Duration  // zero: the constant

	mu       sync.Mutex
	sessions tls.ClientSessionCache
	roots    map[string]roots // by path
}

// rootsMaxAge is how long roots are used before they are read again: the system
// updates its bundle under programs that run for weeks.
const rootsMaxAge = time.Hour

// roots are the certificates of a bundle.
type roots struct {
	pool *x509.CertPool
	read time.Time
}

// Login logs in once and closes the connection.
func (c *Connector) Login(ctx context.Context, t Target, password credential.Secret) error {
	conn, err := c.Connect(ctx, t, password, map[string]string{"application_name": "lakebase-exec"})
	if err == nil {
		conn.Terminate()
	}
	return err
}

// Connect logs in and returns the connection. params are start-up parameters
// besides user and database, by their protocol names.
func (c *Connector) Connect(ctx context.Context, t Target, password credential.Secret, params map[string]string) (*Conn, error) {
	cfg, err := c.config(t)
	if err != nil {
		return nil, err
	}
	if password.IsZero() || strings.Contains(password.Reveal(), "\x00") {
		return nil, t.bad("the password is empty or contains a NUL byte")
	}
	cfg.Password, cfg.RuntimeParams = password.Reveal(), params
	return c.run(ctx, t, func(ctx context.Context) (*Conn, *Error) { return connect(ctx, t, cfg, nil) })
}

// Probe connects to the target, does the TLS handshake and closes: it sends no
// password and does not log in. A connection wakes a compute. If Probe fails, the
// Peer is that of the last failure.
func (c *Connector) Probe(ctx context.Context, t Target) (Peer, error) {
	cfg, err := c.config(t)
	if err != nil {
		return Peer{}, err
	}
	nothing := func(net.Conn) error { return nil }
	conn, err := c.run(ctx, t, func(ctx context.Context) (*Conn, *Error) { return connect(ctx, t, cfg, nothing) })
	if err == nil {
		return PeerOf(conn.Conn), nil
	}
	e, _ := errors.AsType[*Error](err)
	return cmp.Or(e.Last, e).peer, err
}

// Cancel requests the server of t to cancel the query of the connection with this
// process ID and key. The server closes the connection once it has read the
// request; it sends no answer. ctx must have a deadline. Errors: *Error.
func (c *Connector) Cancel(ctx context.Context, t Target, pid uint32, key []byte) error {
	cfg, err := c.config(t)
	if err != nil {
		return err
	}
	_, failed := connect(ctx, t, cfg, func(conn net.Conn) error {
		request, err := (&pgproto3.CancelRequest{ProcessID: pid, SecretKey: key}).Encode(nil)
		if err == nil {
			_, err = conn.Write(request)
		}
		if err == nil {
			_, _ = conn.Read(make([]byte, 1)) // returns when the server has closed
		}
		return err
	})
	if failed != nil {
		return failed
	}
	return nil
}
