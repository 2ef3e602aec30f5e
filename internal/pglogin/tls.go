package pglogin

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
)

// tlsConfig checks the target and returns its TLS settings.
func (c *Connector) tlsConfig(t Target) (*tls.Config, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == nil {
		c.sessions, c.roots = tls.NewLRUClientSessionCache(4), map[string]roots{}
	}
	// Without small first records, as the proxy sends bulk data over the connection.
	cfg := &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12, ClientSessionCache: c.sessions, DynamicRecordSizingDisabled: true}
	if t.SSLMode == Require {
		cfg.InsecureSkipVerify = true
		return cfg, nil
	}
	known := c.roots[t.SSLRootCert]
	if time.Since(known.read) > rootsMaxAge {
		// pgconn would block on a FIFO, and its errors do not tell an unreadable
		// bundle from other faults.
		pool, err := rootcerts.Load(t.SSLRootCert)
		switch {
		case err == nil:
			known = roots{pool, time.Now()}
			c.roots[t.SSLRootCert] = known
		case known.pool == nil: // else those that were read before stay in use
			return nil, err
		}
	}
	cfg.RootCAs = known.pool
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
	p := Peer{Address: c.RemoteAddr().String()}
	if encrypted, ok := c.(*tls.Conn); ok {
		state := encrypted.ConnectionState()
		p.Version = tls.VersionName(state.Version)
		p.Chain = append(state.VerifiedChains, state.PeerCertificates)[0]
	}
	return p
}
