// Package retry repeats an operation until it succeeds, is refused, or has no
// time left. It holds the schedule of every kind of retry; the caller decides
// which errors are worth another attempt.
package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Verdict is what an error means for a retry.
type Verdict struct {
	Retry bool          // another attempt may succeed
	After time.Duration // but not before this long, as the server asked; 0: it did not
}

// VerdictOf returns the verdict of the first error of err that has one. Others are final.
func VerdictOf(err error) Verdict {
	type judged interface {
		error
		Verdict() Verdict
	}
	if e, ok := errors.AsType[judged](err); ok {
		return e.Verdict()
	}
	return Verdict{}
}

// Do runs op until it succeeds, judge rejects its error, or ctx has no time for
// another attempt. ctx must have a deadline, and op must obey it. A wait is the
// schedule's, or the server's where that is longer. A wait that the server asked
// for and that does not fit ends Do at once; a wait of the schedule that does not
// fit is cut to half of the remaining time, so that a last attempt is made.
//
// The error is op's own where judge rejected it or ctx is of Once, and an *Error
// otherwise.
func Do[T any](ctx context.Context, s Schedule, op func(context.Context) (T, error), judge func(error) Verdict) (T, error) {
	var zero T
	deadline, ok := ctx.Deadline()
	if !ok {
		return zero, errors.New("retry: the context has no deadline")
	}
	start, waits := time.Now(), s.Backoff()
	e := &Error{}
	for ctx.Err() == nil { // a timer may fire together with the context
		e.Attempts++
		result, err := op(ctx)
		if err == nil {
			return result, nil
		}
		verdict := judge(err)
		if e.Last == nil || !verdict.Retry || ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
			e.Last = err // the error of an attempt that was cut short does not replace a telling one
		}
		if !verdict.Retry || IsOnce(ctx) {
			return zero, e.Last
		}
		left := time.Until(deadline)
		wait, ok := waits.Within(left, verdict.After)
		if !ok {
			if verdict.After >= left {
				e.After = verdict.After
			}
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	e.Elapsed, e.ctx = time.Since(start), ctx.Err()
	return zero, e
}

type onceKey struct{}

// Once returns a context with which Do makes one attempt. It is for a caller that
// repeats the whole operation by a schedule of its own: nested schedules multiply.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

// IsOnce reports whether ctx comes from Once.
func IsOnce(ctx context.Context) bool { return ctx.Value(onceKey{}) != nil }

// Error is returned when Do gave up on an operation that was worth another
// attempt, or that never ran.
type Error struct {
	Attempts int           // how often the operation ran
	Elapsed  time.Duration // since Do was called
	After    time.Duration // what the server asked for, if that was longer than the time left
	Last     error         // the operation's last error; nil if it never ran

	ctx error // the context's own, if it ended
}

func (e *Error) Error() string {
	switch {
	case e.Last != nil:
		return e.Last.Error() + e.Tried()
	case errors.Is(e.ctx, context.Canceled):
		return "not tried: canceled"
	}
	return "not tried: no time left"
}

// Tried returns what the operation's last error does not say, in parentheses.
func (e *Error) Tried() string {
	switch {
	case e.After > 0:
		return fmt.Sprintf(" (server asks to wait for %s)", e.After.Round(time.Second))
	case e.Attempts > 1:
		return fmt.Sprintf(" (%d attempts in %s)", e.Attempts, e.Elapsed.Round(100*time.Millisecond))
	}
	return ""
}

// Unwrap returns the operation's last error, and the context's if it ended.
func (e *Error) Unwrap() error { return errors.Join(e.Last, e.ctx) }

// jitter spreads every wait by ±20 %, so that clients that failed together do
// not return together.
const jitter = 0.2

// Schedule describes the waits between attempts: they grow from First by Factor
// to Max. A schedule with EarlyFor grows to EarlyMax only, until EarlyFor has
// passed since its Backoff was made or reset.
type Schedule struct {
	First  time.Duration
	Max    time.Duration // before jitter
	Factor float64
	Jitter float64 // part of a wait, 0.2 for ±20 %

	EarlyMax time.Duration
	EarlyFor time.Duration // 0: there is no early phase
}

// doubling returns a schedule whose waits double.
func doubling(first, max time.Duration) Schedule {
	return Schedule{First: first, Max: max, Factor: 2, Jitter: jitter}
}

// Exchange returns the schedule for calls to a workspace.
func Exchange() Schedule { return doubling(200*time.Millisecond, 5*time.Second) }

// Wake returns the schedule for logins to a compute that wakes. The last wait
// delays the command, so waits stay short while a wake-up is likely.
func Wake() Schedule {
	return Schedule{First: 50 * time.Millisecond, Max: time.Second, Factor: 1.5, Jitter: jitter,
		EarlyMax: 250 * time.Millisecond, EarlyFor: 30 * time.Second}
}

// Refresh returns the schedule for refreshing a token during an outage, which may
// last for days. With thousands of refreshers the longest wait decides how many calls
// the workspace gets when it recovers (docs/fleet.md).
func Refresh() Schedule { return doubling(200*time.Millisecond, time.Minute) }

// Accept returns the schedule for a listener that cannot accept connections, such
// as while the process has no file descriptors left.
func Accept() Schedule { return doubling(5*time.Millisecond, time.Second) }

// Backoff returns the waits of the schedule, beginning with First.
func (s Schedule) Backoff() *Backoff {
	b := &Backoff{schedule: s, waits: backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(s.First), backoff.WithMultiplier(s.Factor),
		backoff.WithRandomizationFactor(s.Jitter), backoff.WithMaxElapsedTime(0))}
	b.Reset()
	return b
}

// Backoff is a sequence of waits that never ends. It is not safe for concurrent
// use.
type Backoff struct {
	schedule Schedule
	waits    *backoff.ExponentialBackOff
	start    time.Time
}

// Reset begins the sequence again.
func (b *Backoff) Reset() {
	b.start = time.Now()
	b.waits.Reset()
}

// Next returns the next wait.
func (b *Backoff) Next() time.Duration {
	b.waits.MaxInterval = b.schedule.Max
	if time.Since(b.start) < b.schedule.EarlyFor {
		b.waits.MaxInterval = b.schedule.EarlyMax
	}
	return b.waits.NextBackOff()
}

// Within returns the wait after a failed attempt, when left is the time until the
// deadline and asked what the server asked for; see Do. It returns false if none fits.
func (b *Backoff) Within(left, asked time.Duration) (time.Duration, bool) {
	if asked >= left {
		return 0, false
	}
	wait := b.Next()
	if wait >= left {
		if wait = left / 2; wait < b.schedule.First {
			return 0, false
		}
	}
	return max(wait, asked), true
}
