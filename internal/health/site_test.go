package health

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// pipes is a listener in memory, for tests in fake time.
type pipes struct {
	dialled chan net.Conn
	done    chan struct{}
	once    sync.Once
}

func newPipes() *pipes { return &pipes{dialled: make(chan net.Conn, 1000), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return nil }

func (p *pipes) dial() (net.Conn, error) {
	select {
	case <-p.done:
		return nil, net.ErrClosed
	default:
	}
	client, server := net.Pipe()
	p.dialled <- server
	return client, nil
}

// guard bounds what must happen: it is reached only when something hangs.
const guard = 30 * time.Second

// site is a server under test.
type site struct {
	*counting
	t       *testing.T
	connect func() (net.Conn, error) // a connection to it
	state   atomic.Pointer[State]
	end     func()        // and wait for it
	took    time.Duration // of the end
}

// serve serves on loopback.
func serve(t *testing.T) *site {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) })
}

// inFakeTime runs f under synctest, with a server on connections in memory.
func inFakeTime(t *testing.T, f func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		f(t, serveOn(t, ln, ln.dial))
	})
}

func serveOn(t *testing.T, ln net.Listener, dial func() (net.Conn, error)) *site {
	s := &site{counting: &counting{Listener: ln}, t: t, connect: dial}
	s.set(running())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, s.counting, func() State { return *s.state.Load() }) }()
	s.end = sync.OnceFunc(func() {
		cancel()
		begun := time.Now()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		s.took = time.Since(begun)
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
	c, err := s.connect()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(guard)); err != nil {
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
	for end := time.Now().Add(guard); s.open.Load() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%d are open, and not %d", s.open.Load(), n)
		}
	}
}
