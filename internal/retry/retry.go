// Package retry repeats an operation until it succeeds, is refused, or has no
// time left. It knows only "is it worth another try, and when": what an error
// means is told by the caller.
//
// It is the only package that imports backoff. It must never run an operation
// under a dead context, lose the operation's last error, or wait without a
// deadline.
package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// ErrNoDeadline is returned for a context without a deadline, before anything
// is run: that is a mistake in the program.
var ErrNoDeadline = errors.New("retry: the context has no deadline")

// Verdict is what an error means for a retry.
type Verdict struct {
	Again bool          // another try may succeed
	After time.Duration // and not before this long, as the server asked; 0: it did not
}

// Timer is the wait between two tries.
type Timer interface {
	Start(time.Duration)
	Stop()
	C() <-chan time.Time
}

// Policy says how long to wait between tries. A zero field takes Exchange's
// value, or the system's clock, timer and randomness.
type Policy struct {
	First  time.Duration // before the second try
	Max    time.Duration // the longest, before jitter
	Factor float64       // from one wait to the next, above 1
	Jitter float64       // part of a wait, 0.2 for ±20 %

	Rand  func() float64 // in [0, 1)
	Timer Timer          // one Do at a time may use it
	Now   func() time.Time
}

// Exchange is the policy for calls to a workspace: 200 ms, doubled up to 5 s,
// ±20 %.
func Exchange() Policy {
	return Policy{First: 200 * time.Millisecond, Max: 5 * time.Second, Factor: 2, Jitter: 0.2}
}

func (p Policy) filled() Policy {
	d := Exchange()
	if p.First <= 0 {
		p.First = d.First
	}
	if p.Max <= 0 {
		p.Max = d.Max
	}
	if p.Factor <= 1 {
		p.Factor = d.Factor
	}
	if p.Jitter <= 0 {
		p.Jitter = d.Jitter
	}
	if p.Rand == nil {
		p.Rand = rand.Float64
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	return p
}

// Do runs op until it succeeds, judge sees no worth in another try, or ctx has
// no time for one; ctx must have a deadline, and op must keep to it. A wait is
// the policy's, or what the server asked for where that is longer. One that the
// server asked for and that does not fit ends it at once; one of our own that
// does not fit is cut to half of what is left, so that a last try is made.
//
// The error is op's own where judge refused it, and otherwise an *Error.
func Do[T any](ctx context.Context, p Policy, op func(context.Context) (T, error), judge func(error) Verdict) (T, error) {
	var none T
	deadline, ok := ctx.Deadline()
	if !ok {
		return none, ErrNoDeadline
	}
	p = p.filled()
	r := &run{ctx: ctx, policy: p, deadline: deadline, start: p.Now(),
		waits: newSchedule(p.Now, p.Rand, p.Jitter, phase{first: p.First, max: p.Max, factor: p.Factor})}
	refused := false
	attempt := func() (T, error) {
		if ctx.Err() != nil {
			return none, backoff.Permanent(ctx.Err())
		}
		r.attempts++
		res, err := op(ctx)
		if err == nil {
			return res, nil
		}
		r.verdict = judge(err)
		if r.last == nil || !r.verdict.Again || ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
			r.last = err // what a try said that was cut short does not cover words
		}
		if !r.verdict.Again {
			refused = true
			return none, backoff.Permanent(err)
		}
		return none, err
	}
	// A Timer that is nil becomes a nil interface, which means the library's own.
	res, err := backoff.RetryNotifyWithTimerAndData(attempt, backoff.WithContext(r, ctx), nil, p.Timer)
	switch {
	case err == nil:
		return res, nil
	case refused:
		return none, r.last
	}
	return none, r.failed()
}

// run is one Do. As a BackOff it gives the next wait, or says that there is no
// time for it.
type run struct {
	ctx      context.Context
	policy   Policy
	waits    *Schedule
	deadline time.Time
	start    time.Time
	attempts int
	last     error
	verdict  Verdict
	tooLong  bool // what the server asked for does not fit
}

// Reset implements backoff.BackOff.
func (r *run) Reset() { r.waits.Reset() }

// NextBackOff implements backoff.BackOff.
func (r *run) NextBackOff() time.Duration {
	left := r.deadline.Sub(r.policy.Now())
	if after := r.verdict.After; after >= left { // with no After: nothing is left
		r.tooLong = after > 0
		return backoff.Stop
	}
	wait := r.waits.NextBackOff()
	if wait >= left {
		if wait = left / 2; wait < r.policy.First {
			return backoff.Stop
		}
	}
	return max(wait, r.verdict.After)
}

// failed tells why there was no further try.
func (r *run) failed() *Error {
	e := &Error{Attempts: r.attempts, Elapsed: r.policy.Now().Sub(r.start), Last: r.last, Cause: CauseBudget, ctx: r.ctx.Err()}
	switch {
	case errors.Is(e.ctx, context.Canceled):
		e.Cause = CauseCanceled
	case r.tooLong:
		e.Cause, e.After = CauseRetryAfter, r.verdict.After
	}
	return e
}
