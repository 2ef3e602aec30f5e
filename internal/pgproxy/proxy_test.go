package pgproxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestMaxConnsAndMaxWaiting(t *testing.T) {
	resume := make(chan struct{})
	p := start(t, Options{MaxConns: 3, MaxWaiting: 2}, echo, suspended(resume))
	a, b := dial(t, p.unix).begin(), dial(t, p.unix).begin()
	eventually(t, "two logins", func() bool { return p.Stats().Waiting == 2 })
	const waiting = "The local proxy allows 2 connections that wait for the database (--max-waiting)."
	if e := dial(t, p.unix).begin().failure(); e.Code != "53300" || e.Message != "sorry, too many clients already" || e.Hint != waiting {
		t.Errorf("MaxWaiting: got %+v, want 53300", e)
	}
	close(resume)
	a.expectReady().echo("hello")
	b.expectReady().echo("hello")
	dial(t, p.unix).login().echo("hello")
	if e := dial(t, p.unix).begin().failure(); e.Code != "53300" || e.Hint != "The local proxy allows 3 connections (--max-connections)." {
		t.Errorf("MaxConns: got %+v, want 53300", e)
	}
	a.echo("hello")
	must(t, b.Close())
	eventually(t, "a session to end", func() bool { return p.Stats().Open == 2 })
	dial(t, p.unix).login().echo("hello")
	if s := p.Stats(); p.up.logins.Load() != 4 || s.Logins != 4 || s.FailedLogins != 2 {
		t.Errorf("got %+v and %d logins upstream, want 4 logins and 2 failed", s, p.up.logins.Load())
	}
}

// Half-open connections never keep a client with the password out: the oldest one of
// the address that has the most loses its slot.
func TestMaxStartups_EvictsOldest(t *testing.T) {
	for i, begin := range []func(*client){
		func(c *client) { c.request(codeSSL, "S") }, // cannot be told
		func(*client) {},
		func(c *client) { c.send(startup("user", user)[:6]) },
		func(c *client) { c.send(startup("user", user)); c.expectPasswordRequest() },
	} {
		p := start(t, Options{MaxStartups: 3}, echo)
		served := dial(t, p.tcp).login()
		p.halfOpen.mu.Lock()
		p.halfOpen.protect = 10 * time.Millisecond
		p.halfOpen.mu.Unlock()
		var half []*client
		for n := range 3 {
			half = append(half, dial(t, p.tcp))
			begin(half[n])
			eventually(t, "half-open connections", func() bool { return p.halfOpen.len() == n+1 })
		}
		dial(t, p.tcp).login().echo("hello")
		if i == 0 {
			half[0].ended()
		} else if e := half[0].failure(); e.Code != "53300" || !strings.Contains(e.Hint, "3 connections without a password yet") {
			t.Errorf("case %d: got %+v, want 53300", i, e)
		}
		if n := p.halfOpen.len(); n != 2 {
			t.Errorf("case %d: got %d half-open connections, want the two younger ones", i, n)
		}
		served.echo("hello")
	}
}

func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const neighbor, other = "10.0.0.1/32", "10.0.0.2/32"
		newPeer := func(addr string) *session {
			near, far := net.Pipe()
			t.Cleanup(func() { _, _ = near.Close(), far.Close() })
			time.Sleep(time.Millisecond) // so that each has an age of its own
			return &session{sock: far, addr: netip.MustParsePrefix(addr), since: time.Now()}
		}
		h := New(Options{MaxStartups: 4}).halfOpen
		admit := func(s *session, after time.Duration) {
			t.Helper()
			start := time.Now()
			if ok := h.admit(t.Context(), s); !ok || time.Since(start) != after {
				t.Errorf("got %v after %v, want true after %v", ok, time.Since(start), after)
			}
		}
		old, a, b, c, d := newPeer(other), newPeer(neighbor), newPeer(neighbor), newPeer(neighbor), newPeer(neighbor)
		for _, s := range []*session{old, a, b, c} {
			admit(s, 0)
		}
		time.Sleep(time.Until(a.since.Add(maxProtect / 2)))
		admit(d, maxProtect/2)
		admit(newPeer(neighbor), 0) // b is older than protect, which has shrunk
		for s, evicted := range map[*session]bool{old: false, a: true, b: true, c: false, d: false} {
			if s.evicted.Load() != evicted {
				t.Errorf("%s since %v: got evicted %v, want %v", s.addr, s.since, s.evicted.Load(), evicted)
			}
		}
		if h.release(a, false) || h.len() != 4 {
			t.Errorf("an evicted session had a slot, or %d slots are in use, want 4", h.len())
		}
		h.protect = time.Hour
		time.AfterFunc(3*time.Millisecond, func() { h.release(d, false) })
		admit(newPeer(other), 2*time.Millisecond)
		h.protect = 0
		if admit(newPeer(other), 0); !old.evicted.Load() || c.evicted.Load() { // the oldest of all, if addresses have equally many
			t.Error("the wrong session was evicted")
		}
		for range 100 {
			admit(newPeer(neighbor), 0)
			time.Sleep(maxProtect)
		}
		flood := h.protect
		for range 10 {
			h.release(c, true)
		}
		if flood != minProtect || h.protect != maxProtect {
			t.Errorf("got %v in a flood, %v after logins, want %v, %v", flood, h.protect, minProtect, maxProtect)
		}
	})
}

func TestClientAddr(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1/32", "[::ffff:10.0.0.1]:9": "10.0.0.1/32",
		"[2001:db8:1:2:3:4:5:6]:9": "2001:db8:1:2::/64", "[fe80::1%lo]:1": "fe80::/64",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		must(t, err)
		if got := clientAddr(tcp).String(); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

// failingListener fails as in a process without free descriptors, then accepts.
type failingListener struct {
	net.Listener
	left int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.left--; l.left >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestServe_AcceptFails(t *testing.T) {
	p := start(t, Options{}, echo)
	ln, err := ListenLoopback("127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	failing := New(p.o)
	failing.connector = p.up
	go failing.Serve(ctx, &failingListener{ln, 5})
	dial(t, ln.Addr().String()).login().echo("hello")
	if _, failed := p.observed(); len(failed) != 5 || !errors.Is(failed[0], syscall.EMFILE) {
		t.Errorf("got failures %v, want 5 with EMFILE", failed)
	}
	cancel()
	<-failing.served
}

// After Drain no client is accepted, open connections go on, and the last one ends Serve.
func TestDrain(t *testing.T) {
	p := New(start(t, Options{}, echo).o)
	p.connector = &fakeUpstream{t: t, serve: echo}
	ln, err := ListenLoopback("127.0.0.1:0")
	must(t, err)
	go p.Serve(t.Context(), ln)
	open := dial(t, ln.Addr().String()).login()
	drained := make(chan struct{})
	go func() { p.Drain(t.Context()); close(drained) }()
	eventually(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaConnRefused)
	})
	open.echo("hello")
	select {
	case <-drained:
		t.Error("Drain returned with an open connection")
	default:
	}
	must(t, open.Close())
	<-drained

	late := start(t, Options{}, echo)
	dial(t, late.tcp).login()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late.Drain(ctx) // and stop ends the connection
}
