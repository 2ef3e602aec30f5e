// Command mutate shows that the tests notice what they are there to notice. Its
// table breaks the programs in one place at a time: a guard is left out, an error
// taken for another, a limit lifted. For each the tests named beside it are run
// on a copy of the tree, and one of them has to fail.
//
//	mutate [-list] [-at-once N] [WORD...]   those whose name has one of the words
//
// It is run by scripts/mutate.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// mutant is one break.
type mutant struct {
	name     string // room/what is broken
	file     string
	old, new string // old stands in the file once
	why      string // what users would lose
	tests    string // packages, and flags of go test
	lives    string // the reason why no test can notice; empty: one must
}

func main() {
	list := flag.Bool("list", false, "print the table and run nothing")
	atOnce := flag.Int("at-once", 2, "how many run side by side")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	chosen := choose(table(), flag.Args())
	if *list {
		for _, m := range chosen {
			fmt.Printf("%-42s %-34s %s\n", m.name, m.file, m.why)
		}
		fmt.Printf("%d mutants\n", len(chosen))
		return
	}
	ok, err := run(ctx, ".", chosen, max(1, *atOnce))
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// choose gives the mutants whose name has one of the words in it; no word gives
// all.
func choose(all []mutant, words []string) []mutant {
	var out []mutant
	for _, m := range all {
		take := len(words) == 0
		for _, w := range words {
			take = take || strings.Contains(m.name, w)
		}
		if take {
			out = append(out, m)
		}
	}
	return out
}

// run tries all mutants of the tree at root, and prints a row for each in the
// table's order. ok says that every one was killed, or has a reason to live.
func run(ctx context.Context, root string, all []mutant, atOnce int) (ok bool, err error) {
	for _, m := range all {
		if _, err := m.broken(root); err != nil {
			return false, err
		}
	}
	work, err := os.MkdirTemp("", "mutate.")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(work)
	trees := make([]string, atOnce)
	for i := range trees {
		trees[i] = filepath.Join(work, fmt.Sprint("tree", i))
		if err := copyTree(ctx, root, trees[i]); err != nil {
			return false, err
		}
	}
	sound, err := untouched(ctx, trees, all)
	if err != nil {
		return false, err
	}
	rows := newRows(all)
	each(ctx, trees, len(all), func(tree string, i int) {
		rows.done(i, all[i].try(ctx, tree, sound[all[i].tests]))
	})
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return rows.total(), nil
}

// untouched runs the tests without a mutant: they have to pass, or to fail later
// would mean nothing. It gives how long each took.
func untouched(ctx context.Context, trees []string, all []mutant) (map[string]time.Duration, error) {
	var tests []string
	took := map[string]time.Duration{}
	for _, m := range all {
		if _, seen := took[m.tests]; !seen {
			took[m.tests] = 0
			tests = append(tests, m.tests)
		}
	}
	var mu sync.Mutex
	var failed error
	each(ctx, trees, len(tests), func(tree string, i int) {
		r := goTest(ctx, tree, tests[i], 10*time.Minute)
		mu.Lock()
		defer mu.Unlock()
		took[tests[i]] = r.took
		if r.end != passed && failed == nil {
			failed = fmt.Errorf("go test %s fails without a mutant: %s\n%s", tests[i], r.test, r.output)
		}
	})
	return took, failed
}

// each hands the numbers below n to the trees, one at a time to each.
func each(ctx context.Context, trees []string, n int, do func(tree string, i int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for _, tree := range trees {
		all.Go(func() {
			for i := range next {
				if ctx.Err() == nil {
					do(tree, i)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}
