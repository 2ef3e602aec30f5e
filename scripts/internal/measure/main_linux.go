// Command measure is the part of scripts/bench that needs a precise clock: it
// runs the sides of each comparison in turns, prints a table of medians, and
// exits 1 when a limit is broken. It expects the variables of a local Lakebase,
// a keychain that holds its secret, and the programs on PATH.
//
// It must never measure something else than it says: requests, connections,
// logins and copied rows are counted, and a wrong count is an error.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// table collects rows; a row without a limit cannot fail.
type table struct {
	rows   []string
	broken int
}

func (t *table) row(what, ours, other, value, limit, result string) {
	t.rows = append(t.rows, strings.Join([]string{what, ours, other, value, limit, result}, "\t"))
}

// limited adds a row whose value must not exceed limit.
func (t *table) limited(what, ours, other string, value, limit float64, format string) {
	t.judged(what, ours, other, fmt.Sprintf(format, value), fmt.Sprintf(format, limit), value <= limit)
}

// atLeast adds a row whose value must reach limit.
func (t *table) atLeast(what, ours, other string, value, limit float64, format string) {
	t.judged(what, ours, other, fmt.Sprintf(format, value), "at least "+fmt.Sprintf(format, limit), value >= limit)
}

func (t *table) judged(what, ours, other, value, limit string, good bool) {
	result := "pass"
	if !good {
		result = "FAIL"
		t.broken++
	}
	t.row(what, ours, other, value, limit, result)
}

func main() {
	guide := flag.String("guide", "", "the guide's script, as a `path`")
	sizes := flag.String("sizes", "", "`folder` of GOOS-GOARCH/PROGRAM")
	upstream := flag.String("upstream", "", "empty `folder` for a Postgres and a pgbouncer")
	flag.Parse()
	t := &table{}
	starts := []func() error{
		func() error { return cold(t, *guide) },
		func() error { return warm(t) },
		func() error { return warmGet(t) },
		func() error { return crowded(t) },
		func() error { return late(t) },
		func() error { return binaries(t, *sizes) },
	}
	proxy := []func() error{func() error { return joined(t, *upstream) }}
	parts := map[string][]func() error{"starts": starts, "proxy": proxy, "": append(starts, proxy...)}
	steps, known := parts[flag.Arg(0)]
	if !known || flag.NArg() > 1 {
		fmt.Fprintln(os.Stderr, "measure: the parts are starts and proxy")
		os.Exit(2)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			fmt.Fprintln(os.Stderr, "measure:", err)
			os.Exit(2)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "measured\tlakebase-exec\tother\tvalue\tlimit\tresult")
	for _, r := range t.rows {
		fmt.Fprintln(w, r)
	}
	_ = w.Flush()
	if t.broken > 0 {
		fmt.Fprintf(os.Stderr, "measure: %d of the limits are broken\n", t.broken)
		os.Exit(1)
	}
}

// side is one of the commands compared.
type side struct {
	argv        []string
	extra       []string // environment
	requests    int      // that one run makes
	connections int
	took        []time.Duration
}

// run starts the command once and waits for it.
func (s *side) run() error {
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Env = append(os.Environ(), s.extra...)
	var words strings.Builder
	cmd.Stderr = &words
	start := time.Now()
	err := cmd.Run()
	s.took = append(s.took, time.Since(start))
	if err != nil {
		return fmt.Errorf("%s: %w: %s", s.argv[0], err, words.String())
	}
	return nil
}

// interleave runs all sides n times each, every round in another order.
func interleave(n int, sides ...*side) error {
	for _, s := range sides { // once unmeasured: file cache, first connection
		if err := s.run(); err != nil {
			return err
		}
		s.took = nil
	}
	for range n {
		for _, s := range sides {
			if err := s.run(); err != nil {
				return err
			}
		}
		slices.Reverse(sides)
	}
	for _, s := range sides {
		if err := s.counted(); err != nil {
			return err
		}
	}
	return nil
}

// counted runs the command once more and compares what it asked of the API.
func (s *side) counted() error {
	if _, err := ctl("reset"); err != nil {
		return err
	}
	if err := s.run(); err != nil {
		return err
	}
	s.took = s.took[:len(s.took)-1]
	status, err := ctl("status")
	if err != nil {
		return err
	}
	if r, c := status["requests"], status["connections"]; r != strconv.Itoa(s.requests) || c != strconv.Itoa(s.connections) {
		return fmt.Errorf("%s made %s requests on %s connections, not %d on %d", s.argv[0], r, c, s.requests, s.connections)
	}
	return nil
}

func (s *side) median() time.Duration {
	sorted := slices.Sorted(slices.Values(s.took))
	return sorted[len(sorted)/2]
}

func (s *side) best() time.Duration { return slices.Min(s.took) }

// ms shows median and best.
func (s *side) ms() string {
	return fmt.Sprintf("%.1f ms (best %.1f)", millis(s.median()), millis(s.best()))
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func ratio(a, b *side) float64 { return float64(a.median()) / float64(b.median()) }

// ctl steers the local Lakebase and reads name=value lines.
func ctl(words ...string) (map[string]string, error) {
	out, err := exec.Command("local-lakebase", append([]string{"ctl"}, words...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("ctl %v: %w", words, err)
	}
	values := map[string]string{}
	for _, l := range strings.Split(string(out), "\n") {
		if name, value, ok := strings.Cut(l, "="); ok {
			values[name] = value
		}
	}
	return values, nil
}

// binaries compares the size of each program with what platforms take.
func binaries(t *table, dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(found) != 12 {
		return fmt.Errorf("%d programs in %s, not 12: %w", len(found), dir, err)
	}
	for _, path := range found {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		platform, limit := filepath.Base(filepath.Dir(path)), 12.0
		if strings.HasPrefix(platform, "linux") {
			limit = 10
		}
		t.limited("size "+platform+" "+filepath.Base(path), fmt.Sprint(info.Size()), "", float64(info.Size())/(1<<20), limit, "%.2f MiB")
	}
	return nil
}
