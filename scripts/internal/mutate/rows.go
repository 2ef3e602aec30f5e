package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// rows prints what became of each mutant, in the table's order.
type rows struct {
	mu      sync.Mutex
	all     []mutant
	results []*result
	printed int
	begun   time.Time
}

func newRows(all []mutant) *rows {
	fmt.Printf("%-42s %-9s %6s  %s\n", "mutant", "", "took", "by")
	return &rows{all: all, results: make([]*result, len(all)), begun: time.Now()}
}

func (r *rows) done(i int, res result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results[i] = &res
	for ; r.printed < len(r.all) && r.results[r.printed] != nil; r.printed++ {
		m, res := r.all[r.printed], *r.results[r.printed]
		verdict, by := m.verdict(res)
		fmt.Printf("%-42s %-9s %5.1fs  %s\n", m.name, verdict, res.took.Seconds(), by)
	}
}

// verdict is a word about a mutant, and by what it was killed.
func (m mutant) verdict(res result) (word, by string) {
	switch {
	case res.end == unusable:
		return "ERROR", "it cannot be run"
	case res.end == failed && m.lives != "":
		return "killed", res.test + " (its reason to live is wrong: " + m.lives + ")"
	case res.end == failed:
		return "killed", res.test
	case m.lives != "":
		return "lives", m.lives
	}
	return "SURVIVED", "go test " + m.tests
}

// total prints the counts, and what has to be mended in full.
func (r *rows) total() (ok bool) {
	n := map[string]int{}
	for i, m := range r.all {
		word, _ := m.verdict(*r.results[i])
		n[word]++
		switch word {
		case "SURVIVED":
			fmt.Fprintf(os.Stderr, "\n%s survived: %s\n%s: in place of\n\t%s\nstood\n\t%s\n", m.name, m.why, m.file, m.old, m.new)
		case "ERROR":
			fmt.Fprintf(os.Stderr, "\n%s cannot be run:\n%s\n", m.name, r.results[i].output)
		}
	}
	fmt.Printf("%d mutants in %s: %d killed, %d live for a reason, %d survived, %d in error\n",
		len(r.all), time.Since(r.begun).Round(time.Second), n["killed"], n["lives"], n["SURVIVED"], n["ERROR"])
	return n["SURVIVED"]+n["ERROR"] == 0
}
