package pglogin

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// rootsMaxAge is how long roots are used before they are read again: the system
// updates its bundle under programs that run for weeks.
const rootsMaxAge = time.Hour

// tlsConfig checks the target and returns its TLS settings.
func (c *Connector) tlsConfig(t Target) (*tls.Config, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == nil {
		c.sessions = tls.NewLRUClientSessionCache(4)
	}
	// Without small first records, as the proxy sends bulk data over the connection.
	cfg := &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12, ClientSessionCache: c.sessions, DynamicRecordSizingDisabled: true}
	if t.SSLMode == Require {
		cfg.InsecureSkipVerify = true
		return cfg, nil
	}
	if known := c.roots != nil && c.rootsPath == t.SSLRootCert; !known || time.Since(c.rootsRead) > rootsMaxAge {
		// pgconn would block on a FIFO, and its errors do not tell an unreadable
		// bundle from other faults.
		pool, err := rootcerts.Load(t.SSLRootCert)
		if err == nil {
			c.roots, c.rootsPath, c.rootsRead = pool, t.SSLRootCert, time.Now()
		} else if !known { // roots that cannot be read again stay in use
			return nil, &Error{Kind: BadRootCert, Target: t, Message: sanitize.Line(err.Error()), cause: err}
		}
	}
	cfg.RootCAs = c.roots
	return cfg, nil
}

// Peer is the other end of a connection.
type Peer struct {
	Address string              // IP and port; empty: no connection
	Version string              // "TLS 1.3"; empty: no handshake
	Chain   []*x509.Certificate // its own first: up to the root if it was verified, else as received
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
			p.Chain = append(state.VerifiedChains, state.PeerCertificates)[0]
		}
	}
	return p
}

// dialTLS connects to the target, requests TLS and does the handshake. ctx bounds
// that and every later use of the connection.
func dialTLS(ctx context.Context, t Target, cfg *tls.Config) (*Conn, *Error) {
	raw, err := dialContext(ctx, "tcp", net.JoinHostPort(cmp.Or(t.HostAddr, t.Host), strconv.Itoa(t.Port)))
	if err != nil {
		return nil, classify(ctx, err, nil, credential.Secret{})
	}
	context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	c := &startupConn{Conn: raw}
	var answer [1]byte
	request, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err == nil {
		_, err = c.Write(request)
	}
	if err == nil {
		_, err = io.ReadFull(c, answer[:])
	}
	if err == nil && answer[0] == 'S' {
		encrypted := tls.Client(c, cfg)
		if err = encrypted.HandshakeContext(ctx); err == nil {
			return &Conn{Conn: encrypted}, nil
		}
	}
	_ = raw.Close()
	e := classify(ctx, err, c, credential.Secret{})
	e.peer = PeerOf(c)
	return nil, e
}
