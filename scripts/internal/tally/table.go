package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// slowest is how many cases are named.
const slowest = 5

// testCase is one that ended, or several of which one test tells.
type testCase struct {
	Suite   string    `json:"suite"`
	Name    string    `json:"name"`
	Count   int       `json:"count"`
	End     time.Time `json:"end"`
	Seconds float64   `json:"seconds"` // without those in which a parallel test stood still
	Failed  bool      `json:"failed,omitempty"`
	Skipped bool      `json:"skipped,omitempty"`
}

// keep writes cases to a file, one a line.
func keep(file string, cases []testCase) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(f)
	for _, c := range cases {
		err = errors.Join(err, enc.Encode(c))
	}
	return errors.Join(err, f.Close())
}

// load reads what keep wrote.
func load(files []string) (cases []testCase, err error) {
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		for dec := json.NewDecoder(f); ; {
			var c testCase
			if err := dec.Decode(&c); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			cases = append(cases, c)
		}
	}
	return cases, nil
}

// show prints the table of these files; the code is 1 where something failed or
// was skipped: what a test needs and is absent fails it.
func show(out io.Writer, files []string) (code int, err error) {
	cases, err := load(files)
	if err != nil {
		return 0, err
	}
	if len(cases) == 0 {
		return 0, errors.New("no case was run")
	}
	return table(out, cases), nil
}

// line is one of the table.
type line struct {
	cases, failures int
	took            float64
}

func table(out io.Writer, cases []testCase) (code int) {
	parts := map[string][]testCase{}
	var failed, skipped, timed []testCase
	for _, c := range cases {
		switch {
		case c.Skipped:
			skipped = append(skipped, c)
			continue
		case c.Failed:
			failed = append(failed, c)
		}
		parts[c.Suite] = append(parts[c.Suite], c)
		timed = append(timed, c)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "suite\tcases\tfailures\tseconds\t")
	names := slices.SortedFunc(maps.Keys(parts), func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	for _, name := range names {
		l := sum(parts[name])
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t\n", name, l.cases, l.failures, l.took)
	}
	l := sum(timed)
	fmt.Fprintf(w, "all\t%d\t%d\t%.1f\t\n", l.cases, l.failures, l.took)
	_ = w.Flush()
	slices.SortStableFunc(timed, func(a, b testCase) int { return cmp.Compare(b.Seconds, a.Seconds) })
	list(out, "slowest", timed[:min(slowest, len(timed))])
	list(out, "SKIPPED, which counts as a failure", skipped)
	list(out, "FAILED", failed)
	if len(failed)+len(skipped) > 0 {
		return 1
	}
	return 0
}

// place is where a suite stands in the table.
func place(name string) int {
	if i := slices.Index(order, name); i >= 0 {
		return i
	}
	return len(order)
}

// sum adds up. The time is that in which at least one of them ran.
func sum(cases []testCase) (l line) {
	type span struct{ from, to time.Time }
	var spans []span
	for _, c := range cases {
		l.cases += c.Count
		if c.Failed {
			l.failures++
		}
		spans = append(spans, span{c.End.Add(-time.Duration(c.Seconds * float64(time.Second))), c.End})
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var until time.Time
	for _, s := range spans {
		if s.from.Before(until) {
			s.from = until
		}
		if s.to.After(s.from) {
			l.took += s.to.Sub(s.from).Seconds()
			until = s.to
		}
	}
	return l
}

func list(out io.Writer, word string, cases []testCase) {
	if len(cases) > 0 {
		fmt.Fprintln(out, word+":")
	}
	for _, c := range cases {
		fmt.Fprintf(out, "  %7.1f s  %s\n", c.Seconds, strings.TrimSpace(c.Name))
	}
}
