package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// The server's limits.
const (
	maxConns    = 64 // at once; others wait in the system's queue
	maxHeader   = 8 << 10
	readFor     = 5 * time.Second
	writeFor    = 5 * time.Second
	idleFor     = 30 * time.Second
	politeFor   = 500 * time.Millisecond // at the end, for answers under way
	farewellFor = 900 * time.Millisecond // at the end, in all
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
	h := &handler{state: state, since: time.Now()}
	var conns sync.WaitGroup
	srv := &http.Server{
		Handler: h, MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: readFor, ReadTimeout: readFor, WriteTimeout: writeFor, IdleTimeout: idleFor,
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed:
				conns.Done()
			}
		},
	}
	// Nothing here may log, so package log is not imported; but without a logger
	// net/http would use the one that writes to stderr.
	made(&srv.ErrorLog).SetOutput(io.Discard)
	// Probes come seldom: a connection that stays open only takes another's place.
	srv.SetKeepAlivesEnabled(false)

	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(netutil.LimitListener(ln, maxConns)) }()
	var err error
	select {
	case <-ctx.Done():
		stop(srv)
		<-ended
	case err = <-ended:
		stop(srv)
	}
	within(farewellFor-politeFor, conns.Wait)
	return err
}

func made[T any](p **T) *T {
	*p = new(T)
	return *p
}

// stop lets answers under way go out, and closes what is left.
func stop(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), politeFor)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close()
	}
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
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code, line := h.answer(r.Method, r.URL.Path)
	head := w.Header()
	head.Set("Content-Type", "text/plain; charset=utf-8")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", "no-store")
	head.Set("Content-Length", strconv.Itoa(len(line)+1))
	if code == http.StatusMethodNotAllowed {
		head.Set("Allow", "GET, HEAD")
	}
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, line) // nothing of it goes out after HEAD
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
