package e2e

import (
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// workspaceOutage: the workspace fails for half a minute, just when the token is to be
// replaced. Logins continue with the old one; afterwards there is a new one.
func workspaceOutage(t *testing.T) {
	const life = 60 * time.Second // refreshed after 37 to 43 s
	span, from, turn, to := 63*time.Second, 22*time.Second, 45*time.Second, 52*time.Second
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: life}})
	var all sync.WaitGroup
	ends := map[string]*supervised{}
	for _, mode := range []string{"passfile", "proxy"} {
		p := newSandbox(t, l)
		s := p.supervise("--refresh", mode, "--timeout", "5s")
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
	faults := func(after time.Duration, f ...emulator.Fault) {
		time.AfterFunc(after, func() { l.Set(func(w *emulator.Settings) { w.Faults = f }) })
	}
	faults(from, emulator.Fault{Call: emulator.AnyCall, Times: -1, Drop: true})
	faults(turn, emulator.Answer(emulator.AnyCall, -1, 503, ""))
	faults(to)
	all.Wait()
	for mode, s := range ends {
		assertOutageReported(t, mode, s.end().stderrWithoutProgress())
	}
	refused := map[int]int{}
	for _, q := range l.Requests() {
		refused[q.Status]++
	}
	t.Logf("requests by status, 0 is a dropped connection: %v", refused)
	if refused[0] < 2 || refused[503] < 2 || refused[0]+refused[503] > 200 {
		t.Error("want at least two requests of each kind, and at most 200")
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
