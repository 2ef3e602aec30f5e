package supervisor

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// The limits of the probe server.
const (
	maxConns     = 64      // others wait in the system's queue
	maxHeader    = 8 << 10 // net/http allows 4 KiB more
	probeTimeout = 5 * time.Second
)

// probeHandler answers GET and HEAD requests for /metrics (see writeMetrics) and, each with
// one line of text, for
//
//	/startup    200 once State.Started is true
//	/readiness  200 while a new login would succeed: started, and the token is valid
//	/liveness   200 while State.Beat is not older than 30 s
//
// and 503 with the reason otherwise. state is called for each request, from any
// goroutine, and must not block.
func probeHandler(state func() State) http.Handler {
	mux := http.NewServeMux()
	handle := func(path, good, bad string, why func(State) string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			if reason := why(state()); reason != "" {
				http.Error(w, bad+": "+reason, http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, good+"\n")
		})
	}
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", metricsType)
		writeMetrics(w, state())
	})
	handle("/startup", "started", "not started", func(s State) string {
		if s.Started {
			return ""
		}
		return "no login has succeeded yet, or the command was not started"
	})
	handle("/readiness", "ready", "not ready", func(s State) string { return s.notReady(time.Now()) })
	handle("/liveness", "alive", "not alive", func(s State) string { return s.notAlive(time.Now()) })
	return mux
}

// ServeProbes answers health probes and serves metrics on ln until ctx ends. Errors: the listener's.
func ServeProbes(ctx context.Context, ln net.Listener, state func() State) error {
	server := &http.Server{
		Handler: probeHandler(state), ReadTimeout: probeTimeout, WriteTimeout: probeTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	server.SetKeepAlivesEnabled(false)
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	err := server.Serve(netutil.LimitListener(ln, maxConns))
	_ = server.Close()
	if ctx.Err() != nil {
		return nil
	}
	return err
}
