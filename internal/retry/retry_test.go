package retry

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errBusy    = errors.New("busy")
	errRefused = errors.New("refused")
)

// judge retries everything but errRefused.
func judge(err error) Verdict { return Verdict{Retry: !errors.Is(err, errRefused)} }

// server is busy for a number of calls, then succeeds.
type server struct {
	busy  int
	start time.Time
	calls []time.Duration
}

func newServer(busy int) *server { return &server{busy: busy, start: time.Now()} }

func (s *server) call(context.Context) (string, error) {
	s.calls = append(s.calls, time.Since(s.start).Truncate(time.Millisecond))
	if len(s.calls) <= s.busy {
		return "", errBusy
	}
	return "token", nil
}

const forever = 1000

// within runs f on a fake clock, with a context that expires after d.
func within(t *testing.T, d time.Duration, f func(t *testing.T, ctx context.Context)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		f(t, ctx)
	})
}

// exact returns s without jitter.
func exact(s Schedule) Schedule {
	s.Jitter = 0
	return s
}

func ms(n ...int) []time.Duration {
	var list []time.Duration
	for _, v := range n {
		list = append(list, time.Duration(v)*time.Millisecond)
	}
	return list
}

func wantError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %#v, want an *Error", err)
	}
	return e
}

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		name        string
		schedule    Schedule
		early, late []time.Duration // late: from 30 s on
	}{
		{"exchange", Exchange(), ms(200, 400, 800, 1600, 3200, 5000, 5000), ms(5000)},
		{"wake", Wake(), ms(50, 75, 112, 168, 250, 250, 250), ms(250, 375, 562, 843, 1000, 1000)},
		{"refresh", Refresh(), ms(200, 400, 800, 1600, 3200, 6400), ms(12800, 25600, 51200, 60000, 60000)},
		{"accept", Accept(), ms(5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000), ms(1000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := exact(c.schedule).Backoff()
				next := func(n int) (list []time.Duration) {
					for range n {
						list = append(list, b.Next().Truncate(time.Millisecond))
					}
					return list
				}
				time.Sleep(30*time.Second - 1)
				if got := next(len(c.early)); !slices.Equal(got, c.early) {
					t.Errorf("got early waits %v, want %v", got, c.early)
				}
				time.Sleep(time.Nanosecond)
				if got := next(len(c.late)); !slices.Equal(got, c.late) {
					t.Errorf("got late waits %v, want %v", got, c.late)
				}
				b.Reset()
				if got := next(1)[0]; got != c.schedule.First {
					t.Errorf("got a wait of %v after Reset, want %v", got, c.schedule.First)
				}
				if c.schedule.Jitter != jitter {
					t.Errorf("got jitter %v, want %v", c.schedule.Jitter, jitter)
				}
			})
		})
	}
}

func TestDo_Calls(t *testing.T) {
	for _, c := range []struct {
		name   string
		budget time.Duration
		busy   int
		after  map[int]time.Duration // by the number of the call: what the server asks for
		calls  []time.Duration
		text   string // of the error; empty for success
	}{
		{"waits grow until success", time.Minute, 8, nil, ms(0, 200, 600, 1400, 3000, 6200, 11200, 16200, 21200), ""},
		{"Retry-After is longer than the wait", 10 * time.Second, 1, map[int]time.Duration{1: 3 * time.Second}, ms(0, 3000), ""},
		{"Retry-After just fits", 10 * time.Second, 1, map[int]time.Duration{1: 10*time.Second - 1}, ms(0, 9999), ""},
		{"Retry-After is all of the time left", 10 * time.Second, 1, map[int]time.Duration{1: 10 * time.Second}, ms(0),
			"busy (server asks to wait for 10s)"},
		// At 6.2 s the next wait is 5 s with 3.8 s left: then halves, down to the first wait.
		{"last waits are cut", 10 * time.Second, forever, nil, ms(0, 200, 600, 1400, 3000, 6200, 8100, 9050, 9525, 9762),
			"busy (10 attempts in 9.8s)"},
		{"but Retry-After is honoured", 10 * time.Second, forever, map[int]time.Duration{6: 3 * time.Second}, ms(0, 200, 600, 1400, 3000, 6200, 9200, 9600, 9800),
			"busy (9 attempts in 9.8s)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			within(t, c.budget, func(t *testing.T, ctx context.Context) {
				s := newServer(c.busy)
				got, err := Do(ctx, exact(Exchange()), s.call, func(error) Verdict { return Verdict{Retry: true, After: c.after[len(s.calls)]} })
				if !slices.Equal(s.calls, c.calls) {
					t.Errorf("got calls at %v, want %v", s.calls, c.calls)
				}
				if c.text == "" {
					if err != nil || got != "token" {
						t.Errorf("got %q, %v", got, err)
					}
					return
				}
				e := wantError(t, err)
				if e.Attempts != len(c.calls) || !errors.Is(err, errBusy) || errors.Is(err, context.DeadlineExceeded) || err.Error() != c.text {
					t.Errorf("got error %v (%+v), want %s", err, e, c.text)
				}
			})
		})
	}
}

func TestDo_RefusalIsFinal(t *testing.T) {
	within(t, time.Minute, func(t *testing.T, ctx context.Context) {
		n := 0
		_, err := Do(ctx, Exchange(), func(context.Context) (int, error) {
			if n++; n == 1 {
				return 0, errBusy
			}
			return 0, errRefused
		}, judge)
		if err != errRefused || n != 2 {
			t.Errorf("got error %v after %d calls, want the refusal itself after 2", err, n)
		}
		s := newServer(forever)
		if _, err := Do(Once(ctx), Exchange(), s.call, judge); err != errBusy || len(s.calls) != 1 {
			t.Errorf("Once: got error %v after %d calls, want the error itself after 1", err, len(s.calls))
		}
	})
}

func TestDo_NotTried(t *testing.T) {
	within(t, time.Minute, func(t *testing.T, ctx context.Context) {
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		expired, cancel := context.WithTimeout(ctx, -time.Second)
		defer cancel()
		for _, c := range []struct {
			ctx  context.Context
			is   error
			text string
		}{
			{context.Background(), nil, "retry: the context has no deadline"},
			{canceled, context.Canceled, "not tried: canceled"},
			{expired, context.DeadlineExceeded, "not tried: no time left"},
		} {
			s := newServer(0)
			if _, err := Do(c.ctx, Exchange(), s.call, judge); c.is != nil && !errors.Is(err, c.is) || err.Error() != c.text || len(s.calls) != 0 {
				t.Errorf("got error %v after calls %v, want %q", err, s.calls, c.text)
			}
		}
	})
}

// A wait that ends together with the context may end by either.
func TestDo_CanceledDuringWait(t *testing.T) {
	for _, c := range []struct {
		after    time.Duration
		attempts int
	}{{2 * time.Second, 4}, {200 * time.Millisecond, 0}} {
		for range 25 {
			within(t, time.Minute, func(t *testing.T, ctx context.Context) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(c.after, cancel)
				s := newServer(forever)
				_, err := Do(ctx, exact(Exchange()), s.call, judge)
				e := wantError(t, err)
				if !errors.Is(err, errBusy) || !errors.Is(err, context.Canceled) || e.Elapsed != c.after || c.attempts != 0 && e.Attempts != c.attempts {
					t.Errorf("got error %+v", e)
				}
			})
		}
	}
}

func TestDo_DeadlineDuringAttempt(t *testing.T) {
	within(t, time.Second, func(t *testing.T, ctx context.Context) {
		n := 0
		_, err := Do(ctx, exact(Exchange()), func(ctx context.Context) (int, error) {
			if n++; n == 1 {
				return 0, errBusy
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}, judge)
		e := wantError(t, err)
		if e.Last != errBusy || !errors.Is(err, context.DeadlineExceeded) || e.Attempts != 2 {
			t.Errorf("got error %+v, want the first attempt's, as the second was cut short", e)
		}
	})
}
