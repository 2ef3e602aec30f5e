package supervisor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return ln
}

func TestProbes(t *testing.T) {
	s := running()
	handler := probeHandler(func() State { return s })
	request := func(method, path string) (status int, body string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if got := w.Header().Get("Cache-Control"); w.Code < 404 && got != "no-store" {
			t.Errorf("%s: got Cache-Control %q", path, got)
		}
		return w.Code, w.Body.String()
	}
	assertGet := func(path, want string) {
		t.Helper()
		if status, body := request("GET", path); fmt.Sprint(status, " ", body) != want {
			t.Errorf("%s: got %d %q, want %q", path, status, body, want)
		}
	}
	assertGet("/startup?verbose", "200 started\n")
	assertGet("/readiness", "200 ready\n")
	assertGet("/liveness", "200 alive\n")
	s.TokenExpiresAt = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	s.Beat = time.Now().Add(-100 * time.Second)
	assertGet("/startup", "200 started\n")
	assertGet("/readiness", "503 not ready: the token expired at 2026-03-01T12:00:00Z\n")
	assertGet("/liveness", "503 not alive: no heartbeat for 100 s\n")
	s.Started, s.Beat = false, time.Time{}
	assertGet("/startup", "503 not started: no login has succeeded yet, or the command was not started\n")
	assertGet("/readiness", "503 not ready: no login has succeeded yet\n")
	assertGet("/liveness", "200 alive\n")
	for line, want := range map[string]int{"GET /": 404, "POST /liveness": 405, "HEAD /liveness": 200, "POST /metrics": 405, "HEAD /metrics": 200} {
		method, path, _ := strings.Cut(line, " ")
		if status, _ := request(method, path); status != want {
			t.Errorf("%s: got %d, want %d", line, status, want)
		}
	}
}

func TestMetrics(t *testing.T) {
	s := running()
	s.StartedAt, s.TokenMintedAt, s.TokenExpiresAt = time.UnixMilli(1_772_000_000_250), time.Unix(1_772_000_001, 0), time.Unix(1_772_003_601, 0)
	s.Mode, s.Refreshes, s.FailedRefreshes, s.LastError, s.Restarts = "passfile", 1, 2, "secret", 3
	common := fmt.Sprintf(`lakebase_build_info{version="1.2.3",goversion="%s"} 1
lakebase_start_time_seconds 1772000000.25
lakebase_ready 0
lakebase_token_issued_timestamp_seconds 1772000001
lakebase_token_expiry_timestamp_seconds 1772003601
lakebase_token_refreshes_total 1
lakebase_token_refresh_failures_total 2
lakebase_command_restarts_total 3
`, runtime.Version())
	assertSamples := func(want string) {
		t.Helper()
		w := httptest.NewRecorder()
		probeHandler(func() State { return s }).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		samples := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(w.Body.String(), "")
		if diff := cmp.Diff(want, samples); diff != "" || w.Header().Get("Content-Type") != metricsType {
			t.Errorf("got %v\n%s", w.Header(), diff)
		}
	}
	assertSamples(common)
	s.Mode, s.Logins, s.FailedLogins, s.Wakes, s.WakeTime = "proxy", 4, 5, 2, 1500*time.Millisecond
	s.OpenConnections, s.WaitingLogins, s.BytesToDatabase, s.BytesToClient = 8, 9, 1<<40, 11
	assertSamples(common + `lakebase_proxy_logins_total 4
lakebase_proxy_login_failures_total 5
lakebase_proxy_wake_duration_seconds_sum 1.5
lakebase_proxy_wake_duration_seconds_count 2
lakebase_proxy_open_connections 8
lakebase_proxy_waiting_logins 9
lakebase_proxy_relayed_bytes_total{direction="to_database"} 1099511627776
lakebase_proxy_relayed_bytes_total{direction="to_client"} 11
`)
}

// More clients than the limit wait; those that send nothing are dropped, and the
// others are served. The server ends whatever clients do.
func TestProbes_ManySlowClients(t *testing.T) {
	t.Parallel() // it takes probeTimeout
	ln := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- ServeProbes(ctx, ln, running) }()
	connect := func() {
		for range maxConns + 10 {
			c, err := net.Dial("tcp", ln.Addr().String())
			must(t, err)
			t.Cleanup(func() { _ = c.Close() })
			_, _ = io.WriteString(c, "GET /readiness HTTP/1.1\r\n")
		}
	}
	connect()
	assertReady(t, ln.Addr()) // once the first have timed out
	connect()
	cancel()
	if err := <-served; err != nil {
		t.Errorf("ServeProbes: got %v", err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("the server still listens")
	}
}

func assertReady(t *testing.T, addr net.Addr) {
	t.Helper()
	r, err := http.Get("http://" + addr.String() + "/readiness")
	must(t, err)
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK || !r.Close {
		t.Errorf("got %s, %v; want 200 and a closed connection", r.Status, r.Header)
	}
}
