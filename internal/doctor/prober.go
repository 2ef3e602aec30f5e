package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync/atomic"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// httpsProber is a Prober that records whether its requests go through a proxy.
type httpsProber struct {
	client  *exchange.Client
	roots   func() (*x509.CertPool, error)
	host    string // of the workspace
	address string // host:port
	proxy   atomic.Value
}

// NewProber returns a Prober for the workspace of o, whose DialContext it sets. It
// fails for a bad proxy setting.
func NewProber(workspace config.Workspace, o exchange.Options) (Prober, error) {
	p := &httpsProber{roots: o.LoadRoots, host: workspace.Hostname(), address: workspace.HostPort()}
	if _, _, err := net.SplitHostPort(p.address); err != nil {
		p.address = net.JoinHostPort(p.host, "443")
	}
	o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != p.address {
			p.proxy.Store(address)
		}
		return dial(ctx, network, address)
	}
	client, err := exchange.New(o)
	p.client = client
	return p, err
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, address)
}

func (p *httpsProber) ServerTime(ctx context.Context) (time.Duration, error) {
	defer p.client.Close()
	return p.client.ServerTime(ctx)
}

func (p *httpsProber) Proxy() string {
	address, _ := p.proxy.Load().(string)
	return address
}

func (p *httpsProber) Peer(ctx context.Context) pglogin.Peer {
	if p.Proxy() != "" {
		return pglogin.Peer{}
	}
	roots, err := p.roots()
	if err != nil {
		return pglogin.Peer{}
	}
	c, err := dial(ctx, "tcp", p.address)
	if err != nil {
		return pglogin.Peer{}
	}
	defer c.Close()
	_, peer, _ := pglogin.Handshake(ctx, c, &tls.Config{ServerName: p.host, RootCAs: roots, MinVersion: tls.VersionTLS12})
	return peer
}
