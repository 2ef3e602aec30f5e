package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// probeTest is a probe server on loopback.
type probeTest struct {
	t     *testing.T
	addr  string
	state atomic.Pointer[State]
	stop  func() // ends the server
}

func startProbes(t *testing.T) *probeTest {
	t.Helper()
	ln := listen(t)
	p := &probeTest{t: t, addr: ln.Addr().String()}
	p.set(running())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := serveProbes(ctx, ln, func() State { return *p.state.Load() }); err != nil {
			t.Errorf("serveProbes: got %v", err)
		}
	}()
	p.stop = func() { cancel(); <-done }
	t.Cleanup(p.stop)
	return p
}

func (p *probeTest) set(s State) { p.state.Store(&s) }

// request returns the response without its body, which is read.
func (p *probeTest) request(method, path string) (*http.Response, string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.addr+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Error(err)
	}
	return r, string(body)
}

func (p *probeTest) assertGet(path, want string) {
	p.t.Helper()
	r, body := p.request("GET", path)
	if got := fmt.Sprint(r.StatusCode, " ", body); got != want {
		p.t.Errorf("%s: got %q, want %q", path, got, want)
	}
}

func TestProbes(t *testing.T) {
	p := startProbes(t)
	s := running()
	s.Started, s.Beat = false, time.Time{}
	p.set(s)
	p.assertGet("/startup", "503 not started: no login has succeeded yet, or the command was not started\n")
	p.assertGet("/readiness", "503 not ready: no login has succeeded yet\n")
	p.assertGet("/liveness", "200 alive\n")
	p.set(running())
	p.assertGet("/startup?verbose", "200 started\n")
	p.assertGet("/readiness", "200 ready\n")
	p.assertGet("/liveness", "200 alive\n")
	s = running()
	s.TokenExpiresAt = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	s.Beat = time.Now().Add(-100 * time.Second)
	p.set(s)
	p.assertGet("/startup", "200 started\n")
	p.assertGet("/readiness", "503 not ready: the token expired at 2026-03-01T12:00:00Z\n")
	p.assertGet("/liveness", "503 not alive: no heartbeat for 100 s\n")
	for request, want := range map[string]int{"GET /metrics": 404, "POST /liveness": 405, "HEAD /startup": 200} {
		method, path, _ := strings.Cut(request, " ")
		r, body := p.request(method, path)
		isHead := body == "" && r.ContentLength == 8 && r.Header.Get("Cache-Control") == "no-store"
		if r.StatusCode != want || !r.Close || want == 200 && !isHead {
			t.Errorf("%s: got %d, %v, %q; want %d", request, r.StatusCode, r.Header, body, want)
		}
	}
}

// More clients than the limit wait; those that send nothing are dropped, and the
// others are served. The server ends whatever clients do.
func TestProbes_ManySlowClients(t *testing.T) {
	t.Parallel() // it takes probeTimeout
	p := startProbes(t)
	connect := func() {
		for range maxConns + 10 {
			c, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			_, _ = io.WriteString(c, "GET /readiness HTTP/1.1\r\n")
		}
	}
	connect()
	p.assertGet("/liveness", "200 alive\n") // once the first have timed out
	connect()
	p.stop()
	if c, err := net.Dial("tcp", p.addr); err == nil {
		_ = c.Close()
		t.Error("the server still listens")
	}
}

func TestSupervisor(t *testing.T) {
	now := time.Now()
	r := NewRefresher(RefresherConfig{First: credential.Token{Value: credential.NewSecret("a"), MintedAt: now, ExpiresAt: now.Add(time.Hour)}})
	ln, path := listen(t), filepath.Join(t.TempDir(), "status.json")
	s := New(r, Config{Version: "1", Mode: "proxy", Probes: ln, StatusFile: path, OnStatusError: func(err error) { t.Error(err) },
		Extend: func(s *State) { s.ChildPID = 42 }})
	failure := errors.New("listener failed")
	s.Start(t.Context(), func(context.Context) error { return failure }, func(ctx context.Context) error { <-ctx.Done(); return nil })
	if err := <-s.Failed(); err != failure {
		t.Errorf("got %v, want %v", err, failure)
	}
	s.SetStarted() // the others still run
	p := &probeTest{t: t, addr: ln.Addr().String()}
	p.assertGet("/readiness", "200 ready\n")
	if got := s.State(); got.Version != "1" || got.Mode != "proxy" || got.PID != os.Getpid() || got.ChildPID != 42 || !got.Started ||
		got.Beat.IsZero() || !got.TokenExpiresAt.Equal(now.Add(time.Hour)) {
		t.Errorf("got %+v", got)
	}
	for _, err := os.Stat(path); err != nil; _, err = os.Stat(path) { // until the test's deadline
		time.Sleep(time.Millisecond)
	}
	s.Stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the status file is left: %v", err)
	}
}
