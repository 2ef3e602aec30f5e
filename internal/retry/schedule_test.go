package retry

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// middle makes jitter do nothing.
func middle() float64 { return 0.5 }

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func ms(n ...int) []time.Duration {
	var list []time.Duration
	for _, v := range n {
		list = append(list, time.Duration(v)*time.Millisecond)
	}
	return list
}

// take draws n waits, moving the clock by each, rounded to whole milliseconds.
func take(s *Schedule, c *clock, n int) []time.Duration {
	var list []time.Duration
	for range n {
		w := s.NextBackOff()
		c.t = c.t.Add(w)
		list = append(list, w.Truncate(time.Millisecond))
	}
	return list
}

func TestWakeScheduleGrowsInTwoPhases(t *testing.T) {
	c := &clock{time.Unix(1000, 0)}
	s := WakeSchedule(c.now, middle)
	if diff := cmp.Diff(ms(50, 75, 112, 168, 250, 250, 250), take(s, c, 7)); diff != "" {
		t.Errorf("first phase:\n%s", diff)
	}
	c.t = time.Unix(1000, 0).Add(30*time.Second - 1)
	if diff := cmp.Diff(ms(250), take(s, c, 1)); diff != "" {
		t.Errorf("end of the first phase:\n%s", diff)
	}
	c.t = time.Unix(1030, 0)
	if diff := cmp.Diff(ms(250, 375, 562, 843, 1000, 1000), take(s, c, 6)); diff != "" {
		t.Errorf("second phase:\n%s", diff)
	}
	s.Reset()
	if diff := cmp.Diff(ms(50, 75), take(s, c, 2)); diff != "" {
		t.Errorf("after Reset:\n%s", diff)
	}
}

func TestJitterStaysWithinAFifth(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rand  float64
		first time.Duration
		late  time.Duration
	}{
		{"lowest", 0, 40 * time.Millisecond, 800 * time.Millisecond},
		{"highest", 1 - 1e-9, 60 * time.Millisecond, 1200 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &clock{time.Unix(1000, 0)}
			s := WakeSchedule(c.now, func() float64 { return tc.rand })
			near(t, "first wait", s.NextBackOff(), tc.first)
			for range 10 {
				s.NextBackOff()
			}
			near(t, "longest early wait", s.NextBackOff(), tc.late/4)
			c.t = c.t.Add(time.Minute)
			for range 10 {
				s.NextBackOff()
			}
			near(t, "longest late wait", s.NextBackOff(), tc.late)
		})
	}
}

func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if d := got - want; d < -time.Microsecond || d > time.Microsecond {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestSystemRandomnessVaries(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 50 {
		w := WakeSchedule(nil, nil).NextBackOff()
		if w < 40*time.Millisecond || w > 60*time.Millisecond {
			t.Fatalf("first wait %v is outside 50 ms ±20 %%", w)
		}
		seen[w] = true
	}
	if len(seen) < 10 {
		t.Errorf("50 first waits took only %d values", len(seen))
	}
}
