package main

import (
	"container/heap"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/supervisor"
)

const (
	duration = 5 * time.Hour         // of a simulation
	life     = time.Hour             // of a token
	latency  = 50 * time.Millisecond // of a call
	budget   = time.Minute           // the default of --timeout

	// A kubelet restarts a container after 10 s, doubled each time up to 5 min.
	firstRestart, maxRestart = 10 * time.Second, 5 * time.Minute
)

// config describes a simulation.
type config struct {
	holders    int              // processes that get a token each
	rollout    time.Duration    // in which they start, evenly
	limit      int              // calls per second that the workspace answers; others get 429; 0: all
	retryAfter time.Duration    // of a 429; 0: none
	calls      int              // for a token; 0: 2
	down       [2]time.Duration // from and to when each call gets 503
	random     *rand.Rand
}

// fleet is a simulation.
type fleet struct {
	config
	now    time.Duration
	events events

	second   []int // calls by second
	tokens   float64
	filled   time.Duration
	started  []time.Duration // when holders had their first token
	restarts int
	expired  int // tokens that expired before they were replaced
}

// simulate runs a simulation.
func simulate(c config) *fleet {
	if c.calls == 0 {
		c.calls = 2
	}
	f := &fleet{config: c, second: make([]int, int(duration.Seconds())+1), tokens: float64(c.limit)}
	for i := range c.holders {
		f.after(c.rollout*time.Duration(i)/time.Duration(c.holders), func() { f.start(firstRestart) })
	}
	for len(f.events) > 0 && f.events[0].at < duration {
		e := heap.Pop(&f.events).(event)
		f.now = e.at
		e.do()
	}
	return f
}

// start is the start of a container, which a kubelet restarts after wait if it fails.
func (f *fleet) start(wait time.Duration) {
	f.mint(f.calls, budget, func(ok bool) {
		if !ok {
			f.restarts++
			f.after(wait, func() { f.start(min(2*wait, maxRestart)) })
			return
		}
		f.started = append(f.started, f.now)
		f.serve(f.now)
	})
}

// serve waits until the token that was minted is replaced.
func (f *fleet) serve(minted time.Duration) {
	backoff := retry.Refresh().Backoff()
	var refresh func(timeout time.Duration)
	refresh = func(timeout time.Duration) {
		f.mint(f.calls, timeout, func(ok bool) {
			if ok {
				if f.now > minted+life {
					f.expired++
				}
				f.serve(f.now)
				return
			}
			f.after(supervisor.RetryWait(backoff, life, f.retryAfter), func() { refresh(0) })
		})
	}
	f.after(supervisor.RefreshAge(life, f.random.Float64()), func() { refresh(15 * time.Second) })
}

// mint makes calls one after the other, with retries for timeout. With 0 it makes one
// attempt at each, as retry.Once has it.
func (f *fleet) mint(calls int, timeout time.Duration, done func(ok bool)) {
	if calls == 0 {
		done(true)
		return
	}
	backoff, until := retry.Exchange().Backoff(), f.now+timeout
	var attempt func()
	attempt = func() {
		answered := f.call()
		f.after(latency, func() {
			if answered {
				f.mint(calls-1, timeout, done)
				return
			}
			wait, gaveUp := backoff.After(retry.Verdict{Retry: true, After: f.retryAfter}, until-f.now)
			if timeout == 0 || gaveUp != "" {
				done(false)
				return
			}
			f.after(wait, attempt)
		})
	}
	attempt()
}

// call reports whether the workspace answers: a token bucket that holds the calls
// of one second.
func (f *fleet) call() bool {
	f.second[int(f.now.Seconds())]++
	if f.down[0] <= f.now && f.now < f.down[1] {
		return false
	}
	if f.limit == 0 {
		return true
	}
	f.tokens = min(float64(f.limit), f.tokens+float64(f.limit)*(f.now-f.filled).Seconds())
	f.filled = f.now
	if f.tokens < 1 {
		return false
	}
	f.tokens--
	return true
}

// peak returns the most calls in a second, as the mean of ten.
func (f *fleet) peak(from, to time.Duration) (most float64) {
	for s := int(from.Seconds()); s+10 <= int(to.Seconds()); s++ {
		most = max(most, float64(sum(f.second[s:s+10]))/10)
	}
	return most
}

func (f *fleet) mean(from, to time.Duration) float64 {
	return float64(sum(f.second[int(from.Seconds()):int(to.Seconds())])) / (to - from).Seconds()
}

// ready returns when this part of the holders had a token.
func (f *fleet) ready(part float64) time.Duration {
	sort.Slice(f.started, func(i, j int) bool { return f.started[i] < f.started[j] })
	if i := int(part*float64(f.holders)) - 1; i < len(f.started) {
		return f.started[i]
	}
	return duration
}

func sum(list []int) (n int) {
	for _, v := range list {
		n += v
	}
	return n
}

// event is what happens at a time.
type event struct {
	at time.Duration
	do func()
}

func (f *fleet) after(d time.Duration, do func()) { heap.Push(&f.events, event{f.now + d, do}) }

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
