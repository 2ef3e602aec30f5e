package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// TestProxyCounters compares the status file of a proxy with what the emulator has
// counted. All connections of a pool may wait for a suspended compute at once.
func TestProxyCounters(t *testing.T) {
	t.Parallel()
	const life = 16 * time.Second // refreshed after 8 to 13 s
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: life}})
	p := newSandbox(t, l)
	status := filepath.Join(p.home, "status.json")
	file := write(t, filepath.Join(t.TempDir(), "password"), "sesame\n")
	const pool = 110 // the emulator's Postgres allows 120
	o := p.proxy("--cache", "off", "--max-connections", fmt.Sprint(pool), "--listen", "127.0.0.1:0", "--password-file", file, "--status-file", status)
	l.ResetCounters()
	connect := func(n int, password string) (failed int) {
		var all sync.WaitGroup
		var mu sync.Mutex
		for range n {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				c, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable&passfile=/none", l.ClientID, password,
					o.address, emulator.Database))
				if err == nil {
					_ = c.Close(context.Background())
					return
				}
				mu.Lock()
				defer mu.Unlock()
				failed++
			})
		}
		all.Wait()
		return failed
	}
	failed := connect(90, "sesame") // awake
	const wakes = 2
	for _, mode := range []emulator.WakeMode{emulator.Held, emulator.StartingUp} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		l.SetWake(mode, 1500*time.Millisecond)
		if err := l.Suspend(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if n := connect(pool, "sesame"); n > 0 {
			t.Errorf("%s: got %d failed logins of %d, want all to wait for the wake", mode, n, pool)
			failed += n
		}
	}
	failed += connect(50, "guess")
	l.Set(func(s *emulator.Settings) {
		s.Faults = []emulator.Fault{emulator.Answer(emulator.AnyCall, -1, 429, "")}
	})
	var got statusDocument
	read := func(what string, ok func() bool) {
		t.Helper()
		eventually(t, what, func() bool { got = readStatus(t, status); return ok() })
	}
	read("the failure to refresh and the token's end", func() bool { return got.FailedRefreshes > 0 && !got.Ready })
	if !strings.Contains(got.LastError, "429") {
		t.Errorf("while the workspace answers 429: got %+v", got)
	}
	l.Set(func(s *emulator.Settings) { s.Faults = nil })
	read("the refresh", func() bool { return got.Refreshes > 0 && got.LastError == "" })
	n := l.Counters()
	// A server that is slow looks as if its compute woke.
	if n.Wakes != wakes || got.Wakes < n.Wakes || got.Wakes >= pool {
		t.Errorf("got %d wakes; the emulator counts %d, the test made %d for %d clients each", got.Wakes, n.Wakes, wakes, pool)
	}
	if got.Logins+failed != 90+wakes*pool+50 || got.Logins > n.LoginsOK { // of two attempts beside each other both may succeed
		t.Errorf("got %d logins; %d failed, the emulator counts %d", got.Logins, failed, n.LoginsOK)
	}
	if failed < 50 || got.FailedLogins != failed {
		t.Errorf("got %d failed logins; %d clients were refused", got.FailedLogins, failed)
	}
	// A sign-in may be followed by a refused request for the token.
	if granted := n.Granted[emulator.GrantClientCredentials]; got.Refreshes > granted || granted > got.Refreshes+got.FailedRefreshes {
		t.Errorf("got %+v; the emulator counts %d sign-ins", got, granted)
	}
	must(t, o.cmd.Process.Signal(syscall.SIGTERM))
	said := o.wait().wantExit(0).stderr
	if n := strings.Count(said, "password authentication failed"); n < 1 || n > 2 ||
		!strings.Contains(said, "warning: proxy: login from 127.0.0.1:") {
		t.Errorf("want one or two lines about 50 wrong passwords, with the peer:\n%s", said)
	}
}

// statusDocument is the part of a status file that the tests read.
type statusDocument struct {
	ChildPID        int       `json:"child_pid"`
	Refreshes       int       `json:"refreshes"`
	FailedRefreshes int       `json:"failed_refreshes"`
	LastError       string    `json:"last_error"`
	Logins          int       `json:"logins"`
	FailedLogins    int       `json:"failed_logins"`
	OpenConnections int       `json:"open_connections"`
	WaitingLogins   int       `json:"waiting_logins"`
	Wakes           int       `json:"wakes"`
	Restarts        int       `json:"restarts"`
	Goroutines      int       `json:"goroutines"`
	Ready           bool      `json:"ready"`
	UpdatedAt       time.Time `json:"updated_at"`
}

func readStatus(t *testing.T, path string) (f statusDocument) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil {
		t.Fatalf("the status file: %v: %q", err, data)
	}
	return f
}

// proxyProcess is a proxy command that has printed its address.
type proxyProcess struct {
	*running
	file    string // of its standard output
	address string
}

func (p *fixture) proxy(options ...string) *proxyProcess {
	p.t.Helper()
	o := &proxyProcess{file: filepath.Join(p.t.TempDir(), "stdout")}
	o.running = p.start(p.command(append([]string{"sh", "-c", `exec lakebase-credential-helper proxy "$@" >"$0"`, o.file}, options...)...))
	eventually(p.t, "the address is printed", func() bool {
		data, err := os.ReadFile(o.file)
		line, ended := strings.CutSuffix(string(data), "\n")
		o.address = line
		return err == nil && ended
	})
	return o
}
