package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// stamp is a command that appends the moment of its start, in ns, to a file.
const stamp = `date +%s%N >> "$1"`

// TestWake wakes a compute repeatedly, in each wake mode: the command starts once, and
// not before the compute is up. scripts/bench measures the delay. The modes run in
// parallel, as they only wait. E2E_SEED repeats a run.
func TestWake(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("E2E_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("E2E_SEED=%d", seed)
	times, longest := 2, 2*time.Second
	if os.Getenv("CI") == "true" {
		times, longest = 6, 4*time.Second
	}
	var all sync.WaitGroup
	for i, mode := range emulator.WakeModes() {
		all.Go(func() {
			t.Run(string(mode), func(t *testing.T) {
				wakes(t, mode, rand.New(rand.NewPCG(seed, uint64(i))), times, longest)
			})
		})
	}
	all.Wait()
}

func wakes(t *testing.T, mode emulator.WakeMode, random *rand.Rand, times int, longest time.Duration) {
	l := startLakebase(t, emulator.Options{})
	for n := range times {
		takes := time.Second + time.Duration(random.Int64N(int64(longest-time.Second)))
		cached := n%2 == 0
		late := wakeOnce(t, l, mode, takes, cached)
		t.Logf("wake %d of %s (cached token: %t): the command started %s after the compute was up", n, takes.Round(time.Millisecond), cached, late.Round(time.Millisecond))
	}
}

// wakeOnce runs a command against a suspended compute and returns the delay of its
// start. Each run has its own runtime directory, so there is no record of an earlier
// login.
func wakeOnce(t *testing.T, l *emulator.Lakebase, mode emulator.WakeMode, takes time.Duration, cached bool) time.Duration {
	t.Helper()
	p := newFixture(t, l)
	p.set(longTimeouts...)
	file := filepath.Join(p.home, "started")
	requests := 2
	if cached {
		p.do("lakebase-exec", "--cache", "file", "--wait", "never", "--", "true").wantExit(0)
		delete(p.env, "DATABRICKS_CLIENT_SECRET")
		requests = 0
	}
	suspend(t, l, mode, takes)
	p.do("lakebase-exec", "--cache", "file", "--", "sh", "-c", stamp, "sh", file).wantExit(0)
	up, woken := l.UpAt(), l.WokenAt()
	if woken.IsZero() || up.Sub(woken) < takes {
		t.Fatalf("the compute was not woken as told: woken %s, up %s", woken, up)
	}
	if got := l.Counters().Requests; got != requests {
		t.Errorf("%d requests, not %d", got, requests)
	}
	at := starts(t, file)
	if len(at) != 1 {
		t.Fatalf("the command started %d times", len(at))
	}
	late := at[0].Sub(up)
	if late < 0 {
		t.Fatalf("the command started %s before the compute was up", -late)
	}
	return late
}

// starts reads what stamp wrote.
func starts(t *testing.T, file string) (at []time.Time) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(string(data)) {
		ns, err := strconv.ParseInt(line, 10, 64)
		must(t, err)
		at = append(at, time.Unix(0, ns))
	}
	return at
}

// TestWake_Never checks that the error after --wait-timeout names the last response and
// what to do, and that the command is not started.
func TestWake_Never(t *testing.T) {
	t.Parallel()
	const wait = 3 * time.Second
	heard := map[emulator.WakeMode]string{
		emulator.Held:       "no answer",
		emulator.Refused:    "connection refused",
		emulator.Reset:      "connection reset",
		emulator.StartingUp: "the database system is starting up (SQLSTATE 57P03)",
		emulator.NoCompute:  "Couldn't connect to compute node (SQLSTATE XX000)",
		emulator.Silent:     "no answer",
	}
	var all sync.WaitGroup
	for _, mode := range emulator.WakeModes() {
		all.Go(func() {
			t.Run(string(mode), func(t *testing.T) { neverWakes(t, mode, heard[mode], wait) })
		})
	}
	all.Wait()
}

func neverWakes(t *testing.T, mode emulator.WakeMode, heard string, wait time.Duration) {
	l := startLakebase(t, emulator.Options{})
	p := newFixture(t, l)
	file := filepath.Join(p.home, "started")
	// The token is in the cache, so that the wait is all that takes time.
	p.do("lakebase-exec", "--cache", "file", "--wait", "never", "--", "true").wantExit(0)
	delete(p.env, "DATABRICKS_CLIENT_SECRET")
	suspend(t, l, mode, emulator.Never)
	o := p.do("lakebase-exec", "--cache", "file", "--wait-timeout", wait.String(), "--", "sh", "-c", stamp, "sh", file)
	o.wantExit(123).wantStderr("lakebase-exec: error: the database at localhost did not wake in ", heard,
		"lakebase-exec: hint: raise --wait-timeout")
	if o.took < wait {
		t.Errorf("gave up after %s, not after %s", o.took, wait)
	}
	if at := starts(t, file); len(at) != 0 {
		t.Errorf("the command was started %d times", len(at))
	}
	if l.WokenAt().IsZero() {
		t.Error("no login reached the compute")
	}
}
