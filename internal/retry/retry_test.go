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

// judge retries everything but errRefused.
func judge(err error) Verdict { return Verdict{Retry: !errors.Is(err, errRefused)} }

// server fails with errs in turn, then succeeds. Without an end it stays busy.
type server struct {
	errs    []error
	endless bool
	start   time.Time
	calls   []time.Duration
}

func newServer(errs ...error) *server { return &server{errs: errs, start: time.Now()} }

func busyServer() *server { return &server{endless: true, start: time.Now()} }

func (s *server) call(context.Context) (string, error) {
	s.calls = append(s.calls, time.Since(s.start).Truncate(time.Millisecond))
	if s.endless {
		return "", errBusy
	}
	if len(s.errs) == 0 {
		return "token", nil
	}
	err := s.errs[0]
	s.errs = s.errs[1:]
	return "", err
}

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

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantCause(t *testing.T, err error, want Cause) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Cause != want {
		t.Fatalf("got error %#v, want an *Error with cause %q", err, want)
	}
	return e
}

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		name        string
		schedule    Schedule
		early, late []time.Duration // late: from 30 s on
		reset       time.Duration
	}{
		{"exchange", Exchange(), ms(200, 400, 800, 1600, 3200, 5000, 5000), ms(5000), 200 * time.Millisecond},
		{"wake", Wake(), ms(50, 75, 112, 168, 250, 250, 250), ms(250, 375, 562, 843, 1000, 1000), 50 * time.Millisecond},
		{"refresh", Refresh(), ms(200, 400, 800, 1600, 3200, 6400), ms(12800, 25600, 30000, 30000), 200 * time.Millisecond},
		{"accept", Accept(), ms(5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000), ms(1000), 5 * time.Millisecond},
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
				equal(t, "early waits", next(len(c.early)), c.early)
				time.Sleep(time.Nanosecond)
				equal(t, "late waits", next(len(c.late)), c.late)
				b.Reset()
				equal(t, "wait after Reset", next(1)[0], c.reset)
			})
		})
	}
}

func TestSchedule_Jitter(t *testing.T) {
	seen := map[time.Duration]bool{}
	s := Wake()
	for range 50 {
		w := s.Backoff().Next()
		if off := (w - s.First).Abs(); off > s.First/5 {
			t.Fatalf("got first wait %v, want %v ±20 %%", w, s.First)
		}
		seen[w] = true
	}
	if len(seen) < 10 {
		t.Errorf("got %d different values in 50 waits", len(seen))
	}
}

func TestDo_WaitsGrowUntilSuccess(t *testing.T) {
	within(t, time.Minute, func(t *testing.T, ctx context.Context) {
		s := newServer(errBusy, errBusy, errBusy, errBusy, errBusy, errBusy, errBusy, errBusy)
		got, err := Do(ctx, exact(Exchange()), s.call, judge)
		if err != nil || got != "token" {
			t.Fatalf("got %q, %v", got, err)
		}
		equal(t, "calls", s.calls, ms(0, 200, 600, 1400, 3000, 6200, 11200, 16200, 21200))
	})
}

func TestDo_RefusalIsFinal(t *testing.T) {
	for _, errs := range [][]error{{errRefused}, {errors.New("first"), errRefused}} {
		within(t, time.Minute, func(t *testing.T, ctx context.Context) {
			s := newServer(errs...)
			if _, err := Do(ctx, Exchange(), s.call, judge); err != errRefused {
				t.Errorf("got error %v, want the refusal itself", err)
			}
			equal(t, "number of calls", len(s.calls), len(errs))
		})
	}
}

func TestDo_RetryAfter(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		calls []time.Duration
		fits  bool
	}{
		{"longer than the schedule's wait", 3 * time.Second, ms(0, 3000), true},
		{"shorter than the schedule's wait", 100 * time.Millisecond, ms(0, 200), true},
		{"just within the time left", 10*time.Second - 1, ms(0, 9999), true},
		{"all of the time left", 10 * time.Second, ms(0), false},
		{"far too long", time.Hour, ms(0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			within(t, 10*time.Second, func(t *testing.T, ctx context.Context) {
				s := newServer(errors.New("429"))
				got, err := Do(ctx, exact(Exchange()), s.call, func(error) Verdict { return Verdict{Retry: true, After: c.after} })
				equal(t, "calls", s.calls, c.calls)
				if c.fits {
					if err != nil || got != "token" {
						t.Errorf("got %q, %v", got, err)
					}
					return
				}
				e := wantCause(t, err, CauseRetryAfter)
				if e.After != c.after || e.Elapsed != 0 || e.Last.Error() != "429" {
					t.Errorf("got error %+v", e)
				}
				if want := "429; gave up after 1 attempt in 0s: the server asks to wait"; !strings.HasPrefix(err.Error(), want) {
					t.Errorf("got error %q, want prefix %q", err, want)
				}
			})
		})
	}
}

func TestDo_LastWaitIsCut(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration // asked for by the sixth failure, at 6.2 s
		calls []time.Duration
	}{
		// At 6.2 s the next wait is 5 s with 3.8 s left: then halves, down to the first wait.
		{"halves of the time left", 0, ms(0, 200, 600, 1400, 3000, 6200, 8100, 9050, 9525, 9762)},
		{"but Retry-After is honoured", 3 * time.Second, ms(0, 200, 600, 1400, 3000, 6200, 9200, 9600, 9800)},
	} {
		t.Run(c.name, func(t *testing.T) {
			within(t, 10*time.Second, func(t *testing.T, ctx context.Context) {
				s := busyServer()
				_, err := Do(ctx, exact(Exchange()), s.call, func(error) Verdict {
					if len(s.calls) == 6 {
						return Verdict{Retry: true, After: c.after}
					}
					return Verdict{Retry: true}
				})
				equal(t, "calls", s.calls, c.calls)
				e := wantCause(t, err, CauseBudget)
				if e.Attempts != len(c.calls) || !errors.Is(err, errBusy) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got error %+v", e)
				}
			})
		})
	}
}

func TestDo_ContextEndedBefore(t *testing.T) {
	within(t, time.Minute, func(t *testing.T, ctx context.Context) {
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		expired, cancel := context.WithTimeout(ctx, -time.Second)
		defer cancel()
		for _, c := range []struct {
			ctx  context.Context
			want Cause
			is   error
		}{{canceled, CauseCanceled, context.Canceled}, {expired, CauseBudget, context.DeadlineExceeded}} {
			s := newServer()
			_, err := Do(c.ctx, Exchange(), s.call, judge)
			e := wantCause(t, err, c.want)
			if e.Attempts != 0 || e.Last != nil || !errors.Is(err, c.is) || len(s.calls) != 0 {
				t.Errorf("got error %+v after calls %v", e, s.calls)
			}
			if want := "not tried: " + string(c.want); err.Error() != want {
				t.Errorf("got error %q, want %q", err, want)
			}
		}
	})
}

func TestDo_CanceledDuringWait(t *testing.T) {
	within(t, time.Minute, func(t *testing.T, ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(2*time.Second, cancel)
		_, err := Do(ctx, exact(Exchange()), busyServer().call, judge)
		e := wantCause(t, err, CauseCanceled)
		if !errors.Is(err, errBusy) || !errors.Is(err, context.Canceled) || e.Elapsed != 2*time.Second || e.Attempts != 4 {
			t.Errorf("got error %+v", e)
		}
	})
}

// Timer and cancellation come together: the wait may end by either.
func TestDo_CanceledAtEndOfWait(t *testing.T) {
	for range 50 {
		within(t, time.Minute, func(t *testing.T, ctx context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(200*time.Millisecond, cancel)
			_, err := Do(ctx, exact(Exchange()), func(context.Context) (int, error) { return 0, errBusy }, judge)
			wantCause(t, err, CauseCanceled)
		})
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
		e := wantCause(t, err, CauseBudget)
		if e.Last != errBusy || !errors.Is(err, context.DeadlineExceeded) || e.Attempts != 2 {
			t.Errorf("got error %+v, want the first attempt's, as the second was cut short", e)
		}
	})
}

func TestDo_NoDeadline(t *testing.T) {
	s := newServer()
	if _, err := Do(context.Background(), Exchange(), s.call, judge); err != ErrNoDeadline || len(s.calls) != 0 {
		t.Errorf("got error %v after calls %v, want ErrNoDeadline and none", err, s.calls)
	}
}
