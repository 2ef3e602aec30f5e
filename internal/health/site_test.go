package health

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counting is a listener that knows how many of its connections are open.
type counting struct {
	net.Listener
	open, most atomic.Int32
}

type counted struct {
	net.Conn
	l    *counting
	once sync.Once
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := l.open.Add(1)
	for most := l.most.Load(); n > most && !l.most.CompareAndSwap(most, n); most = l.most.Load() {
	}
	return &counted{Conn: c, l: l}, nil
}

func (c *counted) Close() error {
	c.once.Do(func() { c.l.open.Add(-1) })
	return c.Conn.Close()
}

// endsWithin is how long the end may take: farewellFor, and what a busy machine adds.
const endsWithin = 2500 * time.Millisecond

// site is a server under test.
type site struct {
	*counting
	t     *testing.T
	addr  string
	state atomic.Pointer[State]
	end   func() // and wait for it
}

func serve(t *testing.T) *site {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{counting: &counting{Listener: ln}, t: t, addr: ln.Addr().String()}
	s.set(running())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, s.counting, func() State { return *s.state.Load() }) }()
	s.end = sync.OnceFunc(func() {
		cancel()
		begun := time.Now()
		if err := <-ended; err != nil || time.Since(begun) > endsWithin {
			t.Errorf("ended after %v with %v", time.Since(begun), err)
		}
		if n := s.open.Load(); n != 0 {
			t.Errorf("%d connections are open", n)
		}
	})
	t.Cleanup(s.end)
	return s
}

func (s *site) set(st State) { s.state.Store(&st) }

func (s *site) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// ask sends a request as it stands, and gives all that comes until the end.
func (s *site) ask(text string) string {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		s.t.Error(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		s.t.Error(err)
	}
	return string(got)
}

// get gives the status and the body of GET path.
func (s *site) get(path string) string {
	s.t.Helper()
	head, body, _ := strings.Cut(s.ask("GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"), "\r\n\r\n")
	status, _, _ := strings.Cut(strings.TrimPrefix(head, "HTTP/1.1 "), " ")
	return status + " " + body
}

func (s *site) want(path, want string) {
	s.t.Helper()
	if got := s.get(path); got != want {
		s.t.Errorf("%s: %q, and not %q", path, got, want)
	}
}

// wantOpen waits until n connections are let in.
func (s *site) wantOpen(n int32) {
	s.t.Helper()
	for range 200 {
		if s.open.Load() == n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Errorf("%d are open, and not %d", s.open.Load(), n)
}
