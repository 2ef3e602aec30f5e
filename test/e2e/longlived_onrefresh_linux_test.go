package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// recordSignal writes its PID when it starts, and a line for each signal.
const recordSignal = `exec 2>/dev/null
trap 'echo USR1 >>"$0"' USR1
echo $$ >>"$0"
while :; do sleep 1; done`

// onRefresh: what --on-refresh does, and what the status file and the probes show.
func onRefresh(t *testing.T) {
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: shortLife}})
	p := newSandbox(t, l)
	signalled := p.runWithStatus("signal:USR1", "proxy", "sh", "-c", recordSignal)
	restarted := p.runWithStatus("restart", "passfile", "sh", "-c", `echo $$ >>"$0"; exec sleep 600`)
	eventuallySlow(t, "the token is refreshed", func() bool { return signalled.status(t).Refreshes >= 2 })
	for _, path := range []string{"/startup", "/readiness", "/liveness"} {
		for _, r := range []*reportingRun{signalled, restarted} {
			if code, text := r.probe(t, path); code != http.StatusOK {
				t.Errorf("%s: got %d %q", path, code, text)
			}
		}
	}

	eventuallySlow(t, "one signal for each new token", func() bool {
		s, received := signalled.status(t), strings.Fields(signalled.signals(t))
		return s.Refreshes >= 2 && s.Restarts == 0 && s.Ready && received[0] == strconv.Itoa(s.ChildPID) &&
			len(received) == s.Refreshes+1 && strings.Count(strings.Join(received, " "), " USR1") == s.Refreshes
	})
	eventuallySlow(t, "one restart for each new token", func() bool {
		starts, s := strings.Fields(restarted.signals(t)), restarted.status(t)
		return s.Restarts >= 2 && s.Restarts == s.Refreshes && len(starts) == s.Restarts+1 && starts[len(starts)-1] == strconv.Itoa(s.ChildPID)
	})

	// An expired token is reported, and the command keeps running.
	l.Set(func(w *emulator.Settings) {
		w.Faults = []emulator.Fault{emulator.Answer(emulator.AnyCall, -1, 503, "")}
	})
	eventuallySlow(t, "it is not ready", func() bool {
		code, text := signalled.probe(t, "/readiness")
		return code == http.StatusServiceUnavailable && strings.HasPrefix(text, "not ready: the token expired at ")
	})
	for _, path := range []string{"/startup", "/liveness"} {
		if code, text := signalled.probe(t, path); code != http.StatusOK {
			t.Errorf("%s: got %d %q", path, code, text)
		}
	}
	eventuallySlow(t, "the status file is not ready", func() bool { return !signalled.status(t).Ready })
	l.Set(func(w *emulator.Settings) { w.Faults = nil })
	eventuallySlow(t, "it is ready again", func() bool { code, _ := signalled.probe(t, "/readiness"); return code == http.StatusOK })
	for _, r := range []*reportingRun{signalled, restarted} {
		r.term(t)
	}
	p.nothingLeft()
}

// reportingRun is a supervisor with a status file and probes.
type reportingRun struct {
	*running
	file, log, health string
}

// runWithStatus starts argv with the name of a log as its last argument.
func (p *fixture) runWithStatus(on, mode string, argv ...string) *reportingRun {
	p.t.Helper()
	name := filepath.Join(p.home, mode)
	r := &reportingRun{file: name + ".json", log: name + ".log", health: freeAddress(p.t)}
	options := []string{"lakebase-exec", "--refresh", mode, "--on-refresh", on, "--status-file", r.file, "--health-listen", r.health,
		"--timeout", "5s", "--"}
	cmd := p.command(append(append(options, argv...), r.log)...)
	cmd.Cancel = terminate(cmd)
	r.running = p.start(cmd)
	eventually(p.t, "the command runs", func() bool {
		_, err := os.Stat(r.file)
		_, err2 := os.Stat(r.log)
		return err == nil && err2 == nil
	})
	return r
}

// freeAddress returns an address on which nothing listens at the moment.
func freeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

func (r *reportingRun) status(t *testing.T) statusDocument { t.Helper(); return readStatus(t, r.file) }

func (r *reportingRun) signals(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(r.log)
	must(t, err)
	return string(data)
}

func (r *reportingRun) probe(t *testing.T, path string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.health+path, nil)
	must(t, err)
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	return answer.StatusCode, string(text)
}

func (r *reportingRun) term(t *testing.T) {
	t.Helper()
	must(t, r.cmd.Process.Signal(syscall.SIGTERM))
	if o := r.wait(); !o.status.Signaled() || o.status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %s, want SIGTERM:\n%s", exitStatus(o.status), o.stderr)
	}
	if _, err := os.Stat(r.file); !os.IsNotExist(err) {
		t.Errorf("the status file is left (%v)", err)
	}
	if code, text := r.probe(t, "/liveness"); code != 0 || !strings.Contains(text, "connection refused") {
		t.Errorf("the probes still answer: %d %s", code, text)
	}
}

// workspaceOutage: the workspace fails for half a minute, just when the token is to be
// replaced. Logins continue with the old one; afterwards there is a new one.
func workspaceOutage(t *testing.T) {
	const life = 90 * time.Second // refreshed after 46 to 74 s
	span, from := life+3*time.Second, 30*time.Second
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: life}})
	var all sync.WaitGroup
	ends := map[string]*supervised{}
	var statuses []string
	for _, mode := range []string{"passfile", "proxy"} {
		p := newSandbox(t, l)
		status := filepath.Join(p.home, "status.json")
		s := p.supervise("--refresh", mode, "--timeout", "4s", "--status-file", status)
		statuses = append(statuses, status)
		r := &renewals{t: t, base: l}
		begin := time.Now()
		all.Go(func() {
			r.run(span, []*sqlClient{s.psqlAs(mode)})
			logins := by(mode, l.Logins())
			if got := tokensIn(logins, life); got < 2 {
				t.Errorf("%s: got %d tokens, want 2", mode, got)
			}
			for _, n := range logins {
				if n.SQLState != "00000" {
					t.Errorf("%s: %s after its start a login failed: %+v", mode, n.Time.Sub(begin), n)
				}
			}
		})
		ends[mode] = s
	}
	// The workspace drops connections, then answers 503, until both have reported it.
	requests := func(status int) (n int) {
		for _, q := range l.Requests() {
			if q.Status == status {
				n++
			}
		}
		return n
	}
	faults := func(f ...emulator.Fault) { l.Set(func(w *emulator.Settings) { w.Faults = f }) }
	time.Sleep(from)
	faults(emulator.Fault{Call: emulator.AnyCall, Times: -1, Drop: true})
	eventuallySlow(t, "connections are dropped", func() bool { return requests(0) >= 2 })
	faults(emulator.Answer(emulator.AnyCall, -1, 503, ""))
	eventuallySlow(t, "both refreshes fail", func() bool {
		return requests(503) >= 2 && !slices.ContainsFunc(statuses, func(path string) bool { return readStatus(t, path).FailedRefreshes == 0 })
	})
	faults()
	all.Wait()
	for mode, s := range ends {
		assertOutageReported(t, mode, s.end().stderrWithoutProgress())
	}
	if n := requests(0) + requests(503); n > 200 {
		t.Errorf("got %d failed requests, want at most 200", n)
	}
}

// assertOutageReported checks that a supervisor reported an outage once, with the time
// until which logins work, and its end.
func assertOutageReported(t *testing.T, mode, stderr string) {
	t.Helper()
	const when = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	want := []string{
		`^lakebase-exec: warning: the token could not be refreshed; new logins work until ` + when + `: .*`,
		`^lakebase-exec: token refreshed again; valid until ` + when + `$`,
	}
	ok := len(lines) == len(want)
	for i := range want {
		ok = ok && regexp.MustCompile(want[i]).MatchString(lines[i])
	}
	if !ok {
		t.Errorf("%s: got\n%s\nwant %q", mode, stderr, want)
	}
	t.Logf("%s: %s", mode, lines[0])
}
