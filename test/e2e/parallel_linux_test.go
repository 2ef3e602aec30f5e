package e2e

import (
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// coldStarts is how many commands start.
const coldStarts = 16

// longTimeouts is an environment in which no deadline of the programs ends on a slow machine.
var longTimeouts = []string{"LAKEBASE_TIMEOUT=5m", "LAKEBASE_KEYCHAIN_TIMEOUT=5m", "LAKEBASE_WAIT_TIMEOUT=5m"}

// Of any number of commands that start together with an empty cache, one signs in for
// all.
func TestExec_ColdStartsAtOnce(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{Latency: 200 * time.Millisecond}})
	p := newKeyringFixture(t, l, testkeyring.Unlocked).defaultCache()
	p.set(longTimeouts...)
	p.login()
	l.ResetCounters()
	for _, o := range commands(p, coldStarts, nil) {
		if o.wantExit(0); o.stderrWithoutProgress() != "" {
			t.Errorf("stderr: %q", o.stderr)
		}
	}
	if n := l.Counters(); n.ByCall[emulator.CallToken] != 1 || n.ByCall[emulator.CallCredentials] != 1 {
		t.Errorf("%d cold starts made the requests %v, not one of each", coldStarts, n.ByCall)
	}
}

// If the process that signs in is killed, another one signs in.
func TestExec_MintingProcessKilled(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{Latency: 200 * time.Millisecond}})
	p := newKeyringFixture(t, l, testkeyring.Unlocked).defaultCache()
	p.set(longTimeouts...)
	p.login()
	l.ResetCounters()
	holdToken(t, l)
	leader := p.start(p.command("lakebase-exec", "--", "true"))
	eventually(t, "the first signs in", func() bool { return l.Counters().ByCall[emulator.CallToken] == 1 })
	outcomes := commands(p, coldStarts-1, func(first []*running) {
		var pids []int
		for _, r := range first {
			pids = append(pids, r.cmd.Process.Pid)
		}
		p.settle(pids...)
		if n := l.Counters(); n.Handshakes != 1 {
			t.Errorf("%d processes sign in while the first does", n.Handshakes)
		}
		if err := leader.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	})
	if o := leader.wait(); !o.status.Signaled() {
		t.Fatalf("the first ended with %s before it was killed", exitStatus(o.status))
	}
	for _, o := range outcomes {
		o.wantExit(0)
	}
	n := l.Counters()
	if n.ByCall[emulator.CallToken] != 2 || n.ByCall[emulator.CallCredentials] != 1 || n.Handshakes != 2 {
		t.Errorf("the requests %v over %d connections are not those of the first and one more", n.ByCall, n.Handshakes)
	}
}

// commands runs n commands, atOnce at a time, and waits for them all. full, if there
// is one, is called when the first of them run.
func commands(p *fixture, n int, full func(first []*running)) []*result {
	runs := make([]*running, 0, n)
	outcomes := make([]*result, n)
	slots := make(chan struct{}, atOnce())
	var all sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		r := p.start(p.command("lakebase-exec", "--", "sh", "-c", `test -n "$PGPASSWORD"`))
		runs = append(runs, r)
		all.Go(func() {
			outcomes[i] = r.wait()
			<-slots
		})
		if full != nil && len(runs) == min(n, cap(slots)) {
			full(runs)
		}
	}
	all.Wait()
	return outcomes
}
