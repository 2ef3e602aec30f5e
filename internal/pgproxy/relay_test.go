package pgproxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// forEachTransport runs test with a client on a Unix socket, on TCP, and on TLS.
func forEachTransport(t *testing.T, serve func(net.Conn), test func(t *testing.T, p *testProxy, c *client)) {
	for _, transport := range []string{"unix", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			p := start(t, Options{}, serve)
			switch transport {
			case "unix":
				test(t, p, dial(t, p.unix).login())
			case "tcp":
				test(t, p, dial(t, p.tcp).login())
			case "tls":
				test(t, p, dial(t, p.tcp).startTLS().login())
			}
		})
	}
}

func TestRelay_BothDirections(t *testing.T) {
	forEachTransport(t, echo, func(t *testing.T, _ *testProxy, c *client) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		sent := make([]byte, 3<<20)
		for i := range sent {
			sent[i] = byte(random.Uint32())
		}
		go func() {
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), 1+random.IntN(1<<random.IntN(19)))
				if _, err := c.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		if got := c.bytes(len(sent)); sha256.Sum256(got) != sha256.Sum256(sent) {
			t.Error("received data differs from sent data")
		}
	})
}

func TestRelay_ServerCloses(t *testing.T) {
	last := bytes.Repeat([]byte("last message "), 100_000)
	serve := func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 4))
		_, _ = c.Write(last)
	}
	forEachTransport(t, serve, func(t *testing.T, p *testProxy, c *client) {
		c.send([]byte("send"))
		if got := c.bytes(len(last)); !bytes.Equal(got, last) {
			t.Error("the client did not receive the server's last message")
		}
		c.ended()
		must(t, c.Close())
		eventually(t, "the session to end", func() bool { return p.Stats().Open == 0 })
		if ev := p.events(Closed); len(ev) != 1 {
			t.Errorf("got events %+v, want one Closed", ev)
		}
	})
}

// A client that keeps sending must still receive the last message of the server.
func TestRelay_ServerClosesWhileClientSends(t *testing.T) {
	serve := func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 4))
		_, _ = c.Write([]byte("FATAL"))
	}
	forEachTransport(t, serve, func(t *testing.T, p *testProxy, c *client) {
		c.send([]byte("send"))
		received := make(chan struct{})
		go func() {
			defer close(received)
			b := make([]byte, 5)
			if _, err := io.ReadFull(c, b); err != nil || string(b) != "FATAL" {
				t.Errorf("got %q, %v; want FATAL", b, err)
			}
		}()
		for sending := true; sending; {
			select {
			case <-received:
				sending = false
			case <-time.After(time.Millisecond):
				_, err := c.Write(make([]byte, 1000))
				sending = err == nil
			}
		}
		<-received
		eventually(t, "the session to end", func() bool { return p.Stats().Open == 0 })
	})
}

func TestRelay_ClientCloses(t *testing.T) {
	received := make(chan []byte, 3)
	serve := func(c net.Conn) { b, _ := io.ReadAll(c); received <- b }
	forEachTransport(t, serve, func(t *testing.T, p *testProxy, c *client) {
		c.send(bytes.Repeat([]byte("x"), 300_000), []byte("X\x00\x00\x00\x04"))
		must(t, c.Close())
		select {
		case b := <-received:
			if len(b) != 300_005 || !bytes.HasSuffix(b, []byte("X\x00\x00\x00\x04")) {
				t.Errorf("the server received %d bytes, want 300005", len(b))
			}
		case <-time.After(guard):
			t.Fatal("the server's connection was not closed")
		}
		eventually(t, "the session to end", func() bool { return p.Stats().Open == 0 })
	})
}

// A client that only closes its writing direction still gets the answer.
func TestRelay_ClientHalfCloses(t *testing.T) {
	serve := func(c net.Conn) { b, _ := io.ReadAll(c); _, _ = fmt.Fprintf(c, "%d bytes", len(b)) }
	p := start(t, Options{}, serve)
	c := dial(t, p.unix).login()
	c.send([]byte("12345"))
	must(t, c.Conn.(*net.UnixConn).CloseWrite())
	if got := string(c.bytes(7)); got != "5 bytes" {
		t.Errorf("got %q, want %q", got, "5 bytes")
	}
	c.ended()
}

// A client that does not read must not block Serve.
func TestRelay_ServeEndsWithBlockedClient(t *testing.T) {
	serve := func(c net.Conn) {
		for b := make([]byte, 64<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	forEachTransport(t, serve, func(t *testing.T, p *testProxy, c *client) {
		c.bytes(1 << 20)
		must(t, p.stop())
	})
}

// deadlineConn records its deadlines. Read deadlines have no effect, so that a test
// sees the peer being told, and not a deadline that expired.
type deadlineConn struct {
	*net.TCPConn
	mu          sync.Mutex
	read, write time.Time
}

func (c *deadlineConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = t
	return nil
}

func (c *deadlineConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = t
	return c.TCPConn.SetWriteDeadline(t)
}

func (c *deadlineConn) readDeadline() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read
}

// When one side ends, the other is told at once, and gets a deadline.
func TestRelay_DeadlineAfterOneSideEnds(t *testing.T) {
	pair := func(t *testing.T) (*deadlineConn, net.Conn) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer func() { _ = ln.Close() }()
		far, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		near, err := ln.Accept()
		must(t, err)
		t.Cleanup(func() { _ = far.Close(); _ = near.Close() })
		return &deadlineConn{TCPConn: near.(*net.TCPConn)}, far
	}
	for _, c := range []struct {
		name  string
		limit time.Duration
	}{{"server ends", closeTimeout}, {"client ends", drainTimeout}} {
		t.Run(c.name, func(t *testing.T) {
			client, clientPeer := pair(t)
			server, serverPeer := pair(t)
			done := make(chan struct{})
			go func() { defer close(done); relay(client, server, nil) }()
			ending, other, otherPeer := serverPeer, client, clientPeer
			if c.limit == drainTimeout {
				ending, other, otherPeer = clientPeer, server, serverPeer
			}
			_, err := ending.Write([]byte("last message"))
			must(t, err)
			must(t, ending.Close())
			_ = otherPeer.SetReadDeadline(time.Now().Add(guard))
			if got, err := io.ReadAll(otherPeer); err != nil || string(got) != "last message" {
				t.Errorf("got %q, %v; want the last message and EOF", got, err)
			}
			eventually(t, "a deadline", func() bool { return !other.readDeadline().IsZero() })
			if left := time.Until(other.readDeadline()); left > c.limit {
				t.Errorf("got a deadline in %v, want at most %v", left, c.limit)
			}
			must(t, otherPeer.Close())
			<-done
		})
	}
}

// Connections that are idle after a transfer keep no large buffer. The memory that is
// measured includes both peers and what crypto/tls keeps, 40 KiB at each end.
func TestRelay_IdleMemory(t *testing.T) {
	const conns = 200
	serve := func(c net.Conn) {
		for buf := make([]byte, 1<<10); ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	p := start(t, Options{}, serve)
	used := func() int64 {
		runtime.GC()
		runtime.GC() // the second one empties pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	before := used()
	large := make([]byte, 100<<10)
	for range conns {
		c := dial(t, p.unix).login()
		go func() { _, _ = c.Write(large) }()
		c.bytes(len(large))
		c.echo("short")
	}
	grown := (used() - before) / conns >> 10
	t.Logf("%d KiB per connection", grown)
	if s := p.Stats(); s.Open != conns || grown > 150 {
		t.Errorf("got %d KiB per connection, %d open; want at most 150 KiB, %d open", grown, s.Open, conns)
	}
}
