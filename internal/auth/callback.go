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
	FirstPort = 8020
	LastPort  = 8040
)

// Bounds on a request.
const (
	connTimeout = 5 * time.Second
	maxHeader   = 64 << 10 // browsers send the cookies of every localhost
)

// CallbackServer listens on loopback for the one redirect of a login (RFC 8252,
// 7.3). It sends nothing back that it received.
type CallbackServer struct {
	login   *Login
	port    int
	server  http.Server
	serving sync.WaitGroup
	claimed atomic.Bool   // a redirect or a pasted one counts
	result  chan redirect // the one that counts
}

// redirect is the result of a login: a code, or a *DeniedError.
type redirect struct {
	code credential.Secret
	err  error
}

// Listen starts a server on the first free port from first to last. It must be closed.
func (l *Login) Listen(first, last int) (*CallbackServer, error) {
	var failed error
	for port := first; port <= last; port++ {
		listeners, err := listenLoopback(port)
		if err != nil {
			failed = err
			continue
		}
		s := &CallbackServer{login: l, port: port, result: make(chan redirect, 1)}
		s.server = http.Server{Handler: s, ReadTimeout: connTimeout, WriteTimeout: connTimeout, MaxHeaderBytes: maxHeader}
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
// refused and do not end the wait. The error is a *DeniedError, or the cause of the
// context's end.
func (s *CallbackServer) Wait(ctx context.Context) (credential.Secret, error) {
	select {
	case r := <-s.result:
		return r.code, r.err
	case <-ctx.Done():
		return credential.Secret{}, context.Cause(ctx)
	}
}

// Paste takes a redirect that a user has pasted. It returns an error for one that is
// not this login's, which does not end the wait.
func (s *CallbackServer) Paste(text string) error {
	code, err := s.login.ParsePasted(text)
	switch {
	case !isAnswer(err):
		return err
	case !s.claimed.CompareAndSwap(false, true):
		return errUsed
	}
	s.result <- redirect{code, err}
	return nil
}

// Close stops the server. The page of the redirect that counts has been sent when Wait
// returns.
func (s *CallbackServer) Close() {
	_ = s.server.Close()
	s.serving.Wait()
}

// isAnswer reports whether err, an error of parseQuery, is this login's answer.
func isAnswer(err error) bool { return err == nil || errors.As(err, new(*DeniedError)) }

// ServeHTTP answers one request, and ends the wait if it is the login's redirect.
func (s *CallbackServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code, err := s.parseRequest(r)
	status := http.StatusOK
	switch {
	case !isAnswer(err):
		status = http.StatusNotFound
	case !s.claimed.CompareAndSwap(false, true):
		status = http.StatusGone
	case err != nil:
		status = http.StatusForbidden
	}
	body := fmt.Sprintf(page, cmp.Or(pages[status], pageOther))
	h := w.Header()
	for name, value := range pageHeader {
		h.Set(name, value)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	_ = http.NewResponseController(w).Flush() // before Close
	if status == http.StatusOK || status == http.StatusForbidden {
		s.result <- redirect{code, err}
	}
}

// parseRequest returns what parseQuery does for a request to RedirectURI. Another name
// for this address is an attack.
func (s *CallbackServer) parseRequest(r *http.Request) (code credential.Secret, err error) {
	if r.Method != http.MethodGet || !strings.EqualFold(r.Host, fmt.Sprintf("localhost:%d", s.port)) || r.URL.Path != "/" {
		return code, errNotRedirect
	}
	return s.login.parseQuery(r.URL.RawQuery)
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
