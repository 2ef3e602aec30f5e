package retry

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errBusy    = errors.New("busy")
	errRefused = errors.New("refused")
)

// again judges everything but errRefused worth another try.
func again(err error) Verdict { return Verdict{Again: !errors.Is(err, errRefused)} }

// server fails with errs in turn, then answers, and notes when it was asked.
type server struct {
	errs  []error
	start time.Time
	asked []time.Duration
}

func newServer(errs ...error) *server { return &server{errs: errs, start: time.Now()} }

func (s *server) call(context.Context) (string, error) {
	s.asked = append(s.asked, time.Since(s.start).Truncate(time.Millisecond))
	if len(s.errs) == 0 {
		return "token", nil
	}
	err := s.errs[0]
	if len(s.errs) > 1 || err != errBusy { // the last errBusy stays
		s.errs = s.errs[1:]
	}
	return "", err
}

// within runs f in a bubble whose time is free, under a context of that life.
func within(t *testing.T, life time.Duration, f func(t *testing.T, ctx context.Context)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), life)
		defer cancel()
		f(t, ctx)
	})
}

func steady() Policy { return Policy{Rand: middle} }

func gaveUp(t *testing.T, err error, want Cause) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T %v, want *Error", err, err)
	}
	if e.Cause != want {
		t.Errorf("cause = %q, want %q", e.Cause, want)
	}
	return e
}

func TestWaitsGrowUntilItSucceeds(t *testing.T) {
	within(t, time.Minute, func(t *testing.T, ctx context.Context) {
		s := newServer(errBusy, errBusy, errBusy, errBusy, errBusy, errBusy, errBusy, errors.New("once"))
		got, err := Do(ctx, steady(), s.call, again)
		if err != nil || got != "token" {
			t.Fatalf("Do = %q, %v", got, err)
		}
		want := ms(0, 200, 600, 1400, 3000, 6200, 11200, 16200, 21200)
		if diff := cmp.Diff(want, s.asked); diff != "" {
			t.Errorf("asked at:\n%s", diff)
		}
	})
}

func TestARefusalIsFinal(t *testing.T) {
	within(t, time.Minute, func(t *testing.T, ctx context.Context) {
		s := newServer(errRefused)
		if _, err := Do(ctx, steady(), s.call, again); err != errRefused {
			t.Errorf("error = %v, want the refusal itself", err)
		}
		if len(s.asked) != 1 {
			t.Errorf("asked %d times, want once", len(s.asked))
		}
	})
}

func TestARefusalAfterARetryIsFinal(t *testing.T) {
	within(t, time.Minute, func(t *testing.T, ctx context.Context) {
		s := newServer(errors.New("first"), errRefused)
		if _, err := Do(ctx, steady(), s.call, again); err != errRefused {
			t.Errorf("error = %v, want the refusal itself", err)
		}
		if len(s.asked) != 2 {
			t.Errorf("asked %d times, want twice", len(s.asked))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after time.Duration
		asked []time.Duration
		fits  bool
	}{
		{"longer than our wait", 3 * time.Second, ms(0, 3000), true},
		{"shorter than our wait", 100 * time.Millisecond, ms(0, 200), true},
		{"just within the budget", 10*time.Second - 1, ms(0, 9999), true},
		{"the whole budget", 10 * time.Second, ms(0), false},
		{"far too long", time.Hour, ms(0), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			within(t, 10*time.Second, func(t *testing.T, ctx context.Context) {
				s := newServer(errors.New("429"))
				got, err := Do(ctx, steady(), s.call, func(error) Verdict { return Verdict{Again: true, After: tc.after} })
				if diff := cmp.Diff(tc.asked, s.asked); diff != "" {
					t.Errorf("asked at:\n%s", diff)
				}
				if tc.fits {
					if err != nil || got != "token" {
						t.Errorf("Do = %q, %v", got, err)
					}
					return
				}
				e := gaveUp(t, err, CauseRetryAfter)
				if e.After != tc.after || e.Elapsed != 0 || e.Last.Error() != "429" {
					t.Errorf("error = %+v", e)
				}
				if !strings.Contains(err.Error(), "429; gave up after 1 try in 0s: the server asks to wait") {
					t.Errorf("text = %q", err)
				}
			})
		})
	}
}

func TestTheLastWaitIsCutSoThatALastTryIsMade(t *testing.T) {
	within(t, 10*time.Second, func(t *testing.T, ctx context.Context) {
		s := newServer(errBusy)
		_, err := Do(ctx, steady(), s.call, again)
		// At 6.2 s the next wait is 5 s with 3.8 s left; then halves, down to the first wait.
		if diff := cmp.Diff(ms(0, 200, 600, 1400, 3000, 6200, 8100, 9050, 9525, 9762), s.asked); diff != "" {
			t.Errorf("asked at:\n%s", diff)
		}
		e := gaveUp(t, err, CauseBudget)
		if e.Attempts != 10 || !errors.Is(err, errBusy) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %+v", e)
		}
	})
}

func TestACutWaitStillHonoursRetryAfter(t *testing.T) {
	within(t, 10*time.Second, func(t *testing.T, ctx context.Context) {
		s := newServer(errBusy)
		_, err := Do(ctx, steady(), s.call, func(error) Verdict {
			if len(s.asked) == 6 { // at 6.2 s: 3.8 s are left, and half of that is 1.9 s
				return Verdict{Again: true, After: 3 * time.Second}
			}
			return Verdict{Again: true}
		})
		gaveUp(t, err, CauseBudget)
		if diff := cmp.Diff(ms(0, 200, 600, 1400, 3000, 6200, 9200, 9600, 9800), s.asked); diff != "" {
			t.Errorf("asked at:\n%s", diff)
		}
	})
}

func TestADeadContextRunsNothing(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(ctx context.Context) (context.Context, context.CancelFunc)
		want Cause
		is   error
	}{
		{"canceled", func(ctx context.Context) (context.Context, context.CancelFunc) {
			c, cancel := context.WithCancel(ctx)
			cancel()
			return c, cancel
		}, CauseCanceled, context.Canceled},
		{"expired", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, -time.Second)
		}, CauseBudget, context.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			within(t, time.Minute, func(t *testing.T, ctx context.Context) {
				ctx, cancel := tc.end(ctx)
				defer cancel()
				s := newServer()
				_, err := Do(ctx, steady(), s.call, again)
				e := gaveUp(t, err, tc.want)
				if e.Attempts != 0 || e.Last != nil || !errors.Is(err, tc.is) || len(s.asked) != 0 {
					t.Errorf("error = %+v, asked %v", e, s.asked)
				}
				if !strings.HasPrefix(err.Error(), "not tried: ") {
					t.Errorf("text = %q", err)
				}
			})
		})
	}
}

func TestCancelDuringAWaitKeepsTheLastError(t *testing.T) {
	within(t, time.Minute, func(t *testing.T, ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(2*time.Second, cancel)
		s := newServer(errBusy)
		_, err := Do(ctx, steady(), s.call, again)
		e := gaveUp(t, err, CauseCanceled)
		if !errors.Is(err, errBusy) || !errors.Is(err, context.Canceled) || e.Elapsed != 2*time.Second || e.Attempts != 4 {
			t.Errorf("error = %+v", e)
		}
	})
}

func TestADeadlineDuringAnAttemptKeepsTheLastError(t *testing.T) {
	within(t, time.Second, func(t *testing.T, ctx context.Context) {
		_, err := Do(ctx, steady(), func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, errBusy
		}, again)
		e := gaveUp(t, err, CauseBudget)
		if !errors.Is(err, errBusy) || !errors.Is(err, context.DeadlineExceeded) || e.Attempts != 1 {
			t.Errorf("error = %+v", e)
		}
	})
}

// stuckTimer never fires; it ends the context instead, as a machine does that
// was asleep during the wait.
type stuckTimer struct {
	cancel  context.CancelFunc
	started []time.Duration
	stopped bool
}

func (t *stuckTimer) Start(d time.Duration) { t.started = append(t.started, d); t.cancel() }
func (t *stuckTimer) Stop()                 { t.stopped = true }
func (t *stuckTimer) C() <-chan time.Time   { return nil }

func TestTheTimerIsTheCallers(t *testing.T) {
	within(t, time.Minute, func(t *testing.T, ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		timer := &stuckTimer{cancel: cancel}
		p := steady()
		p.Timer = timer
		_, err := Do(ctx, p, newServer(errBusy).call, again)
		gaveUp(t, err, CauseCanceled)
		if diff := cmp.Diff(ms(200), timer.started); diff != "" || !timer.stopped {
			t.Errorf("stopped %v, started:\n%s", timer.stopped, diff)
		}
	})
}

// racingTimer fires in the moment in which the context ends.
type racingTimer struct{ stuckTimer }

func (t *racingTimer) C() <-chan time.Time {
	c := make(chan time.Time, 1)
	c <- time.Time{}
	return c
}

func TestATimerThatRacesTheContextRunsNothingMore(t *testing.T) {
	for range 50 { // the library picks either
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		p := steady()
		p.Timer = &racingTimer{stuckTimer{cancel: cancel}}
		s := newServer(errBusy)
		_, err := Do(ctx, p, s.call, again)
		e := gaveUp(t, err, CauseCanceled)
		if len(s.asked) != 1 || e.Attempts != 1 || !errors.Is(err, errBusy) {
			t.Fatalf("asked %d times, error = %+v", len(s.asked), e)
		}
	}
}

func TestNoDeadlineIsAMistake(t *testing.T) {
	s := newServer()
	if _, err := Do(context.Background(), Policy{}, s.call, again); err != ErrNoDeadline {
		t.Errorf("error = %v, want ErrNoDeadline", err)
	}
	if len(s.asked) != 0 {
		t.Errorf("the operation ran")
	}
}
