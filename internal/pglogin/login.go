package pglogin

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// dialContext is a variable for the tests.
var dialContext = new(net.Dialer).DialContext

const (
	closeTimeout = 100 * time.Millisecond // to write Terminate

	// handoverTimeout bounds reading the rest of a message that had begun when the
	// login ended.
	handoverTimeout = 5 * time.Second

	// silenceOfWake is how long a server is silent at least while its compute wakes. It is
	// less than hedgeDelay, after which an attempt may be replaced.
	silenceOfWake = hedgeDelay / 2

	// maxStartup bounds what a server sends until the login is done, usually a few KB.
	maxStartup = 1 << 20
)

var (
	errDialedTwice = errors.New("a login dials once")
	errTooMuch     = errors.New("the server sent too much before the login was done")
	errNoLogin     = errors.New("the connection is not for a login")
)

// Conn is a connection that has logged in and is idle.
type Conn struct {
	net.Conn
	PID        uint32
	SecretKey  []byte // for a cancel request; empty: the connection cannot be canceled
	Parameters map[string]string
	TxStatus   byte   // of ReadyForQuery
	Pending    []byte // messages that the server sent besides the login, still to be read
	Waited     bool   // for the compute: attempts failed because it did not run, or the server was silent for long

	queries *pgproto3.Frontend // of Query
}

// Terminate ends the session and closes the connection.
func (c *Conn) Terminate() {
	_ = c.SetDeadline(time.Now().Add(closeTimeout))
	b, _ := (&pgproto3.Terminate{}).Encode(nil) // never fails
	_, _ = c.Write(b)
	_ = c.Close()
}

// connect makes one attempt to log in. With use it sends no password: it calls use once
// TLS is established, and returns a closed connection.
func connect(ctx context.Context, t Target, cfg *pgconn.Config, use func(net.Conn) error) (*Conn, *Error) {
	cfg = cfg.Copy()
	var notices []byte
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices = appendNotice(notices, n) }
	var dialed atomic.Bool
	var raw *startupConn
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		// When a connection breaks during start-up, pgconn dials a second time in the
		// background to send a cancel request, for up to 15 s.
		if dialed.Swap(true) {
			return nil, errDialedTwice
		}
		c, err := dialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		raw = &startupConn{Conn: c}
		return raw, nil
	}
	var encrypted net.Conn
	if use != nil {
		cfg.AfterNetConnect = func(ctx context.Context, _ *pgconn.Config, c net.Conn) (net.Conn, error) {
			defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
			encrypted = c
			err := c.(*tls.Conn).Handshake()
			if err == nil {
				err = cmp.Or(use(c), errNoLogin)
			}
			return c, err
		}
	}
	// One "address", the name itself: net.Dialer then resolves it and races IPv6
	// against IPv4. pgconn would wait for a silent address before it tries the next
	// one, and send the password to a second server after the first refused it.
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{cmp.Or(t.HostAddr, t.Host)}, nil }
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if errors.Is(err, errNoLogin) {
		return &Conn{Conn: encrypted}, nil
	}
	var h *pgconn.HijackedConn
	var pending []byte
	if err == nil {
		if h, err = conn.Hijack(); err == nil {
			pending, err = readPending(h, notices)
		}
		if err != nil {
			_ = raw.Close()
		}
	}
	if err != nil {
		e := classify(ctx, err, raw, credential.NewSecret(cfg.Password))
		if raw != nil {
			e.peer = PeerOf(raw)
		}
		return nil, e
	}
	_ = h.Conn.SetDeadline(time.Time{})
	raw.done.Store(true)
	return &Conn{Conn: h.Conn, Waited: raw.silent(), PID: h.PID, SecretKey: h.SecretKey, Parameters: maps.Clone(h.ParameterStatuses),
		TxStatus: h.TxStatus, Pending: pending}, nil
}

// readPending appends what the server has sent since the login. During a slow write,
// pgconn reads in the background, and would take the first answer from the connection's
// next user. A deadline in the past ends that read, and Receive waits for its end.
func readPending(h *pgconn.HijackedConn, pending []byte) ([]byte, error) {
	for {
		_ = h.Conn.SetReadDeadline(time.Unix(1, 0))
		m, err := h.Frontend.Receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if h.Frontend.ReadBufferLen() == 0 {
				return pending, nil
			}
			_ = h.Conn.SetReadDeadline(time.Now().Add(handoverTimeout))
			m, err = h.Frontend.Receive()
		}
		if err != nil {
			return nil, err
		}
		if pending, err = m.Encode(pending); err != nil {
			return nil, err
		}
	}
}

// appendNotice appends n, such as a warning about a setting of the role, without the
// fields that only a query or a constraint sets.
func appendNotice(to []byte, n *pgconn.Notice) []byte {
	to, _ = (&pgproto3.NoticeResponse{Severity: n.Severity, SeverityUnlocalized: n.SeverityUnlocalized, Code: n.Code,
		Message: n.Message, Detail: n.Detail, Hint: n.Hint}).Encode(to) // fails only on a message of 1 GiB
	return to
}

// startupConn records the first byte that it reads, which answers our SSLRequest, and
// for how long the server was silent, and limits what it sends until the login is done.
type startupConn struct {
	net.Conn
	silence atomic.Int64 // the longest wait of a Read, in ns
	first   atomic.Int32 // the byte, plus one
	total   atomic.Int64
	done    atomic.Bool // the login is done: no limit
}

func (c *startupConn) Read(b []byte) (int, error) {
	if c.done.Load() {
		return c.Conn.Read(b)
	}
	if c.total.Load() >= maxStartup {
		return 0, errTooMuch
	}
	start := time.Now()
	n, err := c.Conn.Read(b)
	c.silence.Store(max(c.silence.Load(), int64(time.Since(start))))
	if n > 0 {
		c.first.CompareAndSwap(0, int32(b[0])+1)
		c.total.Add(int64(n))
	}
	return n, err
}

// NetConn returns the socket.
func (c *startupConn) NetConn() net.Conn { return c.Conn }

// silent reports whether the server was silent for so long that its compute may have
// been suspended, or there was no connection at all.
func (c *startupConn) silent() bool {
	return c == nil || time.Duration(c.silence.Load()) >= silenceOfWake
}

// answer returns the server's answer to our SSLRequest, or -1 if there was none.
func (c *startupConn) answer() int32 {
	if c == nil {
		return -1
	}
	return c.first.Load() - 1
}
