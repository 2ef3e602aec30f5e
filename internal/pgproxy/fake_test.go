package pgproxy

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const (
	user     = "robot"
	password = "local-password"
)

// guard bounds what must happen: it is reached only when something hangs.
const guard = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// database is the far end: TLS on loopback, and what the test does with it.
type database struct {
	ln   net.Listener
	wg   sync.WaitGroup
	mu   sync.Mutex
	open []net.Conn
}

func newDatabase(t testing.TB, serve func(net.Conn)) *database {
	t.Helper()
	config, err := newTLSConfig()
	must(t, err)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	must(t, err)
	d := &database{ln: ln}
	d.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.open = append(d.open, c)
			d.mu.Unlock()
			d.wg.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		d.mu.Lock()
		for _, c := range d.open {
			_ = c.(*tls.Conn).NetConn().Close()
		}
		d.mu.Unlock()
		d.wg.Wait()
	})
	return d
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

// fake is an Upstream that connects to a database.
type fake struct {
	db       *database
	before   func(context.Context, map[string]string) (*Server, error) // both nil: go on
	bare     bool                                                      // no Wire under the TLS
	key      []byte
	pending  []byte
	onCancel func(context.Context) error

	logins  atomic.Int64
	nextPID atomic.Uint32
	mu      sync.Mutex
	params  map[string]string
	cancels []string
}

func (f *fake) Login(ctx context.Context, params map[string]string) (*Server, error) {
	f.logins.Add(1)
	f.mu.Lock()
	f.params = params
	f.mu.Unlock()
	if f.before != nil {
		if s, err := f.before(ctx, params); s != nil || err != nil {
			return s, err
		}
	}
	c, err := f.dial(ctx)
	if err != nil {
		return nil, err
	}
	pid := f.nextPID.Add(1)
	key := f.key
	if key == nil {
		key = binary.BigEndian.AppendUint32(nil, 0xC0DE0000+pid)
	}
	return &Server{Conn: c, PID: pid, SecretKey: key, Pending: f.pending, TxStatus: 'I',
		Parameters: map[string]string{"server_version": "17.5", "client_encoding": "UTF8", "application_name": params["application_name"]}}, nil
}

func (f *fake) dial(ctx context.Context) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.db.ln.Addr().String())
	if err != nil {
		return nil, err
	}
	if !f.bare {
		c = NewWire(c)
	}
	config := &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true} // the test's own database
	secured := tls.Client(c, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return secured, nil
}

func (f *fake) Cancel(ctx context.Context, pid uint32, key []byte) error {
	f.mu.Lock()
	f.cancels = append(f.cancels, fmt.Sprintf("%d/%x", pid, key))
	f.mu.Unlock()
	if f.onCancel != nil {
		return f.onCancel(ctx)
	}
	return nil
}

// carried lists the cancel requests, as pid/key.
func (f *fake) carried() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.cancels)
}

// last is what the last login asked for.
func (f *fake) last() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.params)
}

// door is a running proxy with a Unix socket and a TCP listener.
type door struct {
	*Proxy
	up       *fake
	unix     string
	tcp      string
	stop     func() error
	mu       sync.Mutex
	happened []Event
}

// open serves until the test ends. Nothing may be left then.
func open(t testing.TB, o Options, serve func(net.Conn), extra ...func(*fake)) *door {
	t.Helper()
	d := &door{up: &fake{}}
	d.up.db = newDatabase(t, serve)
	for _, f := range extra {
		f(d.up)
	}
	o.Upstream = d.up
	if o.User == "" {
		o.User = user
	}
	if o.Password.IsZero() && !o.TrustLocal {
		o.Password = credential.NewSecret(password)
	}
	if o.StartupTimeout == 0 {
		o.StartupTimeout = time.Minute
	}
	o.Event = func(e Event) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.happened = append(d.happened, e)
	}
	dir := t.TempDir()
	d.unix = filepath.Join(dir, ".s.PGSQL.5432")
	if len(d.unix) > maxSocketPath() {
		t.Fatalf("the test's folder is too long: %s", d.unix)
	}
	unix, err := ListenUnix(dir, 5432)
	must(t, err)
	tcp, err := ListenTCP("127.0.0.1:0", Loopback)
	must(t, err)
	d.tcp = tcp.Addr().String()
	d.Proxy = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx, unix, tcp) }()
	d.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-served:
			return err
		case <-time.After(guard):
			return errors.New("Serve did not return in time")
		}
	})
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if s := d.Stats(); s.HalfOpen+s.Waiting+s.Open != 0 || d.taken.Load() != 0 || len(d.raw) != 0 {
			t.Errorf("left after Serve: %+v, %d taken, %d tracked", s, d.taken.Load(), len(d.raw))
		}
	})
	return d
}

// events returns what happened of one kind.
func (d *door) events(kind EventKind) (found []Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.happened {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(guard); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// pipes is a listener in memory, for tests in fake time.
type pipes struct {
	dialled chan net.Conn
	done    chan struct{}
	once    sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

// inFakeTime runs f under synctest, with a proxy that takes connections in memory as
// if they came by TCP.
func inFakeTime(t *testing.T, o Options, f func(t *testing.T, p *Proxy, dial func() *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := &pipes{dialled: make(chan net.Conn), done: make(chan struct{})}
		o.User, o.Password = user, credential.NewSecret(password)
		p := New(o)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- p.Serve(ctx, ln) }()
		f(t, p, func() *client {
			near, far := net.Pipe()
			t.Cleanup(func() { _ = near.Close() })
			ln.dialled <- far
			return &client{Conn: near, t: t}
		})
		cancel()
		must(t, <-served)
	})
}
