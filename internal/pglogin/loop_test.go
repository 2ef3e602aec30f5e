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

// attempts is what a loop did in a test.
type attempts struct {
	start     time.Time
	began     []time.Duration
	mu        sync.Mutex
	open, max int
	took      time.Duration
	err       error
	progress  []*Error
}

func (a *attempts) begin() (n int, at time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, at = len(a.began), time.Since(a.start)
	a.began = append(a.began, at)
	a.open++
	a.max = max(a.max, a.open)
	return n, at
}

func (a *attempts) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
}

// simulate runs a loop on a fake clock with a deadline of 60 s, whose n-th attempt
// (from 0) ends as connect does.
func simulate(t *testing.T, connect func(ctx context.Context, n int, at time.Duration) error) *attempts {
	t.Helper()
	a := &attempts{}
	synctest.Test(t, func(t *testing.T) {
		a.start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l := newLoop(ctx, &Connector{schedule: pauses, Progress: func(last *Error) { a.progress = append(a.progress, last) }})
		l.connect = func(ctx context.Context) (*Conn, error) {
			n, at := a.begin()
			defer a.end()
			return nil, connect(ctx, n, at)
		}
		if a.err = l.run(); a.err != nil {
			a.err = l.annotate(a.err, Target{})
		}
		a.took = time.Since(a.start)
	})
	if a.open != 0 || a.max > 2 {
		t.Errorf("got %d attempts in flight at the end and %d at once, want 0 and at most 2", a.open, a.max)
	}
	return a
}

// noAnswer ends with the context.
func noAnswer(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// after ends after d with err.
func after(ctx context.Context, d time.Duration, err error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return err
	}
}

func TestLoop_Success(t *testing.T) {
	for _, c := range []struct {
		name    string
		connect func(ctx context.Context, n int, at time.Duration) error
		began   []time.Duration // the first ones
		took    time.Duration
	}{
		{"at once", func(context.Context, int, time.Duration) error { return nil }, []time.Duration{0}, 0},
		{"after failures, with growing waits", func(_ context.Context, n int, _ time.Duration) error {
			if n == 4 {
				return nil
			}
			return starting
		}, []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1100 * ms}, 1100 * ms},
		{"found beside an attempt without an answer", func(ctx context.Context, n int, at time.Duration) error {
			if n > 0 && at >= 4300*ms {
				return nil
			}
			return noAnswer(ctx)
		}, []time.Duration{0, sec, 2 * sec, 3 * sec, 4 * sec, 5 * sec}, 5 * sec},
		{"of the first attempt, which is kept", func(ctx context.Context, n int, _ time.Duration) error {
			if n == 0 {
				return after(ctx, 45*sec, nil)
			}
			return noAnswer(ctx)
		}, []time.Duration{0, sec, 2 * sec}, 45 * sec},
		{"of the first, while those beside it fail", func(ctx context.Context, n int, _ time.Duration) error {
			if n == 0 {
				return after(ctx, 1750*ms, nil)
			}
			return starting
		}, []time.Duration{0, 1000 * ms, 1100 * ms, 1300 * ms, 1700 * ms}, 1750 * ms},
		{"of the second, which is kept once the first has failed", func(ctx context.Context, n int, _ time.Duration) error {
			switch n {
			case 0:
				return after(ctx, 1500*ms, starting)
			case 1:
				return after(ctx, 20*sec, nil)
			}
			return noAnswer(ctx)
		}, []time.Duration{0, sec, 1600 * ms, 2600 * ms, 3600 * ms}, 21 * sec},
		{"of an attempt that is being canceled", func(ctx context.Context, n int, _ time.Duration) error {
			<-ctx.Done() // the second one is, after a second
			return nil
		}, []time.Duration{0, sec}, 2 * sec},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := simulate(t, c.connect)
			if a.err != nil || a.took != c.took {
				t.Errorf("got error %v after %v, want success after %v", a.err, a.took, c.took)
			}
			if len(a.began) < len(c.began) || !slices.Equal(a.began[:len(c.began)], c.began) {
				t.Errorf("attempts began at %v, want %v", a.began, c.began)
			}
		})
	}
}

func TestLoop_Failure(t *testing.T) {
	refused := &Error{Kind: EndpointDisabled}
	for _, c := range []struct {
		name    string
		connect func(ctx context.Context, n int) error
		kind    Kind
		last    *Error
		took    time.Duration
	}{
		{"a final error ends all attempts", func(ctx context.Context, n int) error {
			if n == 1 {
				return refused
			}
			return noAnswer(ctx)
		}, EndpointDisabled, nil, sec},
		{"a timeout does not hide an earlier failure", func(ctx context.Context, n int) error {
			if n == 0 {
				return starting
			}
			return noAnswer(ctx)
		}, WakeTimeout, starting, time.Minute},
		{"attempts that ignore their context", func(ctx context.Context, n int) error { // still at most two
			time.Sleep(7 * sec)
			return starting
		}, WakeTimeout, starting, 63 * sec},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := simulate(t, func(ctx context.Context, n int, _ time.Duration) error { return c.connect(ctx, n) })
			e := wantKind(t, a.err, c.kind)
			if a.took < c.took || a.took > c.took+7*sec || e.Elapsed != a.took || e.Attempts != len(a.began) || e.Last != c.last {
				t.Errorf("got %#v after %v, want last error %v after %v", e, a.took, c.last, c.took)
			}
			if c.kind == WakeTimeout && !errors.Is(e, context.DeadlineExceeded) {
				t.Errorf("got %v, want context.DeadlineExceeded in it", e)
			}
		})
	}
}

func TestLoop_RepeatedErrorBecomesFinal(t *testing.T) {
	for _, c := range []struct {
		kind      Kind
		maxRepeat time.Duration
		other     bool // another failure in between, at about 4 s
		least     time.Duration
	}{
		{Other, maxRepeatUnknown, false, maxRepeatUnknown},
		{ExternalAuth, maxRepeatExternalAuth, false, maxRepeatExternalAuth},
		{Other, maxRepeatUnknown, true, maxRepeatUnknown + 3*sec},
	} {
		a := simulate(t, func(_ context.Context, n int, _ time.Duration) error {
			if c.other && n == 10 {
				return starting
			}
			return &Error{Kind: c.kind, Retry: true, maxRepeat: c.maxRepeat}
		})
		e := wantKind(t, a.err, c.kind)
		if a.took < c.least || a.took > c.least+3*sec || e.Attempts != len(a.began) {
			t.Errorf("%v: gave up after %v, want about %v", c.kind, a.took, c.least)
		}
	}
}

func TestLoop_Progress(t *testing.T) {
	a := simulate(t, func(ctx context.Context, n int, _ time.Duration) error {
		if n == 0 {
			return starting
		}
		return after(ctx, 1500*ms, nil)
	})
	if want := []*Error{starting, starting}; !slices.Equal(a.progress, want) { // the failure, and the second attempt beside the next
		t.Errorf("got progress %+v, want %+v", a.progress, want)
	}
}

func TestLoop_ContextEndedBefore(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cancel()
	l := newLoop(ctx, &Connector{})
	l.connect = func(context.Context) (*Conn, error) { t.Error("an attempt was made"); return nil, nil }
	if err := l.run(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// closeRecorder is a connection that records whether it was closed.
type closeRecorder struct {
	net.Conn
	closed atomic.Bool
}

func (c *closeRecorder) Close() error { c.closed.Store(true); return nil }

// Of two logins that succeed at once one is returned and the other one closed; if
// the caller has canceled, both are closed.
func TestLoop_ClosesUnusedConnections(t *testing.T) {
	for _, canceled := range []bool{false, true} {
		first, second := &closeRecorder{}, &closeRecorder{}
		ctx, cancel := context.WithCancel(within(t, testTimeout))
		defer cancel()
		var n atomic.Int32
		started := make(chan struct{})
		l := newLoop(ctx, &Connector{hedgeDelay: 10 * ms})
		l.connect = func(attempt context.Context) (*Conn, error) {
			if n.Add(1) == 1 {
				<-started
				if canceled {
					<-attempt.Done()
				}
				return &Conn{Conn: first}, nil
			}
			close(started)
			if canceled {
				cancel()
			}
			<-attempt.Done()
			return &Conn{Conn: second}, nil
		}
		err := l.run()
		if canceled {
			wantKind(t, err, Canceled)
		} else if must(t, err); l.conn.Conn != first {
			t.Error("got the second connection, want the first")
		}
		if first.closed.Load() != canceled || !second.closed.Load() {
			t.Errorf("canceled: %v; got closed %v and %v", canceled, first.closed.Load(), second.closed.Load())
		}
	}
}

// A login whose result arrives after a cancellation is closed.
func TestLoop_LoginDuringCancel(t *testing.T) {
	for _, canceled := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if canceled {
			cancel()
		}
		conn, a := &closeRecorder{}, &attempt{cancel: func() {}}
		l := &loop{ctx: ctx, inFlight: []*attempt{a}, results: make(chan result, 2)}
		done, err := l.handle(result{attempt: a, conn: &Conn{Conn: conn}})
		if !done || (err != nil) != canceled || conn.closed.Load() != canceled {
			t.Errorf("canceled: %v; got done %v, error %v, closed %v", canceled, done, err, conn.closed.Load())
		}
	}
}
