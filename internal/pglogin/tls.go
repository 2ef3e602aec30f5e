package pglogin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// TLSCache is what logins to one target share: the roots, which take milliseconds
// to read, and TLS sessions to resume. A nil TLSCache shares nothing.
type TLSCache struct {
	sessions tls.ClientSessionCache

	mu    sync.Mutex
	path  string
	roots *x509.CertPool
	read  time.Time
}

// rootsMaxAge is how long roots are used before they are read again: the system
// updates its bundle under programs that run for weeks.
const rootsMaxAge = time.Hour

// NewTLSCache returns an empty cache.
func NewTLSCache() *TLSCache { return &TLSCache{sessions: tls.NewLRUClientSessionCache(4)} }

// pool returns the roots at path. Roots that cannot be read again stay in use.
func (c *TLSCache) pool(path string) (*x509.CertPool, error) {
	if c == nil {
		return loadRoots(path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cached := c.roots != nil && c.path == path
	if cached && time.Since(c.read) < rootsMaxAge {
		return c.roots, nil
	}
	pool, err := loadRoots(path)
	if err != nil && cached {
		return c.roots, nil
	}
	if err == nil {
		c.path, c.roots, c.read = path, pool, time.Now()
	}
	return pool, err
}

func loadRoots(path string) (*x509.CertPool, error) {
	pool, err := rootcerts.Load(path)
	if err != nil {
		return nil, &Error{Kind: BadRootCert, Message: sanitize.Line(err.Error()), cause: err}
	}
	return pool, nil
}

// tls checks the target and returns its TLS settings. It reads the roots itself: pgconn
// would block on a FIFO, and its errors do not tell an unreadable bundle from
// other faults.
func (t Target) tls(cache *TLSCache) (*tls.Config, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	// Without small first records, as the proxy sends bulk data over the connection.
	cfg := &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	if cache != nil {
		cfg.ClientSessionCache = cache.sessions
	}
	if t.SSLMode == Require {
		cfg.InsecureSkipVerify = true
		return cfg, nil
	}
	var err error
	cfg.RootCAs, err = cache.pool(t.SSLRootCert)
	return cfg, err
}

// Peer is the other end of a connection. Subject and Issuer come from its
// certificate and may hold any character: escape them before showing them.
type Peer struct {
	Address  string // IP and port; empty: no connection
	Version  string // "TLS 1.3"; empty: no handshake
	Subject  string
	Issuer   string // empty: no certificate was seen
	NotAfter time.Time
}

// AddCertificate sets what cert says about the peer.
func (p *Peer) AddCertificate(cert *x509.Certificate) {
	p.Subject, p.Issuer, p.NotAfter = sanitize.Line(cert.Subject.String()), sanitize.Line(cert.Issuer.String()), cert.NotAfter
}

// PeerOf returns the other end of a connection.
func PeerOf(c net.Conn) Peer {
	p := Peer{}
	if a := c.RemoteAddr(); a != nil {
		p.Address = a.String()
	}
	if encrypted, ok := c.(*tls.Conn); ok {
		if state := encrypted.ConnectionState(); state.HandshakeComplete {
			p.Version = tls.VersionName(state.Version)
			p.AddCertificate(state.PeerCertificates[0])
		}
	}
	return p
}

// handshake does a TLS handshake on c. The Peer names the certificate also if it is not
// trusted.
func handshake(ctx context.Context, c net.Conn, cfg *tls.Config) (net.Conn, Peer, error) {
	encrypted := tls.Client(c, cfg)
	err := encrypted.HandshakeContext(ctx)
	p := PeerOf(encrypted)
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) && len(untrusted.UnverifiedCertificates) > 0 {
		p.AddCertificate(untrusted.UnverifiedCertificates[0])
	}
	return encrypted, p, err
}

// dialTLS connects to the target, requests TLS and does the handshake. ctx bounds
// that and every later use of the connection. Errors: *Error.
func dialTLS(ctx context.Context, t Target, cfg *tls.Config) (net.Conn, Peer, error) {
	raw, err := dialContext(ctx, "tcp", net.JoinHostPort(t.dialHost(), strconv.Itoa(t.Port)))
	if err != nil {
		return nil, Peer{}, classify(ctx, err, nil, credential.Secret{})
	}
	context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	c := &startupConn{Conn: raw}
	peer := Peer{Address: raw.RemoteAddr().String()}
	var answer [1]byte
	request, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err == nil {
		_, err = c.Write(request)
	}
	if err == nil {
		_, err = io.ReadFull(c, answer[:])
	}
	if err == nil && answer[0] == 'S' {
		var encrypted net.Conn
		if encrypted, peer, err = handshake(ctx, c, cfg); err == nil {
			return encrypted, peer, nil
		}
	}
	_ = raw.Close()
	return nil, peer, classify(ctx, err, c, credential.Secret{})
}

// Cancel requests the server of t to cancel the query of the connection with this
// process ID and key. The server closes the connection once it has read the
// request; it sends no answer. ctx must have a deadline. Errors: *Error.
func (c *Connector) Cancel(ctx context.Context, t Target, pid uint32, key []byte) error {
	cfg, err := t.tls(c.Cache)
	if err != nil {
		return err
	}
	conn, _, err := dialTLS(ctx, t, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	request, err := (&pgproto3.CancelRequest{ProcessID: pid, SecretKey: key}).Encode(nil)
	if err == nil {
		_, err = conn.Write(request)
	}
	if err != nil {
		return classify(ctx, err, nil, credential.Secret{})
	}
	_, _ = conn.Read(make([]byte, 1)) // returns when the server has closed
	return nil
}
