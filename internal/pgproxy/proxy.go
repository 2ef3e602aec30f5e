package pgproxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Upstream makes logins at the endpoint and carries its cancel requests.
type Upstream interface {
	// Login logs in with the client's start-up parameters (user and database are
	// always there) and waits for a sleeping compute itself, as long as ctx lets
	// it. A *ServerError chooses what the client is told.
	Login(ctx context.Context, params map[string]string) (*Server, error)
	// Cancel carries one cancel request.
	Cancel(ctx context.Context, pid uint32, key []byte) error
}

// Server is a connection upstream that has just become ready for a query, its TLS
// handshake long done. The TCP connection under its TLS should be a Wire: see
// NewWire.
type Server struct {
	Conn       net.Conn
	PID        uint32
	SecretKey  []byte // none: the server gave no key, and cannot be cancelled
	Parameters map[string]string
	TxStatus   byte   // of ReadyForQuery; 0 is taken as 'I'
	Pending    []byte // what was read after ReadyForQuery
}

// Options say whom the door lets in, and how many. Zero limits are the defaults.
type Options struct {
	User       string
	Password   credential.Secret
	TrustLocal bool // no password is asked for
	Upstream   Upstream

	MaxConns       int           // connections logged in or logging in; 1000
	MaxStartups    int           // half-open start-ups; 200
	MaxWaiting     int           // logins under way upstream; 100
	StartupTimeout time.Duration // from the connection to the right password; 10 s
	LoginTimeout   time.Duration // of one login upstream, waking included; 60 s

	// Event, if there is one, is told what happens. It is called by many
	// goroutines at once and must not block.
	Event func(Event)
}

// Bounds that nobody needs to turn.
const (
	admitWait     = 250 * time.Millisecond // for a start-up slot, before a refusal
	writeTimeout  = 5 * time.Second        // for a greeting or an error
	lingerTime    = 500 * time.Millisecond // for a refused client to read why
	maxLingering  = 100                    // connections refused at the door and still read
	lingerBytes   = 256 << 10              // the most of a refused client that is read
	drainTime     = 10 * time.Second       // for the other side, when one has ended
	farewellTime  = time.Second            // for a client to close, when the server has
	cancelTimeout = 10 * time.Second
	maxCancels    = 20
	maxEarly      = 16 << 10 // what a client sends while its login waits
)

// Proxy is one door. It is made by New.
type Proxy struct {
	o         Options
	startups  chan struct{}
	lingering chan struct{}
	cancels   chan struct{}
	tls       func() (*tlsConfig, error)
	keys      keys
	taken     atomic.Int64 // waiting and open together
	n         counters

	mu     sync.Mutex
	closed bool
	raw    map[*net.Conn]struct{} // what Serve closes at its end
	wg     sync.WaitGroup
}

// New makes a door. An empty password without TrustLocal lets nobody in.
func New(o Options) *Proxy {
	setDefault(&o.MaxConns, 1000)
	setDefault(&o.MaxStartups, 200)
	setDefault(&o.MaxWaiting, 100)
	setDefault(&o.StartupTimeout, 10*time.Second)
	setDefault(&o.LoginTimeout, 60*time.Second)
	return &Proxy{
		o:         o,
		startups:  make(chan struct{}, o.MaxStartups),
		lingering: make(chan struct{}, maxLingering),
		cancels:   make(chan struct{}, maxCancels),
		tls:       sync.OnceValues(newTLSConfig),
		raw:       map[*net.Conn]struct{}{},
	}
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// ErrListenerClosed is returned by Serve when somebody else closed a listener.
var ErrListenerClosed = errors.New("a listener was closed")

// Serve lets clients in until ctx ends; then it closes the listeners and every
// connection, and returns nil once the last goroutine is gone. It can be called
// once.
func (p *Proxy) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	for _, ln := range listeners {
		p.wg.Go(func() {
			p.accept(ctx, ln)
			stop(ErrListenerClosed)
		})
	}
	<-ctx.Done()
	for _, ln := range listeners {
		_ = ln.Close()
	}
	p.closeAll()
	p.wg.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, ErrListenerClosed) {
		return cause
	}
	return nil
}

// track has Serve close the socket of c at its end, until forget is called. It
// says false when that end has come already.
func (p *Proxy) track(c net.Conn) (forget func(), ok bool) {
	c = socket(c) // a TLS connection may wait for its peer when it is closed
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return func() {}, false
	}
	p.raw[&c] = struct{}{}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.raw, &c)
	}, true
}

func (p *Proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for c := range p.raw {
		_ = (*c).Close()
	}
}

// alone says that there is one session, and nobody on the way in.
func (p *Proxy) alone() bool { return p.taken.Load() == 1 && len(p.startups) == 0 }
