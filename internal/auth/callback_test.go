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

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

func TestMain(m *testing.M) {
	// A server lingers for half a second after it has closed a connection.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const code = "dcod0123456789abcdef"

// somePort returns a port below those that the system gives out, so that two runs of the
// tests hardly meet.
func somePort() int { return 10000 + rand.IntN(20000) }

// newLogin returns a login without a workspace.
func newLogin() *Login { return NewLogin(config.Config{}, nil, nil) }

func listen(t *testing.T) (*Login, *CallbackServer) {
	t.Helper()
	l, first := newLogin(), somePort()
	s, err := l.Listen(first, first+100)
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

func (l *Login) target() string { return "/?code=" + code + "&state=" + l.State }

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
	if err := s.Paste(s.RedirectURI() + l.target()); !errors.Is(err, errUsed) {
		t.Errorf("a second, pasted: got %v", err)
	}
}

func TestCallback_Refused(t *testing.T) {
	l, s := listen(t)
	other := newLogin()
	host := fmt.Sprintf("Host: localhost:%d\r\n\r\n", s.port)
	for _, tc := range []struct {
		name, raw string
	}{
		{"no query", s.get("/")},
		{"state of another login", s.get("/?code=" + code + "&state=" + other.State)},
		{"no state", s.get("/?code=" + code)},
		{"two states", s.get(l.target() + "&state=" + l.State)},
		{"no code", s.get("/?state=" + l.State)},
		{"error of another login", s.get("/?error=access_denied&state=" + other.State)},
		{"favicon", s.get("/favicon.ico")},
		{"another path", s.get("/x" + l.target())},
		{"escaped slash", s.get("/%2F" + l.target()[1:])},
		{"POST", "POST " + l.target() + " HTTP/1.1\r\n" + host},
		{"OPTIONS", "OPTIONS " + l.target() + " HTTP/1.1\r\nOrigin: https://evil.example\r\n" + host},
		{"CONNECT", "CONNECT localhost:1 HTTP/1.1\r\n" + host},
		{"foreign host", fmt.Sprintf("GET %s HTTP/1.1\r\nHost: evil.example:%d\r\n\r\n", l.target(), s.port)},
		{"another port", fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", l.target(), s.port+1)},
		{"address as host", fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", l.target(), s.port)},
		{"no Host", "GET " + l.target() + " HTTP/1.0\r\n\r\n"},
		{"proxy request", fmt.Sprintf("GET http://evil.example%s HTTP/1.1\r\n%s", l.target(), host)},
	} {
		resp, body := send(t, s, tc.raw)
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %d %v %s, want 404", tc.name, resp.StatusCode, resp.Header, body)
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
	for _, query := range []string{"/?error=access_denied&state=", "/?code=" + code + "&state="} {
		l, s := listen(t)
		if err := s.Paste(s.RedirectURI() + query + "x"); !errors.Is(err, errNotRedirect) {
			t.Errorf("state of another login: got %v", err)
		}
		if err := s.Paste(s.RedirectURI() + query + l.State); err != nil {
			t.Errorf("got %v", err)
		}
		got, err := s.Wait(t.Context())
		if denied := errors.As(err, new(*DeniedError)); denied != strings.Contains(query, "error") || !denied && got.Reveal() != code {
			t.Errorf("%s: got %v", query, err)
		}
	}
}

func TestCallback_Ends(t *testing.T) {
	_, s := listen(t)
	late := errors.New("late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	if _, err := s.Wait(ctx); !errors.Is(err, late) {
		t.Errorf("got %v, want the cause", err)
	}
	s.Close()
	s.Close()
	if conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", s.port)); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
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
	_, err := newLogin().Listen(first, first+2)
	if want := fmt.Sprintf("ports %d to %d", first, first+2); !errors.As(err, new(syscall.Errno)) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	s, err := newLogin().Listen(first, first+100)
	if err != nil || s.port < first+3 {
		t.Fatalf("got %v", err)
	}
	s.Close()
}
