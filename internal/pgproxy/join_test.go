package pgproxy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"
)

// roads are the ways of a client in, with and without a Wire upstream.
func roads(t *testing.T, serve func(net.Conn), test func(t *testing.T, d *door, c *client)) {
	for _, bare := range []bool{false, true} {
		for _, way := range []string{"unix", "tcp", "tls"} {
			t.Run(fmt.Sprintf("%s,bare=%v", way, bare), func(t *testing.T) {
				t.Parallel()
				d := open(t, Options{}, serve, func(f *fake) { f.bare = bare })
				switch way {
				case "unix":
					test(t, d, dial(t, d.unix).login())
				case "tcp":
					test(t, d, dial(t, d.tcp).login())
				case "tls":
					test(t, d, dial(t, d.tcp).secured().login())
				}
			})
		}
	}
}

// Runs of every size go both ways at once and arrive as they were.
func TestBothWays(t *testing.T) {
	roads(t, echo, func(t *testing.T, _ *door, c *client) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		noise := make([]byte, 3<<20)
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		go func() {
			for rest := noise; len(rest) > 0; {
				n := min(len(rest), 1+random.IntN(1<<random.IntN(19)))
				if _, err := c.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		if got := c.bytes(len(noise)); sha256.Sum256(got) != sha256.Sum256(noise) {
			t.Error("what came back is something else")
		}
	})
}

// What the server said before it ended arrives, then the end.
func TestServerEnds(t *testing.T) {
	last := bytes.Repeat([]byte("last words "), 100_000)
	serve := func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 4))
		_, _ = c.Write(last)
	}
	roads(t, serve, func(t *testing.T, d *door, c *client) {
		c.send([]byte("talk"))
		time.Sleep(20 * time.Millisecond)
		if got := c.bytes(len(last)); !bytes.Equal(got, last) {
			t.Error("the last words are not those of the server")
		}
		c.ended()
		must(t, c.Close())
		eventually(t, "the end", func() bool { return d.Stats().Open == 0 })
		if ev := d.events(Closed); len(ev) != 1 {
			t.Errorf("%+v", ev)
		}
	})
}

// The same for a client that goes on talking to a server that is gone.
func TestServerEndsUnderATalker(t *testing.T) {
	serve := func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 4))
		_, _ = c.Write([]byte("FATAL"))
	}
	roads(t, serve, func(t *testing.T, d *door, c *client) {
		c.send([]byte("talk"))
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			b := make([]byte, 5)
			if _, err := io.ReadFull(c, b); err != nil || string(b) != "FATAL" {
				t.Errorf("%q, %v", b, err)
			}
		}()
		for talking := true; talking; {
			select {
			case <-heard:
				talking = false
			case <-time.After(time.Millisecond):
				_, err := c.Write(make([]byte, 1000))
				talking = err == nil
			}
		}
		<-heard
		eventually(t, "the end", func() bool { return d.Stats().Open == 0 })
	})
}

// The server hears what the client said last, and that it is gone.
func TestClientEnds(t *testing.T) {
	heard := make(chan []byte, 6)
	serve := func(c net.Conn) { b, _ := io.ReadAll(c); heard <- b }
	roads(t, serve, func(t *testing.T, d *door, c *client) {
		c.send(bytes.Repeat([]byte("x"), 300_000), []byte("X\x00\x00\x00\x04"))
		must(t, c.Close())
		select {
		case b := <-heard:
			if len(b) != 300_005 || !bytes.HasSuffix(b, []byte("X\x00\x00\x00\x04")) {
				t.Errorf("the server heard %d bytes", len(b))
			}
		case <-time.After(guard):
			t.Fatal("the server does not know")
		}
		eventually(t, "the end", func() bool { return d.Stats().Open == 0 })
	})
}

// A client that only stops writing still gets its answer.
func TestHalfClose(t *testing.T) {
	serve := func(c net.Conn) { b, _ := io.ReadAll(c); _, _ = fmt.Fprintf(c, "%d bytes", len(b)) }
	d := open(t, Options{}, serve)
	c := dial(t, d.unix).login()
	c.send([]byte("12345"))
	must(t, c.Conn.(*net.UnixConn).CloseWrite())
	if got := string(c.bytes(7)); got != "5 bytes" {
		t.Errorf("%q", got)
	}
	c.ended()
}

func TestServeEndsUnderJoined(t *testing.T) {
	roads(t, echo, func(t *testing.T, d *door, c *client) {
		c.says("hello")
		must(t, d.stop())
		c.ended()
	})
}

// A client that does not read neither blocks the end nor fills the memory.
func TestStuckClient(t *testing.T) {
	serve := func(c net.Conn) {
		for b := make([]byte, 64<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	roads(t, serve, func(t *testing.T, d *door, c *client) {
		time.Sleep(50 * time.Millisecond)
		must(t, d.stop())
	})
}

// A listener that somebody else closes is an error, and ends the rest.
func TestListenerClosedByAnother(t *testing.T) {
	ln, err := ListenTCP("127.0.0.1:0", Loopback)
	must(t, err)
	other, err := ListenUnix(t.TempDir(), 5432)
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- New(Options{User: user}).Serve(t.Context(), ln, other) }()
	must(t, ln.Close())
	select {
	case err := <-done:
		if !errors.Is(err, ErrListenerClosed) {
			t.Errorf("%v", err)
		}
	case <-time.After(guard):
		t.Fatal("Serve goes on")
	}
	if _, err := net.Dial("unix", other.Addr().String()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the other listener: %v", err)
	}
}
