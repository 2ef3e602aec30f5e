package retry

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// jitter spreads every wait by ±20 %, so that clients that failed together do
// not return together.
const jitter = 0.2

// Schedule describes the waits between attempts: they grow from First by Factor
// to Max. A schedule with EarlyFor grows to EarlyMax only, until EarlyFor has
// passed since its Backoff was made or reset.
type Schedule struct {
	First  time.Duration
	Max    time.Duration // before jitter
	Factor float64
	Jitter float64 // part of a wait, 0.2 for ±20 %

	EarlyMax time.Duration
	EarlyFor time.Duration // 0: there is no early phase
}

// Exchange returns the schedule for calls to a workspace.
func Exchange() Schedule {
	return Schedule{First: 200 * time.Millisecond, Max: 5 * time.Second, Factor: 2, Jitter: jitter}
}

// Wake returns the schedule for logins to a compute that wakes. The last wait
// delays the command, so waits stay short while a wake-up is likely.
func Wake() Schedule {
	return Schedule{First: 50 * time.Millisecond, Max: time.Second, Factor: 1.5, Jitter: jitter,
		EarlyMax: 250 * time.Millisecond, EarlyFor: 30 * time.Second}
}

// Refresh returns the schedule for refreshing a token during an outage, which may
// last for days. With thousands of refreshers the longest wait decides how many calls
// the workspace gets when it recovers (docs/fleet.md).
func Refresh() Schedule {
	return Schedule{First: 200 * time.Millisecond, Max: time.Minute, Factor: 2, Jitter: jitter}
}

// Accept returns the schedule for a listener that cannot accept connections, such
// as while the process has no file descriptors left.
func Accept() Schedule {
	return Schedule{First: 5 * time.Millisecond, Max: time.Second, Factor: 2, Jitter: jitter}
}

// Backoff returns the waits of the schedule, beginning with First.
func (s Schedule) Backoff() *Backoff {
	b := &Backoff{schedule: s, waits: backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(s.First), backoff.WithMultiplier(s.Factor),
		backoff.WithRandomizationFactor(s.Jitter), backoff.WithMaxElapsedTime(0))}
	b.Reset()
	return b
}

// Backoff is a sequence of waits that never ends. It is not safe for concurrent
// use.
type Backoff struct {
	schedule Schedule
	waits    *backoff.ExponentialBackOff
	start    time.Time
}

// Reset begins the sequence again.
func (b *Backoff) Reset() {
	b.start = time.Now()
	b.waits.Reset()
}

// Next returns the next wait.
func (b *Backoff) Next() time.Duration {
	b.waits.MaxInterval = b.schedule.Max
	if time.Since(b.start) < b.schedule.EarlyFor {
		b.waits.MaxInterval = b.schedule.EarlyMax
	}
	return b.waits.NextBackOff()
}

// After returns the wait after a failed attempt when left is the time until the
// deadline, or why there is none: CauseRetryAfter or CauseBudget. See Do.
func (b *Backoff) After(v Verdict, left time.Duration) (time.Duration, Cause) {
	if v.After > 0 && v.After >= left {
		return 0, CauseRetryAfter
	}
	wait := b.Next()
	if wait >= left {
		if wait = left / 2; wait < b.schedule.First {
			return 0, CauseBudget
		}
	}
	return max(wait, v.After), ""
}
