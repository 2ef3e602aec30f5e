package refresh

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// answer is what one caller of Fresh got.
type answer struct {
	token string
	err   error
	after time.Duration
}

// crowd calls Fresh n times at once, and gives what all got.
func (l *lake) crowd(n int, refused credential.Secret) []answer {
	l.with(func() {})
	got := make(chan answer)
	begun := time.Now()
	for range n {
		go func() {
			tok, err := l.Fresh(l.t.Context(), refused)
			got <- answer{tok.Value.Reveal(), err, time.Since(begun)}
		}()
	}
	var all []answer
	for range n {
		all = append(all, <-got)
	}
	return all
}

func (l *lake) wantAll(all []answer, token int) {
	l.t.Helper()
	for _, a := range all {
		if a.err != nil || a.token != fmt.Sprintf("token-number-%d", token) {
			l.t.Errorf("at %v: got %q, %v, and not token %d", time.Since(l.start), a.token, a.err, token)
			return
		}
	}
}

func TestFreshIsOneFlight(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.takes = 3 * time.Second }, func(l *lake) {
		l.wantAll(l.crowd(100, credential.Secret{}), 0)
		l.wantMinted(0)
		l.leap(2 * time.Hour)
		all := l.crowd(100, credential.Secret{})
		l.wantAll(all, 1)
		l.wantMinted(1)
		if _, asked := l.counts(); asked != 1 || all[0].after != 3*time.Second {
			t.Errorf("asked %d times, the answer after %v", asked, all[0].after)
		}
	})
}

func TestFreshJoinsTheScheduledRefresh(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.takes = time.Second }, func(l *lake) {
		l.at(40*time.Minute + 500*time.Millisecond)
		all := l.crowd(10, l.Token().Value)
		l.wantAll(all, 1)
		if _, asked := l.counts(); asked != 1 || !near(all[0].after, 500*time.Millisecond) {
			t.Errorf("asked %d times, the answer after %v", asked, all[0].after)
		}
	})
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.takes = time.Second }, func(l *lake) {
		zero, other := l.Token().Value, credential.NewSecret("somebody else's")
		l.at(time.Minute)
		l.wantAll(l.crowd(5, other), 0)
		l.wantMinted(0)
		l.wantAll(l.crowd(100, zero), 1)
		l.wantMinted(1)
		l.wantAll(l.crowd(100, zero), 1) // those who hear of the refusal late
		l.wantMinted(1)
		if !l.old[0].Equal(zero) {
			t.Error("Mint was not told which token is refused")
		}
		// The new one is refused too: another would fare no better, for a while.
		one := l.Token().Value
		l.wantAll(l.crowd(10, one), 1)
		l.wantMinted(1)
		l.at(2 * time.Minute)
		l.wantAll(l.crowd(10, one), 2)
		l.wantMinted(2)
	})
}

func TestRefusedTokenWhileTheWorkspaceIsDown(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.down, l.takes = true, 100*time.Millisecond }, func(l *lake) {
		zero := l.Token().Value
		l.wantAll(l.crowd(100, zero), 0) // the old one, it still lives
		if _, asked := l.counts(); asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		l.saw(Failing)
		if !l.events[0].Refused {
			t.Error("the warning promises what does not hold")
		}
		l.broken(false)
		l.at(time.Second) // it is tried again by itself
		l.saw(Failing, Recovered)
		l.wantAll(l.crowd(1, zero), 1)
		if l.events[1].Refused {
			t.Error("the new token is not refused")
		}
	})
}

// The wait after a refusal is for tokens that a refusal brought, and no others.
func TestRefusalAfterAScheduledRefresh(t *testing.T) {
	bubble(t, time.Hour, nil, func(l *lake) {
		l.at(40*time.Minute + 10*time.Millisecond)
		l.wantMinted(1)
		all := l.crowd(10, l.Token().Value)
		l.wantAll(all, 2)
		if all[0].after != 0 {
			t.Errorf("after %v", all[0].after)
		}
	})
}

// A server that refuses a token which is over says nothing about the next one.
func TestRefusalOfATokenThatIsOver(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.down = true }, func(l *lake) {
		zero := l.Token().Value
		l.at(time.Hour + time.Second)
		if _, err := l.Fresh(l.t.Context(), zero); !errors.Is(err, errDown) {
			t.Errorf("%v", err)
		}
		l.broken(false)
		l.wantAll(l.crowd(3, zero), 1)
		l.wantAll(l.crowd(3, l.Token().Value), 2)
		l.wantMinted(2)
	})
}

func TestFreshSeesTheClockPutBack(t *testing.T) {
	bubble(t, time.Hour, nil, func(l *lake) {
		l.at(time.Minute)
		l.leap(-30 * time.Second)
		l.wantAll(l.crowd(1, credential.Secret{}), 0)
		l.leap(-31 * time.Second)
		l.wantAll(l.crowd(1, credential.Secret{}), 1)
	})
}

func TestFreshWantsSomeLife(t *testing.T) {
	for life, least := range map[time.Duration]time.Duration{time.Hour: 5 * time.Second, 12 * time.Second: 1200 * time.Millisecond} {
		bubble(t, life, func(l *lake) { l.down, l.takes = true, time.Millisecond }, func(l *lake) {
			l.at(life - least)
			_, before := l.counts()
			if all := l.crowd(1, credential.Secret{}); all[0].after != 0 {
				t.Errorf("life %v: with %v left it waits %v", life, least, all[0].after)
			}
			l.at(life - least + 100*time.Millisecond)
			all := l.crowd(1, credential.Secret{})
			l.wantAll(all, 0) // still the old one, as the refresh fails
			if _, after := l.counts(); after <= before || all[0].after > time.Second+2*time.Millisecond {
				t.Errorf("life %v: asked %d times, then %d; waited %v", life, before, after, all[0].after)
			}
			l.at(life)
			if _, err := l.Fresh(l.t.Context(), credential.Secret{}); !errors.Is(err, errDown) || err.Error() != "no fresh token: the workspace is down" {
				t.Errorf("life %v: %v", life, err)
			}
			l.broken(false)
			l.wantAll(l.crowd(3, credential.Secret{}), 1)
		})
	}
}

// However many ask, a workspace that is down is asked once a second.
func TestAFloodDuringAnOutage(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.down = true }, func(l *lake) {
		l.at(61 * time.Minute)
		_, before := l.counts()
		for range 60 {
			for _, a := range l.crowd(20, credential.Secret{}) {
				if !errors.Is(a.err, errDown) || a.after > time.Second+5*time.Millisecond {
					t.Fatalf("%v after %v", a.err, a.after)
				}
			}
		}
		_, after := l.counts()
		if after-before < 59 {
			t.Errorf("only %d tries", after-before)
		}
		for i := before; i < after; i++ {
			if gap := l.asked[i] - l.asked[i-1]; i > before && gap < time.Second {
				t.Errorf("two tries within %v", gap)
			}
		}
		l.saw(Failing, Expired)
	})
}

func TestFreshWithinItsContext(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.takes = time.Minute }, func(l *lake) {
		short := func(refused credential.Secret) (credential.Token, error) {
			ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
			defer cancel()
			return l.Fresh(ctx, refused)
		}
		zero := l.Token().Value
		begun := time.Now()
		if tok, err := short(zero); err != nil || !tok.Value.Equal(zero) || time.Since(begun) != time.Second {
			t.Errorf("%v, %v after %v", tok, err, time.Since(begun)) // it lives
		}
		l.leap(time.Hour)
		if _, err := short(credential.Secret{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		l.at(2 * time.Minute) // who gave up does not end the refresh
		if tok, err := short(credential.Secret{}); err != nil || tok.Value.Reveal() != "token-number-1" {
			t.Error(err)
		}
		l.wantMinted(1)
	})
}

func TestFreshBeforeAndAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		first := credential.Token{Value: credential.NewSecret("first"), MintedAt: now, ExpiresAt: now.Add(time.Hour)}
		k := &Keeper{Mint: func(ctx context.Context, _ credential.Secret) (credential.Token, error) {
			<-ctx.Done()
			return credential.Token{}, ctx.Err()
		}}
		if !k.Token().Value.IsZero() {
			t.Error("a token before Run")
		}
		early, gone := context.WithTimeout(t.Context(), time.Second)
		defer gone()
		if _, err := k.Fresh(early, credential.Secret{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		got := make(chan error)
		ask := func(refused credential.Secret) {
			_, err := k.Fresh(t.Context(), refused)
			got <- err
		}
		go ask(credential.Secret{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx, first) }()
		if err := <-got; err != nil {
			t.Errorf("asked before Run: %v", err)
		}
		go ask(first.Value) // waits for a mint that hangs
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := <-got; !errors.Is(err, ErrStopped) {
			t.Errorf("waiting when Run ended: %v", err)
		}
		if _, err := k.Fresh(t.Context(), credential.Secret{}); !errors.Is(err, ErrStopped) {
			t.Errorf("after Run: %v", err)
		}
	})
}
