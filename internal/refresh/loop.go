package refresh

import (
	"context"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// run is the state of one Run. Only its goroutine touches it.
type run struct {
	*Keeper
	backoff *retry.Backoff

	results chan result
	cancel  context.CancelFunc // of the refresh under way; nil: there is none
	begun   moment             // when it began

	ended   moment        // when the last one did
	failing bool          // it failed
	pause   time.Duration // and this is the wait before the next
	err     error
	pending held // minted, but not delivered; zero: none
	told    Kind // the last event of this outage; zero: all is well
}

func (r *run) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if r.Beat != nil {
			r.Beat()
		}
		now := r.now()
		if r.cancel == nil && ctx.Err() == nil && r.due(now) {
			r.begin(ctx, now)
		}
		r.watch(now)
		timer.Reset(r.until(now))
		select {
		case <-ctx.Done():
			if r.cancel != nil {
				r.cancel()
				<-r.results
			}
			return
		case <-timer.C:
		case <-r.kick:
		case res := <-r.results:
			r.landed(ctx, res)
		}
	}
}

// need says whether a refresh is called for, and what must lie between the end of
// the last one and its begin.
func (r *run) need(now moment) (bool, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.present
	switch {
	case r.failing && r.asked:
		return true, min(r.pause, h.gap())
	case r.failing:
		return true, r.pause
	case r.refused:
		return true, 0
	case r.asked:
		return true, h.gap()
	}
	return h.old(now), h.floor()
}

func (r *run) due(now moment) bool {
	need, rest := r.need(now)
	return need && now.since(r.ended) >= rest
}

// until is how long nothing will happen by itself.
func (r *run) until(now moment) time.Duration {
	h := r.held()
	wait := r.Tick
	if wait <= 0 {
		wait = longestTick
	}
	wait = max(shortestTick, min(wait, longestTick, h.tenth()))
	if r.cancel == nil {
		if need, rest := r.need(now); need {
			wait = min(wait, rest-now.since(r.ended))
		} else {
			wait = min(wait, h.after-h.age(now))
		}
	}
	if left := h.left(now); left > 0 {
		wait = min(wait, left)
	}
	return max(wait, time.Millisecond)
}

func (r *run) held() held {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.present
}

func (r *run) begin(ctx context.Context, now moment) {
	if r.pending.old(now) {
		r.pending = held{}
	}
	ctx, r.cancel = context.WithCancel(ctx)
	r.begun = now
	old, pending := r.held().token, r.pending.token
	go func() { r.results <- r.attempt(ctx, old, pending) }()
}

// landed takes in the end of a refresh, and lets those go who waited for it.
func (r *run) landed(ctx context.Context, res result) {
	r.cancel()
	now := r.now()
	r.cancel, r.ended, r.err = nil, now, res.err
	if ctx.Err() != nil {
		return // its failure tells only that we end
	}
	r.mu.Lock()
	if res.minted {
		r.stats.Minted++
	}
	if res.err == nil {
		r.settle(res, now)
	} else {
		r.fail(res, now)
	}
	waited := r.round
	r.round, r.asked = nil, false
	r.mu.Unlock()
	if waited != nil {
		waited.err = res.err
		close(waited.done)
	}
	r.tellOfOutage(now)
}

// settle makes the new token the present one.
func (r *run) settle(res result, now moment) {
	r.pending = held{}
	r.present = hold(res.token, now, r.jitter())
	if r.refused {
		r.calm = now
	}
	r.failing, r.refused = false, false
	r.stats.LastError, r.stats.ExpiresAt = "", r.present.token.ExpiresAt
	r.backoff.Reset()
}

func (r *run) fail(res result, now moment) {
	r.pending = held{}
	if !res.token.Value.IsZero() {
		r.pending = hold(res.token, now, 0)
	}
	r.failing = true
	r.stats.Failed++
	r.stats.LastError = sanitize.Line(res.err.Error(), r.present.token.Value, res.token.Value)
	r.pause = min(r.backoff.Next(), r.present.tenth())
}
