package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What the proxy may have more at the end than in the beginning. Both are measured
// without clients; a heap breathes, and Go keeps its threads.
const (
	moreMiB         = 8.0
	moreShare       = 0.25
	moreDescriptors = 2
	moreThreads     = 4
)

const shownFailures = 20

// report is what happened.
type report struct {
	begun    time.Time
	measured []sample
	status   status
	said     string

	logins, cut, kept, refused atomic.Int64

	mu       sync.Mutex
	faults   map[string]int
	failures int
	first    []string
	slowest  time.Duration
}

func (r *report) login(took time.Duration) {
	r.logins.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slowest = max(r.slowest, took)
}

func (r *report) fault(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.faults == nil {
		r.faults = map[string]int{}
	}
	r.faults[name]++
}

func (r *report) failed(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf("%s: ", time.Since(r.begun).Round(time.Second)) + fmt.Sprintf(format, args...)
	if r.failures++; len(r.first) < shownFailures {
		r.first = append(r.first, text)
		fmt.Fprintln(os.Stderr, "soak: FAILED after", text)
	}
}

// judge prints the figures, and says what is wrong with them.
func (r *report) judge() error {
	first, last := r.measured[0], r.measured[len(r.measured)-1]
	injected := 0
	for _, name := range slices.Sorted(maps.Keys(r.faults)) {
		injected += r.faults[name]
		fmt.Printf("  %-28s %d\n", name, r.faults[name])
	}
	fmt.Printf("time                           %s\n", time.Since(r.begun).Round(time.Second))
	fmt.Printf("logins made                    %d, the slowest %s\n", r.logins.Load(), r.slowest.Round(time.Millisecond))
	fmt.Printf("questions of those who stay    %d\n", r.kept.Load())
	fmt.Printf("rotations of the token         %d (%d tries failed)\n", r.status.Refreshes, r.status.FailedRefreshes)
	fmt.Printf("faults injected                %d\n", injected)
	fmt.Printf("logins that had to wait        %d\n", r.status.Wakes)
	fmt.Printf("sessions cut by a suspension   %d\n", r.cut.Load())
	fmt.Printf("refused by design              %d\n", r.refused.Load())
	fmt.Printf("lines of the proxy             %d\n", strings.Count(r.said, "\n"))
	fmt.Printf("failures                       %d\n", r.failures)
	fmt.Printf("resident memory                %.1f MiB, then %.1f MiB\n", first.rss, last.rss)
	fmt.Printf("descriptors                    %d, then %d\n", first.descriptors, last.descriptors)
	fmt.Printf("threads                        %d, then %d\n", first.threads, last.threads)
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	check(r.failures == 0, "%d failures", r.failures)
	check(r.status.FailedLogins == 0, "the proxy counts %d failed logins", r.status.FailedLogins)
	check(int64(r.status.Logins) >= r.logins.Load() && r.logins.Load() > 0, "the proxy counts %d logins, the clients %d", r.status.Logins, r.logins.Load())
	check(r.status.Refreshes >= int(last.at.Seconds()/15), "%d rotations in %s", r.status.Refreshes, last.at)
	check(injected >= int(last.at.Seconds()/10), "%d faults in %s", injected, last.at)
	check(r.status.OpenConnections == 0 && r.status.WaitingLogins == 0, "%d connections are open, %d wait", r.status.OpenConnections, r.status.WaitingLogins)
	check(last.rss <= first.rss*(1+moreShare)+moreMiB, "memory grew from %.1f to %.1f MiB", first.rss, last.rss)
	check(last.descriptors <= first.descriptors+moreDescriptors, "descriptors grew from %d to %d", first.descriptors, last.descriptors)
	check(last.threads <= first.threads+moreThreads, "threads grew from %d to %d", first.threads, last.threads)
	return errors.Join(wrong...)
}
