package pglogin

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// script is a fake Attempt: it notes when each began, and how many were open.
type script struct {
	start  time.Time
	answer func(ctx context.Context, n int, at time.Duration) error

	mu        sync.Mutex
	begun     []time.Duration
	open, max int
}

func (s *script) do(ctx context.Context, _ Target, _ credential.Secret) error {
	s.mu.Lock()
	n, at := len(s.begun), time.Since(s.start)
	s.begun = append(s.begun, at)
	s.open++
	s.max = max(s.max, s.open)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
	}()
	return s.answer(ctx, n, at)
}

// pauses is a schedule of 100, 200, 400, 400 ms …
var pauses = retry.Schedule{First: 100 * time.Millisecond, Factor: 2, Max: 400 * time.Millisecond}

// wait runs one Wait in a bubble, with a deadline of 60 s.
func wait(t *testing.T, answer func(ctx context.Context, n int, at time.Duration) error, check func(s *script, w *Waker, took time.Duration, err error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{start: time.Now(), answer: answer}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w := &Waker{schedule: pauses, Attempt: s.do}
		err := w.Wait(ctx, Target{}, secret)
		if s.open != 0 || s.max > 2 {
			t.Errorf("%d open at the end, %d at once", s.open, s.max)
		}
		check(s, w, time.Since(s.start), err)
	})
}

func held(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func after(ctx context.Context, d time.Duration, err error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return err
	}
}

var starting = &Error{Kind: Starting, Retry: true, Code: "57P03"}

func wantBegun(t *testing.T, s *script, want ...time.Duration) {
	t.Helper()
	if len(s.begun) < len(want) || !slices.Equal(s.begun[:len(want)], want) {
		t.Errorf("attempts began at %v, want %v", s.begun, want)
	}
}

const ms, sec = time.Millisecond, time.Second

func TestScheduleUpAtOnce(t *testing.T) {
	wait(t, func(context.Context, int, time.Duration) error { return nil }, func(s *script, _ *Waker, took time.Duration, err error) {
		if err != nil || took != 0 || len(s.begun) != 1 {
			t.Errorf("err %v after %v, %d attempts", err, took, len(s.begun))
		}
	})
}

func TestScheduleFailuresGrow(t *testing.T) {
	wait(t, func(_ context.Context, n int, _ time.Duration) error {
		if n == 4 {
			return nil
		}
		return starting
	}, func(s *script, w *Waker, took time.Duration, err error) {
		wantBegun(t, s, 0, 100*ms, 300*ms, 700*ms, 1100*ms)
		if err != nil || took != 1100*ms || len(s.begun) != 5 {
			t.Errorf("err %v after %v, %d attempts", err, took, len(s.begun))
		}
	})
}

func TestScheduleSilentCompute(t *testing.T) {
	up := 4300 * ms
	wait(t, func(ctx context.Context, n int, at time.Duration) error {
		if n > 0 && at >= up {
			return nil
		}
		return held(ctx)
	}, func(s *script, _ *Waker, took time.Duration, err error) {
		wantBegun(t, s, 0, 1*sec, 2*sec, 3*sec, 4*sec, 5*sec)
		if err != nil || took != 5*sec || s.max != 2 {
			t.Errorf("err %v after %v, %d at once", err, took, s.max)
		}
	})
}

func TestScheduleHeldIsNotGivenUp(t *testing.T) {
	wait(t, func(ctx context.Context, n int, _ time.Duration) error {
		if n == 0 {
			return after(ctx, 45*sec, nil)
		}
		return held(ctx)
	}, func(s *script, _ *Waker, took time.Duration, err error) {
		if err != nil || took != 45*sec {
			t.Errorf("err %v after %v", err, took)
		}
	})
}

func TestScheduleBesideFails(t *testing.T) { // the elder is held, those beside it refused
	wait(t, func(ctx context.Context, n int, _ time.Duration) error {
		switch n {
		case 0:
			return after(ctx, 1750*ms, nil)
		default:
			return starting
		}
	}, func(s *script, _ *Waker, took time.Duration, err error) {
		wantBegun(t, s, 0, 1000*ms, 1100*ms, 1300*ms, 1700*ms)
		if err != nil || took != 1750*ms || len(s.begun) != 5 {
			t.Errorf("err %v after %v, %d attempts", err, took, len(s.begun))
		}
	})
}

func TestScheduleElderFails(t *testing.T) { // the younger becomes the elder, and is kept
	wait(t, func(ctx context.Context, n int, _ time.Duration) error {
		switch n {
		case 0:
			return after(ctx, 1500*ms, starting)
		case 1:
			return after(ctx, 20*sec, nil)
		}
		return held(ctx)
	}, func(s *script, _ *Waker, took time.Duration, err error) {
		wantBegun(t, s, 0, 1*sec, 1600*ms, 2600*ms, 3600*ms)
		if err != nil || took != 21*sec {
			t.Errorf("err %v after %v", err, took)
		}
	})
}

func TestScheduleRefusalEndsAll(t *testing.T) {
	wait(t, func(ctx context.Context, n int, _ time.Duration) error {
		if n == 1 {
			return &Error{Kind: EndpointDisabled}
		}
		return held(ctx)
	}, func(s *script, _ *Waker, took time.Duration, err error) {
		e := wantKind(t, err, EndpointDisabled)
		if took != sec || e.Attempts != 2 || e.Elapsed != sec {
			t.Errorf("after %v: %#v", took, e)
		}
	})
}

func TestScheduleDeadline(t *testing.T) {
	wait(t, func(ctx context.Context, n int, _ time.Duration) error {
		if n == 0 {
			return starting
		}
		return held(ctx)
	}, func(s *script, _ *Waker, took time.Duration, err error) {
		e := wantKind(t, err, NotAwake)
		if took != time.Minute || e.Last == nil || e.Last.Kind != Starting || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// A login that is proven while it is being cancelled counts.
func TestScheduleSuccessAtTheEnd(t *testing.T) {
	wait(t, func(ctx context.Context, n int, _ time.Duration) error { <-ctx.Done(); return nil }, func(_ *script, _ *Waker, took time.Duration, err error) {
		// The second is cancelled after a second beside the first, and succeeds then.
		if err != nil || took != 2*sec {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

func TestSchedulePatience(t *testing.T) {
	for _, c := range []struct {
		kind     Kind
		patience time.Duration
		other    bool // another failure in between, at about 4 s
		least    time.Duration
	}{
		{Other, unknownFor, false, unknownFor},
		{ExternalAuth, externalAuthFor, false, externalAuthFor},
		{Other, unknownFor, true, unknownFor + 3*sec},
	} {
		wait(t, func(_ context.Context, n int, _ time.Duration) error {
			if c.other && n == 8 {
				return starting
			}
			return &Error{Kind: c.kind, Retry: true, patience: c.patience}
		}, func(s *script, _ *Waker, took time.Duration, err error) {
			e := wantKind(t, err, c.kind)
			if took < c.least || took > c.least+3*sec || e.Attempts != len(s.begun) {
				t.Errorf("%v: gave up after %v, want some %v", c.kind, took, c.least)
			}
		})
	}
}

func TestScheduleAttemptThatIgnoresItsContext(t *testing.T) { // still no more than two
	wait(t, func(ctx context.Context, n int, _ time.Duration) error { time.Sleep(7 * sec); return starting }, func(s *script, _ *Waker, took time.Duration, err error) {
		wantKind(t, err, NotAwake)
		if s.max != 2 || took > time.Minute+7*sec {
			t.Errorf("%d at once, %v", s.max, took)
		}
	})
}

func TestScheduleProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var told []Status
		var n atomic.Int32
		w := &Waker{schedule: pauses, Progress: func(s Status) { told = append(told, s) },
			Attempt: func(ctx context.Context, _ Target, _ credential.Secret) error {
				if n.Add(1) == 1 {
					return starting
				}
				return after(ctx, 1500*ms, nil)
			}}
		start := time.Now()
		must(t, w.Wait(ctx, Target{}, secret))
		if len(told) != 2 || told[0].Last != starting || told[0].Attempts != 1 || told[0].Open != 0 || told[1].Open != 2 || !told[1].Since.Equal(start) {
			t.Errorf("told %+v", told)
		}
	})
}

func TestWaitNeedsADeadline(t *testing.T) {
	wantKind(t, (&Waker{}).Wait(context.Background(), Target{}, secret), BadTarget)
}

func TestWaitAlreadyOver(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cancel()
	w := &Waker{Attempt: func(context.Context, Target, credential.Secret) error { t.Error("an attempt was made"); return nil }}
	if err := w.Wait(ctx, Target{}, secret); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
