package exchange

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// dialing has connections opened by f; nil: as always.
func dialing(f func(ctx context.Context) (net.Conn, error)) func(*Options) {
	return func(o *Options) {
		if f != nil {
			o.dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return f(ctx) }
		}
	}
}

func TestTLS(t *testing.T) {
	w, unknown := newWorkspace(t, true, lakebase), newWorkspace(t, true, lakebase)
	there := dialing(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", w.Listener.Addr().String())
	})
	if err := w.try(t, CallEndpoint, there, func(o *Options) { o.Host = "https://example.com" }); err != nil {
		t.Errorf("the name of the certificate: got %v", err)
	}
	wants(t, w.try(t, CallWorkspaceToken, there, func(o *Options) { o.Host = "https://dbc-1.cloud.databricks.com" }), KindCertificate, false)
	wants(t, unknown.try(t, CallWorkspaceToken, func(o *Options) { o.LoadRoots = nil }), KindCertificate, false)

	old := newWorkspace(t, false, lakebase)
	old.TLS.MinVersion, old.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	wants(t, old.try(t, CallWorkspaceToken), KindTLS, false)
	plain := httptest.NewServer(http.HandlerFunc(lakebase))
	defer plain.Close()
	wants(t, w.try(t, CallWorkspaceToken, func(o *Options) { o.Host = "https://" + plain.Listener.Addr().String() }), KindTLS, false)
	if len(w.seen) != 1 || len(unknown.seen)+len(old.seen) != 0 {
		t.Errorf("got %d and %d requests, want only the good one", len(w.seen), len(unknown.seen)+len(old.seen))
	}
}

// newProxy answers CONNECT with status; with 200 it joins the caller to target.
func newProxy(t *testing.T, status int, target string) string {
	t.Helper()
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "example.com:443" || r.Header.Get("Proxy-Authorization") == "" || r.Header.Get("Authorization") != "" {
			t.Errorf("the proxy was asked for %s %s with %v", r.Method, r.Host, r.Header)
		}
		w.WriteHeader(status)
		if status != http.StatusOK {
			return
		}
		down, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", target)
		if err != nil {
			t.Error(err)
			return
		}
		done := make(chan struct{})
		go func() { _, _ = io.Copy(up, buffered); up.Close(); close(done) }()
		_, _ = io.Copy(down, up)
		down.Close()
		<-done
	}))
	t.Cleanup(p.Close)
	return p.Listener.Addr().String()
}

// through sends a client for https://example.com to proxy, by a name that only
// this dialler knows.
func through(addrs map[string]string, noProxy string) func(*Options) {
	return func(o *Options) {
		o.Host = "https://example.com"
		o.HTTPSProxy, o.NoProxy = "http://user:hunter22@proxy.test:3128", noProxy
		o.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			to, ok := addrs[addr]
			if !ok {
				return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}}
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}
	}
}

func TestProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // is not read
	w := newWorkspace(t, true, lakebase)
	direct := w.Listener.Addr().String()
	c := w.client(t, through(map[string]string{"proxy.test:3128": newProxy(t, 200, direct)}, "other.example"))
	if err := calls[CallWorkspaceToken](t.Context(), c); err != nil {
		t.Errorf("through the proxy: got %v", err)
	}
	c.Close()
	past := map[string]string{"example.com:443": direct}
	for name, change := range map[string]func(*Options){"NO_PROXY": func(*Options) {}, "no proxy": func(o *Options) { o.HTTPSProxy = "" }} {
		if err := w.try(t, CallWorkspaceToken, through(past, "example.com"), change); err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for status, again := range map[int]bool{407: false, 403: false, 502: true, 503: true, 504: true, 429: true} {
		addrs := map[string]string{"proxy.test:3128": newProxy(t, status, ""), "example.com:443": direct}
		e := wants(t, w.try(t, CallWorkspaceToken, through(addrs, "")), KindProxy, again)
		if e.Status != status || strings.Contains(e.Error(), "hunter22") {
			t.Errorf("got %v", e)
		}
	}
	if e := wants(t, w.try(t, CallWorkspaceToken, through(nil, "")), KindProxy, false); !strings.Contains(e.Error(), "no such host") {
		t.Errorf("got %v", e)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	wants(t, w.try(t, CallWorkspaceToken, through(map[string]string{"proxy.test:3128": gone.Listener.Addr().String()}, "")), KindProxy, true)
	if n := len(w.seen); n != 3 {
		t.Errorf("got %d requests, want the three good ones", n)
	}
}
