package exchange

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
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
		says(404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found for '`+r.Method+` `+r.URL.Path+`'"}`)(w, r)
	}
}

func TestCalls_OneConnection(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[h2], func(t *testing.T) {
			w := newWorkspace(t, h2, lakebase)
			c := w.client(t, func(o *Options) { o.WorkspaceID, o.UserAgent = "1234", "lakebase-exec/1.2" })
			ctx := soon(t)
			token, err := c.WorkspaceToken(ctx, clientID, credential.NewSecret(clientSecret))
			if err != nil || !token.Value.Equal(bearer) {
				t.Fatalf("WorkspaceToken: %v", err)
			}
			db, err := c.DatabaseCredential(ctx, token.Value, endpointName, 15*time.Minute)
			if err != nil || db.Value.Reveal() != jwt(`{"sub":"db"}`) {
				t.Fatalf("DatabaseCredential: %v", err)
			}
			got, err := c.Endpoint(ctx, token.Value, endpointName)
			if err != nil {
				t.Fatalf("Endpoint: %v", err)
			}
			want := Endpoint{Name: endpointName, UID: "ep-x", State: "IDLE", Type: "ENDPOINT_TYPE_READ_WRITE", Disabled: true,
				Host:         "ep-x.database.us-east-1.cloud.databricks.com",
				ReadOnlyHost: "ep-x-ro.database.us-east-1.cloud.databricks.com",
				PooledHost:   "ep-x-pooler.database.us-east-1.cloud.databricks.com"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("endpoint:\n%s", diff)
			}
			if n := w.connections.Load(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
			for i, r := range w.seen {
				if r.ProtoMajor == 2 != h2 {
					t.Errorf("request %d came over %s", i, r.Proto)
				}
			}
			checkRequests(t, w)
		})
	}
}

func checkRequests(t *testing.T, w *workspace) {
	t.Helper()
	id, secret, ok := w.seen[0].BasicAuth()
	if !ok || id != clientID || secret != clientSecret {
		t.Errorf("Basic = %q, %v", id, ok)
	}
	want := []string{"grant_type=client_credentials&scope=all-apis", `{"endpoint":"` + endpointName + `","ttl":"900s"}`, ""}
	if diff := cmp.Diff(want, w.bodies); diff != "" {
		t.Errorf("bodies:\n%s", diff)
	}
	for i, typ := range []string{"application/x-www-form-urlencoded", "application/json", ""} {
		h := w.seen[i].Header
		if h.Get("Content-Type") != typ || h.Get("Accept") != "application/json" || h.Get("User-Agent") != "lakebase-exec/1.2" {
			t.Errorf("request %d has headers %v", i, h)
		}
		if h.Get("Expect") != "" || h.Get("Accept-Encoding") != "" {
			t.Errorf("request %d asks for more than it should: %v", i, h)
		}
		id, auth := "1234", "Bearer "+bearer.Reveal()
		if i == 0 {
			id, auth = "", h.Get("Authorization")
		}
		if h.Get("X-Databricks-Workspace-Id") != id || h.Get("Authorization") != auth {
			t.Errorf("request %d: workspace id %q, authorization ok %v", i, h.Get("X-Databricks-Workspace-Id"), h.Get("Authorization") == auth)
		}
	}
}

func TestBasicIsFormEncoded(t *testing.T) {
	w := newWorkspace(t, false, lakebase)
	if _, err := w.client(t).WorkspaceToken(soon(t), "a:b", credential.NewSecret("c d%+")); err != nil {
		t.Fatal(err)
	}
	if id, secret, _ := w.seen[0].BasicAuth(); id != "a%3Ab" || secret != "c+d%25%2B" {
		t.Errorf("Basic = %q, %q", id, secret)
	}
}

func TestNoTTLAndNoWorkspaceIDUnlessAskedFor(t *testing.T) {
	w := newWorkspace(t, false, lakebase)
	if _, err := w.client(t).DatabaseCredential(soon(t), bearer, endpointName, 0); err != nil {
		t.Fatal(err)
	}
	if w.bodies[0] != `{"endpoint":"`+endpointName+`"}` {
		t.Errorf("body = %s", w.bodies[0])
	}
	if _, ok := w.seen[0].Header["X-Databricks-Workspace-Id"]; ok {
		t.Error("a workspace id was sent")
	}
	if ua := w.seen[0].UserAgent(); ua != "lakebase-exec" {
		t.Errorf("user agent = %q", ua)
	}
}

func TestRedirectsAreNeverFollowed(t *testing.T) {
	untrusted := newWorkspace(t, false, lakebase)
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, untrusted.URL+r.URL.Path+"?echo="+clientSecret, status)
		})
		for call, do := range calls {
			e := wants(t, do(soon(t), w.client(t)), KindRedirect, false)
			if e.Message != "to "+strings.TrimPrefix(untrusted.URL, "https://") || e.Status != status || e.Call != call {
				t.Errorf("%d: error = %+v", status, e)
			}
		}
	}
	if n := untrusted.connections.Load(); n != 0 {
		t.Errorf("the untrusted host was called %d times", n)
	}
}

func TestRedirectTarget(t *testing.T) {
	for location, want := range map[string]string{
		"":                             "without a Location",
		"https://":                     "to an invalid URL",
		"http://[::1":                  "to an invalid URL",
		"https://u:p@evil.example/x":   "to evil.example",
		"https://" + clientSecret + "": "to " + credential.Redacted,
	} {
		w := newWorkspace(t, false, says(302, "", "Location", location))
		if e := wants(t, calls[CallWorkspaceToken](soon(t), w.client(t)), KindRedirect, false); e.Message != want {
			t.Errorf("Location %q: message %q, want %q", location, e.Message, want)
		}
	}
}

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
