package auth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A server lingers for half a second after it has closed a connection.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const code = "dcod0123456789abcdef"

// somePort returns a port below those that the system gives out, so that two runs of the
// tests hardly meet.
func somePort() int { return 10000 + rand.IntN(20000) }

func listen(t *testing.T) (Login, *CallbackServer) {
	t.Helper()
	l, first := NewLogin(), somePort()
	s, err := l.ListenPorts(first, first+100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return l, s
}

// send has the server answer a raw request.
func send(t *testing.T, s *CallbackServer, raw string) (*http.Response, string) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("%.80q: %v", raw, err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}

// get is a browser's request with more headers.
func (s *CallbackServer) get(target string, more ...string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost:%d\r\n%s\r\n", target, s.port, strings.Join(more, ""))
}

func (l Login) target() string { return "/?code=" + code + "&state=" + l.State }

func assertCode(t *testing.T, s *CallbackServer) {
	t.Helper()
	if got, err := s.Wait(t.Context()); err != nil || got.Reveal() != code {
		t.Fatalf("got %q, %v; want the code", got.Reveal(), err)
	}
}

func TestCallback_Redirect(t *testing.T) {
	l, s := listen(t)
	if s.server.ReadTimeout == 0 || s.server.WriteTimeout == 0 || s.server.MaxHeaderBytes == 0 {
		t.Error("requests are not bounded")
	}
	resp, err := http.Get(fmt.Sprintf("http://localhost:%d%s&iss=https%%3A%%2F%%2Fdbc-1%%2Foidc", s.port, l.target()))
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	assertCode(t, s)
	body := string(page)
	if resp.StatusCode != 200 || !strings.Contains(body, pages[200]) || !resp.Close || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("got %d %v %s", resp.StatusCode, resp.Header, body)
	}
	for name, want := range pageHeader {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, bad := range []string{"<script", "href", "src=", code, l.State} {
		if strings.Contains(body, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, target := range []string{l.target(), "/?code=another-0123456789&state=" + l.State, "/?error=access_denied&state=" + l.State} {
		if resp, body := send(t, s, s.get(target)); resp.StatusCode != 410 || !strings.Contains(body, pages[410]) {
			t.Errorf("a second redirect: got %d %s", resp.StatusCode, body)
		}
	}
	if err := s.Paste("another-0123456789"); !errors.Is(err, errUsed) {
		t.Errorf("a second, pasted: got %v", err)
	}
	assertCode(t, s)
}

func TestCallback_Refused(t *testing.T) {
	l, s := listen(t)
	other := NewLogin()
	host := fmt.Sprintf("Host: localhost:%d\r\n\r\n", s.port)
	for _, tc := range []struct {
		name, raw string
		status    int
	}{
		{"no query", s.get("/"), 400},
		{"state of another login", s.get("/?code=" + code + "&state=" + other.State), 400},
		{"no state", s.get("/?code=" + code), 400},
		{"two states", s.get(l.target() + "&state=" + l.State), 400},
		{"no code", s.get("/?state=" + l.State), 400},
		{"error of another login", s.get("/?error=access_denied&state=" + other.State), 400},
		{"favicon", s.get("/favicon.ico"), 404},
		{"another path", s.get("/x" + l.target()), 404},
		{"escaped slash", s.get("/%2F" + l.target()[1:]), 404},
		{"POST", "POST " + l.target() + " HTTP/1.1\r\n" + host, 405},
		{"POST with a body", "POST / HTTP/1.1\r\nContent-Length: 4\r\n" + host + "a=bc", 400},
		{"OPTIONS", "OPTIONS " + l.target() + " HTTP/1.1\r\nOrigin: https://evil.example\r\n" + host, 405},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + host, 405},
		{"CONNECT", "CONNECT localhost:1 HTTP/1.1\r\n" + host, 405},
		{"GET with a body", s.get(l.target(), "Content-Length: 3\r\n") + "abc", 400},
		{"foreign host", fmt.Sprintf("GET %s HTTP/1.1\r\nHost: evil.example:%d\r\n\r\n", l.target(), s.port), 421},
		{"another port", fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", l.target(), s.port+1), 421},
		{"address as host", fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", l.target(), s.port), 421},
		{"no Host", "GET " + l.target() + " HTTP/1.0\r\n\r\n", 421},
		{"proxy request", fmt.Sprintf("GET http://localhost:%d%s HTTP/1.1\r\n%s", s.port, l.target(), host), 421},
	} {
		resp, body := send(t, s, tc.raw)
		if resp.StatusCode != tc.status || (tc.status == 405) != (resp.Header.Get("Allow") == "GET") {
			t.Errorf("%s: got %d %v %s, want %d", tc.name, resp.StatusCode, resp.Header, body, tc.status)
		}
		for _, secret := range []string{code, l.State, other.State} {
			if strings.Contains(body, secret) {
				t.Errorf("%s: the page contains %q", tc.name, secret)
			}
		}
		if s.claimed.Load() { // set before a response is sent
			t.Fatalf("%s: it has counted", tc.name)
		}
	}
}

func TestCallback_Denied(t *testing.T) {
	l, s := listen(t)
	resp, body := send(t, s, s.get("/?error=access_denied&error_description=%3Cscript%3Eno%3C%2Fscript%3E&state="+l.State))
	if resp.StatusCode != 403 || !strings.Contains(body, pages[403]) || strings.Contains(body, "script") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	if resp, _ := send(t, s, s.get(l.target())); resp.StatusCode != 410 {
		t.Errorf("a code after that: got %d", resp.StatusCode)
	}
	var denied *DeniedError
	if _, err := s.Wait(t.Context()); !errors.As(err, &denied) || *denied != (DeniedError{Code: "access_denied", Description: "<script>no</script>"}) {
		t.Errorf("got %v", err)
	}
}

func TestCallback_Paste(t *testing.T) {
	l, s := listen(t)
	if err := s.Paste("?code=" + code + "&state=x"); !errors.Is(err, errState) {
		t.Errorf("got %v", err)
	}
	if err := s.Paste("?error=access_denied&state=" + l.State); !errors.As(err, new(*DeniedError)) {
		t.Errorf("got %v", err)
	}
	if err := s.Paste(s.RedirectURI() + l.target()); err != nil {
		t.Errorf("got %v", err)
	}
	assertCode(t, s)
	// A result is not lost by Close or the end of the context.
	s.Close()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := s.Wait(done); err != nil || got.Reveal() != code {
		t.Errorf("got %v", err)
	}
}

func TestCallback_WaitEnds(t *testing.T) {
	l, s := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	ended := make(chan error, 1)
	go func() { _, err := s.Wait(t.Context()); ended <- err }()
	s.Close()
	s.Close()
	if err := <-ended; !errors.Is(err, errClosed) {
		t.Errorf("closed: got %v", err)
	}
	if conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", s.port)); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
	if err := s.Paste(l.target()); !errors.Is(err, errUsed) {
		t.Errorf("pasted: got %v", err)
	}
}

func TestListen_TakenPorts(t *testing.T) {
	first := somePort()
	for i, host := range []string{"127.0.0.1", "[::1]", "127.0.0.1"} { // a browser may look at ::1 first
		ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, first+i))
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) { // no IPv6 here
			ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+i))
		}
		if err == nil { // else another program has it
			defer ln.Close()
		}
	}
	_, err := NewLogin().ListenPorts(first, first+2)
	if want := fmt.Sprintf("ports %d to %d", first, first+2); !errors.As(err, new(syscall.Errno)) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	s, err := NewLogin().ListenPorts(first, first+100)
	if err != nil || s.port < first+3 {
		t.Fatalf("got %v", err)
	}
	s.Close()
}
