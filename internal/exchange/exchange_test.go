package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const endpointReply = `{"name":"projects/shop/branches/production/endpoints/primary","uid":"ep-x",
 "status":{"current_state":"IDLE","endpoint_type":"ENDPOINT_TYPE_READ_WRITE","disabled":true,
 "hosts":{"host":"ep-x.database.us-east-1.cloud.databricks.com","read_only_host":"ep-x-ro.database.us-east-1.cloud.databricks.com",
 "read_write_pooled_host":"ep-x-pooler.database.us-east-1.cloud.databricks.com"}}}`

// lakebase answers the three calls as the workspace does.
func lakebase(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "POST /oidc/v1/token":
		says(200, tokenReply(bearer.Reveal()))(w, r)
	case "POST /api/2.0/postgres/credentials":
		at := time.Now().Add(50 * time.Minute).UTC().Format(time.RFC3339)
		says(200, `{"token":"`+jwt(`{"sub":"db"}`)+`","expire_time":"`+at+`"}`)(w, r)
	case "GET /api/2.0/postgres/" + endpointName:
		says(200, endpointReply)(w, r)
	default:
		says(404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found"}`)(w, r)
	}
}

func TestCalls_OneConnection(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		w := newWorkspace(t, h2, lakebase)
		c, ctx := w.client(t, func(o *Options) { o.WorkspaceID, o.UserAgent = "1234", "lakebase-exec/1.2" }), t.Context()
		token, err := c.WorkspaceToken(ctx, clientID, credential.NewSecret(clientSecret))
		if err != nil || !token.Value.Equal(bearer) || token.MintedAt != token.MintedAt.Round(0) {
			t.Fatalf("WorkspaceToken: %v", err)
		}
		db, err := c.DatabaseCredential(ctx, token.Value, endpointName, 15*time.Minute)
		if err != nil || db.Value.Reveal() != jwt(`{"sub":"db"}`) {
			t.Fatalf("DatabaseCredential: %v", err)
		}
		got, err := c.Endpoint(ctx, token.Value, endpointName)
		want := Resource{Name: endpointName, UID: "ep-x", State: "IDLE", Type: "ENDPOINT_TYPE_READ_WRITE", Disabled: true,
			Host:         "ep-x.database.us-east-1.cloud.databricks.com",
			ReadOnlyHost: "ep-x-ro.database.us-east-1.cloud.databricks.com",
			PooledHost:   "ep-x-pooler.database.us-east-1.cloud.databricks.com"}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Endpoint: %v\n%s", err, diff)
		}
		if n := w.connections.Load(); n != 1 || w.seen[0].ProtoMajor == 2 != h2 {
			t.Errorf("got %d connections, %s, want 1", n, w.seen[0].Proto)
		}
		checkRequests(t, w)
	}
}

func checkRequests(t *testing.T, w *workspace) {
	t.Helper()
	if id, secret, ok := w.seen[0].BasicAuth(); !ok || id != clientID || secret != clientSecret {
		t.Errorf("got the user %q by HTTP Basic", id)
	}
	want := []string{"grant_type=client_credentials&scope=all-apis", `{"endpoint":"` + endpointName + `","ttl":"900s"}`, ""}
	if diff := cmp.Diff(want, w.bodies); diff != "" {
		t.Errorf("bodies:\n%s", diff)
	}
	for i, contentType := range []string{"application/x-www-form-urlencoded", "application/json", ""} {
		h := w.seen[i].Header
		id, auth := "1234", "Bearer "+bearer.Reveal()
		if i == 0 {
			id, auth = "", h.Get("Authorization")
		}
		for name, want := range map[string]string{"Content-Type": contentType, "Accept": "application/json", "User-Agent": "lakebase-exec/1.2",
			"Accept-Encoding": "gzip", "X-Databricks-Workspace-Id": id, "Authorization": auth} {
			if got := h.Get(name); got != want {
				t.Errorf("request %d, %s: got %q, want %q", i, name, got, want)
			}
		}
	}
}

func TestCalls_Defaults(t *testing.T) {
	w := newWorkspace(t, false, lakebase)
	_, err := w.client(t).WorkspaceToken(t.Context(), "a:b", credential.NewSecret("c d%+"))
	if id, secret, _ := w.seen[0].BasicAuth(); err != nil || id != "a%3Ab" || secret != "c+d%25%2B" { // form-encoded
		t.Errorf("got %q, %q by HTTP Basic, %v", id, secret, err)
	}
	err = w.try(t, CallDatabaseCredential)
	h := w.seen[1].Header
	if err != nil || w.bodies[1] != `{"endpoint":"`+endpointName+`"}` || h["X-Databricks-Workspace-Id"] != nil || h.Get("User-Agent") != "lakebase-exec" {
		t.Errorf("without a ttl: got %s, %v, %v", w.bodies[1], h, err)
	}
}

func TestRedirectsAreNeverFollowed(t *testing.T) {
	untrusted := newWorkspace(t, false, lakebase)
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, untrusted.URL+r.URL.Path+"?echo="+clientSecret, status)
		})
		for call := range calls {
			e := wants(t, w.try(t, call), KindRedirect, false)
			if e.Message != "to "+strings.TrimPrefix(untrusted.URL, "https://") || e.Status != status || e.Call != call {
				t.Errorf("%d: got %+v", status, e)
			}
		}
	}
	if n := untrusted.connections.Load(); n != 0 {
		t.Errorf("the untrusted host was called %d times", n)
	}
	for location, want := range map[string]string{
		"": "without a valid Location", "https://": "without a valid Location", "http://[::1": "without a valid Location",
		"https://u:p@evil.example/x": "to evil.example", "https://" + clientSecret: "to " + credential.Redacted,
	} {
		w := serve(t, 302, "", "Location", location)
		if e := wants(t, w.try(t, CallWorkspaceToken), KindRedirect, false); e.Message != want {
			t.Errorf("Location %q: got %q, want %q", location, e.Message, want)
		}
	}
}

// Certificates are loaded once, before the first connection.
func TestLoadRoots(t *testing.T) {
	w, loads := newWorkspace(t, false, lakebase), 0
	c := w.client(t, func(o *Options) { o.LoadRoots = func() (*x509.CertPool, error) { loads++; return w.roots() } })
	for range 2 {
		if err := calls[CallEndpoint](t.Context(), c); err != nil || loads != 1 {
			t.Errorf("got %v after %d loads", err, loads)
		}
	}
	w, broken := newWorkspace(t, false, lakebase), errors.New("no bundle")
	err := w.try(t, CallEndpoint, func(o *Options) { o.LoadRoots = func() (*x509.CertPool, error) { return nil, broken } })
	if e := wants(t, err, KindCertificate, false); !errors.Is(e, broken) || w.connections.Load() != 0 {
		t.Errorf("got %v after %d connections", e, w.connections.Load())
	}
}

func TestNew_Invalid(t *testing.T) {
	check := func(o Options, want string) {
		t.Helper()
		_, err := New(o)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter22")) {
			t.Errorf("New(%+v): got %v, want %q", o, err, want)
		}
	}
	for _, host := range []string{"", "http://dbc-1", "dbc-1", "https://", "https://:443", "https:dbc-1", "https://user:hunter22@dbc-1",
		"https://dbc-1/", "https://dbc-1/oidc", "https://dbc-1?o=1", "https://dbc-1?", "https://dbc-1#x", "https://user:hunter22@dbc-1:x", "https://dbc-1\n"} {
		check(Options{Host: host}, "the host is not https://host[:port]")
	}
	for _, host := range []string{"https://dbc-1.cloud.databricks.com", "https://127.0.0.1:8443", "https://[::1]:8443"} {
		check(Options{Host: host}, "")
	}
	for proxy, want := range map[string]string{"ftp://u:hunter22@proxy": "scheme", "http://u:hunter22@pro xy": "the proxy",
		"proxy:3128": "", "http://u:p@proxy:3128": "", "https://proxy": "", "socks5://proxy:1080": ""} {
		check(Options{Host: "https://dbc-1", HTTPSProxy: proxy}, want)
	}
}

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
