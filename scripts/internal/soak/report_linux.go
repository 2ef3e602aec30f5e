package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What the proxy may have more later than in the beginning. It is measured without
// clients each time; a heap breathes, and Go keeps its threads.
const (
	moreMiB         = 6.0
	moreShare       = 0.2
	moreDescriptors = 2
	moreGoroutines  = 3
	moreThreads     = 4
)

// How many are shown of what may be many.
const (
	shownFailures = 20
	shownLines    = 5
	shownFaults   = 4 // before a failure
)

// report is what happened.
type report struct {
	begun    time.Time
	life     time.Duration // of a token
	measured []sample
	status   status
	said     string // by the proxy
	leaked   bool   // a secret stands there
	dialogs  int    // that somebody was asked to answer

	logins, cut, kept, refused atomic.Int64

	mu       sync.Mutex
	faults   map[string]int
	lately   []string // the last faults, and when they were met
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
	r.lately = append(r.lately, fmt.Sprintf("%s at %s", name, time.Since(r.begun).Round(100*time.Millisecond)))
	r.lately = r.lately[max(0, len(r.lately)-shownFaults):]
}

func (r *report) failed(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf("%s: ", time.Since(r.begun).Round(100*time.Millisecond)) + fmt.Sprintf(format, args...) +
		fmt.Sprintf(" (faults before: %s)", strings.Join(r.lately, ", "))
	if r.failures++; len(r.first) < shownFailures {
		r.first = append(r.first, text)
		fmt.Fprintln(os.Stderr, "soak: FAILED after", text)
	}
}

func (r *report) injected() (n int) {
	for _, times := range r.faults {
		n += times
	}
	return n
}

// print gives the figures.
func (r *report) print(out io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(r.faults)) {
		fmt.Fprintf(out, "  %-28s %d\n", name, r.faults[name])
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-32s "+format+"\n", append([]any{name}, args...)...)
	}
	row("faults injected and met", "%d", r.injected())
	row("time", "%s", time.Since(r.begun).Round(time.Second))
	row("logins made", "%d, the slowest %s", r.logins.Load(), r.slowest.Round(time.Millisecond))
	row("questions of those who stay", "%d", r.kept.Load())
	row("rotations of the token", "%d (%d tries failed)", r.status.Refreshes, r.status.FailedRefreshes)
	row("logins that had to wait", "%d", r.status.Wakes)
	row("sessions that lost their server", "%d", r.cut.Load())
	row("refused by design", "%d", r.refused.Load())
	said := slices.Collect(strings.Lines(r.said))
	row("lines of the proxy", "%d", len(said))
	for _, line := range said[:min(shownLines, len(said))] {
		fmt.Fprint(out, "  ", line)
	}
	row("failures", "%d", r.failures)
	each := func(name string, value func(sample) string) {
		var all []string
		for _, m := range r.measured {
			all = append(all, value(m))
		}
		row(name, "%s", strings.Join(all, ", then "))
	}
	each("resident memory, MiB", func(m sample) string { return fmt.Sprintf("%.1f", m.rss) })
	each("descriptors", func(m sample) string { return fmt.Sprint(m.descriptors) })
	each("goroutines", func(m sample) string { return fmt.Sprint(m.goroutines) })
	each("threads", func(m sample) string { return fmt.Sprint(m.threads) })
}

// judge says what is wrong.
func (r *report) judge() error {
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	if len(r.measured) < 2 {
		return fmt.Errorf("%d measurements", len(r.measured))
	}
	first, last := r.measured[0], r.measured[len(r.measured)-1]
	check(r.failures == 0, "%d failures", r.failures)
	check(r.status.FailedLogins == 0, "the proxy counts %d failed logins", r.status.FailedLogins)
	check(r.logins.Load() > 0 && int64(r.status.Logins) >= r.logins.Load(), "the proxy counts %d logins, the clients %d", r.status.Logins, r.logins.Load())
	check(r.kept.Load() > 0, "nobody stayed")
	check(r.refused.Load() > 0, "no stranger was refused")
	cuts := r.faults["compute suspended"] + r.faults["connections cut"]
	check(r.cut.Load() <= int64((cuts+1)*(comers+stayers)), "%d sessions lost their server, which was taken from them %d times", r.cut.Load(), cuts)
	// A token is replaced after two thirds of its life; a silent keychain takes a whole one.
	check(r.status.Refreshes >= int(last.at/(2*r.life)), "%d rotations in %s", r.status.Refreshes, last.at)
	check(r.injected() >= int(last.at.Seconds()/15), "%d faults in %s", r.injected(), last.at)
	if last.at >= 3*time.Minute {
		for _, f := range slices.Concat(renewals, logins) {
			check(r.faults[f.name] > 0, "there was no fault %q", f.name)
		}
	}
	check(r.status.OpenConnections == 0 && r.status.WaitingLogins == 0, "%d connections are open, %d wait", r.status.OpenConnections, r.status.WaitingLogins)
	check(!r.leaked, "the proxy has told a secret")
	check(r.dialogs == 0, "somebody was asked to unlock the keychain, %d times", r.dialogs)
	for line := range strings.Lines(r.said) {
		check(strings.HasPrefix(line, helper+": "), "the proxy said %q", line)
	}
	for _, m := range r.measured[1:] {
		check(m.rss <= first.rss*(1+moreShare)+moreMiB, "memory grew from %.1f to %.1f MiB", first.rss, m.rss)
		check(m.descriptors <= first.descriptors+moreDescriptors, "descriptors grew from %d to %d", first.descriptors, m.descriptors)
		check(m.goroutines > 0 && m.goroutines <= first.goroutines+moreGoroutines, "goroutines grew from %d to %d", first.goroutines, m.goroutines)
		check(m.threads <= first.threads+moreThreads, "threads grew from %d to %d", first.threads, m.threads)
	}
	return errors.Join(wrong...)
}
