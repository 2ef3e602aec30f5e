package emulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// gateway is the server that clients of the database connect to: it requires TLS,
// checks the token and relays between the client and the real Postgres.
type gateway struct {
	compute  *compute
	settings *settingsStore
	record   *recorder
	sign     *signer
	tls      *tls.Config
	state    *state
	label    string // of the first endpoint, for messages
	ctx      context.Context

	addr    string // fixed once the port is known
	release func() // of the port, see holdPort

	mu      sync.Mutex
	ln      net.Listener
	filler  net.Conn // the connection that fills the queue of a listener that drops others
	conns   map[net.Conn]struct{}
	serving sync.WaitGroup
}

// rebindTimeout bounds the wait for our own port in mode Refused, where
// something else could have taken it (not on Linux, see holdPort).
const rebindTimeout = 10 * time.Second

// start takes a port and listens.
func (g *gateway) start() (err error) {
	if g.addr, g.release, err = holdPort(); err != nil {
		return err
	}
	return g.listen(g.ctx)
}

// listen listens, and retries until it can.
func (g *gateway) listen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rebindTimeout)
	defer cancel()
	for {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", g.addr)
		if err == nil {
			g.mu.Lock()
			g.ln = ln
			g.mu.Unlock()
			g.serving.Go(func() { g.accept(ln) })
			return nil
		}
		if pause(ctx, 2*time.Millisecond) != nil {
			return fmt.Errorf("gateway: %w", err)
		}
	}
}

// closeListener closes the listening port; connections that were not accepted are
// reset.
func (g *gateway) closeListener() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ln != nil {
		_ = g.ln.Close()
		g.ln = nil
	}
	if g.filler != nil {
		_ = g.filler.Close()
		g.filler = nil
	}
}

// PortMode is how the gateway's port answers a TCP connection.
type PortMode string

// The modes. A dropped connection has no answer at all, as behind a firewall.
const (
	PortOpen    PortMode = "open"
	PortClosed  PortMode = "closed"
	PortDropped PortMode = "dropped"
)

// PortModes lists every mode.
func PortModes() []PortMode { return []PortMode{PortOpen, PortClosed, PortDropped} }

// setPort changes how the port answers; open connections stay.
func (g *gateway) setPort(mode PortMode) (err error) {
	g.closeListener()
	switch mode {
	case PortOpen:
		return g.listen(g.ctx)
	case PortDropped:
		g.mu.Lock()
		defer g.mu.Unlock()
		g.ln, g.filler, err = listenFull(g.ctx, g.addr)
	}
	return err
}

// drop closes every connection.
func (g *gateway) drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		_ = c.Close()
		delete(g.conns, c)
	}
}

// close ends the gateway and waits for its goroutines.
func (g *gateway) close() {
	g.closeListener()
	g.drop()
	g.serving.Wait()
	if g.release != nil {
		g.release()
	}
}

func (g *gateway) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if pause(g.ctx, 10*time.Millisecond) != nil {
				return
			}
			continue
		}
		if !g.track(c) {
			_ = c.Close()
			return
		}
		g.serving.Go(func() { g.serve(c) })
	}
}

// track registers a connection for drop. It returns false once the emulator ends.
func (g *gateway) track(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

func (g *gateway) forget(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// serve handles one connection: first the modes that act on TCP, then a login.
func (g *gateway) serve(c net.Conn) {
	l := Login{Time: time.Now()}
	if state, mode := g.compute.status(); state != Up && g.rejectAll(c.RemoteAddr()) == nil {
		switch mode {
		case Refused, Reset, Silent:
			g.compute.requestWake()
			if mode != Silent { // which stays open, unread, until the gateway drops it
				reset(c)
				g.forget(c)
			}
			g.recordLogin(l, "", string(mode))
			return
		}
	}
	defer g.forget(c)
	defer c.Close()
	g.login(c, l)
}

// rejectAll returns why every login from an address is rejected, or nil. It wakes
// nothing.
func (g *gateway) rejectAll(from net.Addr) error {
	switch s := g.settings.get(); {
	case s.IPNotAllowed:
		host, _, _ := net.SplitHostPort(from.String())
		return &refusal{"ERROR", "XX000", "This IP address " + host + " is not allowed to connect to this endpoint.", ""}
	case s.EndpointDisabled || g.state.disabled(""):
		return &refusal{"ERROR", "XX000", g.label + ": endpoint is disabled", ""}
	}
	return nil
}

// recordLogin records how a login ended.
func (g *gateway) recordLogin(l Login, sqlState, result string) {
	l.Decided, l.SQLState, l.Result = time.Now(), sqlState, result
	g.record.login(l)
}

// reset closes with RST, which is what a process that died leaves behind.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// relay copies bytes both ways until the server has closed. When the client closes its
// writing side, so does the server's; when the server closes, both close.
func relay(client, backend net.Conn) {
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, _ = io.Copy(backend, client)
		if u, ok := backend.(*net.UnixConn); ok {
			_ = u.CloseWrite()
		}
	}()
	_, _ = io.Copy(client, backend)
	_ = client.Close()
	_ = backend.Close()
	<-up
}
