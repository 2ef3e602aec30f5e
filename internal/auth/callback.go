package auth

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// The ports that the public client may be sent back to (databricks-sdk-go
// credentials/u2m).
const (
	FirstPort = 8020
	LastPort  = 8040
)

// Bounds on what strangers may cost.
const (
	maxConns    = 32              // connections at once; the oldest makes room for the newest
	connTimeout = 5 * time.Second // for a connection, from its first byte to its last
	maxHeader   = 64 << 10        // a browser sends the cookies of every localhost
	maxDrain    = 2 << 20         // read and thrown away, so that an answer arrives
)

// Options are for tests and for those who know their ports. All may be zero.
type Options struct {
	First, Last int           // the ports to try; FirstPort to LastPort
	ConnTimeout time.Duration // for one connection; 5 s
	// Listen opens a listener; net.Listen.
	Listen func(network, address string) (net.Listener, error)
}

// CallbackServer listens on loopback for the one redirect of a login.
type CallbackServer struct {
	login       Login
	port        int
	connTimeout time.Duration
	listeners   []net.Listener
	running     sync.WaitGroup

	mu      sync.Mutex
	conns   []net.Conn // in the order of their coming
	closed  bool
	used    bool // a redirect has counted
	outcome answer
	err     error
	settled chan struct{} // closed when outcome or err is there
}

// Open takes the first free port, and listens at once. The error is a
// *PortsError. Close the door.
func (l Login) Open(o Options) (*CallbackServer, error) {
	if o.First == 0 {
		o.First, o.Last = FirstPort, LastPort
	}
	if o.ConnTimeout <= 0 {
		o.ConnTimeout = connTimeout
	}
	if o.Listen == nil {
		o.Listen = net.Listen
	}
	var last error
	for port := o.First; port <= o.Last; port++ {
		listeners, err := listenBoth(o.Listen, port)
		if err != nil {
			last = err
			continue
		}
		d := &CallbackServer{login: l, port: port, connTimeout: o.ConnTimeout, listeners: listeners, settled: make(chan struct{})}
		for _, in := range listeners {
			d.running.Go(func() { d.accept(in) })
		}
		return d, nil
	}
	return nil, &PortsError{First: o.First, Last: o.Last, Err: last}
}

// listenBoth listens on 127.0.0.1 and, where there is one, on ::1: a browser may
// try that first for localhost, and find somebody else there.
func listenBoth(listen func(network, address string) (net.Listener, error), port int) ([]net.Listener, error) {
	four, err := listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	six, err := listen("tcp6", fmt.Sprintf("[::1]:%d", port))
	if err == nil {
		return []net.Listener{four, six}, nil
	}
	if other, none := listen("tcp6", "[::1]:0"); none == nil { // so it is this port that is taken
		_ = other.Close()
		_ = four.Close()
		return nil, err
	}
	return []net.Listener{four}, nil
}

// RedirectURI is where the browser is to be sent: http://localhost:PORT.
func (d *CallbackServer) RedirectURI() string { return fmt.Sprintf("http://localhost:%d", d.port) }

// Wait waits for the redirect. What is not this login's is turned away and waited
// on. The error is a *DeniedError, ErrClosed, ErrNoDeadline, or the context's.
func (d *CallbackServer) Wait(ctx context.Context) (Redirect, error) {
	if _, ok := ctx.Deadline(); !ok {
		return Redirect{}, ErrNoDeadline
	}
	select {
	case <-d.settled:
	case <-ctx.Done():
		select {
		case <-d.settled: // both: the code is worth more
		default:
			return Redirect{}, ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.err != nil:
		return Redirect{}, d.err
	case d.outcome.denied != nil:
		return Redirect{}, d.outcome.denied
	}
	return d.outcome.redirect, nil
}

// Paste gives Wait what a person has pasted. Anything but this login's redirect
// is an error of Login.ParsePasted, and Wait goes on; after the first redirect
// that counts, and after Close, it is ErrUsed.
func (d *CallbackServer) Paste(text string) error {
	redirect, err := d.login.ParsePasted(text)
	if err != nil {
		return err
	}
	if !d.use() {
		return ErrUsed
	}
	d.settle(answer{redirect: redirect}, nil)
	return nil
}

// Close closes the door and all connections, and returns when nothing is left.
func (d *CallbackServer) Close() {
	d.mu.Lock()
	d.closed = true
	conns := d.conns
	d.conns = nil
	d.mu.Unlock()
	for _, l := range d.listeners {
		_ = l.Close()
	}
	for _, v := range conns {
		_ = v.Close()
	}
	d.settle(answer{}, ErrClosed)
	d.running.Wait()
}

// use says yes to the first redirect that counts, and to no other.
func (d *CallbackServer) use() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.used && !d.closed
	d.used = true
	return first
}

// settle ends the wait; the first one stays.
func (d *CallbackServer) settle(a answer, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.settled:
	default:
		d.outcome, d.err = a, err
		close(d.settled)
	}
}
