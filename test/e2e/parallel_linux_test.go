package e2e

import (
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/desktop"
	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// many is how many processes start at once.
const many = 30

// Whatever number of commands starts at once, with nothing in the cache, one
// signs in for all.
func TestColdStartsAtOnce(t *testing.T) {
	l := base(t, emulator.Options{Switches: emulator.Switches{Latency: 200 * time.Millisecond}})
	p := deskPlace(t, l, desktop.Unlocked)
	p.login()
	l.ResetCounters()
	for _, o := range atOnce(p, many) {
		o.want(0)
		if o.stderr != "" && o.took < patience {
			t.Errorf("stderr: %q", o.stderr)
		}
	}
	if n := l.Counters(); n.ByCall[emulator.CallToken] != 1 || n.ByCall[emulator.CallCredentials] != 1 {
		t.Errorf("%d cold starts made the requests %v, not one of each", many, n.ByCall)
	}
}

// When the one that signs in is killed, another takes its place.
func TestLeaderKilled(t *testing.T) {
	l := base(t, emulator.Options{Switches: emulator.Switches{Latency: 3 * time.Second}})
	p := deskPlace(t, l, desktop.Unlocked)
	p.login()
	l.ResetCounters()
	leader := p.start(p.command("lakebase-exec", "--", "true"))
	eventually(t, "the first signs in", func() bool { return l.Counters().Handshakes > 0 })
	signing := time.Now()
	l.Set(func(s *emulator.Switches) { s.Latency = 200 * time.Millisecond }) // from the next request on
	done := make(chan []*outcome)
	go func() { done <- atOnce(p, many-1) }()
	time.Sleep(1500 * time.Millisecond)
	if n := l.Counters(); n.Handshakes != 1 {
		t.Errorf("%d processes sign in while the first does", n.Handshakes)
	}
	if err := leader.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if late := time.Since(signing); late > 2900*time.Millisecond {
		t.Fatalf("the machine is too slow: the first was killed %s after it had begun to sign in", late)
	}
	if o := leader.wait(); !o.status.Signaled() {
		t.Fatalf("the first ended with %s before it was killed", told(o.status))
	}
	for _, o := range <-done {
		o.want(0)
	}
	n := l.Counters()
	for _, call := range []emulator.Call{emulator.CallToken, emulator.CallCredentials} {
		if got := n.ByCall[call]; got < 1 || got > 2 {
			t.Errorf("%d requests of %s, not two at the most", got, call)
		}
	}
	if n.Handshakes != 2 {
		t.Errorf("%d processes signed in, not the first and one more", n.Handshakes)
	}
}

// atOnce runs n commands and waits for them all.
func atOnce(p *place, n int) []*outcome {
	runs := make([]*started, n)
	for i := range runs {
		runs[i] = p.start(p.command("lakebase-exec", "--", "sh", "-c", `test -n "$PGPASSWORD"`))
	}
	outcomes := make([]*outcome, n)
	var all sync.WaitGroup
	for i, r := range runs {
		all.Go(func() { outcomes[i] = r.wait() })
	}
	all.Wait()
	return outcomes
}
