package supervisor

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// The limits of the probe server.
const (
	maxConns        = 64      // others wait in the system's queue
	maxHeader       = 8 << 10 // net/http allows 4 KiB more
	readTimeout     = 5 * time.Second
	writeTimeout    = 5 * time.Second
	shutdownTimeout = 500 * time.Millisecond // for answers in progress
)

// serveProbes answers GET and HEAD requests for three paths, each with one line of
// text, until ctx ends:
//
//	/startup    200 once State.Started was true
//	/readiness  200 while a new login would succeed: started, and the token is valid
//	/liveness   200 while State.Beat is not older than 30 s
//
// and 503 with the reason otherwise. state is called for each request, from any
// goroutine, and must not block. Errors: the listener's.
func serveProbes(ctx context.Context, ln net.Listener, state func() State) error {
	server := &http.Server{
		Handler:     &probes{state: state, since: time.Now()},
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(io.Discard, "", 0), DisableGeneralOptionsHandler: true,
	}
	server.SetKeepAlivesEnabled(false)
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		wait, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		_ = server.Shutdown(wait)
		_ = server.Close()
	})
	err := server.Serve(netutil.LimitListener(ln, maxConns))
	if stop() {
		_ = server.Close()
		return err
	}
	<-stopped
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return err
}

type probes struct {
	state   func() State
	since   time.Time
	started atomic.Bool // a restart of the command does not reset it
}

func (p *probes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	code, line := p.answer(r.Method, r.URL.Path)
	if code == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD")
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, line+"\n")
}

func (p *probes) answer(method, path string) (code int, line string) {
	switch path {
	case "/startup", "/readiness", "/liveness":
	default:
		return http.StatusNotFound, "not found; the paths are /startup, /readiness and /liveness"
	}
	if method != http.MethodGet && method != http.MethodHead {
		return http.StatusMethodNotAllowed, "GET and HEAD only"
	}
	s, now := p.state(), time.Now()
	if s.Started {
		p.started.Store(true)
	}
	s.Started = p.started.Load()
	var good, bad, why string
	switch path {
	case "/startup":
		good, bad = "started", "not started"
		if !s.Started {
			why = "no login has succeeded yet, or the command was not started"
		}
	case "/readiness":
		good, bad, why = "ready", "not ready", s.notReady(now)
	default:
		good, bad, why = "alive", "not alive", s.notAlive(p.since, now)
	}
	if why != "" {
		return http.StatusServiceUnavailable, bad + ": " + why
	}
	return http.StatusOK, good
}
