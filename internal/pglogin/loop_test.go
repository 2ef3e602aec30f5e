package pglogin

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

const ms, sec = time.Millisecond, time.Second

// pauses is a schedule of 100, 200, 400, 400 ms …
var pauses = retry.Schedule{First: 100 * ms, Factor: 2, Max: 400 * ms}

var starting = &Error{Kind: Starting, Retry: true, Code: "57P03"}

// closeRecorder is a connection that records whether it was closed.
type closeRecorder struct {
	net.Conn
	closed atomic.Bool
}

func (c *closeRecorder) Close() error { c.closed.Store(true); return nil }

// A step is how an attempt ends.
type step func(ctx context.Context) *Error

// after ends after d, or with the context.
func after(d time.Duration, err *Error) step {
	return func(ctx context.Context) *Error {
		select {
		case <-ctx.Done():
			return &Error{Kind: NoAnswer, Retry: true}
		case <-time.After(d):
			return err
		}
	}
}

var (
	succeeds = after(0, nil)
	fails    = after(0, starting)
	silent   = after(time.Hour, nil)
	repeats  = after(0, &unknown)
)

// The clock is fake and the deadline is 60 s.
func TestLoop(t *testing.T) {
	for _, c := range []struct {
		name   string
		steps  []step          // of the attempts; the last one repeats
		began  []time.Duration // the first attempts
		took   time.Duration
		kind   Kind // empty: success
		last   *Error
		waited bool
	}{
		{name: "success at once", steps: []step{succeeds}, began: []time.Duration{0}},
		{name: "too many connections, which a suspended compute does not have",
			steps: []step{after(0, &Error{Kind: TooManyConnections, Retry: true}), succeeds}, took: 100 * ms},
		{name: "failures, with growing waits", steps: []step{fails, fails, fails, fails, succeeds},
			began: []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1100 * ms}, took: 1100 * ms, waited: true},
		{name: "success beside an attempt without an answer", steps: []step{silent, silent, silent, silent, silent, succeeds},
			began: []time.Duration{0, sec, 2 * sec, 3 * sec, 4 * sec, 5 * sec}, took: 5 * sec},
		{name: "success while a second attempt runs", steps: []step{fails, after(1500*ms, nil)},
			took: 1600 * ms, waited: true},
		{name: "success of the first attempt, which is kept", steps: []step{after(45*sec, nil), silent},
			began: []time.Duration{0, sec, 2 * sec}, took: 45 * sec},
		{name: "success of the first, while those beside it fail", steps: []step{after(1750*ms, nil), fails},
			began: []time.Duration{0, 1000 * ms, 1100 * ms, 1300 * ms, 1700 * ms}, took: 1750 * ms, waited: true},
		{name: "success of the second, which is kept once the first has failed",
			steps: []step{after(1500*ms, starting), after(20*sec, nil), silent},
			began: []time.Duration{0, sec, 1600 * ms, 2600 * ms, 3600 * ms}, took: 21 * sec, waited: true},
		{name: "success of the second, which is being canceled", steps: []step{func(ctx context.Context) *Error { <-ctx.Done(); return nil }},
			began: []time.Duration{0, sec}, took: 2 * sec},
		{name: "a final error ends all attempts", steps: []step{silent, after(0, &Error{Kind: EndpointDisabled})},
			took: sec, kind: EndpointDisabled},
		{name: "a timeout does not hide an earlier failure", steps: []step{fails, silent}, took: time.Minute, kind: WakeTimeout, last: starting},
		{name: "attempts that ignore their context", steps: []step{func(context.Context) *Error { time.Sleep(7 * sec); return starting }},
			took: 67 * sec, kind: WakeTimeout, last: starting},
		{name: "an unknown error for 5 s", steps: []step{repeats}, took: 5100 * ms, kind: Other},
		{name: "an unknown error for 5 s since another one", steps: append(slices.Repeat([]step{repeats}, 10), fails, repeats),
			took: 9100 * ms, kind: Other},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var began []time.Duration
			var open, most int
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				conn, err := (&Connector{schedule: pauses}).run(within(t, time.Minute), Target{}, func(ctx context.Context) (*Conn, *Error) {
					mu.Lock()
					n := len(began)
					began = append(began, time.Since(start))
					open++
					most = max(most, open)
					mu.Unlock()
					err := c.steps[min(n, len(c.steps)-1)](ctx)
					mu.Lock()
					open--
					mu.Unlock()
					if err != nil {
						return nil, err
					}
					return &Conn{Conn: &closeRecorder{}}, nil
				})
				if took := time.Since(start); took != c.took || open != 0 || most > 2 {
					t.Errorf("took %v, %d attempts at once, %d in the end; want %v, at most 2, 0", took, most, open, c.took)
				}
				if c.kind == "" {
					must(t, err)
					if conn.Waited != c.waited {
						t.Errorf("got Waited %v, want %v", conn.Waited, c.waited)
					}
				} else if e := wantKind(t, err, c.kind); e.Elapsed != c.took || e.Attempts != len(began) || e.Last != c.last ||
					errors.Is(e, context.DeadlineExceeded) != (c.kind == WakeTimeout) {
					t.Errorf("got %#v, want last error %v", e, c.last)
				}
			})
			if len(began) < len(c.began) || !slices.Equal(began[:len(c.began)], c.began) {
				t.Errorf("attempts began at %v, want %v", began, c.began)
			}
		})
	}
}

func TestLoop_CanceledBefore(t *testing.T) {
	ctx, cancel := context.WithCancelCause(within(t, testTimeout))
	cause := errors.New("interrupt")
	cancel(cause)
	_, err := connector().run(ctx, Target{}, func(context.Context) (*Conn, *Error) { t.Error("an attempt was made"); return nil, nil })
	if wantKind(t, err, Canceled); !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("got %v, want the context's error and its cause", err)
	}
}

// Of two logins that succeed at once one is returned and the other one closed; if
// the caller has canceled, both are closed. A login counts even if another fails.
func TestLoop_TwoLoginsAtOnce(t *testing.T) {
	for _, c := range []struct {
		name                  string
		canceled, secondFails bool
	}{{"both succeed", false, false}, {"both succeed after a cancellation", true, false}, {"one succeeds, one is refused", false, true}} {
		first, second := &closeRecorder{}, &closeRecorder{}
		ctx, cancel := context.WithCancel(within(t, testTimeout))
		defer cancel()
		var n atomic.Int32
		started := make(chan struct{})
		conn, err := (&Connector{hedgeDelay: 10 * ms}).run(ctx, Target{}, func(attempt context.Context) (*Conn, *Error) {
			if n.Add(1) == 1 {
				<-started
				if c.canceled || c.secondFails {
					<-attempt.Done()
				}
				return &Conn{Conn: first}, nil
			}
			close(started)
			if c.secondFails {
				return nil, &Error{Kind: RoleMissing}
			}
			if c.canceled {
				cancel()
			}
			<-attempt.Done()
			return &Conn{Conn: second}, nil
		})
		if c.canceled {
			wantKind(t, err, Canceled)
		} else if must(t, err); conn.Conn != first {
			t.Errorf("%s: got the second connection, want the first", c.name)
		}
		if first.closed.Load() != c.canceled || second.closed.Load() == c.secondFails {
			t.Errorf("%s: got closed %v and %v", c.name, first.closed.Load(), second.closed.Load())
		}
	}
}
