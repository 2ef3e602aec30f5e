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
	"time"

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
	mu          sync.Mutex
	seen        []*http.Request
	bodies      []string
}

func newWorkspace(t *testing.T, h2 bool, handle http.HandlerFunc) *workspace {
	t.Helper()
	w := &workspace{}
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.seen, w.bodies = append(w.seen, r), append(w.bodies, string(body))
		w.mu.Unlock()
		handle(rw, r)
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

// guard bounds what must happen: it is reached only when something hangs.
const guard = 30 * time.Second

// endable is a context whose deadline comes when end is called.
type endable struct {
	context.Context
	over chan struct{}
	end  func()
}

func newEndable() endable {
	over := make(chan struct{})
	return endable{context.Background(), over, sync.OnceFunc(func() { close(over) })}
}

func (e endable) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (e endable) Done() <-chan struct{}       { return e.over }

func (e endable) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	t.Cleanup(cancel)
	return ctx
}

// wants checks an error's kind and worth, and gives it back.
func wants(t *testing.T, err error, kind Kind, again bool) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T %v, want *Error of kind %q", err, err, kind)
	}
	if e.Kind != kind {
		t.Fatalf("kind = %q, want %q: %v", e.Kind, kind, e)
	}
	if got, _ := e.Retryable(); got != again {
		t.Errorf("Retryable = %v, want %v: %v", got, again, e)
	}
	if strings.ContainsAny(e.Error(), "\r\n") {
		t.Errorf("more than a line: %q", e.Error())
	}
	return e
}
