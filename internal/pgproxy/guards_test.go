package pgproxy

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// limited is a connection that remembers the deadlines that it was given. One that
// is patient does not keep those for reading.
type limited struct {
	net.Conn
	patient     bool
	mu          sync.Mutex
	read, write time.Time
}

func (l *limited) SetDeadline(t time.Time) error {
	l.mu.Lock()
	l.read, l.write = t, t
	l.mu.Unlock()
	return l.Conn.SetDeadline(t)
}

func (l *limited) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	l.read = t
	l.mu.Unlock()
	if l.patient {
		return nil
	}
	return l.Conn.SetReadDeadline(t)
}

func (l *limited) SetWriteDeadline(t time.Time) error {
	l.mu.Lock()
	l.write = t
	l.mu.Unlock()
	return l.Conn.SetWriteDeadline(t)
}

func (l *limited) deadlines() (read, write time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read, l.write
}

// gate is a listener whose connections are limited.
type gate struct {
	net.Listener
	accepted chan *limited
}

func (g gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l := &limited{Conn: c}
	g.accepted <- l
	return l, nil
}

// A session has no limit of time, once it is one.
func TestSessionHasNoDeadline(t *testing.T) {
	up := &fake{db: newDatabase(t, echo)}
	ln, err := ListenTCP("127.0.0.1:0", Loopback)
	must(t, err)
	g := gate{ln, make(chan *limited, 1)}
	p := New(Options{User: user, Password: credential.NewSecret(password), Upstream: up})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, g) }()
	c := dial(t, ln.Addr().String())
	l := <-g.accepted
	eventually(t, "a start-up has a limit", func() bool { read, write := l.deadlines(); return !read.IsZero() && !write.IsZero() })
	c.login().says("once")
	if read, write := l.deadlines(); !read.IsZero() || !write.IsZero() {
		t.Errorf("a session ends at %v (reading) or %v (writing)", read, write)
	}
	_ = c.Close()
	cancel()
	must(t, <-served)
}

// joined is a client and a server that are joined, and their far ends. Reads of the
// joined do not end by a deadline, so that what the far ends see was told to them.
func joined(t *testing.T) (client, server *limited, clientEnd, serverEnd net.Conn, done chan struct{}) {
	t.Helper()
	pair := func() (*limited, net.Conn) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer func() { _ = ln.Close() }()
		far, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		near, err := ln.Accept()
		must(t, err)
		t.Cleanup(func() { _ = far.Close(); _ = near.Close() })
		return &limited{Conn: near, patient: true}, far
	}
	client, clientEnd = pair()
	server, serverEnd = pair()
	done = make(chan struct{})
	go func() {
		defer close(done)
		join(closesWrite{client}, closesWrite{server}, nil, func() bool { return false })
	}()
	return client, server, clientEnd, serverEnd, done
}

// closesWrite can end what the peer reads, as every connection of ours can.
type closesWrite struct{ *limited }

func (c closesWrite) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// A client that stays when its server has gone is told at once, and waited for
// within a bound.
func TestEndOfTheServerIsTold(t *testing.T) {
	client, _, clientEnd, serverEnd, done := joined(t)
	_, err := serverEnd.Write([]byte("last words"))
	must(t, err)
	_ = serverEnd.Close()
	_ = clientEnd.SetReadDeadline(time.Now().Add(guard))
	if got, err := io.ReadAll(clientEnd); err != nil || string(got) != "last words" {
		t.Errorf("the client reads %q, %v", got, err)
	}
	eventually(t, "the client's end is bounded", func() bool { read, _ := client.deadlines(); return !read.IsZero() })
	if read, _ := client.deadlines(); time.Until(read) > farewellTime {
		t.Errorf("the client may stay until %v", read)
	}
	_ = clientEnd.Close()
	<-done
}

// A server that stays when its client has gone is told at once, and waited for
// within a bound.
func TestEndOfTheClientIsTold(t *testing.T) {
	_, server, clientEnd, serverEnd, done := joined(t)
	_, err := clientEnd.Write([]byte("last words"))
	must(t, err)
	_ = clientEnd.Close()
	_ = serverEnd.SetReadDeadline(time.Now().Add(guard))
	if got, err := io.ReadAll(serverEnd); err != nil || string(got) != "last words" {
		t.Errorf("the server reads %q, %v", got, err)
	}
	eventually(t, "the server's end is bounded", func() bool { read, _ := server.deadlines(); return !read.IsZero() })
	if read, _ := server.deadlines(); time.Until(read) > drainTime {
		t.Errorf("the server may stay until %v", read)
	}
	_ = serverEnd.Close()
	<-done
}
