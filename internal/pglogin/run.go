package pglogin

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// one is an attempt under way.
type one struct {
	cancel   context.CancelFunc
	replaced bool // cancelled, to make room for another
}

type result struct {
	of   *one
	conn *Conn
	err  error
}

// run is the state of one Wait. Only its loop touches it.
type run struct {
	ctx      context.Context
	try      try
	backoff  *retry.Backoff
	beside   time.Duration
	progress func(Status)
	begun    time.Time

	open     []*one // the elder first
	results  chan result
	due      <-chan time.Time // when to begin another, or to replace the younger
	attempts int
	last     *Error // the last failure; silence does not cover words
	won      *Conn  // of the first login that succeeded

	repeats Kind // of a kind with limited patience
	since   time.Time
}

func (r *run) loop() error {
	if r.ctx.Err() != nil {
		return r.over()
	}
	r.begin()
	for {
		select {
		case <-r.ctx.Done():
			return r.over()
		case <-r.due:
			r.due = nil
			if len(r.open) == 2 {
				r.open[1].replaced = true
				r.open[1].cancel()
				continue // the next begins when this one has ended
			}
			held := len(r.open) == 1
			r.begin()
			if held {
				r.tell()
			}
		case res := <-r.results:
			if done, err := r.ended(res); done {
				return err
			}
		}
	}
}

// begin starts an attempt, and plans what happens if it is held.
func (r *run) begin() {
	ctx, cancel := context.WithCancel(r.ctx)
	a := &one{cancel: cancel}
	r.open = append(r.open, a)
	r.attempts++
	r.due = time.After(r.beside)
	go func() {
		conn, err := r.try(ctx)
		r.results <- result{a, conn, err}
	}()
}

// ended takes in an attempt's end; done means that Wait is over.
func (r *run) ended(res result) (done bool, err error) {
	r.forget(res.of)
	if res.err == nil {
		r.won = res.conn
		if errors.Is(r.ctx.Err(), context.Canceled) { // nobody waits for it any more
			return true, r.over()
		}
		r.stop()
		return true, nil
	}
	e := r.hear(res.err)
	switch {
	case e.Kind == NoAnswer && r.ctx.Err() != nil:
		return true, r.over()
	case e.Kind == NoAnswer && res.of.replaced:
		if r.due == nil {
			r.begin()
		}
		return false, nil
	case r.final(e):
		r.stop()
		return true, r.sign(e)
	}
	r.due = time.After(r.backoff.Next())
	r.tell()
	return false, nil
}

// final says whether e ends the wait: by its kind, or as it has repeated for
// longer than its kind deserves.
func (r *run) final(e *Error) bool {
	switch {
	case !e.Retry:
		return true
	case e.Kind == NoAnswer:
		return false
	case e.patience == 0:
		r.repeats = 0
		return false
	case e.Kind != r.repeats:
		r.repeats, r.since = e.Kind, time.Now()
	}
	return time.Since(r.since) >= e.patience
}

// over ends the wait when the context did. A login that came in the same moment
// still counts at the deadline.
func (r *run) over() error {
	proved := r.stop()
	if errors.Is(r.ctx.Err(), context.Canceled) {
		if r.won != nil {
			_ = r.won.Close()
		}
		return r.sign(&Error{Kind: Cancelled, cause: errors.Join(r.ctx.Err(), context.Cause(r.ctx))})
	}
	if proved {
		return nil
	}
	return r.sign(&Error{Kind: NotAwake, Last: r.last, cause: r.ctx.Err()})
}

// stop cancels what is open and waits for its end. It says whether one of them
// was a proven login, and keeps what the others said.
func (r *run) stop() (proved bool) {
	for _, a := range r.open {
		a.cancel()
	}
	for len(r.open) > 0 {
		res := <-r.results
		r.forget(res.of)
		if res.err == nil {
			proved = true
			r.keep(res.conn)
			continue
		}
		r.hear(res.err)
	}
	return proved
}

// keep takes the first connection and closes all others.
func (r *run) keep(c *Conn) {
	switch {
	case c == nil:
	case r.won == nil:
		r.won = c
	default:
		_ = c.Close()
	}
}

func (r *run) forget(a *one) {
	a.cancel()
	r.open = slices.DeleteFunc(r.open, func(o *one) bool { return o == a })
}

func (r *run) tell() {
	if r.progress != nil {
		r.progress(Status{Since: r.begun, Attempts: r.attempts, Open: len(r.open), Last: r.last})
	}
}

// sign adds what only Wait knows.
func (r *run) sign(e *Error) *Error {
	signed := *e
	signed.Attempts, signed.Elapsed = r.attempts, time.Since(r.begun)
	return &signed
}

// hear makes an attempt's error an *Error, and remembers it.
func (r *run) hear(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = &Error{Kind: NoAnswer, Retry: true, cause: err}
	default:
		e = &Error{Kind: Other, Message: sanitize.Line(err.Error()), cause: err}
	}
	if e.Kind != NoAnswer || r.last == nil || r.last.Kind == NoAnswer {
		r.last = e
	}
	return e
}
