package e2e

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// everydayHelpers is how many TestThousandHelpers starts without LOAD_HELPERS.
const everydayHelpers = 1000

// What one helper needs while it runs: memory of its own, threads, and pipes of
// this process. It takes some 10 ms of a processor, and has 10 s: of a thousand on
// one processor of a busy machine some would come too late, whatever we did.
const (
	helperMiB     = 10
	helperThreads = 10
	helperFiles   = 6
	eachProcessor = 200
)

// TestThousandHelpers is for a machine that starts everything at once: with
// nothing in the cache, one signs in for all, nobody takes longer than get may, and
// afterwards the token is there. LOAD_HELPERS says how many. That there is one
// sign-in is asserted where none met a deadline of its own: see inTime.
func TestThousandHelpers(t *testing.T) {
	n := int(number(t, "LOAD_HELPERS", everydayHelpers))
	l := newLoad(t, 200*time.Millisecond)
	l.mark()
	begun := time.Now()
	list, most := l.crowded(n, holds(t))
	took := time.Since(begun)
	text, slowest, had := l.one(list, false)
	t.Logf("%d helpers in %s, at most %d at a time; the slowest took %s", n, took.Round(time.Millisecond), most, slowest.Round(time.Millisecond))
	t.Attr("cases", strconv.Itoa(n))
	if had != n {
		t.Errorf("%d of %d had the token", had, n)
	}
	if most < min(n, crowd) {
		t.Errorf("there were %d at a time: that is no crowd", most)
	}
	late := l.late
	l.mints(1, 1)
	if c := l.base.Counters(); late == 0 && (c.Requests != 2 || c.Handshakes > 2) {
		t.Errorf("%d requests over %d connections: %v", c.Requests, c.Handshakes, c.ByCall)
	}
	l.nothingLeft()

	// The twin is warm: nobody signs in.
	l.base.ResetCounters()
	if again, _, had := l.one([]*asked{l.ask().wait()}, false); had != 1 || again != text {
		t.Error("the token was not kept")
	}
	l.mints(0, 0)
}

// crowded starts n, as many at a time as the machine holds, and waits for them all.
// most is how many ran at a time.
func (l *load) crowded(n, holds int) (list []*asked, most int) {
	l.t.Helper()
	room := make(chan struct{}, holds)
	var running atomic.Int32
	var done sync.WaitGroup
	for range n {
		room <- struct{}{}
		a := l.ask()
		list = append(list, a)
		most = max(most, int(running.Add(1)))
		done.Go(func() {
			a.wait()
			running.Add(-1)
			<-room
		})
	}
	done.Wait()
	return list, most
}

// holds is how many helpers fit on this machine at a time, by its processors, its
// memory, and what this process and its container may have: a test must not take a
// machine down.
func holds(t *testing.T) int {
	t.Helper()
	limit := func(what int) int {
		var l unix.Rlimit
		if err := unix.Getrlimit(what, &l); err != nil {
			t.Fatal(err)
		}
		return int(min(l.Cur, 1<<30)) // it may be without an end
	}
	mib := figure("/proc/meminfo", "MemAvailable: %d kB") >> 10
	fit := min(max(crowd, eachProcessor*runtime.NumCPU()), limit(unix.RLIMIT_NPROC)/helperThreads, limit(unix.RLIMIT_NOFILE)/helperFiles, mib/helperMiB,
		figure("/sys/fs/cgroup/memory.max", "%d")>>20/helperMiB, figure("/sys/fs/cgroup/pids.max", "%d")/helperThreads)
	if fit < crowd {
		t.Fatalf("%d helpers fit on this machine at a time, and %d are needed: see ulimit -u, ulimit -n, and the memory of %d MiB", fit, crowd, mib)
	}
	return fit
}

// figure reads the number of a line; what is not there is no limit.
func figure(file, form string) (n int) {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if found, _ := fmt.Sscanf(line, form, &n); found == 1 {
			return n
		}
	}
	return math.MaxInt
}
