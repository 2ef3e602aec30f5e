package refresh

import "time"

const (
	firstPause   = 200 * time.Millisecond
	longestPause = 30 * time.Second
	pauseJitter  = 0.2
)

// growing doubles from firstPause to longestPause. Refreshes go on for weeks, so
// it knows no end.
type growing struct {
	next   time.Duration
	random func() float64
}

func (g *growing) Reset() { g.next = firstPause }

func (g *growing) NextBackOff() time.Duration {
	wait := g.next
	g.next = min(2*wait, longestPause)
	return time.Duration(float64(wait) * (1 - pauseJitter + 2*pauseJitter*g.random()))
}
