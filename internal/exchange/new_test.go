package exchange

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
)

func TestNew_IsLazy(t *testing.T) {
	w := newWorkspace(t, false, lakebase)
	loads, dials := 0, 0
	c := w.client(t, func(o *Options) {
		o.LoadRoots = func() (*x509.CertPool, error) { loads++; return w.roots() }
		o.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
	})
	if loads+dials != 0 {
		t.Errorf("New loaded %d times and dialled %d times", loads, dials)
	}
	for range 2 {
		if err := calls[CallEndpoint](soon(t), c); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	if err := calls[CallEndpoint](soon(t), c); err != nil {
		t.Fatal(err)
	}
	if loads != 1 || dials != 2 {
		t.Errorf("loads %d, want 1; dials %d, want one before Close and one after", loads, dials)
	}
}

func TestLoadRoots_Error(t *testing.T) {
	w := newWorkspace(t, false, lakebase)
	broken := errors.New("no bundle")
	c := w.client(t, func(o *Options) { o.LoadRoots = func() (*x509.CertPool, error) { return nil, broken } })
	e := wants(t, calls[CallEndpoint](soon(t), c), KindCertificate, false)
	if !errors.Is(e, broken) || w.connections.Load() != 0 {
		t.Errorf("error = %v, connections %d", e, w.connections.Load())
	}
}

func TestNew_InvalidHost(t *testing.T) {
	for host, why := range map[string]string{
		"": "https://", "http://dbc-1.cloud.databricks.com": "https://", "dbc-1.cloud.databricks.com": "https://", "https://": "no name",
		"https://:443": "no name", "https:dbc-1.cloud.databricks.com": "no name", "https://user:hunter22@dbc-1": "user or password",
		"https://dbc-1/": "path", "https://dbc-1/oidc": "path", "https://dbc-1?o=1": "query", "https://dbc-1?": "query", "https://dbc-1#x": "fragment",
		"https://user:hunter22@dbc-1:x": "not a URL", "https://dbc-1\n": "not a URL",
	} {
		_, err := New(Options{Host: host})
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("New(%q) = %v, want an error about %q", host, err, why)
		}
		if err != nil && strings.Contains(err.Error(), "hunter22") {
			t.Errorf("New(%q) shows the password: %v", host, err)
		}
	}
	for _, host := range []string{"https://dbc-1.cloud.databricks.com", "https://127.0.0.1:8443", "https://[::1]:8443"} {
		if _, err := New(Options{Host: host}); err != nil {
			t.Errorf("New(%q) = %v", host, err)
		}
	}
}

func TestNew_InvalidHeadersAndProxies(t *testing.T) {
	for _, tc := range []struct {
		o   Options
		why string
	}{
		{Options{UserAgent: "a\r\nX: y"}, "printable"},
		{Options{WorkspaceID: "1\n"}, "printable"},
		{Options{Proxy: ProxySettings{HTTPSProxy: "ftp://u:hunter22@proxy"}}, "scheme"},
		{Options{Proxy: ProxySettings{HTTPSProxy: "http://u:hunter22@pro xy"}}, "the proxy"},
	} {
		tc.o.Host = "https://dbc-1"
		_, err := New(tc.o)
		if err == nil || !strings.Contains(err.Error(), tc.why) || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("New(%+v) = %v, want an error about %q", tc.o, err, tc.why)
		}
	}
	for _, proxy := range []string{"proxy:3128", "http://u:p@proxy:3128", "https://proxy", "socks5://proxy:1080"} {
		if _, err := New(Options{Host: "https://dbc-1", Proxy: ProxySettings{HTTPSProxy: proxy}}); err != nil {
			t.Errorf("proxy %q: %v", proxy, err)
		}
	}
}
