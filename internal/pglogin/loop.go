package pglogin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// attempt is one try to log in. When it has ended, conn or err is set.
type attempt struct {
	cancel   context.CancelFunc
	replaced bool // canceled in favor of a newer one
	conn     *Conn
	err      *Error
}

// loop is the state of one login. Only its goroutine uses it.
type loop struct {
	*Connector
	ctx     context.Context
	connect func(context.Context) (*Conn, *Error) // makes one attempt
	backoff *retry.Backoff

	inFlight []*attempt // oldest first
	ended    chan *attempt
	next     <-chan time.Time // when to start another attempt, or to replace the younger one
	attempts int
	waited   bool   // a failure says that the compute did not run
	last     *Error // the last failure; a timeout does not replace a telling one, nor one of a connection

	repeated      Kind // of the last failures
	repeatedSince time.Time
}

// run makes attempts until one succeeds, a failure is final, or ctx ends. No
// attempt is in flight when it returns.
func (c *Connector) run(ctx context.Context, t Target, connect func(context.Context) (*Conn, *Error)) (*Conn, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, t.bad("the context has no deadline")
	}
	start := time.Now()
	l := &loop{Connector: c, ctx: ctx, connect: connect, backoff: cmp.Or(c.schedule, retry.Wake()).Backoff(), ended: make(chan *attempt, 2)}
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
		case a := <-l.ended:
			l.record(a)
			switch {
			case a.err == nil:
				return l.end(a.conn, nil)
			case a.err.Kind == NoAnswer && (l.ctx.Err() != nil || retry.IsOnce(l.ctx)):
				return l.end(nil, nil)
			case a.err.Kind == NoAnswer && a.replaced:
				if l.next == nil {
					l.begin()
				}
			case l.isFinal(a.err):
				return l.end(nil, a.err)
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
		a.conn, a.err = l.connect(ctx)
		l.ended <- a
	}()
}

// record removes an attempt that has ended and remembers its failure.
func (l *loop) record(a *attempt) {
	a.cancel()
	l.inFlight = slices.DeleteFunc(l.inFlight, func(o *attempt) bool { return o == a })
	e := a.err
	if e == nil {
		return
	}
	l.waited = l.waited || e.Kind == Starting || e.Kind == Unreachable || e.Kind == NoAnswer && e.silent
	if e.Kind != NoAnswer || l.last == nil || l.last.Kind == NoAnswer && (l.last.unconnected || !e.unconnected) {
		l.last = e
	}
	if e.Kind != NoAnswer && e.Kind != l.repeated {
		l.repeated, l.repeatedSince = e.Kind, time.Now()
	}
}

// isFinal reports whether e ends the loop: by its kind, or because it has repeated
// for too long.
func (l *loop) isFinal(e *Error) bool {
	return !e.Retry || retry.IsOnce(l.ctx) || e.maxRepeat > 0 && time.Since(l.repeatedSince) >= e.maxRepeat
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
		a := <-l.ended
		l.record(a)
		if conn == nil {
			conn = a.conn
		} else if a.conn != nil {
			_ = a.conn.Close()
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
