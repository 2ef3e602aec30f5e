package refresh

import (
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const (
	share  = 2.0 / 3 // of a token's life, after which it is replaced
	spread = 0.05    // of a token's life, which jitter adds or takes away

	longestFloor = 10 * time.Second // between two refreshes that nobody asks for
	longestGap   = time.Second      // between two that Fresh asks for
	leastLeft    = 5 * time.Second  // what a token must have left for Fresh
	longestTick  = 10 * time.Second
	shortestTick = 100 * time.Millisecond
)

// moment is one instant on two clocks: the wall's, which jumps and counts on
// while the machine sleeps, and the monotonic one, which need not.
type moment struct{ wall, mono time.Time }

// since is the time from then to m on the clock that saw more of it.
func (m moment) since(then moment) time.Duration {
	return max(m.wall.Sub(then.wall), m.mono.Sub(then.mono))
}

// held is a token with what decides when it is replaced.
type held struct {
	token credential.Token
	life  time.Duration
	after time.Duration // the age at which it is replaced
	came  moment        // when we got it
	aged  time.Duration // its age then
}

// hold takes in a token; jitter is in [0, 1). No token is believed to live for
// longer than credential.MaxLife.
func hold(t credential.Token, now moment, jitter float64) held {
	t.MintedAt, t.ExpiresAt = t.MintedAt.Round(0).UTC(), t.ExpiresAt.Round(0).UTC()
	if most := t.MintedAt.Add(credential.MaxLife); t.ExpiresAt.After(most) {
		t.ExpiresAt = most
	}
	life := t.ExpiresAt.Sub(t.MintedAt)
	return held{
		token: t, life: life, came: now,
		after: time.Duration((share + spread*(2*jitter-1)) * float64(life)),
		aged:  max(0, now.wall.Sub(t.MintedAt)),
	}
}

// age does not shrink when the wall clock is put back.
func (h held) age(now moment) time.Duration {
	return max(now.wall.Sub(h.token.MintedAt), h.aged+now.mono.Sub(h.came.mono))
}

func (h held) left(now moment) time.Duration { return h.life - h.age(now) }

// old says whether the token is to be replaced: by its age, or as the clock was
// put back to before its beginning, so that its times mean nothing.
func (h held) old(now moment) bool {
	return h.age(now) >= h.after || h.token.MintedAt.After(now.wall)
}

// good says whether a new login may use the token.
func (h held) good(now moment) bool {
	return h.left(now) >= min(leastLeft, h.tenth()) && h.left(now) > 0 && !h.token.MintedAt.After(now.wall)
}

func (h held) tenth() time.Duration { return h.life / 10 }

// floor keeps a Mint that gives tokens which are old already from being called
// in a circle; gap does the same for callers of Fresh.
func (h held) floor() time.Duration { return min(longestFloor, h.tenth()) }
func (h held) gap() time.Duration   { return min(longestGap, h.tenth()) }
