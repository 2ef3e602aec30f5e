package refresh

import (
	"testing"
	"time"
)

func TestScheduleIsTwoThirdsWithJitter(t *testing.T) {
	for _, life := range []time.Duration{12 * time.Second, time.Minute, time.Hour} {
		for jitter, part := range map[float64]float64{0: 2.0/3 - 0.05, 0.5: 2.0 / 3, 0.999999: 2.0/3 + 0.05} {
			bubble(t, life, func(l *lake) { l.Jitter = func() float64 { return jitter } }, func(l *lake) {
				l.at(3 * life)
				want := time.Duration(part * float64(life))
				if len(l.minted) != int(3/part) {
					t.Errorf("life %v, jitter %v: %v", life, jitter, l.minted)
				}
				for i, at := range l.minted {
					if off := (at - time.Duration(i+1)*want).Abs(); off > life/10000+5*time.Millisecond {
						t.Errorf("life %v, jitter %v: token %d came at %v, and not at %v", life, jitter, i+1, at, time.Duration(i+1)*want)
					}
				}
				for i, old := range l.old { // each replaces the one before it
					if want := l.token(i).Value; !old.Equal(want) {
						t.Errorf("mint %d was not told of the token to replace", i)
					}
				}
				l.saw()
				if s := l.Stats(); s.Minted != len(l.minted) || s.Failed != 0 || s.LastError != "" || !s.ExpiresAt.Equal(l.Token().ExpiresAt) {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

func TestJitterOfItsOwn(t *testing.T) {
	least, most := time.Hour, time.Duration(0)
	for range 100 {
		bubble(t, time.Hour, func(l *lake) { l.Jitter = nil }, func(l *lake) {
			l.at(44 * time.Minute)
			l.wantMinted(1)
			least, most = min(least, l.minted[0]), max(most, l.minted[0])
		})
	}
	if least < 37*time.Minute || most > 43*time.Minute || most-least < 2*time.Minute {
		t.Errorf("from %v to %v", least, most)
	}
}

func TestSleepOfTheMachine(t *testing.T) {
	for asleep, want := range map[time.Duration]int{20 * time.Minute: 0, 31 * time.Minute: 1, 49 * time.Minute: 1, 51 * time.Minute: 1, 8 * time.Hour: 1} {
		bubble(t, time.Hour, nil, func(l *lake) {
			l.at(10*time.Minute + time.Second)
			l.leap(asleep)
			l.at(10*time.Minute + 11*time.Second)
			l.wantMinted(want)
			l.saw() // not even if it expired meanwhile
		})
	}
}

func TestSleepEndsAWaitForTheNextTry(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.down = true }, func(l *lake) {
		l.at(45 * time.Minute) // each wait is half a minute now
		_, before := l.counts()
		l.leap(time.Minute)
		l.broken(false)
		l.at(45*time.Minute + 10*time.Second)
		if _, after := l.counts(); after != before+1 {
			t.Errorf("%d tries, then %d", before, after)
		}
		l.wantMinted(1)
	})
}

func TestClockIsPutBackDuringAnOutage(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.down = true }, func(l *lake) {
		l.at(45 * time.Minute)
		_, before := l.counts()
		l.leap(-10 * time.Minute)
		l.at(46 * time.Minute)
		if _, after := l.counts(); after != before+2 {
			t.Errorf("%d tries in a minute", after-before)
		}
	})
}

func TestClockIsPutBack(t *testing.T) {
	bubble(t, time.Hour, nil, func(l *lake) { // to before the token
		l.at(30 * time.Minute)
		l.leap(-31 * time.Minute)
		l.at(30*time.Minute + 10*time.Second)
		l.wantMinted(1)
		l.at(70 * time.Minute) // the new one has an age again
		l.wantMinted(1)
		l.at(71 * time.Minute)
		l.wantMinted(2)
	})
	bubble(t, time.Hour, nil, func(l *lake) { // to after its beginning: its age stays
		l.at(30 * time.Minute)
		l.leap(-25 * time.Minute)
		l.at(39*time.Minute + 59*time.Second)
		l.wantMinted(0)
		l.at(40*time.Minute + time.Second)
		l.wantMinted(1)
	})
}

func TestLooksAtTheClock(t *testing.T) {
	for _, c := range []struct {
		life, tick time.Duration
		from, to   int // turns in a minute
	}{
		{time.Hour, 0, 6, 8},
		{time.Hour, time.Hour, 6, 8},
		{time.Hour, time.Second, 60, 62},
		{2 * time.Minute, time.Second, 60, 62},
		{30 * time.Second, 0, 20, 35}, // a tenth of the life
	} {
		bubble(t, c.life, func(l *lake) { l.Tick = c.tick }, func(l *lake) {
			l.at(time.Minute)
			if l.beats < c.from || l.beats > c.to {
				t.Errorf("life %v, Tick %v: %d turns", c.life, c.tick, l.beats)
			}
		})
	}
}

// A cached token may be old when it comes, and a Mint that gives nothing else
// must not be called in a circle.
func TestOldTokensAreReplacedAtAMeasuredPace(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.aged = 45 * time.Minute }, func(l *lake) {
		l.wantMinted(1)
		l.at(time.Minute)
		l.wantMinted(7)
		l.with(func() { l.aged = 0 })
		l.at(2 * time.Minute)
		l.wantMinted(8)
	})
}

func TestLifeIsNotBelieved(t *testing.T) {
	bubble(t, 24*time.Hour, nil, func(l *lake) {
		l.at(41 * time.Minute)
		l.wantMinted(1)
		if left := l.Token().ExpiresAt.Sub(l.wall()); left > time.Hour {
			t.Errorf("%v are left", left)
		}
	})
}
