// Command fuzz is the part of scripts/fuzz that works: it runs every fuzzer of
// some packages for a while, several at once, and prints what each has tried. It
// exits 1 when one has found something, or has tried nothing. What it found lies
// in the package's testdata/fuzz then, where go test runs it as a case.
//
// A package's tests are compiled for fuzzing once, and each fuzzer has one
// worker: the processors belong to different fuzzers, two to each, since one waits
// a lot for its worker.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	span := flag.Duration("time", 5*time.Second, "for each fuzzer")
	atOnce := flag.Int("at-once", 2*runtime.NumCPU(), "how many run side by side")
	record := flag.String("record", "", "`file` for tally's table")
	keep := flag.Int("keep", 0, "how many inputs of each fuzzer stay in testdata/fuzz")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := all(ctx, *span, max(1, *atOnce), *keep, *record, flag.Args())
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(2)
	case failed > 0:
		os.Exit(1)
	}
}

// all finds the fuzzers, compiles their packages and runs them.
func all(ctx context.Context, span time.Duration, atOnce, keep int, record string, packages []string) (failed int, err error) {
	fuzzers, err := find(ctx, packages)
	if err != nil {
		return 0, err
	}
	if len(fuzzers) == 0 {
		return 0, fmt.Errorf("there is no fuzzer in %s", strings.Join(packages, " "))
	}
	dir, err := os.MkdirTemp("", "fuzz-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	cache, err := output(ctx, "go", "env", "GOCACHE")
	if err != nil {
		return 0, err
	}
	b := &builder{dir: dir, cache: strings.TrimSpace(cache)}
	if err := sideBySide(atOnce, b.places(fuzzers), func(p *place) error { return b.compile(ctx, p) }); err != nil {
		return 0, err
	}
	t := &table{out: os.Stdout, span: span}
	t.head()
	err = sideBySide(atOnce, fuzzers, func(f fuzzer) error {
		t.add(b.run(ctx, f, span))
		return errors.Join(context.Cause(ctx), b.keep(f, keep))
	})
	fmt.Printf("%d fuzzers for %s each: %d failed\n", len(t.rows), span, t.failed)
	if record != "" {
		err = errors.Join(err, t.write(record))
	}
	return t.failed, err
}

// sideBySide does the same with each of a list, so many at once. It stops at the
// first error.
func sideBySide[T any](atOnce int, list []T, do func(T) error) error {
	var mu sync.Mutex
	var first error
	next := func() (one T, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(list) == 0 || first != nil {
			return one, false
		}
		one, list = list[0], list[1:]
		return one, true
	}
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for one, ok := next(); ok; one, ok = next() {
				if err := do(one); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return first
}

// result is what became of one fuzzer.
type result struct {
	fuzzer
	executions, kept int
	end              time.Time
	took             time.Duration
	wrong            string // empty: nothing was found
	output           string
}

// table prints results as they come.
type table struct {
	mu     sync.Mutex
	out    io.Writer
	span   time.Duration
	rows   []result
	failed int
}

func (t *table) head() {
	fmt.Fprintf(t.out, "%-32s %-28s %12s %10s  %s\n", "package", "fuzzer", "executions", "kept", "")
}

func (t *table) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
	word := "ok"
	if r.wrong != "" {
		t.failed++
		word = "FAILED: " + r.wrong
	}
	fmt.Fprintf(t.out, "%-32s %-28s %12d %10d  %s\n", r.short, r.name, r.executions, r.kept, word)
	if r.wrong != "" {
		fmt.Fprintln(t.out, r.output)
	}
}

// write writes what scripts/internal/tally reads.
func (t *table) write(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(f)
	for _, r := range t.rows {
		err = errors.Join(err, enc.Encode(map[string]any{
			"suite": "fuzz", "name": r.short + " " + r.name, "count": 1, "end": r.end, "seconds": r.took.Seconds(), "failed": r.wrong != "",
		}))
	}
	return errors.Join(err, f.Close())
}
