package pglogin

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// closeWithin bounds the farewell after a proven login. Nothing is waited for:
// Terminate is written, and the socket closed. It is a variable for the tests.
var closeWithin = 100 * time.Millisecond

var (
	errDialledOnce = errors.New("a login dials once")
	errTooMuch     = errors.New("the server sent too much before the login was done")
)

// Login makes one attempt: it connects, proves the password, says goodbye. It
// lasts as long as ctx lets it. Every failure is an *Error; one whose Retry is
// set may go away by itself.
func Login(ctx context.Context, t Target, password credential.Secret) error {
	cfg, err := t.config(password, nil)
	if err != nil {
		return err
	}
	return login(ctx, t, cfg, password)
}

// login makes one attempt with a config that several attempts may share.
func login(ctx context.Context, t Target, cfg *pgconn.Config, password credential.Secret) error {
	conn, _, err := connect(ctx, t, cfg.Copy(), password, nil)
	if err != nil {
		return err
	}
	farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	_ = conn.Close(farewell)
	return nil
}

// connect logs in. cfg is changed; wrap may be nil.
func connect(ctx context.Context, t Target, cfg *pgconn.Config, password credential.Secret, wrap func(net.Conn) net.Conn) (*pgconn.PgConn, *watched, error) {
	d := &dialer{wrap: wrap}
	cfg.DialFunc = d.dial
	// One "address", the name itself: net.Dialer then resolves it and races IPv6
	// against IPv4, where pgconn would wait for a silent address before the next
	// one, and send the password to a second server after the first refused it.
	cfg.LookupFunc = func(context.Context, string) ([]string, error) {
		if t.HostAddr != "" {
			return []string{t.HostAddr}, nil
		}
		return []string{t.Host}, nil
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, nil, classify(ctx, err, d.conn, password)
	}
	return conn, d.conn, nil
}

// dialer dials once. When a connection breaks during start-up, pgconn dials a
// second time in the background to send a cancel request, for up to 15 s.
type dialer struct {
	used atomic.Bool
	wrap func(net.Conn) net.Conn // may be nil
	conn *watched                // nil until dialled
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.used.Swap(true) {
		return nil, errDialledOnce
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.conn = &watched{Conn: c}
	if d.wrap != nil {
		return d.wrap(d.conn), nil
	}
	return d.conn, nil
}

// watched remembers the first byte that came, which is the answer to our
// SSLRequest, and ends a start-up that does not end by itself.
type watched struct {
	net.Conn
	first atomic.Int32 // the byte, plus one
	total atomic.Int64
	done  atomic.Bool // the login is over, and anything may come
}

func (w *watched) Read(b []byte) (int, error) {
	if w.done.Load() {
		return w.Conn.Read(b)
	}
	if w.total.Load() >= maxStartup {
		return 0, errTooMuch
	}
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.first.CompareAndSwap(0, int32(b[0])+1)
		w.total.Add(int64(n))
	}
	return n, err
}

// SyscallConn gives what lies below to who reads the socket by itself.
func (w *watched) SyscallConn() (syscall.RawConn, error) {
	if c, ok := w.Conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// CloseWrite ends what the server reads.
func (w *watched) CloseWrite() error {
	if c, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// answer is the server's byte for our SSLRequest; ok is false if there was none.
func (w *watched) answer() (b byte, ok bool) {
	if w == nil || w.first.Load() == 0 {
		return 0, false
	}
	return byte(w.first.Load() - 1), true
}
