package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// The ports to which the public client may be redirected (databricks-sdk-go
// credentials/u2m).
const (
	firstPort = 8020
	lastPort  = 8040
)

// Bounds on a request.
const (
	connTimeout = 5 * time.Second
	maxHeader   = 64 << 10 // browsers send the cookies of every localhost
)

// CallbackServer listens on loopback for the one redirect of a login (RFC 8252,
// 7.3). It sends nothing back that it received.
type CallbackServer struct {
	login    Login
	port     int
	server   http.Server
	serving  sync.WaitGroup
	claimed  atomic.Bool   // a redirect has counted, or the server is closed
	resolved chan struct{} // closed when code and err are set
	code     credential.Secret
	err      error
}

// Listen starts a server on the first free port of the public client. It must be closed.
func (l Login) Listen() (*CallbackServer, error) { return l.ListenPorts(firstPort, lastPort) }

// ListenPorts is Listen for a range of ports.
func (l Login) ListenPorts(first, last int) (*CallbackServer, error) {
	var failed error
	for port := first; port <= last; port++ {
		listeners, err := listenLoopback(port)
		if err != nil {
			failed = err
			continue
		}
		s := &CallbackServer{login: l, port: port, resolved: make(chan struct{})}
		s.server = http.Server{Handler: s, ReadTimeout: connTimeout, WriteTimeout: connTimeout, MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true}
		s.server.SetKeepAlivesEnabled(false)
		for _, ln := range listeners {
			s.serving.Go(func() { _ = s.server.Serve(ln) })
		}
		return s, nil
	}
	return nil, fmt.Errorf("none of the ports %d to %d on 127.0.0.1 is free: %w", first, last, failed)
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

// RedirectURI returns the address to which the browser is redirected:
// http://localhost:PORT.
func (s *CallbackServer) RedirectURI() string { return fmt.Sprintf("http://localhost:%d", s.port) }

// Wait returns the code of the redirect. Requests that are not this login's are
// refused and do not end the wait. The error is a *DeniedError, the context's, or that
// of a closed server.
func (s *CallbackServer) Wait(ctx context.Context) (credential.Secret, error) {
	select {
	case <-s.resolved:
	case <-ctx.Done():
		if !s.claimed.Load() { // else the code counts
			return credential.Secret{}, ctx.Err()
		}
		<-s.resolved
	}
	return s.code, s.err
}

// Paste passes on what a user has pasted. An error does not end the wait.
func (s *CallbackServer) Paste(text string) error {
	code, err := s.login.ParsePasted(text)
	if err == nil && !s.claim() {
		err = errUsed
	}
	if err == nil {
		s.resolve(code, nil)
	}
	return err
}

// Close ends the server and the wait. The page of the redirect that counts has been
// sent when Wait returns.
func (s *CallbackServer) Close() {
	if s.claim() {
		s.resolve(credential.Secret{}, errClosed)
	}
	_ = s.server.Close()
	s.serving.Wait()
}

// claim reports whether the caller is the one that may resolve the wait.
func (s *CallbackServer) claim() bool { return s.claimed.CompareAndSwap(false, true) }

func (s *CallbackServer) resolve(code credential.Secret, err error) {
	s.code, s.err = code, err
	close(s.resolved)
}

// ServeHTTP answers one request, and ends the wait if it is the login's redirect.
func (s *CallbackServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code, status, err := s.login.parseCallback(r, s.port)
	counts := status == http.StatusOK || status == http.StatusForbidden
	if counts && !s.claim() {
		counts, status = false, http.StatusGone
	}
	body := fmt.Sprintf(page, cmp.Or(pages[status], pageOther))
	h := w.Header()
	for name, value := range pageHeader {
		h.Set(name, value)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if status == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodGet)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	_ = http.NewResponseController(w).Flush() // before Close
	if counts {
		s.resolve(code, err)
	}
}

// parseCallback judges a request: 200 for this login's code, 403 with an error for
// this login's refusal, 4xx for everything else.
func (l Login) parseCallback(r *http.Request, port int) (code credential.Secret, status int, err error) {
	switch {
	case r.ContentLength != 0 || len(r.TransferEncoding) != 0:
		return code, http.StatusBadRequest, nil
	case r.Method != http.MethodGet:
		return code, http.StatusMethodNotAllowed, nil
	case r.URL.Scheme != "" || r.URL.Host != "" || !strings.EqualFold(r.Host, fmt.Sprintf("localhost:%d", port)):
		return code, http.StatusMisdirectedRequest, nil // another name for this address is an attack
	case r.URL.Path != "/" || r.URL.RawPath != "":
		return code, http.StatusNotFound, nil
	}
	code, err = l.parseQuery(r.URL.RawQuery)
	var denied *DeniedError
	switch {
	case errors.As(err, &denied):
		return code, http.StatusForbidden, err
	case err != nil:
		return code, http.StatusBadRequest, nil
	}
	return code, http.StatusOK, nil
}

// The pages contain nothing that was received, no script and nothing to load.
const (
	page      = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>lakebase-credential-helper</title><p>%s</p></html>\n"
	pageOther = "This is not the answer to a login in progress."
)

var pages = map[int]string{
	http.StatusOK:        "The browser's part of the login is done. You can close this page and return to the terminal.",
	http.StatusForbidden: "The login was refused. You can close this page; the terminal shows the reason.",
	http.StatusGone:      "This login has already been answered. You can close this page.",
}

var pageHeader = map[string]string{
	"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
