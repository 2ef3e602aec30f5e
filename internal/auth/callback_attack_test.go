package auth

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A hundred connections that say nothing, and a hundred that say half of it, do
// not keep the browser out.
func TestSilentCrowd(t *testing.T) {
	l, d := open(t, anywhere(t))
	var others []net.Conn
	for i := range 200 {
		conn := dial(t, d)
		if i%2 == 0 {
			_, _ = io.WriteString(conn, "GET /?code=x&state=")
		}
		others = append(others, conn)
	}
	// None of the connections times out during the test, so the right one must not wait for them.
	if resp, _ := say(t, d, d.get(l.target())); resp.StatusCode != 200 {
		t.Errorf("the right one gets %d", resp.StatusCode)
	}
	arrives(t, d)
	d.mu.Lock()
	if n := len(d.conns); n > maxConns {
		t.Errorf("%d connections are kept", n)
	}
	d.mu.Unlock()
	// The first of them had to go.
	_ = others[0].SetDeadline(time.Now().Add(guard))
	if _, err := others[0].Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the oldest is still there: %v", err)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// A client that sends a byte now and then is cut off when its time is over, not
// when it is done.
func TestSlowClient(t *testing.T) {
	o := anywhere(t)
	o.ConnTimeout = 100 * time.Millisecond
	l, d := open(t, o)
	conn := dial(t, d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The request has no end: it can only be cut off.
		for _, err := io.WriteString(conn, strings.TrimSuffix(d.get(l.target()), "\r\n")+"X: "); err == nil; _, err = io.WriteString(conn, "x") {
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if answer, err := io.ReadAll(conn); len(answer) != 0 || err != nil && isTimeout(err) {
		t.Errorf("%q, %v", answer, err)
	}
	_ = conn.Close()
	<-done
	waiting(t, d)
	d.mu.Lock()
	d.connTimeout = time.Hour
	d.mu.Unlock()
	if resp, _ := say(t, d, d.get(l.target())); resp.StatusCode != 200 {
		t.Errorf("the right one gets %d", resp.StatusCode)
	}
	arrives(t, d)
}

// One that asks and never reads holds nobody up either.
func TestClientThatDoesNotRead(t *testing.T) {
	l, d := open(t, anywhere(t))
	conn := dial(t, d)
	_, _ = io.WriteString(conn, d.get(l.target()))
	arrives(t, d)
	closed := make(chan struct{})
	go func() { d.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(guard):
		t.Fatal("Close waits for it")
	}
}

func TestHalfARequest(t *testing.T) {
	l, d := open(t, anywhere(t))
	for _, raw := range []string{"", "G", "GET /", "GET " + l.target() + " HTTP/1.1\r\n", strings.TrimSuffix(d.get(l.target()), "\r\n")} {
		conn := dial(t, d).(*net.TCPConn)
		_, _ = io.WriteString(conn, raw)
		_ = conn.CloseWrite()
		if answer, err := io.ReadAll(conn); err != nil || len(answer) != 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
			t.Errorf("%q is answered: %q, %v", raw, answer, err)
		}
		waiting(t, d)
	}
}

func TestTakenPorts(t *testing.T) {
	o := anywhere(t)
	var taken []net.Listener
	for port := o.First; port < o.First+3; port++ {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if port == o.First+1 {
			address = fmt.Sprintf("[::1]:%d", port) // a stranger where a browser may look first
		}
		l, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
			l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) // no IPv6 here
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		taken = append(taken, l)
	}
	l, d := open(t, o)
	if d.port < o.First+3 || d.port > o.Last {
		t.Errorf("port %d of those from %d", d.port, o.First)
	}
	if resp, _ := say(t, d, d.get(l.target())); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
	arrives(t, d)
	full := Options{First: o.First, Last: o.First + 2}
	_, err := l.Open(full)
	var ports *PortsError
	if !errors.As(err, &ports) || !errors.Is(err, syscall.EADDRINUSE) || ports.First != full.First || ports.Last != full.Last ||
		!strings.Contains(err.Error(), fmt.Sprintf("ports %d to %d on 127.0.0.1", full.First, full.Last)) {
		t.Errorf("%v", err)
	}
	for _, in := range taken {
		_ = in.Close()
	}
	if d, err := l.Open(full); err != nil || d.port != full.First {
		t.Errorf("once they are free: %v", err)
	} else {
		d.Close()
	}
}

// The public client's own ports, in their order, and each address of each.
func TestAllTaken(t *testing.T) {
	var asked []string
	_, err := NewLogin().Open(Options{Listen: func(network, address string) (net.Listener, error) {
		asked = append(asked, network+" "+address)
		return nil, syscall.EADDRINUSE
	}})
	if err == nil || !strings.Contains(err.Error(), "none of the ports 8020 to 8040 on 127.0.0.1 is free") {
		t.Errorf("%v", err)
	}
	for i, port := 0, FirstPort; port <= LastPort; i, port = i+1, port+1 {
		if i >= len(asked) || asked[i] != fmt.Sprintf("tcp4 127.0.0.1:%d", port) {
			t.Fatalf("asked for %q", asked)
		}
	}
}

// Without IPv6 there is one address to listen at.
func TestNoIPv6(t *testing.T) {
	o := anywhere(t)
	o.Listen = func(network, address string) (net.Listener, error) {
		if network == "tcp6" {
			return nil, syscall.EADDRNOTAVAIL
		}
		return net.Listen(network, address)
	}
	l, d := open(t, o)
	if len(d.listeners) != 1 {
		t.Errorf("%d listeners", len(d.listeners))
	}
	if resp, _ := say(t, d, d.get(l.target())); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
	arrives(t, d)
}

// A listener that fails for a while is listened to again.
type flaky struct {
	net.Listener
	left int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.left > 0 {
		f.left--
		return nil, syscall.EMFILE
	}
	return f.Listener.Accept()
}

func TestAcceptThatFailsForAWhile(t *testing.T) {
	o := anywhere(t)
	o.Listen = func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		return &flaky{Listener: l, left: 3}, nil
	}
	l, d := open(t, o)
	if resp, _ := say(t, d, d.get(l.target())); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
	arrives(t, d)
}
