package health

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The server's limits.
const (
	maxConns    = 64 // at once; others wait in the system's queue
	maxRequest  = 12 << 10
	readFor     = 5 * time.Second
	writeFor    = 5 * time.Second
	lingerFor   = 500 * time.Millisecond // for a client to read why, while it still sends
	lingerBytes = 256 << 10
	politeFor   = 500 * time.Millisecond // at the end, for answers under way
	farewellFor = 900 * time.Millisecond // at the end, in all
	acceptPause = 50 * time.Millisecond  // after an error that passes, such as too many files
)

// Serve answers GET and HEAD of three paths, each with one line of text, until
// ctx ends, which is no error, and then closes the listener and every connection
// within a second:
//
//	/startup    200 once State.Started was true
//	/readiness  200 while a new login would work: started, and the token lives
//	/liveness   200 while State.Beat is not older than 30 s
//
// and 503 with the reason otherwise. state is called for each request, from any
// goroutine, and must not block. Errors: the listener's.
func Serve(ctx context.Context, ln net.Listener, state func() State) error {
	// The library's request parser, and not its server: one answer and a close is
	// all that probes want, and the server with its HTTP/2 is half a megabyte.
	h := &handler{state: state, since: time.Now(), open: map[net.Conn]bool{}, places: make(chan struct{}, maxConns)}
	ended := make(chan error, 1)
	go func() { ended <- h.accept(ctx, ln) }()
	var err error
	select {
	case <-ctx.Done():
		_ = ln.Close()
		<-ended
	case err = <-ended:
		_ = ln.Close()
	}
	h.each(func(c net.Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	within(politeFor, h.conns.Wait)
	h.each(func(c net.Conn) { _ = c.Close() })
	within(farewellFor-politeFor, h.conns.Wait)
	return err
}

func (h *handler) accept(ctx context.Context, ln net.Listener) error {
	for {
		select {
		case h.places <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		c, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			<-h.places
			time.Sleep(acceptPause)
			continue
		}
		h.mu.Lock()
		h.open[c] = true
		h.mu.Unlock()
		h.conns.Go(func() { h.serve(c) })
	}
}

func (h *handler) each(do func(net.Conn)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.open {
		do(c)
	}
}

// serve answers one request.
func (h *handler) serve(c net.Conn) {
	defer func() {
		_ = recover() // of state's: it costs the asker the answer, and nobody else anything
		_ = c.Close()
		h.mu.Lock()
		delete(h.open, c)
		h.mu.Unlock()
		<-h.places
	}()
	_ = c.SetReadDeadline(time.Now().Add(readFor))
	in := &io.LimitedReader{R: c, N: maxRequest}
	r, err := http.ReadRequest(bufio.NewReader(in))
	switch {
	case err == nil:
		code, line := h.answer(r.Method, r.URL.Path)
		reply(c, code, line, r.Method == http.MethodHead)
		if r.ContentLength == 0 {
			return
		}
	case in.N <= 0:
		reply(c, http.StatusRequestHeaderFieldsTooLarge, "the request is too large", false)
	case !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		reply(c, http.StatusBadRequest, "that is no request", false)
	}
	linger(c)
}

// linger reads on for a while: a socket that is closed with unread bytes in it may
// lose what was sent.
func linger(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_ = c.SetReadDeadline(time.Now().Add(lingerFor))
	_, _ = io.CopyN(io.Discard, c, lingerBytes)
}

// reply sends one answer, the last of its connection.
func reply(c net.Conn, code int, line string, headOnly bool) {
	text := fmt.Sprintf("HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"+
		"Cache-Control: no-store\r\nConnection: close\r\nContent-Length: %d\r\n", code, http.StatusText(code), time.Now().UTC().Format(http.TimeFormat), len(line)+1)
	if code == http.StatusMethodNotAllowed {
		text += "Allow: GET, HEAD\r\n"
	}
	text += "\r\n"
	if !headOnly {
		text += line + "\n"
	}
	_ = c.SetWriteDeadline(time.Now().Add(writeFor))
	_, _ = io.WriteString(c, text)
}

// within waits for f, but not for longer than d.
func within(d time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

type handler struct {
	state   func() State
	since   time.Time
	started atomic.Bool // a restart of the child does not take it back

	places chan struct{}
	mu     sync.Mutex
	open   map[net.Conn]bool
	conns  sync.WaitGroup
}

func (h *handler) answer(method, path string) (code int, line string) {
	switch path {
	case "/startup", "/readiness", "/liveness":
	default:
		return http.StatusNotFound, "there are /startup, /readiness and /liveness"
	}
	if method != http.MethodGet && method != http.MethodHead {
		return http.StatusMethodNotAllowed, "GET and HEAD only"
	}
	s, now := h.state(), time.Now()
	if s.Started {
		h.started.Store(true)
	}
	s.Started = h.started.Load()
	var good, bad, why string
	switch path {
	case "/startup":
		good, bad = "started", "not started"
		if !s.Started {
			why = "no login has worked yet, or the command was not started"
		}
	case "/readiness":
		good, bad, why = "ready", "not ready", s.unready(now)
	default:
		good, bad, why = "alive", "not alive", s.dead(h.since, now)
	}
	if why != "" {
		return http.StatusServiceUnavailable, bad + ": " + why
	}
	return http.StatusOK, good
}
