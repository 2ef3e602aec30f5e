// Package exchange is a client of the Databricks workspace API: it exchanges a service
// principal's secret, an authorization code, a refresh token or a workload's token for a
// workspace token, that token for a database token, and looks up endpoints. It also
// requests a workload token from GitHub's token service. Each call is one attempt:
// Error.Verdict reports whether another one may succeed.
//
// It follows no redirect, sends secrets only to the configured host over verified TLS,
// and puts none into an error. It does not read the process environment, retry or print.
package exchange

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Bounds on a reply, in bytes.
const (
	maxHeaderBytes = 256 << 10
	maxBody        = 1 << 20
)

// Options configures a Client. Only Host is required.
type Options struct {
	// Host is the workspace, "https://host[:port]", without user, path or query.
	Host string
	// WorkspaceID is sent with API calls, if not empty: hosts that serve several
	// workspaces need it (databricks-sdk-go service/postgres).
	WorkspaceID string
	// Scope is requested for workspace tokens (RFC 6749 3.3). Empty: all-apis.
	Scope string
	// AccountID replaces {account_id} in a discovery document. Empty: the account
	// that the document names.
	AccountID string
	// LoadRoots returns the certificates to trust. It is called once, before the
	// first connection. Nil: the platform's own.
	LoadRoots func() (*x509.CertPool, error)
	// HTTPSProxy and NoProxy are the values of HTTPS_PROXY and NO_PROXY. A workspace on
	// loopback is never reached through a proxy.
	HTTPSProxy, NoProxy string
	UserAgent           string // "lakebase-exec" when empty

	now  func() time.Time                                                  // time.Now, but for tests
	dial func(ctx context.Context, network, addr string) (net.Conn, error) // a net.Dialer, but for tests
}

// Client makes calls to one workspace. It is safe for concurrent use and keeps its
// connection open between calls.
type Client struct {
	options   Options
	base      url.URL
	transport *http.Transport
	loadRoots func() error // sets the transport's roots, once, before the first call

	mu      sync.Mutex
	secrets []credential.Secret // all that were sent and received: a reply may repeat another's
	paths   endpoints
}

// endpoints are what Discover changes.
type endpoints struct{ token, authorize, workspaceID string }

// New checks o and returns a Client. It neither connects nor loads certificates.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.Host)
	if err != nil || base.Scheme != "https" || base.Hostname() == "" || o.Host != "https://"+base.Host {
		return nil, errors.New("exchange: the host is not https://host[:port]") // without it: it may hold a password
	}
	if o.HTTPSProxy != "" {
		if err := checkProxy(o.HTTPSProxy); err != nil {
			return nil, err
		}
	}
	o.Scope, o.UserAgent = cmp.Or(o.Scope, allAPIs), cmp.Or(o.UserAgent, "lakebase-exec")
	if o.now == nil {
		o.now = time.Now
	}
	if o.dial == nil {
		o.dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	proxy := (&httpproxy.Config{HTTPSProxy: o.HTTPSProxy, NoProxy: o.NoProxy}).ProxyFunc()
	c := &Client{
		options: o, base: *base,
		paths: endpoints{token: "/oidc/v1/token", authorize: "/oidc/v1/authorize", workspaceID: o.WorkspaceID},
		transport: &http.Transport{
			DialContext:            o.dial,
			Proxy:                  func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
			OnProxyConnectResponse: refuseProxy,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  30 * time.Second,
			IdleConnTimeout:        30 * time.Second, // an older connection may be dead
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
	}
	c.loadRoots = sync.OnceValue(func() (err error) {
		if o.LoadRoots != nil {
			c.transport.TLSClientConfig.RootCAs, err = o.LoadRoots()
		}
		return err
	})
	return c, nil
}

// Close closes idle connections. The Client stays usable.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Proxy returns the host and port of the proxy in use; empty for none.
func (c *Client) Proxy() string {
	if proxy, err := c.transport.Proxy(&http.Request{URL: &c.base}); err == nil && proxy != nil {
		return proxy.Host
	}
	return ""
}

// checkProxy rejects what httpproxy would silently ignore and connect directly. Its
// errors show no password.
func checkProxy(proxy string) error {
	if !strings.Contains(proxy, "://") {
		proxy = "http://" + proxy // as httpproxy reads host:port
	}
	u, err := url.Parse(proxy)
	switch {
	case err != nil || u.Host == "":
		return errors.New("the proxy is not a URL or host:port")
	case !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme):
		return fmt.Errorf("the proxy has the scheme %q, want http, https, socks5 or socks5h", u.Scheme)
	}
	return nil
}

// refuseProxy keeps the status of a failed CONNECT; net/http keeps its text only.
func refuseProxy(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &Error{Kind: KindProxy, Status: resp.StatusCode, Message: "the proxy answered CONNECT with " + resp.Status}
}
