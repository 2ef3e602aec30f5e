package pglogin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// attempt is one that is in flight.
type attempt struct {
	cancel   context.CancelFunc
	replaced bool // canceled in favor of a newer one
}

type result struct {
	attempt *attempt
	conn    *Conn
	err     *Error
}

// loop is the state of one login. Only its goroutine uses it.
type loop struct {
	*Connector
	ctx     context.Context
	connect func(context.Context) (*Conn, *Error) // makes one attempt
	backoff *retry.Backoff

	inFlight []*attempt // oldest first
	results  chan result
	next     <-chan time.Time // when to start another attempt, or to replace the younger one
	attempts int
	waited   bool   // a failure says that the compute did not run
	last     *Error // the last failure; a timeout does not replace a telling one, nor one of a connection

	repeated      Kind // the kind of the last failures, if its repeats are limited
	repeatedSince time.Time
}

// run makes attempts until one succeeds, a failure is final, or ctx ends. No
// attempt is in flight when it returns.
func (c *Connector) run(ctx context.Context, t Target, connect func(context.Context) (*Conn, *Error)) (*Conn, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, t.bad("the context has no deadline")
	}
	start := time.Now()
	l := &loop{Connector: c, ctx: ctx, connect: connect, backoff: cmp.Or(c.schedule, retry.Wake()).Backoff(), results: make(chan result, 2)}
	conn, err := l.run()
	if err != nil {
		e := *err
		e.Target, e.Attempts, e.Elapsed = t, l.attempts, time.Since(start)
		return nil, &e
	}
	conn.Waited = l.waited || conn.Waited && l.attempts > 1
	return conn, nil
}

func (l *loop) run() (*Conn, *Error) {
	if l.ctx.Err() == nil {
		l.begin()
	}
	for {
		select {
		case <-l.ctx.Done():
			return l.end(nil, nil)
		case <-l.next:
			l.next = nil
			if len(l.inFlight) == 2 {
				l.inFlight[1].replaced = true
				l.inFlight[1].cancel()
				continue // the next one begins when this one has ended
			}
			l.begin()
		case r := <-l.results:
			l.record(r)
			switch {
			case r.err == nil:
				return l.end(r.conn, nil)
			case r.err.Kind == NoAnswer && (l.ctx.Err() != nil || retry.IsOnce(l.ctx)):
				return l.end(nil, nil)
			case r.err.Kind == NoAnswer && r.attempt.replaced:
				if l.next == nil {
					l.begin()
				}
			case l.isFinal(r.err):
				return l.end(nil, r.err)
			default:
				l.next = time.After(l.backoff.Next())
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
	if !retry.IsOnce(l.ctx) {
		l.next = time.After(cmp.Or(l.hedgeDelay, hedgeDelay))
	}
	go func() {
		conn, err := l.connect(ctx)
		l.results <- result{a, conn, err}
	}()
}

// record removes an attempt that has ended and remembers its failure.
func (l *loop) record(r result) {
	r.attempt.cancel()
	l.inFlight = slices.DeleteFunc(l.inFlight, func(o *attempt) bool { return o == r.attempt })
	e := r.err
	if e == nil {
		return
	}
	l.waited = l.waited || e.Kind == Starting || e.Kind == Unreachable || e.Kind == NoAnswer && e.silent
	if e.Kind != NoAnswer || l.last == nil || l.last.Kind == NoAnswer && (l.last.unconnected || !e.unconnected) {
		l.last = e
	}
}

// isFinal reports whether e ends the loop: by its kind, or because it has repeated
// for too long.
func (l *loop) isFinal(e *Error) bool {
	switch {
	case !e.Retry, retry.IsOnce(l.ctx):
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

// end cancels the attempts in flight and waits for their ends. conn is the
// connection of a login that has succeeded, err a final failure; with neither, the
// context has ended. A login that succeeds together with the deadline or with the
// failure of another attempt counts; one that succeeds after a cancellation is closed.
func (l *loop) end(conn *Conn, err *Error) (*Conn, *Error) {
	for _, a := range l.inFlight {
		a.cancel()
	}
	for len(l.inFlight) > 0 {
		r := <-l.results
		l.record(r)
		if conn == nil {
			conn = r.conn
		} else if r.conn != nil {
			_ = r.conn.Close()
		}
	}
	switch {
	case errors.Is(l.ctx.Err(), context.Canceled):
		if conn != nil {
			_ = conn.Close()
		}
		return nil, &Error{Kind: Canceled, cause: errors.Join(l.ctx.Err(), context.Cause(l.ctx))}
	case conn != nil:
		return conn, nil
	case err != nil:
		return nil, err
	}
	e := &Error{Kind: WakeTimeout, Last: l.last, cause: l.ctx.Err()}
	if l.last != nil {
		e.cause = errors.Join(e.cause, l.last)
	}
	return nil, e
}
