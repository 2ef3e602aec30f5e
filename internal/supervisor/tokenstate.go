package supervisor

import (
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

const (
	refreshAt = 2.0 / 3 // part of a token's life after which it is replaced

	// refreshJitter is the part of a token's life that jitter adds or subtracts. It
	// takes processes that started together out of step (docs/fleet.md): with 0.05
	// that takes a day. The latest refresh has 18 % of the life left.
	refreshJitter = 0.15

	maxInterval    = 10 * time.Second // the longest minimum between scheduled refreshes
	maxOnDemand    = time.Second      // the same between refreshes requested by Token
	minUsable      = 5 * time.Second  // what a token must have left for a new login
	clockCheck     = 10 * time.Second // the longest time between two readings of the wall clock
	attemptTimeout = 2 * time.Minute  // of one call of Mint, and of one of OnToken

	// firstAttempt is the timeout of Mint unless the last refresh failed, or most of what
	// the token has left, if that is less: the warning should come while there is time.
	firstAttempt = 15 * time.Second
)

// instant is one instant on two clocks. A token expires by the wall clock; Go's timers
// run on the monotonic clock, which on Linux stops while the machine sleeps. Both are
// read at short intervals, and the greater age counts.
type instant struct{ wall, mono time.Time }

// since returns the time from then to i on the clock that advanced more.
func (i instant) since(then instant) time.Duration {
	return max(i.wall.Sub(then.wall), i.mono.Sub(then.mono))
}

// tokenState is a token with what decides when it is replaced.
type tokenState struct {
	token         credential.Token
	life          time.Duration
	refreshAge    time.Duration // the age at which it is replaced
	received      instant
	ageAtReceived time.Duration
}

// forever is the life of a token that does not expire.
const forever = 100 * 365 * 24 * time.Hour

// newTokenState describes a token received now, which lives for credential.MaxLife at most.
func newTokenState(t credential.Token, now instant, jitter float64) tokenState {
	t.MintedAt, t.ExpiresAt = t.MintedAt.Round(0).UTC(), t.ExpiresAt.Round(0).UTC()
	if latest := t.MintedAt.Add(credential.MaxLife); t.ExpiresAt.After(latest) {
		t.ExpiresAt = latest
	}
	life := t.ExpiresAt.Sub(t.MintedAt)
	if t.ExpiresAt.IsZero() {
		life = forever
	}
	return tokenState{
		token: t, life: life, received: now,
		refreshAge:    RefreshAge(life, jitter),
		ageAtReceived: max(0, now.wall.Sub(t.MintedAt)),
	}
}

// RefreshAge returns the age at which a token is replaced; jitter is in [0, 1).
func RefreshAge(life time.Duration, jitter float64) time.Duration {
	return time.Duration((refreshAt + refreshJitter*(2*jitter-1)) * float64(life))
}

// RetryWait returns the wait after a failed refresh; after is what the server asked for.
func RetryWait(b *retry.Backoff, life, after time.Duration) time.Duration {
	return min(max(b.Next(), after), life/10)
}

// age does not decrease when the wall clock is set back.
func (s tokenState) age(now instant) time.Duration {
	if s.token.ExpiresAt.IsZero() {
		return 0
	}
	return s.ageAtReceived + now.since(s.received)
}

func (s tokenState) left(now instant) time.Duration { return s.life - s.age(now) }

// usable reports whether a new login may use the token.
func (s tokenState) usable(now instant) bool {
	left := s.left(now)
	return left > 0 && left >= min(minUsable, s.tenth())
}

func (s tokenState) tenth() time.Duration { return s.life / 10 }

// minInterval limits the rate of refreshes; minOnDemand that of those requested by Token.
func (s tokenState) minInterval() time.Duration { return min(maxInterval, s.tenth()) }
func (s tokenState) minOnDemand() time.Duration { return min(maxOnDemand, s.tenth()) }
