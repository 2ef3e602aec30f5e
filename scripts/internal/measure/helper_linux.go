package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	helper    = "lakebase-credential-helper"
	crowdSize = 200
	crowdRuns = 5
	callTakes = 200 * time.Millisecond
)

// warmGet compares the helper's answer from the cache with reading the stored
// secret by secret-tool, as a script would.
func warmGet(t *table) error {
	if err := (&side{argv: []string{helper, "get"}}).run(); err != nil {
		return err
	}
	account, err := item("secret:")
	if err != nil {
		return err
	}
	get := &side{argv: []string{helper, "get", "--format", "password"}}
	tool := &side{argv: []string{"secret-tool", "lookup", "service", "lakebase", "username", account}}
	if err := interleave(warmRuns, get, tool); err != nil {
		return err
	}
	t.limited("warm get; secret-tool lookup", get.ms(), tool.ms(), ratio(get, tool), 0.7, "%.2f")
	return nil
}

// crowded compares the slowest of many gets on a cold cache with one alone, where
// each call of the API takes a while. A life of its own makes each run cold.
func crowded(t *table) error {
	if _, err := ctl("set", "latency="+callTakes.String()); err != nil {
		return err
	}
	var alone, slowest []time.Duration
	for i := range crowdRuns {
		one, err := gets(1, 3000-i)
		if err != nil {
			return err
		}
		many, err := gets(crowdSize, 2000-i)
		if err != nil {
			return err
		}
		alone, slowest = append(alone, one), append(slowest, many)
	}
	slices.Sort(alone)
	slices.Sort(slowest)
	one, many := alone[crowdRuns/2], slowest[crowdRuns/2]
	t.limited(fmt.Sprintf("slowest of %d cold gets; one alone", crowdSize), fmt.Sprintf("%.0f ms", millis(many)), fmt.Sprintf("%.0f ms", millis(one)),
		float64(many)/float64(one), 3, "%.2f")
	_, err := ctl("set", "latency=0s")
	return err
}

// gets starts n at once and gives the time of the slowest. All of them together
// may make the two requests of one.
func gets(n, seconds int) (time.Duration, error) {
	if _, err := ctl("reset"); err != nil {
		return 0, err
	}
	var all sync.WaitGroup
	took, errs := make([]time.Duration, n), make([]error, n)
	for i := range n {
		cmd := exec.Command(helper, "get", "--format", "password", "--ttl", strconv.Itoa(seconds)+"s")
		start := time.Now()
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		all.Go(func() { errs[i], took[i] = cmd.Wait(), time.Since(start) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, fmt.Errorf("one of %d gets: %w", n, err)
		}
	}
	status, err := ctl("status")
	if err != nil {
		return 0, err
	}
	if r := status["requests"]; r != "2" {
		return 0, fmt.Errorf("%d gets made %s requests, not 2", n, r)
	}
	return slices.Max(took), nil
}
