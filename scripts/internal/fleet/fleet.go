package main

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/supervisor"
)

const (
	duration = 4 * time.Hour         // of a simulation
	life     = time.Hour             // of a token
	calls    = 2                     // for a token
	latency  = 50 * time.Millisecond // of a call

	startBudget   = time.Minute      // the default of --timeout, for each call
	refreshBudget = 15 * time.Second // of a refresh (internal/supervisor)

	// A kubelet restarts a container after 10 s, doubled each time up to 5 min.
	firstRestart, maxRestart = 10 * time.Second, 5 * time.Minute
)

// config describes a simulation.
type config struct {
	holders    int              // processes that get a token each
	start      time.Duration    // in which they start, evenly
	limit      int              // calls per second that the workspace answers; others get 429; 0: all
	retryAfter time.Duration    // of a 429 or 503; 0: none
	down       [2]time.Duration // from and to when each call gets 503
}

// fleet is a simulation.
type fleet struct {
	config
	random *rand.Rand
	now    time.Duration
	events events

	second   []int   // calls by second
	tokens   float64 // of the rate limit's bucket
	filledAt time.Duration
	started  []time.Duration // when each holder had its first token
	restarts int
}

// simulate runs a simulation.
func simulate(c config) *fleet {
	f := &fleet{config: c, random: newRandom(), second: make([]int, int(duration.Seconds())), tokens: float64(c.limit)}
	for i := range c.holders {
		f.after(c.start*time.Duration(i)/time.Duration(c.holders), func() { f.run(firstRestart) })
	}
	for len(f.events) > 0 && f.events[0].at < duration {
		e := heap.Pop(&f.events).(event)
		f.now = e.at
		e.do()
	}
	return f
}

// run is a container's process, which a kubelet restarts after wait if it fails.
func (f *fleet) run(wait time.Duration) {
	f.mint(calls, startBudget, func(ok bool) {
		if !ok {
			f.restarts++
			f.after(wait, func() { f.run(min(2*wait, maxRestart)) })
			return
		}
		f.started = append(f.started, f.now)
		f.serve()
	})
}

// serve replaces the token that has just been minted when it is time.
func (f *fleet) serve() {
	backoff := retry.Refresh().Backoff()
	var refresh func(budget time.Duration)
	refresh = func(budget time.Duration) {
		f.mint(calls, budget, func(ok bool) {
			if ok {
				f.serve()
				return
			}
			f.after(supervisor.RetryWait(backoff, life, f.retryAfter), func() { refresh(0) })
		})
	}
	f.after(supervisor.RefreshAge(life, f.random.Float64()), func() { refresh(refreshBudget) })
}

// mint makes n calls one after the other, with retries within budget. With 0 it makes
// one attempt at each, as retry.Once has it.
func (f *fleet) mint(n int, budget time.Duration, done func(ok bool)) {
	if n == 0 {
		done(true)
		return
	}
	backoff, until := retry.Exchange().Backoff(), f.now+budget
	var attempt func()
	attempt = func() {
		answered := f.call()
		f.after(latency, func() {
			if answered {
				f.mint(n-1, budget, done)
				return
			}
			wait, ok := backoff.Within(until-f.now, f.retryAfter)
			if budget == 0 || !ok {
				done(false)
				return
			}
			f.after(wait, attempt)
		})
	}
	attempt()
}

// call reports whether the workspace answers. Its rate limit is a token bucket that
// holds the calls of one second.
func (f *fleet) call() bool {
	f.second[int(f.now.Seconds())]++
	switch {
	case f.down[0] <= f.now && f.now < f.down[1]:
		return false
	case f.limit == 0:
		return true
	}
	f.tokens = min(float64(f.limit), f.tokens+float64(f.limit)*(f.now-f.filledAt).Seconds())
	f.filledAt = f.now
	if f.tokens < 1 {
		return false
	}
	f.tokens--
	return true
}

// mean returns the calls per second in a span.
func (f *fleet) mean(from, to time.Duration) float64 {
	n := 0
	for _, v := range f.second[int(from.Seconds()):int(to.Seconds())] {
		n += v
	}
	return float64(n) / (to - from).Seconds()
}

// peak returns the greatest mean of ten seconds.
func (f *fleet) peak(from, to time.Duration) (most float64) {
	for at := from; at+10*time.Second <= to; at += time.Second {
		most = max(most, f.mean(at, at+10*time.Second))
	}
	return most
}

// ready returns when this part of the holders had a token.
func (f *fleet) ready(part float64) time.Duration {
	slices.Sort(f.started)
	if i := int(part*float64(f.holders)) - 1; i < len(f.started) {
		return f.started[i]
	}
	return duration
}

func (f *fleet) after(d time.Duration, do func()) { heap.Push(&f.events, event{f.now + d, do}) }

// event is what happens at a time.
type event struct {
	at time.Duration
	do func()
}

// events is a heap by time.
type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
