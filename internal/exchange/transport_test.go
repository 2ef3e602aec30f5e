package exchange

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func dialing(f func(ctx context.Context) (net.Conn, error)) func(*Options) {
	return func(o *Options) {
		o.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return f(ctx) }
	}
}

func TestBrokenConnections(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.Addr().String()
	closed.Close()
	w := newWorkspace(t, false, lakebase)
	refused := w.client(t, dialing(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}))
	e := wants(t, calls[CallEndpoint](soon(t), refused), KindBroken, true)
	if !strings.Contains(e.Error(), "refused") {
		t.Errorf("error = %v", e)
	}
	for name, handle := range map[string]http.HandlerFunc{
		"before a reply": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"within a reply": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(rw, `{"status":{`)
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		for _, h2 := range []bool{false, true} {
			w := newWorkspace(t, h2, handle)
			e := wants(t, calls[CallDatabaseCredential](soon(t), w.client(t)), KindBroken, true)
			if e.Err == nil {
				t.Errorf("%s: no cause", name)
			}
		}
	}
}

func TestNameNotResolved(t *testing.T) {
	for _, tc := range []struct {
		err   *net.DNSError
		again bool
	}{
		{&net.DNSError{Err: "no such host", Name: "dbc-1", IsNotFound: true}, false},
		{&net.DNSError{Err: "server misbehaving", Name: "dbc-1", IsTemporary: true}, true},
		{&net.DNSError{Err: "i/o timeout", Name: "dbc-1", IsTimeout: true}, true},
	} {
		w := newWorkspace(t, false, lakebase)
		c := w.client(t, dialing(func(context.Context) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: tc.err}
		}))
		wants(t, calls[CallEndpoint](soon(t), c), KindNameNotResolved, tc.again)
	}
}

func TestCertificates(t *testing.T) {
	w := newWorkspace(t, true, lakebase)
	w2 := newWorkspace(t, true, lakebase)
	there := dialing(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", w.Listener.Addr().String())
	})
	if err := calls[CallEndpoint](soon(t), w.client(t, there, func(o *Options) { o.Host = "https://example.com" })); err != nil {
		t.Errorf("the name of the certificate: %v", err)
	}
	for name, c := range map[string]*Client{
		"another name":      w.client(t, there, func(o *Options) { o.Host = "https://dbc-1.cloud.databricks.com" }),
		"unknown authority": w2.client(t, func(o *Options) { o.LoadRoots = nil }),
	} {
		t.Run(name, func(t *testing.T) {
			wants(t, calls[CallWorkspaceToken](soon(t), c), KindCertificate, false)
		})
	}
	if len(w.seen) != 1 || len(w2.seen) != 0 {
		t.Errorf("requests: %d and %d, want only the good one", len(w.seen), len(w2.seen))
	}
}

func TestOldTLSAndNoTLS(t *testing.T) {
	w := newWorkspace(t, false, lakebase)
	w.TLS.MaxVersion = tls.VersionTLS11
	w.TLS.MinVersion = tls.VersionTLS10
	wants(t, calls[CallWorkspaceToken](soon(t), w.client(t)), KindTLS, false)

	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(lakebase), ReadHeaderTimeout: guard}
	go func() { _ = srv.Serve(plain) }()
	defer srv.Close()
	c := w.client(t, func(o *Options) { o.Host = "https://" + plain.Addr().String() })
	wants(t, calls[CallWorkspaceToken](soon(t), c), KindTLS, false)
	if len(w.seen) != 0 {
		t.Errorf("%d requests came over old TLS", len(w.seen))
	}
}

// newProxy answers CONNECT with status; with 200 it joins the caller to target.
func newProxy(t *testing.T, status int, target string) *httptest.Server {
	t.Helper()
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "example.com:443" || r.Header.Get("Proxy-Authorization") == "" {
			t.Errorf("the proxy was asked for %s %s", r.Method, r.Host)
		}
		if r.Header.Get("Authorization") != "" {
			t.Error("the proxy was given the workspace's secret")
		}
		if status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		join(w, target)
	}))
	t.Cleanup(p.Close)
	return p
}

func join(w http.ResponseWriter, target string) {
	up, err := net.Dial("tcp", target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer up.Close()
	w.WriteHeader(http.StatusOK)
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	done := make(chan struct{}, 2)
	for _, pair := range []struct {
		to   net.Conn
		from io.Reader
	}{{up, buffered}, {down, up}} {
		go func() { _, _ = io.Copy(pair.to, pair.from); up.Close(); down.Close(); done <- struct{}{} }()
	}
	<-done
	<-done
}

// through sends a client for https://example.com to proxy, by a name that only
// this dialler knows.
func through(addrs map[string]string, noProxy string) func(*Options) {
	return func(o *Options) {
		o.Host = "https://example.com"
		o.Proxy = ProxySettings{HTTPSProxy: "http://user:hunter22@proxy.test:3128", NoProxy: noProxy}
		o.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			to, ok := addrs[addr]
			if !ok {
				return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}}
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}
	}
}

func TestProxy(t *testing.T) {
	w := newWorkspace(t, true, lakebase)
	direct := w.Listener.Addr().String()

	p := newProxy(t, 200, direct)
	c := w.client(t, through(map[string]string{"proxy.test:3128": p.Listener.Addr().String()}, "other.example"))
	if err := calls[CallWorkspaceToken](soon(t), c); err != nil {
		t.Errorf("through the proxy: %v", err)
	}
	c.Close()
	if err := calls[CallWorkspaceToken](soon(t), w.client(t, through(map[string]string{"example.com:443": direct}, "example.com"))); err != nil {
		t.Errorf("past the proxy: %v", err)
	}
	for status, again := range map[int]bool{407: false, 403: false, 502: true, 503: true, 504: true, 429: true} {
		p := newProxy(t, status, "")
		c := w.client(t, through(map[string]string{"proxy.test:3128": p.Listener.Addr().String(), "example.com:443": direct}, ""))
		e := wants(t, calls[CallWorkspaceToken](soon(t), c), KindProxy, again)
		if e.Status != status || strings.Contains(e.Error(), "hunter22") {
			t.Errorf("error = %v", e)
		}
	}
	e := wants(t, calls[CallWorkspaceToken](soon(t), w.client(t, through(nil, ""))), KindProxy, false)
	if !strings.Contains(e.Error(), "no such host") {
		t.Errorf("error = %v", e)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	c = w.client(t, through(map[string]string{"proxy.test:3128": gone.Listener.Addr().String()}, ""))
	wants(t, calls[CallWorkspaceToken](soon(t), c), KindProxy, true)
	if n := len(w.seen); n != 2 {
		t.Errorf("%d requests arrived, want the two good ones", n)
	}
}

func TestProxy_EnvironmentIsNotRead(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	w := newWorkspace(t, false, lakebase)
	there := map[string]string{"example.com:443": w.Listener.Addr().String()}
	c := w.client(t, through(there, ""), func(o *Options) { o.Proxy = ProxySettings{} })
	if err := calls[CallEndpoint](soon(t), c); err != nil {
		t.Error(err)
	}
}

// certificate is self-signed, for 127.0.0.1.
func certificate(t *testing.T, from, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestExpiredCertificate(t *testing.T) {
	for name, until := range map[string]time.Time{"good": time.Now().Add(time.Hour), "expired": time.Now().Add(-time.Hour)} {
		t.Run(name, func(t *testing.T) {
			cert, pool := certificate(t, time.Now().Add(-2*time.Hour), until)
			w := newWorkspace(t, false, lakebase)
			w.TLS.Certificates = []tls.Certificate{cert}
			err := calls[CallEndpoint](soon(t), w.client(t, func(o *Options) {
				o.LoadRoots = func() (*x509.CertPool, error) { return pool, nil }
			}))
			if name == "good" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e := wants(t, err, KindCertificate, false)
			var invalid x509.CertificateInvalidError
			if !errors.As(e, &invalid) || invalid.Reason != x509.Expired {
				t.Errorf("error = %v, want an expired certificate", e)
			}
		})
	}
}
