package auth

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guard bounds what must happen: it is reached only when something hangs.
const guard = 30 * time.Second

const code = "dcod0123456789abcdef"

// anywhere is a range of ports whose first four are free, below those that the
// system gives to everybody, so that two runs of the tests do not meet.
func anywhere(t *testing.T) Options {
	t.Helper()
	for range 100 {
		first := 10000 + rand.IntN(20000)
		if free(first, 4) {
			return Options{First: first, Last: first + 20}
		}
	}
	t.Fatal("no ports")
	return Options{}
}

func free(first, n int) bool {
	for port := first; port < first+n; port++ {
		listeners, err := listenBoth(net.Listen, port)
		if err != nil {
			return false
		}
		for _, l := range listeners {
			_ = l.Close()
		}
	}
	return true
}

func open(t *testing.T, o Options) (Login, *CallbackServer) {
	t.Helper()
	if o.ConnTimeout == 0 {
		o.ConnTimeout = time.Hour
	}
	l := NewLogin()
	d, err := l.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return l, d
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	t.Cleanup(cancel)
	return ctx
}

// dial is a connection to the door that says nothing yet.
func dial(t *testing.T, d *CallbackServer) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp4", d.listeners[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(guard))
	return conn
}

// say sends raw bytes and gives the answer, its body in it.
func say(t *testing.T, d *CallbackServer, raw string) (*http.Response, string) {
	t.Helper()
	conn := dial(t, d)
	go func() { _, _ = io.WriteString(conn, raw) }() // the door may answer before it has it all
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer to %.80q: %v", raw, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// get is a browser's request for target; more stands among its headers.
func (d *CallbackServer) get(target string, more ...string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost:%d\r\n%s\r\n", target, d.port, strings.Join(more, ""))
}

func (l Login) target() string { return "/?code=" + code + "&state=" + l.State }

// waiting fails if the wait has ended.
func waiting(t *testing.T, d *CallbackServer) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.settled:
		t.Fatalf("the wait ended: %v", d.err)
	default:
	}
	if d.used { // is set before an answer is sent, so that it is not looked at too early
		t.Fatal("a redirect has counted")
	}
}

// arrives checks that the code comes through.
func arrives(t *testing.T, d *CallbackServer) {
	t.Helper()
	if r, err := d.Wait(soon(t)); err != nil || r.Code.Reveal() != code {
		t.Fatalf("%q, %v", r.Code.Reveal(), err)
	}
}
