// Package supervisor has what runs in the background of a command or a proxy: a Refresher
// that keeps one database token fresh, the status file, health probes and metrics. It never
// mints by itself and never ends the process.
package supervisor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// RefresherConfig configures a Refresher.
type RefresherConfig struct {
	First credential.Token
	// Mint obtains a token to replace old, which the server has rejected or which
	// is about to expire. It must return soon after its context ends.
	Mint func(ctx context.Context, old credential.Secret) (credential.Token, error)
	// OnToken delivers a new token; First is not delivered. If it fails, the refresh
	// has failed: the old token stays current. It may be nil.
	OnToken func(ctx context.Context, t credential.Token) error
	// OnEvent is called about outages, from Run's goroutine. It must not block.
	OnEvent func(Event)
}

// EventKind is what an Event reports.
type EventKind int

// The kinds. An outage has at most one of each, in this order.
const (
	Failing   EventKind = iota + 1 // warning: new logins work until ExpiresAt
	Expired                        // warning: ExpiresAt has passed, new logins fail
	Recovered                      // there is a new token, valid until ExpiresAt
)

// Event is a change that users should know about.
type Event struct {
	Kind      EventKind
	ExpiresAt time.Time // of the current token, in UTC
	Rejected  bool      // the server has rejected the current token: logins may fail before ExpiresAt
	Err       error     // Mint's or OnToken's; nil when recovered
}

// Refresher keeps a database token fresh while Run runs. There is at most one
// refresh at a time. No token appears in an error, event or statistic.
type Refresher struct {
	RefresherConfig
	schedule retry.Schedule
	now      func() time.Time // the wall clock
	jitter   func() float64   // in [0, 1)
	wakeup   chan struct{}    // wakes Run when flight has changed

	mu          sync.Mutex
	current     tokenState
	flight      *flight // that callers of Token wait for; nil: no one does
	rejected    bool    // the server has rejected the current token
	stopped     bool    // Run has returned
	lastRefusal instant // when a refresh ended that a rejection had asked for
	stats       State   // see Stats
}

// flight is the refresh in progress or, if there is none, the next one.
type flight struct {
	done chan struct{}
	err  error // read after done is closed
}

func (f *flight) finish(err error) {
	if f != nil {
		f.err = err
		close(f.done)
	}
}

// NewRefresher returns a Refresher that begins with the token First.
func NewRefresher(c RefresherConfig) *Refresher {
	return newRefresher(c, time.Now, rand.Float64, retry.Refresh())
}

func newRefresher(c RefresherConfig, now func() time.Time, jitter func() float64, schedule retry.Schedule) *Refresher {
	r := &Refresher{RefresherConfig: c, now: now, jitter: jitter, schedule: schedule, wakeup: make(chan struct{}, 1)}
	r.current = newTokenState(c.First, r.instant(), jitter())
	r.stats.TokenMintedAt, r.stats.TokenExpiresAt = r.current.token.MintedAt, r.current.token.ExpiresAt
	return r
}

func (r *Refresher) instant() instant { return instant{wall: r.now().Round(0), mono: time.Now()} }

// Run keeps the token fresh until ctx ends. It runs once.
func (r *Refresher) Run(ctx context.Context) {
	l := &refreshLoop{Refresher: r, results: make(chan result, 1), backoff: r.schedule.Backoff()}
	l.run(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	r.flight.finish(context.Canceled)
}

func (r *Refresher) currentState() tokenState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// Stats returns the part of the state that concerns the token and its refreshes.
func (r *Refresher) Stats() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Token returns a token for a new login: the current one if enough of its life is left,
// see usable. Otherwise it waits for a refresh, which callers share. If that fails or ctx
// ends first, the current token is returned as long as it is valid.
//
// Errors: Mint's or ctx's if no token is valid. After Run the current token is returned.
func (r *Refresher) Token(ctx context.Context) (credential.Token, error) {
	return r.Refresh(ctx, credential.Secret{})
}

// Refresh is Token after the server has rejected a token as invalid: if that is the
// current one, it is replaced. If a rejection has led to a refresh less than 10 s
// (or a tenth of the life) ago, another would not help, and the current token is
// returned at once. A caller that gets the rejected token should not retry.
func (r *Refresher) Refresh(ctx context.Context, rejected credential.Secret) (credential.Token, error) {
	t, wait := r.request(rejected)
	if wait == nil {
		return t, nil
	}
	var err error
	select {
	case <-wait.done:
		err = wait.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.current.left(r.instant()) > 0:
		return r.current.token, nil
	case err == nil:
		err = errExpired
	}
	return credential.Token{}, fmt.Errorf("no fresh token: %w", err)
}

// request returns the current token, or the flight to wait for.
func (r *Refresher) request(rejected credential.Secret) (credential.Token, *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.instant()
	usable := r.current.usable(now)
	isRejected := !rejected.IsZero() && rejected.Equal(r.current.token.Value)
	switch {
	case r.stopped, usable && (!isRejected || now.since(r.lastRefusal) < r.current.minInterval()):
		return r.current.token, nil
	case usable: // an expired token says nothing about the next
		r.rejected = true
	}
	if r.flight == nil {
		r.flight = &flight{done: make(chan struct{})}
	}
	select {
	case r.wakeup <- struct{}{}:
	default: // Run has not received the last one yet
	}
	return credential.Token{}, r.flight
}
