// Package pgproxy is a local proxy in front of one Postgres endpoint. It accepts
// clients on Unix and TCP sockets, handles their startup phase (encryption, password,
// cancel requests), logs in at the database with a token, and then relays bytes.
//
// It does not print, does not parse what follows a login, does not contact the
// upstream before the client's password is verified, and tells a client only errors
// that are meant for it.
package pgproxy

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// TokenSource supplies tokens for logins. Refresh replaces one that the server has
// rejected.
type TokenSource interface {
	Token(ctx context.Context) (credential.Token, error)
	Refresh(ctx context.Context, rejected credential.Secret) (credential.Token, error)
}

// Options configure a Proxy.
type Options struct {
	Target     pglogin.Target // whose user is the only role that clients may connect as; they choose the database
	Tokens     TokenSource
	Password   credential.Secret // of clients
	TrustLocal bool              // clients need no password

	// Describe returns the texts of errors that do not come from the server.
	Describe func(error) (message, hint string)

	MaxConns       int           // authenticated clients
	MaxWaiting     int           // logins in progress upstream
	MaxStartups    int           // clients that are not authenticated yet; 0: 200
	StartupTimeout time.Duration // until the client is authenticated; 0: 10 s
	LoginTimeout   time.Duration // of a login upstream, wake-up included
	Observer       Observer
}

// Observer follows a Proxy. Its methods are called from any goroutine and must not block.
// No argument holds a secret.
type Observer interface {
	LoggedIn(took time.Duration) // upstream
	// Rejected is called for each client that is sent an error: of the login upstream, or
	// the proxy's own. peer is its address or, on a Unix socket, its process.
	Rejected(peer string, err *ServerError, upstream bool)
	Failed(err error) // of a cancel request, or of accepting a client, which is tried again
}

// Limits that are not configurable.
const (
	writeTimeout   = 5 * time.Second        // for the startup reply or an error
	lingerTimeout  = 500 * time.Millisecond // for a rejected client to read the error
	maxLingerBytes = 256 << 10              // read and discarded from a rejected client
	drainTimeout   = 10 * time.Second       // for the server's remaining data after the client closed
	closeTimeout   = time.Second            // for the client to close after the server did
	cancelTimeout  = 10 * time.Second
	maxBuffered    = 16 << 10 // from which on a client's input is not read during its login
)

// Proxy serves clients of one database user. New makes one.
type Proxy struct {
	o         Options
	connector connector
	halfOpen  *halfOpen
	tls       func() (*tls.Config, error)
	clients   atomic.Int64 // authenticated: waiting and open
	n         counters
	wakes     wakes
	wg        sync.WaitGroup
	draining  chan struct{} // closed by Drain
	served    chan struct{} // closed when Serve returns

	mu   sync.Mutex
	keys map[cancelID][]byte // the server's keys of open connections
}

// New makes a Proxy. With an empty password and without TrustLocal it rejects all
// clients.
func New(o Options) *Proxy {
	o.MaxStartups = cmp.Or(o.MaxStartups, 200)
	o.StartupTimeout = cmp.Or(o.StartupTimeout, 10*time.Second)
	return &Proxy{
		o:         o,
		connector: &pglogin.Connector{},
		halfOpen:  &halfOpen{limit: o.MaxStartups, freed: make(chan struct{}, 1), protect: maxProtect},
		tls:       sync.OnceValues(newTLSConfig),
		draining:  make(chan struct{}),
		served:    make(chan struct{}),
		keys:      map[cancelID][]byte{},
	}
}

// Serve accepts clients until ctx ends. It then closes the listener and all connections
// and returns once all goroutines have ended. After Drain it closes the listener only,
// and returns when the last connection has ended. It can be called once.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) {
	defer close(p.served)
	p.wg.Go(func() { p.accept(ctx, ln) })
	select {
	case <-ctx.Done():
	case <-p.draining:
	}
	_ = ln.Close()
	p.wg.Wait()
}

// Drain has Serve accept no more clients, and waits until their connections have
// ended or ctx ends. It can be called once.
func (p *Proxy) Drain(ctx context.Context) {
	close(p.draining)
	select {
	case <-p.served:
	case <-ctx.Done():
	}
}

// closeWhenDone closes the socket of c when ctx ends, unless stop is called before.
func closeWhenDone(ctx context.Context, c net.Conn) (stop func() bool) {
	c = socket(c) // closing a TLS connection may block on its peer
	return context.AfterFunc(ctx, func() { _ = c.Close() })
}

// accept accepts clients until ln is closed. It retries after any other error: a
// process that has no free descriptors may have some later.
func (p *Proxy) accept(ctx context.Context, ln net.Listener) {
	backoff := retry.Accept().Backoff()
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.o.Observer.Failed(fmt.Errorf("accept failed: %w", err))
			select {
			case <-ctx.Done():
			case <-time.After(backoff.Next()):
			}
			continue
		}
		backoff.Reset()
		s := newSession(p, c)
		if !p.halfOpen.admit(ctx, s) {
			_ = c.Close()
			return
		}
		p.wg.Go(func() { s.handle(ctx) })
	}
}

// tooMany is the error of PostgreSQL for exceeded limits, with a hint which it is.
func tooMany(limit int, what string) *ServerError {
	return &ServerError{Code: "53300", Message: "sorry, too many clients already",
		Hint: fmt.Sprintf("The local proxy allows %d %s.", limit, what)}
}

// cancelID is what a client sends to cancel the query of a connection. Two connections
// may have the same pid, as a compute may restart.
type cancelID struct {
	pid uint32
	key string
}

// addKey registers a connection for cancel requests and returns the client's key, which
// has the size of protocol 3.0; the server's may have another. It returns nil for a
// connection that cannot be canceled.
func (p *Proxy) addKey(pid uint32, upstream []byte) (key []byte, forget func()) {
	if len(upstream) == 0 {
		return nil, func() {}
	}
	key = make([]byte, 4)
	_, _ = rand.Read(key) // never fails
	id := cancelID{pid, string(key)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[id] = upstream
	return key, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.keys, id)
	}
}

// cancel sends a cancel request upstream, once, if its key belongs to an open
// connection. As in PostgreSQL the key is the only authentication.
func (p *Proxy) cancel(ctx context.Context, r pgproto3.CancelRequest) {
	p.mu.Lock()
	key, ok := p.keys[cancelID{r.ProcessID, string(r.SecretKey)}]
	p.mu.Unlock()
	if !ok {
		p.o.Observer.Failed(errors.New("cancel request for an unknown connection"))
		return
	}
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	if err := p.connector.Cancel(ctx, p.o.Target, r.ProcessID, key); err != nil {
		p.o.Observer.Failed(fmt.Errorf("cancel request failed: %w", err))
	}
}

// Stats are the current and total numbers of a Proxy.
type Stats struct {
	Waiting int64 // login upstream in progress
	Open    int64 // relayed

	Logins       int64 // succeeded upstream
	FailedLogins int64 // ended with an error, here (wrong password or user, a limit) or upstream
	Wakes        int64 // of the compute, for which logins waited
	WakeTime     time.Duration

	BytesToDatabase, BytesToClient int64 // relayed
}

type counters struct{ waiting, open, logins, failed, toDatabase, toClient atomic.Int64 }

// Stats returns the current numbers. It may be called at any time.
func (p *Proxy) Stats() Stats {
	p.wakes.mu.Lock()
	defer p.wakes.mu.Unlock()
	return Stats{Waiting: p.n.waiting.Load(), Open: p.n.open.Load(), Logins: p.n.logins.Load(), FailedLogins: p.n.failed.Load(),
		Wakes: p.wakes.n, WakeTime: p.wakes.time, BytesToDatabase: p.n.toDatabase.Load(), BytesToClient: p.n.toClient.Load()}
}

// peerOf describes the client of a socket.
func peerOf(c net.Conn) string {
	if u, ok := c.(*net.UnixConn); ok {
		return unixPeer(u)
	}
	return c.RemoteAddr().String()
}
