package refresh

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestOutageWithShortTokens(t *testing.T) {
	bubble(t, 12*time.Second, func(l *lake) { l.Jitter = nil }, func(l *lake) {
		first := l.Token()
		l.at(6 * time.Second)
		l.broken(true)
		l.at(11 * time.Second)
		l.saw(Failing)
		if e := l.events[0]; !e.ExpiresAt.Equal(first.ExpiresAt) || !errors.Is(e.Err, errDown) || e.Refused || l.when[0] < 7400*time.Millisecond || l.when[0] > 8600*time.Millisecond {
			t.Errorf("%+v at %v", e, l.when[0])
		}
		if now := l.Token(); !now.Value.Equal(first.Value) {
			t.Error("the old token is gone")
		}
		if s := l.Stats(); s.Failed == 0 || s.Minted != 0 || s.LastError != errDown.Error() {
			t.Errorf("%+v", s)
		}
		l.at(12*time.Second + time.Millisecond)
		l.saw(Failing, Expired)
		if !near(l.when[1], 12*time.Second) || !errors.Is(l.events[1].Err, errDown) {
			t.Errorf("%+v at %v", l.events[1], l.when[1])
		}
		l.at(36 * time.Second)
		l.saw(Failing, Expired)
		if _, asked := l.counts(); asked < 20 || asked > 45 {
			t.Errorf("%d tries in half a minute", asked)
		}
		for i := 1; i < len(l.asked); i++ {
			if l.asked[i]-l.asked[i-1] > 1205*time.Millisecond {
				t.Errorf("a wait of %v", l.asked[i]-l.asked[i-1])
			}
		}
		l.broken(false)
		l.at(36*time.Second + 1205*time.Millisecond)
		l.saw(Failing, Expired, Recovered)
		if e := l.events[2]; e.Err != nil || !e.ExpiresAt.Equal(l.Token().ExpiresAt) || l.Token().Value.Equal(first.Value) {
			t.Errorf("%+v", e)
		}
		if s := l.Stats(); s.LastError != "" || s.Minted != 1 {
			t.Errorf("%+v", s)
		}
		l.at(time.Minute)
		l.saw(Failing, Expired, Recovered)
		l.broken(true) // another outage is told of again
		l.at(80 * time.Second)
		l.saw(Failing, Expired, Recovered, Failing, Expired)
	})
}

func TestOutageWithLongTokens(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.Jitter = nil }, func(l *lake) {
		l.at(36 * time.Minute)
		l.broken(true)
		var begun time.Duration
		for at := 36 * time.Minute; begun == 0; at += time.Second {
			l.at(at)
			l.with(func() {
				if len(l.when) > 0 {
					begun = l.when[0]
				}
			})
		}
		l.at(begun + 30*time.Second)
		l.saw(Failing)
		if _, asked := l.counts(); asked < 5 || asked > 10 {
			t.Errorf("%d tries in half a minute: %v", asked, l.asked)
		}
		l.broken(false)
		l.at(begun + 62*time.Second)
		l.saw(Failing, Recovered)
		l.wantMinted(1)
	})
}

func TestWaitsGrowToHalfAMinute(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.down = true }, func(l *lake) {
		l.at(45 * time.Minute)
		want := []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond, 3200 * time.Millisecond, 6400 * time.Millisecond, 12800 * time.Millisecond, 25600 * time.Millisecond, 30 * time.Second, 30 * time.Second}
		for i, w := range want {
			if got := l.asked[i+1] - l.asked[i]; !near(got, w) {
				t.Errorf("wait %d is %v, and not %v", i, got, w)
			}
		}
		l.at(60*time.Minute + time.Second)
		l.saw(Failing, Expired)
		l.at(5 * time.Hour)
		l.saw(Failing, Expired)
		_, before := l.counts()
		l.at(5*time.Hour + 10*time.Minute)
		if _, after := l.counts(); after-before != 20 {
			t.Errorf("%d tries in ten minutes", after-before)
		}
	})
}

// Another outage begins with the shortest wait again.
func TestBackoff_ResetAfterSuccess(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.down = true }, func(l *lake) {
		l.at(45 * time.Minute)
		l.broken(false)
		l.at(46 * time.Minute)
		l.wantMinted(1)
		l.broken(true)
		l.with(func() { l.asked = nil })
		l.at(90 * time.Minute)
		if got := l.asked[1] - l.asked[0]; !near(got, 200*time.Millisecond) {
			t.Errorf("got first wait %v, want 200 ms", got)
		}
	})
}

func TestHangingMint(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.takes = time.Hour }, func(l *lake) {
		l.at(41*time.Minute + 59*time.Second)
		l.saw()
		l.at(42*time.Minute + time.Second) // two minutes after it was asked
		l.saw(Failing)
		if !errors.Is(l.events[0].Err, context.DeadlineExceeded) {
			t.Error(l.events[0].Err)
		}
		l.with(func() { l.takes = 0 })
		l.at(45 * time.Minute)
		l.saw(Failing, Recovered)
	})
	// One that hangs across the expiry is told of, though nothing failed yet.
	bubble(t, 12*time.Second, func(l *lake) { l.takes = time.Minute }, func(l *lake) {
		l.at(12*time.Second + time.Millisecond)
		l.saw(Expired)
		if l.events[0].Err != errSlow {
			t.Error(l.events[0].Err)
		}
		l.with(func() { l.takes = 0 })
		l.at(69 * time.Second)
		l.saw(Expired, Recovered)
	})
	bubble(t, 12*time.Second, func(l *lake) { l.takes, l.MintTimeout = time.Minute, time.Second }, func(l *lake) {
		l.at(9*time.Second + 10*time.Millisecond)
		l.saw(Failing)
	})
}

// After a sleep the first warning may come too late to promise anything.
func TestOutageThatBeginsAfterTheExpiry(t *testing.T) {
	bubble(t, time.Hour, func(l *lake) { l.down = true }, func(l *lake) {
		l.at(10 * time.Minute)
		l.leap(2 * time.Hour)
		l.at(20 * time.Minute)
		l.saw(Expired)
		l.broken(false)
		l.at(21 * time.Minute)
		l.saw(Expired, Recovered)
	})
}

func TestDeliveryIsTriedAgain(t *testing.T) {
	full := errors.New("no space left")
	var delivered []string
	fails := true
	bubble(t, 12*time.Second, func(l *lake) {
		l.OnToken = func(ctx context.Context, tok credential.Token) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("no deadline")
			}
			var err error
			l.with(func() {
				delivered = append(delivered, tok.Value.Reveal())
				if fails {
					err = full
				}
			})
			return err
		}
	}, func(l *lake) {
		l.at(9 * time.Second)
		l.saw(Failing)
		var e *DeliveryError
		if !errors.As(l.events[0].Err, &e) || e.Err != full || l.Stats().LastError != "delivering the new token: no space left" {
			t.Errorf("%v, %+v", l.events[0].Err, l.Stats())
		}
		if l.Token().Value.Reveal() != "token-number-0" {
			t.Error("a token that is not delivered is the present one")
		}
		fails = false
		l.at(11 * time.Second)
		l.saw(Failing, Recovered)
		l.wantMinted(1)
		if l.Token().Value.Reveal() != "token-number-1" || len(delivered) < 3 || strings.Join(delivered, "") != strings.Repeat("token-number-1", len(delivered)) {
			t.Errorf("%q", delivered)
		}
		fails = true // for so long that the new token grows old
		l.at(40 * time.Second)
		if last := delivered[len(delivered)-1]; last == "token-number-2" || l.Stats().Minted < 3 {
			t.Errorf("%s is delivered yet; %+v", last, l.Stats())
		}
	})
}

func TestMintGivesNoNewToken(t *testing.T) {
	for want, give := range map[error]func(l *lake, old credential.Token) credential.Token{
		errNone:    func(*lake, credential.Token) credential.Token { return credential.Token{} },
		errSame:    func(_ *lake, old credential.Token) credential.Token { return old },
		errExpired: func(l *lake, _ credential.Token) credential.Token { l.aged = l.life; return l.token(1) },
		nil:        func(l *lake, _ credential.Token) credential.Token { return l.token(1) },
	} {
		bubble(t, time.Minute, func(l *lake) {
			l.Mint = func(context.Context, credential.Secret) (credential.Token, error) { return give(l, l.Token()), nil }
		}, func(l *lake) {
			l.at(41 * time.Second)
			switch {
			case want == nil:
				l.saw()
			case len(l.events) != 1 || !errors.Is(l.events[0].Err, want):
				t.Errorf("%v: %v", want, l.events)
			}
		})
	}
}
