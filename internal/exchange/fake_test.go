package exchange

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestMain(m *testing.M) {
	// A server lingers for half a second after it has closed a connection.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const (
	clientID       = "0b1a5c1e-7a2c-4b5e-9d55-b0a7f3c0ffee"
	clientSecret   = "not-a-real-secret-0123456789abcdef"
	endpointName   = "projects/shop/branches/production/endpoints/primary"
	instanceTarget = "instances/shop"
)

// jwt is a token with these claims and no signature worth the name.
func jwt(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"RS256"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature"))
}

var bearer = credential.NewSecret(jwt(`{"sub":"workspace"}`))

// workspace is a TLS server whose connections are counted.
type workspace struct {
	*httptest.Server
	connections atomic.Int32
	handle      http.HandlerFunc
	mu          sync.Mutex
	seen        []*http.Request
	bodies      []string
}

func newWorkspace(t *testing.T, h2 bool, handle http.HandlerFunc) *workspace {
	t.Helper()
	w := &workspace{handle: handle}
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.seen, w.bodies = append(w.seen, r), append(w.bodies, string(body))
		w.mu.Unlock()
		w.handle(rw, r)
	}))
	w.EnableHTTP2 = h2
	w.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			w.connections.Add(1)
		}
	}
	w.StartTLS()
	t.Cleanup(w.Close)
	return w
}

func (w *workspace) roots() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	pool.AddCert(w.Certificate())
	return pool, nil
}

func (w *workspace) client(t *testing.T, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{Host: w.URL, LoadRoots: w.roots}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve starts a workspace that answers every request in the same way.
func serve(t *testing.T, status int, body string, headers ...string) *workspace {
	t.Helper()
	return newWorkspace(t, false, says(status, body, headers...))
}

// try makes a call with a new client.
func (w *workspace) try(t *testing.T, call Call, change ...func(*Options)) error {
	t.Helper()
	return calls[call](t.Context(), w.client(t, change...))
}

// says answers every request with one status and body, and headers in pairs.
func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func tokenReply(access string) string {
	return fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":3600,"scope":"all-apis"}`, access)
}

// wants checks an error's kind and whether another attempt may help.
func wants(t *testing.T, err error, kind Kind, again bool) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T %v, want *Error of kind %q", err, err, kind)
	}
	if e.Kind != kind {
		t.Fatalf("kind = %q, want %q: %v", e.Kind, kind, e)
	}
	if got := e.Verdict().Retry; got != again {
		t.Errorf("got retryable %v, want %v: %v", got, again, e)
	}
	if strings.ContainsAny(e.Error(), "\r\n") {
		t.Errorf("more than a line: %q", e.Error())
	}
	return e
}

const redirectURI = "http://localhost:8021"

var (
	refreshSecret  = credential.NewSecret("refresh/first+0123456789==")
	codeSecret     = credential.NewSecret("code-0123456789-abcdefgh")
	verifierSecret = credential.NewSecret("verifier-0123456789-abcdefghijklmnopqrstuv")
	subjectSecret  = credential.NewSecret(jwt(`{"iss":"https://ci.example","sub":"repo:x"}`))
)

// hides fails if err contains any eight bytes of secret.
func hides(t *testing.T, err error, secret string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "you sent") && !strings.Contains(err.Error(), credential.Redacted) {
		t.Fatalf("got %v, want what the server said", err)
	}
	for i := 0; i+8 <= len(secret); i++ {
		if strings.Contains(err.Error(), secret[i:i+8]) {
			t.Fatalf("the error shows %q: %v", secret[i:i+8], err)
		}
	}
}

// calls makes each call by its name.
var calls = map[Call]func(context.Context, *Client) error{
	CallWorkspaceToken: func(ctx context.Context, c *Client) error {
		return second(c.WorkspaceToken(ctx, clientID, credential.NewSecret(clientSecret)))
	},
	CallCode: func(ctx context.Context, c *Client) error {
		return second(c.CodeToken(ctx, codeSecret, verifierSecret, redirectURI))
	},
	CallGitHub: func(ctx context.Context, c *Client) error {
		return second(c.GitHubToken(ctx, c.base.String()+"/idtoken", bearer, "aud"))
	},
	CallCreateSecret: func(ctx context.Context, c *Client) error {
		_, _, err := c.CreateClientSecret(ctx, bearer, "41", 0)
		return err
	},
	CallDatabaseCredential: func(ctx context.Context, c *Client) error {
		return second(c.DatabaseCredential(ctx, bearer, endpointName, 0))
	},
	CallInstanceCredential: func(ctx context.Context, c *Client) error {
		return second(c.DatabaseCredential(ctx, bearer, instanceTarget, 0))
	},
	CallFederation: func(ctx context.Context, c *Client) error {
		return second(c.FederatedToken(ctx, clientID, subjectSecret))
	},
	CallEndpoint:     func(ctx context.Context, c *Client) error { return second(c.Endpoint(ctx, bearer, endpointName)) },
	CallInstance:     func(ctx context.Context, c *Client) error { return second(c.Endpoint(ctx, bearer, instanceTarget)) },
	CallRefresh:      func(ctx context.Context, c *Client) error { return second(c.RefreshedToken(ctx, refreshSecret)) },
	CallDiscovery:    func(ctx context.Context, c *Client) error { return second(c.Discover(ctx)) },
	CallMe:           func(ctx context.Context, c *Client) error { return second(c.Me(ctx, bearer)) },
	CallList:         func(ctx context.Context, c *Client) error { return second(c.List(ctx, bearer, "projects/shop")) },
	CallListSecrets:  func(ctx context.Context, c *Client) error { return second(c.ClientSecrets(ctx, bearer, "41")) },
	CallDeleteSecret: func(ctx context.Context, c *Client) error { return c.DeleteClientSecret(ctx, bearer, "41", "s-1") },
}

func second[T any](_ T, err error) error { return err }
