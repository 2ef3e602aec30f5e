package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// event is one line of go test -json (cmd/test2json; build-output and build-fail
// are described by go help buildjson).
type event struct {
	Time                                time.Time
	Action, Package, Test, Output       string
	Elapsed                             float64
	ImportPath, FailedBuild, Key, Value string
}

// tally is what is known of a go test so far.
type tally struct {
	out   io.Writer
	runs  map[string]*pkg
	cases []testCase
}

// pkg is one package whose tests run.
type pkg struct {
	tests map[string]*test
	said  []string // by no test
	ended bool
	stop  time.Time // of the last event
}

// test is one test; its output is kept until it is known how it ended.
type test struct {
	said           []string
	began          time.Time
	count          int  // the cases that it stands for
	ran            bool // not only a part of others' names
	ended          bool
	parent, failed bool
}

func newTally(out io.Writer) *tally { return &tally{out: out, runs: map[string]*pkg{}} }

// line takes in one line. One that is no event is go's own.
func (t *tally) line(text []byte) {
	var e event
	if err := json.Unmarshal(text, &e); err != nil || e.Action == "" {
		fmt.Fprintf(t.out, "%s\n", text)
		return
	}
	if e.Action == "build-output" {
		t.print(e.Output)
		return
	}
	if e.Package == "" {
		return // build-fail: the package's own end follows
	}
	p := t.runs[e.Package]
	if p == nil {
		p = &pkg{tests: map[string]*test{}}
		t.runs[e.Package] = p
	}
	p.stop = e.Time
	if e.Test == "" {
		t.ofPackage(p, e)
	} else {
		t.ofTest(p, e)
	}
}

// ofPackage takes in what is of no test.
func (t *tally) ofPackage(p *pkg, e event) {
	switch e.Action {
	case "output":
		p.said = append(p.said, e.Output)
	case "pass", "skip":
		p.ended = true
		for _, line := range p.said {
			if verdict(line) {
				t.print(line)
			}
		}
	case "fail":
		p.ended = true
		t.unfinished(e.Package, p)
		t.print(p.said...)
		if !p.blamed() {
			why := "what is around its tests"
			if e.FailedBuild != "" {
				why = "it does not build"
			}
			t.add(e.Package, why, 1, e.Time, e.Elapsed, true)
		}
	}
}

// verdict says whether plain go test shows a line of a package that passed.
func verdict(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") || strings.HasPrefix(line, "\t") && strings.Contains(line, "[no test files]")
}

// ofTest takes in what is of one test.
func (t *tally) ofTest(p *pkg, e event) {
	one := p.of(e.Test, e.Time)
	one.ran = true
	switch e.Action {
	case "output":
		if !moves(e.Output) {
			one.said = append(one.said, e.Output)
		}
	case "attr":
		if n, err := strconv.Atoi(e.Value); err == nil && e.Key == "cases" {
			one.count = n
		}
	case "pass", "fail", "skip":
		t.close(e.Package, p, e.Test, e.Action, e.Time, e.Elapsed)
	}
}

// of is the test of this name; those above it are no leaves.
func (p *pkg) of(name string, now time.Time) *test {
	one := p.tests[name]
	if one == nil {
		one = &test{began: now, count: 1}
		p.tests[name] = one
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
			p.of(name[:i], now).parent = true
		}
	}
	return one
}

// close counts a test that ended, and shows what it said if it failed.
func (t *tally) close(path string, p *pkg, name, how string, at time.Time, took float64) {
	one := p.of(name, at)
	if one.ended {
		return
	}
	one.ended, one.failed = true, how == "fail"
	if one.failed {
		t.print(one.said...)
	}
	one.said = nil
	switch {
	case how == "skip":
		t.cases = append(t.cases, testCase{Suite: suite(path, name), Name: short(path) + " " + name, End: at, Skipped: true})
	case !one.parent || one.failed && !p.failedBelow(name):
		t.add(path, name, one.count, at, took, one.failed)
	}
}

// unfinished are those that were running when their package ended: by a panic, an
// exit, or as time was up. It has failed, and they did not pass.
func (t *tally) unfinished(path string, p *pkg) {
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(p.tests))) { // those below first
		if one := p.tests[name]; one.ran && !one.ended {
			one.said = append(one.said, fmt.Sprintf("--- FAIL: %s (it did not end)\n", name))
			t.close(path, p, name, "fail", p.stop, p.stop.Sub(one.began).Seconds())
		}
	}
}

// failedBelow says whether a test below this one has failed.
func (p *pkg) failedBelow(name string) bool {
	for other, one := range p.tests {
		if one.failed && strings.HasPrefix(other, name+"/") {
			return true
		}
	}
	return false
}

// blamed says whether a test of the package has failed.
func (p *pkg) blamed() bool {
	for _, one := range p.tests {
		if one.failed {
			return true
		}
	}
	return false
}

// moves says whether a line tells only that a test goes on.
func moves(line string) bool {
	for _, word := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME ", "=== ATTR "} {
		if strings.HasPrefix(line, word) {
			return true
		}
	}
	return false
}

func (t *tally) add(path, name string, count int, end time.Time, took float64, failed bool) {
	t.cases = append(t.cases, testCase{Suite: suite(path, name), Name: short(path) + " " + name, Count: count, End: end, Seconds: took, Failed: failed})
}

// end gives all cases. A go test that failed without a failure has one all the
// same.
func (t *tally) end(passed bool) []testCase {
	for _, path := range slices.Sorted(maps.Keys(t.runs)) {
		if p := t.runs[path]; !p.ended {
			t.unfinished(path, p)
			t.print(p.said...)
			t.add(path, "it did not end", 1, p.stop, 0, true)
		}
	}
	if !passed && !slices.ContainsFunc(t.cases, func(c testCase) bool { return c.Failed }) {
		t.add("", "go test itself", 1, time.Now(), 0, true)
	}
	return t.cases
}

func (t *tally) print(lines ...string) {
	for _, line := range lines {
		_, _ = io.WriteString(t.out, line)
	}
}
