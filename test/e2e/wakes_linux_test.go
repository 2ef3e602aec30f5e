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
// not before the compute is up. If it never wakes, the error after --wait-timeout names
// the last response and what to do, and the command is not started. The modes run in
// parallel, as they only wait. E2E_SEED repeats a run.
func TestWake(t *testing.T) {
	t.Parallel()
	seed := number(t, "E2E_SEED", rand.Uint64())
	t.Logf("E2E_SEED=%d", seed)
	times, longest := 2, 2*time.Second
	if os.Getenv("CI") == "true" {
		times, longest = 6, 4*time.Second
	}
	lastResponse := map[emulator.WakeMode]string{
		emulator.Held:       "no answer",
		emulator.Refused:    "connection refused",
		emulator.Reset:      "connection reset",
		emulator.StartingUp: "the database system is starting up (SQLSTATE 57P03)",
		emulator.NoCompute:  "Couldn't connect to compute node (SQLSTATE XX000)",
		emulator.Silent:     "no answer",
	}
	var all sync.WaitGroup
	for i, mode := range emulator.WakeModes() {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			t.Run(string(mode), func(t *testing.T) {
				l := startLakebase(t, emulator.Options{})
				for n := range times {
					takes := time.Second + time.Duration(random.Int64N(int64(longest-time.Second)))
					wakeOnce(t, l, mode, takes, n%2 == 0)
				}
				neverWakes(t, l, mode, lastResponse[mode])
			})
		})
	}
	all.Wait()
}

// wakeFixture returns a user with a record of no earlier login and, if cached, with a
// token and no secret; and the file of stamp.
func wakeFixture(t *testing.T, l *emulator.Lakebase, cached bool) (p *fixture, file string) {
	t.Helper()
	l.SetWake(emulator.Held, 0)
	p = newFixture(t, l)
	p.set(longTimeouts...)
	if cached {
		p.do("lakebase-exec", "--cache", "file", "--wait", "never", "--", "true").wantExit(0)
		delete(p.env, "DATABRICKS_CLIENT_SECRET")
	}
	return p, filepath.Join(p.home, "started")
}

func wakeOnce(t *testing.T, l *emulator.Lakebase, mode emulator.WakeMode, takes time.Duration, cached bool) {
	t.Helper()
	p, file := wakeFixture(t, l, cached)
	suspend(t, l, mode, takes)
	p.do("lakebase-exec", "--cache", "file", "--", "sh", "-c", stamp, "sh", file).wantExit(0)
	up, woken := l.UpAt(), l.WokenAt()
	if woken.IsZero() || up.Sub(woken) < takes {
		t.Fatalf("the compute was not woken as told: woken %s, up %s", woken, up)
	}
	requests(t, l, "a wake", map[bool]int{true: 0, false: 2}[cached])
	if at := starts(t, file); len(at) != 1 || at[0].Before(up) {
		t.Fatalf("the command started at %s, want once and not before the compute is up at %s", at, up)
	}
}

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

func neverWakes(t *testing.T, l *emulator.Lakebase, mode emulator.WakeMode, lastResponse string) {
	t.Helper()
	const wait = 10 * time.Second // a login on a busy machine takes seconds
	p, file := wakeFixture(t, l, true)
	suspend(t, l, mode, emulator.Never)
	o := p.do("lakebase-exec", "--cache", "file", "--wait-timeout", wait.String(), "--", "sh", "-c", stamp, "sh", file)
	o.wantExit(123).wantStderr("lakebase-exec: error: the database at localhost did not wake in ", lastResponse,
		"lakebase-exec: hint: raise --wait-timeout")
	if at := starts(t, file); len(at) != 0 || o.took < wait || l.WokenAt().IsZero() {
		t.Errorf("the command was started at %s; gave up after %s; woken at %s", at, o.took, l.WokenAt())
	}
}
