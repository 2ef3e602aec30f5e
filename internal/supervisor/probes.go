package supervisor

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strconv"
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

// metricsType is the content type of Prometheus' text format.
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// writeMetrics writes s in Prometheus' text format. The number of lines does not depend on
// clients, and no label has a value from outside this program. The format is written by
// hand: client_golang adds 2.5 MB and 0.7 ms to each start of a program, and
// VictoriaMetrics/metrics 0.2 ms, and it writes no help texts.
func writeMetrics(w io.Writer, s State) {
	head := func(name, kind, help string) { fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	value := func(sample string, v float64) { fmt.Fprintf(w, "%s %s\n", sample, strconv.FormatFloat(v, 'f', -1, 64)) }
	gauge := func(name string, v float64, help string) { head(name, "gauge", help); value(name, v) }
	counter := func(name string, n int, help string) { head(name, "counter", help); value(name, float64(n)) }

	head("lakebase_build_info", "gauge", "Version of the program; always 1.")
	value(fmt.Sprintf("lakebase_build_info{version=%q,goversion=%q}", s.Version, runtime.Version()), 1)
	gauge("lakebase_start_time_seconds", unixSeconds(s.StartedAt), "Start of the process, in Unix time.")
	ready := 0.0
	if s.notReady(time.Now()) == "" {
		ready = 1
	}
	gauge("lakebase_ready", ready, "Whether a new login would succeed, as /readiness.")
	if !s.TokenExpiresAt.IsZero() {
		gauge("lakebase_token_issued_timestamp_seconds", unixSeconds(s.TokenMintedAt), "When the current database token was issued, in Unix time.")
		gauge("lakebase_token_expiry_timestamp_seconds", unixSeconds(s.TokenExpiresAt), "When the current database token expires, in Unix time.")
	}
	counter("lakebase_token_refreshes_total", s.Refreshes, "Token refreshes that succeeded.")
	counter("lakebase_token_refresh_failures_total", s.FailedRefreshes, "Token refreshes that failed.")
	counter("lakebase_command_restarts_total", s.Restarts, "Restarts of the command by --on-refresh restart.")
	if s.Mode != "proxy" {
		return
	}
	counter("lakebase_proxy_logins_total", s.Logins, "Logins of clients that succeeded.")
	counter("lakebase_proxy_login_failures_total", s.FailedLogins, "Logins of clients that failed, wrong passwords included.")
	const wakes = "lakebase_proxy_wake_duration_seconds"
	head(wakes, "summary", "Wakes of a suspended compute: how many, and how long logins waited.")
	value(wakes+"_sum", s.WakeTime.Seconds())
	value(wakes+"_count", float64(s.Wakes))
	gauge("lakebase_proxy_open_connections", float64(s.OpenConnections), "Connections of clients that are logged in.")
	gauge("lakebase_proxy_waiting_logins", float64(s.WaitingLogins), "Logins in progress at the database.")
	const relayed = "lakebase_proxy_relayed_bytes_total"
	head(relayed, "counter", "Bytes relayed after the login.")
	value(relayed+`{direction="to_database"}`, float64(s.BytesToDatabase))
	value(relayed+`{direction="to_client"}`, float64(s.BytesToClient))
}

// unixSeconds returns t in Unix time with milliseconds.
func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
