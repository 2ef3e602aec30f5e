package pgproxy

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// forEachTransport runs test with a client on a Unix socket, on TCP, and on TLS.
func forEachTransport(t *testing.T, serve func(net.Conn), test func(t *testing.T, p *testProxy, c *client)) {
	for name, connect := range map[string]func(t *testing.T, p *testProxy) *client{
		"unix": func(t *testing.T, p *testProxy) *client { return dial(t, p.unix) },
		"tcp":  func(t *testing.T, p *testProxy) *client { return dial(t, p.tcp) },
		"tls":  func(t *testing.T, p *testProxy) *client { return dial(t, p.tcp).startTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, Options{}, serve)
			test(t, p, connect(t, p).login())
		})
	}
}

// A client receives all that the server sent before it closed; its last message even if
// the client keeps sending.
func TestRelay_ServerCloses(t *testing.T) {
	for _, last := range [][]byte{bytes.Repeat([]byte("last message "), 100_000), []byte("FATAL")} {
		serve := func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 4))
			_, _ = c.Write(last)
		}
		forEachTransport(t, serve, func(t *testing.T, p *testProxy, c *client) {
			c.send([]byte("send"))
			var sending sync.WaitGroup
			sending.Go(func() {
				for len(last) < 10 {
					if _, err := c.Write(make([]byte, 1000)); err != nil {
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
			if got := c.bytes(len(last)); !bytes.Equal(got, last) {
				t.Errorf("got %.20q as the server's last message", got)
			}
			_ = c.Close()
			sending.Wait()
			eventually(t, "the session to end", func() bool { return p.Stats().Open == 0 })
		})
	}
}

// The server receives all that the client sent before it closed its writing direction,
// and the client the answer.
func TestRelay_ClientCloses(t *testing.T) {
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	serve := func(c net.Conn) { b, _ := io.ReadAll(c); _, _ = c.Write(b) }
	forEachTransport(t, serve, func(t *testing.T, p *testProxy, c *client) {
		c.send(sent[:100])
		c.send(sent[100:])
		closeWrite(c.Conn)
		if got := c.bytes(len(sent)); !bytes.Equal(got, sent) {
			t.Error("received data differs from sent data")
		}
		c.ended()
		eventually(t, "the session to end", func() bool { return p.Stats().Open == 0 })
	})
}

// A session and a client that does not read end with Serve.
func TestRelay_ServeEnds(t *testing.T) {
	serve := func(c net.Conn) {
		for b := make([]byte, 64<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	forEachTransport(t, serve, func(t *testing.T, p *testProxy, c *client) {
		c.bytes(1 << 20)
		p.stop()
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the client's connection is still open")
		}
	})
}

// When one side closes, the other side is closed too, at the latest after a deadline.
func TestRelay_OneSideStays(t *testing.T) {
	for _, limit := range []time.Duration{closeTimeout, drainTimeout} {
		synctest.Test(t, func(t *testing.T) {
			clientPeer, client := net.Pipe()
			serverPeer, server := net.Pipe()
			ending, staying, relayed := clientPeer, serverPeer, [2]int64{12, 0}
			if limit == closeTimeout {
				ending, staying, relayed = serverPeer, clientPeer, [2]int64{0, 12}
			}
			go func() {
				_, _ = ending.Write([]byte("last message"))
				_ = ending.Close()
			}()
			go func() {
				b := make([]byte, 12)
				if _, err := io.ReadFull(staying, b); err != nil || string(b) != "last message" {
					t.Errorf("got %q, %v; want the last message", b, err)
				}
			}()
			start := time.Now()
			var n counters
			relay(client, server, nil, &n)
			if got := [2]int64{n.toDatabase.Load(), n.toClient.Load()}; got != relayed {
				t.Errorf("got %v bytes relayed to database and client, want %v", got, relayed)
			}
			if took := time.Since(start); took != limit {
				t.Errorf("relay returned after %v, want %v", took, limit)
			}
			for _, c := range []net.Conn{client, server, staying} {
				_ = c.Close()
			}
		})
	}
}
