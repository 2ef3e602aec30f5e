package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// well is a report of half an hour in which nothing went wrong.
func well() *report {
	r := &report{begun: time.Now(), life: 10 * time.Second, faults: map[string]int{}}
	r.status = status{Refreshes: 200, FailedRefreshes: 3, Logins: 5001, Wakes: 40}
	r.said = helper + ": warning: the token could not be renewed\n"
	r.logins.Store(5000)
	r.kept.Store(100)
	r.cut.Store(40)
	r.refused.Store(30)
	for _, f := range slices.Concat(renewals, logins) {
		r.faults[f.name] = 12
	}
	for _, at := range []time.Duration{time.Minute, 15 * time.Minute, 30 * time.Minute} {
		r.measured = append(r.measured, sample{at: at, rss: 20, descriptors: 12, goroutines: 14, threads: 8})
	}
	return r
}

// Each thing that may go wrong is noticed, by itself, and named.
func TestJudge(t *testing.T) {
	if err := well().judge(); err != nil {
		t.Fatalf("all is well, and yet: %v", err)
	}
	for want, harm := range map[string]func(*report){
		"1 failures":                            func(r *report) { r.failed("on purpose") },
		"the proxy counts 1 failed logins":      func(r *report) { r.status.FailedLogins = 1 },
		"the proxy counts 4999 logins":          func(r *report) { r.status.Logins = 4999 },
		"the clients 0":                         func(r *report) { r.logins.Store(0) },
		"nobody stayed":                         func(r *report) { r.kept.Store(0) },
		"no stranger was refused":               func(r *report) { r.refused.Store(0) },
		"lost their server":                     func(r *report) { r.cut.Store(300) },
		"89 rotations":                          func(r *report) { r.status.Refreshes = 89 },
		"16 faults in 30m0s":                    func(r *report) { few(r.faults, 1); r.cut.Store(9) },
		`there was no fault "keychain silent"`:  func(r *report) { delete(r.faults, "keychain silent") },
		"1 connections are open":                func(r *report) { r.status.OpenConnections = 1 },
		"2 wait":                                func(r *report) { r.status.WaitingLogins = 2 },
		"has told a secret":                     func(r *report) { r.leaked = true },
		"asked to unlock the keychain, 1 times": func(r *report) { r.dialogs = 1 },
		`the proxy said "panic: `:               func(r *report) { r.said += "panic: no\n" },
		"memory grew from 20.0 to 31.0 MiB":     func(r *report) { r.measured[2].rss = 31 },
		"descriptors grew from 12 to 15":        func(r *report) { r.measured[2].descriptors = 15 },
		"goroutines grew from 14 to 18":         func(r *report) { r.measured[1].goroutines = 18 },
		"goroutines grew from 14 to 0":          func(r *report) { r.measured[2].goroutines = 0 },
		"threads grew from 8 to 13":             func(r *report) { r.measured[2].threads = 13 },
		"1 measurements":                        func(r *report) { r.measured = r.measured[:1] },
	} {
		r := well()
		harm(r)
		err := r.judge()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is told as: %v", want, err)
		}
	}
	// What is measured breathes.
	r := well()
	r.measured[2] = sample{at: 30 * time.Minute, rss: 29, descriptors: 14, goroutines: 17, threads: 12}
	if err := r.judge(); err != nil {
		t.Error(err)
	}
}

func few(faults map[string]int, n int) {
	for name := range faults {
		faults[name] = n
	}
}

// Only the loss of a server that was taken away is nobody's failure.
func TestExcused(t *testing.T) {
	lost := errors.New("FATAL: terminating connection (SQLSTATE 57P01)")
	for _, c := range []struct {
		err      error
		mayBeCut bool
		want     bool
	}{
		{lost, true, true},
		{lost, false, false},
		{fmt.Errorf("asked for 7: %w", errWrong), true, false},
		{fmt.Errorf("reading: %w", context.DeadlineExceeded), true, false},
	} {
		if got := excused(c.err, c.mayBeCut); got != c.want {
			t.Errorf("%v, may be cut %t: %t", c.err, c.mayBeCut, got)
		}
	}
	w := &world{}
	seen := w.cuts.Load()
	if w.mayBeCut(seen) {
		t.Error("cut by nothing")
	}
	_ = w.cutting(func() error {
		if !w.mayBeCut(seen) || !w.mayBeCut(w.cuts.Load()) {
			t.Error("not cut in the midst of it")
		}
		return nil
	})
	if !w.mayBeCut(seen) || w.mayBeCut(w.cuts.Load()) {
		t.Error("one that was there before may be cut, and one that came after may not")
	}
}

// The least of a measurement is of each figure, and what was not told is no zero.
func TestLeast(t *testing.T) {
	got := sample{}.or(sample{rss: 20, descriptors: 13, threads: 9}).or(sample{rss: 21, descriptors: 12, goroutines: 15, threads: 9}).or(sample{rss: 19.5, descriptors: 14, goroutines: 18, threads: 8})
	if got != (sample{rss: 19.5, descriptors: 12, goroutines: 15, threads: 8}) {
		t.Errorf("%+v", got)
	}
}

// A fault that nobody meets is a failure, and one whose time was too short is none.
func TestLaneWantsFaultsToBeMet(t *testing.T) {
	try := func(span time.Duration, put func(context.Context, *world, *rand.Rand) error) (r *report, err error) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), span)
			defer cancel()
			r = &report{begun: time.Now()}
			err = lane(ctx, nil, r, []fault{{"this", put}}, rand.New(rand.NewPCG(1, 1)))
		})
		return r, err
	}
	alone := func(ctx context.Context, _ *world, _ *rand.Rand) error {
		return until(ctx, func() bool { return false })
	}
	if r, err := try(time.Minute, func(context.Context, *world, *rand.Rand) error { return nil }); err != nil || r.faults["this"] < 20 || r.failures != 0 {
		t.Errorf("met: %v %v %d", err, r.faults, r.failures)
	}
	if r, err := try(time.Minute, alone); err != nil || r.injected() != 0 || r.failures != 1 || !strings.Contains(r.first[0], "nobody has met: this") {
		t.Errorf("not met: %v %v %q", err, r.faults, r.first)
	}
	if r, err := try(notMet/2, alone); err != nil || r.injected() != 0 || r.failures != 0 {
		t.Errorf("too short: %v %v %q", err, r.faults, r.first)
	}
	if _, err := try(time.Minute, func(context.Context, *world, *rand.Rand) error { return errors.New("it cannot be put in") }); err == nil || err.Error() != "this: it cannot be put in" {
		t.Errorf("broken: %v", err)
	}
}
