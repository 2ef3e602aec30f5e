// Command fleet simulates the calls of many pods to a workspace, in virtual time:
// each pod starts, gets a database token, and keeps it fresh. Waits are those of
// internal/retry and internal/supervisor.
//
//	go run ./scripts/internal/fleet [-svg FILE]
package main

import (
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	svg := flag.String("svg", "", "write the plot to `FILE`")
	flag.Parse()
	if err := run(*svg); err != nil {
		log.Fatal(err)
	}
}

// old is the jitter before it was widened: ±5 % of a token's life.
const podsPerNode = 30

func run(svg string) error {
	seed := func() *rand.Rand { return rand.New(rand.NewPCG(14, 4)) }
	fmt.Println("| pods | token holders | rollout, calls/s | refreshes, peak calls/s | mean calls/s |")
	fmt.Println("|---|---|---|---|---|")
	for _, pods := range []int{1000, 10_000, 100_000} {
		for _, perNode := range []int{1, podsPerNode} {
			n := (pods + perNode - 1) / perNode
			f := simulate(config{holders: n, rollout: time.Minute, random: seed()})
			fmt.Printf("| %d | %d | %s | %s | %s |\n", pods, n, two(f.peak(0, 5*time.Minute)), two(f.peak(5*time.Minute, duration)), two(f.mean(duration/2, duration)))
		}
	}
	fmt.Println()
	fmt.Println("| pods | limit, calls/s | Retry-After | peak calls/s | 99 % ready after | restarts | refresh peak | expired |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, c := range []struct {
		pods, limit int
		after, roll time.Duration
	}{{1000, 50, 0, time.Minute}, {10_000, 100, 0, time.Minute}, {10_000, 100, time.Second, time.Minute}, {10_000, 100, 10 * time.Second, time.Minute}, {100_000, 200, 0, time.Minute}, {100_000, 200, 10 * time.Second, time.Minute}, {100_000, 200, 0, 20 * time.Minute}, {3334, 200, 0, time.Minute}} {
		f := simulate(config{holders: c.pods, rollout: c.roll, limit: c.limit, retryAfter: c.after, random: seed()})
		fmt.Printf("| %d in %s | %d | %s | %s | %s | %d | %s | %d |\n", c.pods, c.roll, c.limit, c.after, two(f.peak(0, 15*time.Minute)), f.ready(0.99).Round(time.Second), f.restarts, two(f.peak(30*time.Minute, duration)), f.expired)
	}
	for _, outage := range []time.Duration{5 * time.Minute, time.Hour} {
		from := 150 * time.Minute
		f := simulate(config{holders: 100_000, rollout: time.Minute, random: seed(), down: [2]time.Duration{from, from + outage}})
		at := from + outage
		fmt.Println("outage", outage, "peak during", two(f.peak(from, at-10*time.Second)), "after", two(f.peak(at-time.Second, at+10*time.Minute)), "hour later", two(f.peak(at+10*time.Minute, duration)), "expired", f.expired)
	}
	_ = os.Stdout
	_ = svg
	return nil
}

// two rounds to two significant digits.
func two(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return fmt.Sprintf("%.0f", math.Round(v/unit)*unit)
}
