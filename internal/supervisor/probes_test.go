package supervisor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return ln
}

func TestProbes(t *testing.T) {
	s := running()
	handler := probeHandler(func() State { return s })
	request := func(method, path string) (status int, body string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if got := w.Header().Get("Cache-Control"); w.Code < 404 && got != "no-store" {
			t.Errorf("%s: got Cache-Control %q", path, got)
		}
		return w.Code, w.Body.String()
	}
	assertGet := func(path, want string) {
		t.Helper()
		if status, body := request("GET", path); fmt.Sprint(status, " ", body) != want {
			t.Errorf("%s: got %d %q, want %q", path, status, body, want)
		}
	}
	assertGet("/startup?verbose", "200 started\n")
	assertGet("/readiness", "200 ready\n")
	assertGet("/liveness", "200 alive\n")
	s.TokenExpiresAt = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	s.Beat = time.Now().Add(-100 * time.Second)
	assertGet("/startup", "200 started\n")
	assertGet("/readiness", "503 not ready: the token expired at 2026-03-01T12:00:00Z\n")
	assertGet("/liveness", "503 not alive: no heartbeat for 100 s\n")
	s.Started, s.Beat = false, time.Time{}
	assertGet("/startup", "503 not started: no login has succeeded yet, or the command was not started\n")
	assertGet("/readiness", "503 not ready: no login has succeeded yet\n")
	assertGet("/liveness", "200 alive\n")
	for line, want := range map[string]int{"GET /metrics": 404, "POST /liveness": 405, "HEAD /liveness": 200} {
		method, path, _ := strings.Cut(line, " ")
		if status, _ := request(method, path); status != want {
			t.Errorf("%s: got %d, want %d", line, status, want)
		}
	}
}

// More clients than the limit wait; those that send nothing are dropped, and the
// others are served. The server ends whatever clients do.
func TestProbes_ManySlowClients(t *testing.T) {
	t.Parallel() // it takes probeTimeout
	ln := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- ServeProbes(ctx, ln, running) }()
	connect := func() {
		for range maxConns + 10 {
			c, err := net.Dial("tcp", ln.Addr().String())
			must(t, err)
			t.Cleanup(func() { _ = c.Close() })
			_, _ = io.WriteString(c, "GET /readiness HTTP/1.1\r\n")
		}
	}
	connect()
	assertReady(t, ln.Addr()) // once the first have timed out
	connect()
	cancel()
	if err := <-served; err != nil {
		t.Errorf("ServeProbes: got %v", err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("the server still listens")
	}
}

func assertReady(t *testing.T, addr net.Addr) {
	t.Helper()
	r, err := http.Get("http://" + addr.String() + "/readiness")
	must(t, err)
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK || !r.Close {
		t.Errorf("got %s, %v; want 200 and a closed connection", r.Status, r.Header)
	}
}
