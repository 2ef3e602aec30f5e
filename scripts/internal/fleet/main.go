// Command fleet simulates the calls of many pods to a workspace, in virtual time:
// each pod starts, gets a database token, and keeps it fresh. Waits are those of
// internal/retry and internal/supervisor. It prints the tables of docs/fleet.md.
//
//	go run ./scripts/internal/fleet [-svg docs/fleet.svg]
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"time"
)

// podsPerNode is how many pods share a proxy.
const podsPerNode = 30

func main() {
	svg := flag.String("svg", "", "write the plot to `FILE`")
	flag.Parse()
	steady(os.Stdout)
	limited(os.Stdout)
	outages(os.Stdout)
	if *svg != "" {
		if err := os.WriteFile(*svg, []byte(plot()), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// nodes returns how many nodes run pods.
func nodes(pods int) int { return (pods + podsPerNode - 1) / podsPerNode }

// steady has a workspace that answers every call.
func steady(out io.Writer) {
	fmt.Fprint(out, "\n| pods | token holders | start in 1 min: peak | refreshes: peak | mean |\n|---|---|---|---|---|\n")
	for _, pods := range []int{1000, 10_000, 100_000} {
		for _, holders := range []int{pods, nodes(pods)} {
			f := simulate(config{holders: holders, start: time.Minute})
			fmt.Fprintf(out, "| %d | %d | %s | %s | %s |\n", pods, holders,
				round(f.peak(0, 5*time.Minute)), round(f.peak(5*time.Minute, duration)), round(f.mean(duration/2, duration)))
		}
	}
}

// limited has a workspace that answers 429 beyond a rate.
func limited(out io.Writer) {
	fmt.Fprint(out, "\n| token holders | start in | limit | Retry-After | peak | 99 % ready after | restarts for each |\n|---|---|---|---|---|---|---|\n")
	for _, c := range []config{
		{holders: 10_000, start: time.Minute, limit: 100},
		{holders: 10_000, start: time.Minute, limit: 100, retryAfter: 10 * time.Second},
		{holders: 10_000, start: 4 * time.Minute, limit: 100},
		{holders: 100_000, start: time.Minute, limit: 200},
		{holders: 100_000, start: time.Minute, limit: 200, retryAfter: 10 * time.Second},
		{holders: 100_000, start: 20 * time.Minute, limit: 200},
		{holders: nodes(100_000), start: time.Minute, limit: 200},
	} {
		f := simulate(c)
		fmt.Fprintf(out, "| %d | %s | %d | %s | %s | %s | %.1f |\n", c.holders, c.start, c.limit, c.retryAfter,
			round(f.peak(0, duration)), f.ready(0.99).Round(time.Second), float64(f.restarts)/float64(c.holders))
	}
}

// outages has a workspace that answers 503 for a while.
func outages(out io.Writer) {
	fmt.Fprint(out, "\n| pods | outage | peak during | peak after |\n|---|---|---|---|\n")
	for _, takes := range []time.Duration{5 * time.Minute, time.Hour} {
		from := 150 * time.Minute
		to := from + takes
		f := simulate(config{holders: 100_000, start: time.Minute, down: [2]time.Duration{from, to}})
		fmt.Fprintf(out, "| %d | %s | %s | %s |\n", f.holders, takes, round(f.peak(from, to)), round(f.peak(to, duration)))
	}
}

// round rounds to two significant digits.
func round(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return fmt.Sprintf("%.0f", math.Round(v/unit)*unit)
}

// plot draws calls by time for 100,000 pods.
func plot() string {
	const width, height, left, top, decades = 640.0, 300.0, 60.0, 20.0, 4
	x := func(at time.Duration) float64 { return left + width*at.Hours()/duration.Hours() }
	y := func(rate float64) float64 { return top + height*(1-math.Log10(max(rate, 1))/decades) }
	s := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="12">
<title>Calls per second of 100,000 pods that start within a minute</title>
<rect width="100%%" height="100%%" fill="white"/>
<text x="6" y="14">calls/s</text>
`, left+width+20, top+height+60)
	for d := range decades + 1 {
		at := y(math.Pow10(d))
		s += fmt.Sprintf(`<path d="M%.0f %.0fH%.0f" stroke="#ddd"/><text x="%.0f" y="%.0f" text-anchor="end">%.0f</text>`+"\n", left, at, left+width, left-6, at+4, math.Pow10(d))
	}
	for h := range int(duration.Hours()) + 1 {
		s += fmt.Sprintf(`<text x="%.0f" y="%.0f" text-anchor="middle">%d h</text>`+"\n", x(time.Duration(h)*time.Hour), top+height+18, h)
	}
	for i, line := range []struct {
		name, color string
		config
	}{
		{"a token for each pod", "#0072b2", config{holders: 100_000}},
		{"a token for each node", "#009e73", config{holders: nodes(100_000)}},
	} {
		line.start = time.Minute
		f := simulate(line.config)
		points := ""
		for at := time.Duration(0); at < duration; at += time.Minute {
			points += fmt.Sprintf("%.1f,%.1f ", x(at), y(f.mean(at, at+time.Minute)))
		}
		at := left + 10 + 200*float64(i)
		s += fmt.Sprintf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/><path d="M%.0f %.0fh20" stroke="%s" stroke-width="3"/><text x="%.0f" y="%.0f">%s</text>`+"\n",
			points, line.color, at, top+height+42, line.color, at+26, top+height+46, line.name)
	}
	return s + "</svg>\n"
}

// newRandom returns the same numbers in each run. internal/retry has its own.
func newRandom() *rand.Rand { return rand.New(rand.NewPCG(14, 4)) }
