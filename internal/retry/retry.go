// Package retry repeats an operation until it succeeds, is refused, or has no
// time left. It holds the schedule of every kind of retry; the caller decides
// which errors are worth another attempt.
package retry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNoDeadline is returned for a context without a deadline, before anything
// runs: that is a programming error.
var ErrNoDeadline = errors.New("retry: the context has no deadline")

// Verdict is what an error means for a retry.
type Verdict struct {
	Retry bool          // another attempt may succeed
	After time.Duration // but not before this long, as the server asked; 0: it did not
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
		return zero, ErrNoDeadline
	}
	start, waits := time.Now(), s.Backoff()
	e := &Error{}
	for {
		if ctx.Err() != nil { // a timer may fire together with the context
			break
		}
		e.Attempts++
		result, err := op(ctx)
		if err == nil {
			return result, nil
		}
		verdict := judge(err)
		if e.Last == nil || !verdict.Retry || ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
			e.Last = err // the error of an attempt that was cut short does not replace a telling one
		}
		if !verdict.Retry || isOnce(ctx) {
			return zero, e.Last
		}
		wait, cause := waits.After(verdict, time.Until(deadline))
		if cause == CauseRetryAfter {
			e.Cause, e.After = cause, verdict.After
		}
		if cause != "" || !sleep(ctx, wait) {
			break
		}
	}
	e.Elapsed, e.ctx = time.Since(start), ctx.Err()
	switch {
	case errors.Is(e.ctx, context.Canceled):
		e.Cause, e.After = CauseCanceled, 0
	case e.Cause == "":
		e.Cause = CauseBudget
	}
	return zero, e
}

type onceKey struct{}

// Once returns a context with which Do makes one attempt. It is for a caller that
// repeats the whole operation by a schedule of its own: nested schedules multiply.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

func isOnce(ctx context.Context) bool { return ctx.Value(onceKey{}) != nil }

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Cause is why Do gave up.
type Cause string

// The causes.
const (
	CauseBudget     Cause = "no time left"                                                  // before the context's deadline
	CauseRetryAfter Cause = "the server asks to wait for longer than the time that is left" // see Error.After
	CauseCanceled   Cause = "canceled"
)

// Error is returned when Do gave up on an operation that was worth another
// attempt, or that never ran.
type Error struct {
	Attempts int           // how often the operation ran
	Elapsed  time.Duration // since Do was called
	Cause    Cause
	After    time.Duration // what the server asked for, with CauseRetryAfter
	Last     error         // the operation's last error; nil if it never ran

	ctx error // the context's own, if it ended
}

func (e *Error) Error() string {
	why := string(e.Cause)
	if e.After > 0 {
		why += fmt.Sprintf(" (%s)", e.After.Round(time.Second))
	}
	elapsed := e.Elapsed.Round(100 * time.Millisecond)
	switch {
	case e.Last == nil:
		return "not tried: " + why
	case e.Attempts == 1:
		return fmt.Sprintf("%v; gave up after 1 attempt in %s: %s", e.Last, elapsed, why)
	}
	return fmt.Sprintf("%v; gave up after %d attempts in %s: %s", e.Last, e.Attempts, elapsed, why)
}

// Unwrap returns the operation's last error, and the context's if it ended.
func (e *Error) Unwrap() []error {
	return slices.DeleteFunc([]error{e.Last, e.ctx}, func(err error) bool { return err == nil })
}
