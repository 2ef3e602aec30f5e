package pglogin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// attempt is one that is in flight.
type attempt struct {
	cancel   context.CancelFunc
	replaced bool // canceled in favor of a newer one
}

type result struct {
	attempt *attempt
	conn    *Conn
	err     error
}

// loop is the state of one login. Only its goroutine uses it.
type loop struct {
	ctx        context.Context
	connect    connectFunc
	backoff    *retry.Backoff
	hedgeDelay time.Duration
	progress   func(*Error)
	start      time.Time

	inFlight []*attempt // oldest first
	results  chan result
	next     <-chan time.Time // when to start another attempt, or to replace the younger one
	attempts int
	waited   bool   // a failure says that the compute did not run
	last     *Error // the last failure; a timeout does not replace a telling one
	conn     *Conn  // of the first login that succeeded

	repeated      Kind // the kind of the last failures, if its repeats are limited
	repeatedSince time.Time
}

func newLoop(ctx context.Context, c *Connector) *loop {
	return &loop{ctx: ctx, backoff: cmp.Or(c.schedule, retry.Wake()).Backoff(), hedgeDelay: cmp.Or(c.hedgeDelay, hedgeDelay), progress: c.Progress, start: time.Now(), results: make(chan result, 2)}
}

// run makes attempts until one succeeds, a failure is final, or ctx ends. No
// attempt is in flight when it returns.
func (l *loop) run() error {
	if l.ctx.Err() != nil {
		return l.finish()
	}
	l.begin()
	for {
		select {
		case <-l.ctx.Done():
			return l.finish()
		case <-l.next:
			l.next = nil
			if len(l.inFlight) == 2 {
				l.inFlight[1].replaced = true
				l.inFlight[1].cancel()
				continue // the next one begins when this one has ended
			}
			hedge := len(l.inFlight) == 1
			l.begin()
			if hedge {
				l.report()
			}
		case r := <-l.results:
			if done, err := l.handle(r); done {
				return err
			}
		}
	}
}

// begin starts an attempt, and the timer of a concurrent one.
func (l *loop) begin() {
	ctx, cancel := context.WithCancel(l.ctx)
	a := &attempt{cancel: cancel}
	l.inFlight = append(l.inFlight, a)
	l.attempts++
	l.next = time.After(l.hedgeDelay)
	go func() {
		conn, err := l.connect(ctx)
		l.results <- result{a, conn, err}
	}()
}

// handle records the end of an attempt; done means that the loop ends.
func (l *loop) handle(r result) (done bool, err error) {
	l.remove(r.attempt)
	if r.err == nil {
		l.conn = r.conn
		if errors.Is(l.ctx.Err(), context.Canceled) {
			return true, l.finish()
		}
		l.cancelAll()
		return true, nil
	}
	e := l.recordError(r.err)
	switch {
	case e.Kind == NoAnswer && l.ctx.Err() != nil:
		return true, l.finish()
	case e.Kind == NoAnswer && r.attempt.replaced:
		if l.next == nil {
			l.begin()
		}
		return false, nil
	case l.final(e):
		l.cancelAll()
		return true, e
	}
	l.next = time.After(l.backoff.Next())
	l.report()
	return false, nil
}

// final reports whether e ends the loop: by its kind, or because it has repeated
// for too long.
func (l *loop) final(e *Error) bool {
	switch {
	case !e.Retry:
		return true
	case e.Kind == NoAnswer:
		return false
	case e.maxRepeat == 0:
		l.repeated = ""
		return false
	case e.Kind != l.repeated:
		l.repeated, l.repeatedSince = e.Kind, time.Now()
	}
	return time.Since(l.repeatedSince) >= e.maxRepeat
}

// finish ends the loop because ctx ended. A login that succeeds together with the
// deadline counts; one that succeeds after a cancellation is closed.
func (l *loop) finish() error {
	succeeded := l.cancelAll()
	if errors.Is(l.ctx.Err(), context.Canceled) {
		if l.conn != nil {
			_ = l.conn.Close()
		}
		return &Error{Kind: Canceled, cause: errors.Join(l.ctx.Err(), context.Cause(l.ctx))}
	}
	if succeeded {
		return nil
	}
	return &Error{Kind: WakeTimeout, Last: l.last, cause: l.ctx.Err()}
}

// cancelAll cancels the attempts in flight and waits for their ends. It reports
// whether one of them succeeded.
func (l *loop) cancelAll() (succeeded bool) {
	for _, a := range l.inFlight {
		a.cancel()
	}
	for len(l.inFlight) > 0 {
		r := <-l.results
		l.remove(r.attempt)
		if r.err == nil {
			succeeded = true
		} else {
			l.recordError(r.err)
		}
		switch {
		case l.conn == nil:
			l.conn = r.conn
		case r.conn != nil:
			_ = r.conn.Close()
		}
	}
	return succeeded
}

func (l *loop) remove(a *attempt) {
	a.cancel()
	l.inFlight = slices.DeleteFunc(l.inFlight, func(o *attempt) bool { return o == a })
}

func (l *loop) report() {
	if l.progress != nil {
		l.progress(l.last)
	}
}

// annotate returns err with the statistics of the loop.
func (l *loop) annotate(err error, t Target) *Error {
	e := *asError(err)
	e.Target, e.Attempts, e.Elapsed = t, l.attempts, time.Since(l.start)
	return &e
}

func (l *loop) recordError(err error) *Error {
	e := asError(err)
	l.waited = l.waited || e.Kind == Starting || e.Kind == Unreachable || e.Kind == NoAnswer && e.silent
	if e.Kind != NoAnswer || l.last == nil || l.last.Kind == NoAnswer {
		l.last = e
	}
	return e
}

// asError returns err as an *Error.
func asError(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: NoAnswer, Retry: true, cause: err}
	}
	return &Error{Kind: Other, Message: sanitize.Line(err.Error()), cause: err}
}
