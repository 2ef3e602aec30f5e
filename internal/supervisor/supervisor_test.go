package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	stop  func() time.Duration // ends the server, and returns how long that took
}

func startProbes(t *testing.T) *probeTest {
	t.Helper()
	ln := listen(t)
	p := &probeTest{t: t, addr: ln.Addr().String()}
	p.set(running())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serveProbes(ctx, ln, func() State { return *p.state.Load() }) }()
	var once sync.Once
	p.stop = func() (took time.Duration) {
		once.Do(func() {
			begin := time.Now()
			cancel()
			if err := <-done; err != nil {
				t.Errorf("serveProbes: got %v", err)
			}
			took = time.Since(begin)
		})
		return took
	}
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *probeTest) set(s State) { p.state.Store(&s) }

func (p *probeTest) dial() net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(30 * time.Second)) // reached only if something hangs
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// request sends a request line, and returns the response with its body.
func (p *probeTest) request(line string) (*http.Response, string) {
	p.t.Helper()
	c := p.dial()
	defer c.Close()
	_, _ = fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\n\r\n", line)
	method, _, _ := strings.Cut(line, " ")
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		p.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Error(err)
	}
	return r, string(body)
}

func (p *probeTest) assertGet(path, want string) {
	p.t.Helper()
	r, body := p.request("GET " + path)
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
	s.Started = false // the command is restarted
	s.TokenExpiresAt = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	s.Beat = time.Now().Add(-100 * time.Second)
	p.set(s)
	p.assertGet("/startup", "200 started\n")
	p.assertGet("/readiness", "503 not ready: the token expired at 2026-03-01T12:00:00Z\n")
	p.assertGet("/liveness", "503 not alive: no heartbeat for 100 s\n")
	for _, path := range []string{"/", "/startup/", "//startup", "/metrics", "/liveness/../startup", "*"} {
		p.assertGet(path, "404 not found; the paths are /startup, /readiness and /liveness\n")
	}
}

func TestProbes_MethodsAndHeaders(t *testing.T) {
	p := startProbes(t)
	for _, method := range []string{"GET", "HEAD"} {
		r, body := p.request(method + " /readiness")
		if r.StatusCode != 200 || r.ContentLength != 6 || !r.Close || (body == "ready\n") != (method == "GET") {
			t.Errorf("%s: got %d, length %d, close %v, %q", method, r.StatusCode, r.ContentLength, r.Close, body)
		}
		for name, want := range map[string]string{"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
	for _, method := range []string{"POST", "DELETE", "OPTIONS", "TRACE", "ANY"} {
		if r, body := p.request(method + " /liveness"); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" || body != "GET and HEAD only\n" {
			t.Errorf("%s: got %d, %q", method, r.StatusCode, body)
		}
	}
	if r, _ := p.request("OPTIONS *"); r.StatusCode != 404 {
		t.Errorf("OPTIONS *: got %d", r.StatusCode)
	}
	for size, want := range map[int]string{7 << 10: "HTTP/1.1 200 OK", 16 << 10: "HTTP/1.1 431 "} {
		c := p.dial()
		_, _ = fmt.Fprintf(c, "GET /liveness HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("a", size))
		if got, _ := io.ReadAll(io.LimitReader(c, 20)); !strings.HasPrefix(string(got), want) {
			t.Errorf("header of %d bytes: got %q, want %s", size, got, want)
		}
		_ = c.Close()
	}
}

// More clients than the limit wait; those that send nothing are dropped, and the
// others are served. The server ends within a second, whatever clients do.
func TestProbes_ManySlowClients(t *testing.T) {
	t.Parallel() // it takes readTimeout
	p := startProbes(t)
	for range maxConns + 10 {
		_, _ = io.WriteString(p.dial(), "GET /readiness HTTP/1.1\r\n")
	}
	p.assertGet("/liveness", "200 alive\n") // once the first have timed out
	for range maxConns + 10 {
		_, _ = io.WriteString(p.dial(), "GET /readiness HTTP/1.1\r\n")
	}
	if took := p.stop(); took > 15*time.Second { // it is a second, or for ever
		t.Errorf("ended after %v", took)
	}
	if c, err := net.Dial("tcp", p.addr); err == nil {
		_ = c.Close()
		t.Error("the server still listens")
	}
}

// A panic of state costs the client its answer, and is not logged.
func TestProbes_NothingIsLogged(t *testing.T) {
	var out bytes.Buffer
	log.SetOutput(&out)
	defer log.SetOutput(os.Stderr)
	ctx, cancel := context.WithCancel(t.Context())
	ln := listen(t)
	done := make(chan error)
	go func() { done <- serveProbes(ctx, ln, func() State { panic("canary") }) }()
	if _, err := http.Get("http://" + ln.Addr().String() + "/liveness"); err == nil {
		t.Error("got an answer")
	}
	cancel()
	if err := <-done; err != nil || out.Len() != 0 {
		t.Errorf("got %v, logged %q", err, out.String())
	}
	if err := serveProbes(t.Context(), ln, running); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed listener: got %v", err)
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
	response, err := http.Get("http://" + ln.Addr().String() + "/readiness")
	if err != nil || response.StatusCode != 200 {
		t.Errorf("got %v, %v", response, err)
	} else {
		_ = response.Body.Close()
	}
	if got := s.State(); got.Version != "1" || got.Mode != "proxy" || got.PID != os.Getpid() || got.ChildPID != 42 || !got.Started || got.Beat.IsZero() || !got.TokenExpiresAt.Equal(r.Current().ExpiresAt) {
		t.Errorf("got %+v", got)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	s.Stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the status file is left: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}
