package exchange

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
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
