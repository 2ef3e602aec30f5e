package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The ports to which the public client may be redirected (databricks-sdk-go
// credentials/u2m).
const (
	firstPort = 8020
	lastPort  = 8040
)

// Limits on what other programs may cost.
const (
	maxConns    = 32              // at once; the oldest is closed for the newest
	connTimeout = 5 * time.Second // from a connection's first byte to its last
	maxHeader   = 64 << 10        // browsers send the cookies of every localhost
)

// PortsError reports that no port of a range is free.
type PortsError struct {
	First, Last int
	Err         error // for the last port
}

func (e *PortsError) Error() string {
	return fmt.Sprintf("none of the ports %d to %d on 127.0.0.1 is free: %v", e.First, e.Last, e.Err)
}

func (e *PortsError) Unwrap() error { return e.Err }

// Hint returns what to do about it.
func (e *PortsError) Hint() string {
	return "end one of the programs that listen there: the workspace sends the browser back to these ports only"
}

// CallbackServer listens on loopback for the one redirect of a login (RFC 8252,
// 7.3). It sends nothing back that it received.
type CallbackServer struct {
	login    Login
	port     int
	server   http.Server
	serving  sync.WaitGroup // listeners
	handling sync.WaitGroup // requests

	mu       sync.Mutex
	conns    []net.Conn // the oldest first
	used     bool       // a redirect has counted, or the server is closed
	closed   bool
	result   callbackResult
	err      error
	resolved chan struct{} // closed when result or err is set
}

// Listen starts a server on the first free port of the public client. The error is a
// *PortsError. The server must be closed.
func (l Login) Listen() (*CallbackServer, error) { return l.ListenPorts(firstPort, lastPort) }

// ListenPorts is Listen for a range of ports.
func (l Login) ListenPorts(first, last int) (*CallbackServer, error) {
	return l.listen(first, last, connTimeout)
}

func (l Login) listen(first, last int, timeout time.Duration) (*CallbackServer, error) {
	failed := &PortsError{First: first, Last: last}
	for port := first; port <= last; port++ {
		listeners, err := listenLoopback(port)
		if err != nil {
			failed.Err = err
			continue
		}
		s := &CallbackServer{login: l, port: port, resolved: make(chan struct{})}
		s.server = http.Server{Handler: s, ReadTimeout: timeout, WriteTimeout: timeout, MaxHeaderBytes: maxHeader,
			DisableGeneralOptionsHandler: true, ConnState: s.limitConns}
		s.server.SetKeepAlivesEnabled(false)
		for _, ln := range listeners {
			s.serving.Go(func() { _ = s.server.Serve(retryListener{ln}) })
		}
		return s, nil
	}
	return nil, failed
}

// listenLoopback listens on 127.0.0.1 and, if there is IPv6, on ::1: a browser may
// try that first for localhost, and find another program there.
func listenLoopback(port int) ([]net.Listener, error) {
	four, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	six, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port))
	if err == nil {
		return []net.Listener{four, six}, nil
	}
	if other, noIPv6 := net.Listen("tcp6", "[::1]:0"); noIPv6 == nil { // only this port is taken
		_ = other.Close()
		_ = four.Close()
		return nil, err
	}
	return []net.Listener{four}, nil
}

// retryListener retries errors that may pass, such as too many open files.
type retryListener struct{ net.Listener }

func (l retryListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// limitConns closes the oldest connection if there are too many: silent ones must
// not keep the browser out.
func (s *CallbackServer) limitConns(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(s.conns) >= maxConns {
			_ = s.conns[0].Close()
			s.conns = s.conns[1:]
		}
		s.conns = append(s.conns, conn)
	case http.StateClosed:
		s.conns = slices.DeleteFunc(s.conns, func(c net.Conn) bool { return c == conn })
	}
}

// RedirectURI returns the address to which the browser is redirected:
// http://localhost:PORT.
func (s *CallbackServer) RedirectURI() string { return fmt.Sprintf("http://localhost:%d", s.port) }

// Wait returns the redirect. Requests that are not this login's are refused and do
// not end the wait. The error is a *DeniedError, ErrClosed, or the context's.
func (s *CallbackServer) Wait(ctx context.Context) (Redirect, error) {
	select {
	case <-s.resolved:
	case <-ctx.Done():
		select {
		case <-s.resolved: // both: the code counts
		default:
			return Redirect{}, ctx.Err()
		}
	}
	switch {
	case s.err != nil:
		return Redirect{}, s.err
	case s.result.denied != nil:
		return Redirect{}, s.result.denied
	}
	return s.result.redirect, nil
}

// Paste passes on what a user has pasted. An error of Login.ParsePasted does not end
// the wait. After a redirect that counted, and after Close, the error is errUsed.
func (s *CallbackServer) Paste(text string) error {
	redirect, err := s.login.ParsePasted(text)
	if err != nil {
		return err
	}
	if !s.claim() {
		return errUsed
	}
	s.resolve(callbackResult{redirect: redirect}, nil)
	return nil
}

// Close ends the server and the wait. Pages that are being sent are finished.
func (s *CallbackServer) Close() {
	s.claim()
	s.resolve(callbackResult{}, ErrClosed)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.handling.Wait()
	_ = s.server.Close()
	s.serving.Wait()
}

// claim reports whether the caller's redirect is the first one that counts.
func (s *CallbackServer) claim() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.used
	s.used = true
	return first
}

// resolve ends the wait. The first result stays.
func (s *CallbackServer) resolve(result callbackResult, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.resolved:
	default:
		s.result, s.err = result, err
		close(s.resolved)
	}
}

// ServeHTTP answers one request, and ends the wait if it is the login's redirect.
func (s *CallbackServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		return
	}
	defer s.handling.Done()
	result, status := s.login.parseCallback(r, s.port)
	counts := status == http.StatusOK || result.denied != nil
	if counts && !s.claim() {
		counts, status = false, http.StatusGone
	}
	text := pageOther
	switch {
	case status == http.StatusGone:
		text = pageUsed
	case result.denied != nil:
		text = pageDenied
	case status == http.StatusOK:
		text = pageDone
	}
	h := w.Header()
	for name, value := range pageHeader {
		h.Set(name, value)
	}
	if status == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodGet)
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, page, text)
	_ = http.NewResponseController(w).Flush() // before Close
	if counts {
		s.resolve(result, nil)
	}
}

// begin counts a request, unless the server is closed.
func (s *CallbackServer) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.handling.Add(1)
	}
	return !s.closed
}

// parseCallback judges a request: 200 for this login's code, 403 with a result for
// this login's refusal, 4xx for everything else.
func (l Login) parseCallback(r *http.Request, port int) (callbackResult, int) {
	switch {
	case r.ContentLength != 0 || len(r.TransferEncoding) != 0:
		return callbackResult{}, http.StatusBadRequest
	case r.Method != http.MethodGet:
		return callbackResult{}, http.StatusMethodNotAllowed
	case r.URL.Scheme != "" || r.URL.Host != "" || !strings.EqualFold(r.Host, fmt.Sprintf("localhost:%d", port)):
		return callbackResult{}, http.StatusMisdirectedRequest // another name for this address is an attack
	case r.URL.Path != "/" || r.URL.RawPath != "":
		return callbackResult{}, http.StatusNotFound
	}
	result, err := l.parseQuery(r.URL.RawQuery)
	switch {
	case err != nil:
		return callbackResult{}, http.StatusBadRequest
	case result.denied != nil:
		return result, http.StatusForbidden
	}
	return result, http.StatusOK
}

// The pages contain nothing that was received, no script and nothing to load.
const (
	page       = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>lakebase-credential-helper</title><p>%s</p></html>\n"
	pageDone   = "The browser's part of the login is done. You can close this page and return to the terminal."
	pageDenied = "The login was refused. You can close this page; the terminal shows the reason."
	pageUsed   = "This login has already been answered. You can close this page."
	pageOther  = "This is not the answer to a login in progress."
)

var pageHeader = map[string]string{
	"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
