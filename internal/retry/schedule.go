package retry

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// The waits between logins to a compute that wakes.
const (
	wakeFirst   = 50 * time.Millisecond
	wakeMax     = 250 * time.Millisecond // during wakeEarly: the last wait delays the start
	wakeEarly   = 30 * time.Second
	wakeLateMax = time.Second
	wakeFactor  = 1.5
	wakeJitter  = 0.2
)

// phase is a part of a Schedule: waits grow from first, or from where the phase
// before left off, by factor to max.
type phase struct {
	first, max time.Duration
	factor     float64
	lasts      time.Duration // since the start; 0: for ever
}

// Schedule is a sequence of waits that never ends. It implements
// backoff.BackOff; the library's ExponentialBackOff knows no phases. It is not
// safe for concurrent use.
type Schedule struct {
	now    func() time.Time
	rand   func() float64
	jitter float64
	phases []phase

	start time.Time
	next  time.Duration
}

var _ backoff.BackOff = (*Schedule)(nil)

// WakeSchedule waits 50 ms at first, growing by half to 250 ms for the first
// 30 s since it was made or reset, then to 1 s; each ±20 %. now and rand (in
// [0, 1)) may be nil, for the system's.
func WakeSchedule(now func() time.Time, random func() float64) *Schedule {
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Float64
	}
	return newSchedule(now, random, wakeJitter,
		phase{first: wakeFirst, max: wakeMax, factor: wakeFactor, lasts: wakeEarly},
		phase{max: wakeLateMax, factor: wakeFactor})
}

func newSchedule(now func() time.Time, random func() float64, jitter float64, phases ...phase) *Schedule {
	s := &Schedule{now: now, rand: random, jitter: jitter, phases: phases}
	s.Reset()
	return s
}

// Reset begins again.
func (s *Schedule) Reset() {
	s.start, s.next = s.now(), s.phases[0].first
}

// NextBackOff gives the next wait. Jitter comes last: a wait may be above its
// phase's maximum by that part, and no more.
func (s *Schedule) NextBackOff() time.Duration {
	p := s.phase()
	wait := min(s.next, p.max)
	s.next = min(time.Duration(float64(wait)*p.factor), p.max)
	return time.Duration(float64(wait) * (1 - s.jitter + 2*s.jitter*s.rand()))
}

func (s *Schedule) phase() phase {
	for _, p := range s.phases {
		if p.lasts == 0 || s.now().Sub(s.start) < p.lasts {
			return p
		}
	}
	return s.phases[len(s.phases)-1]
}
