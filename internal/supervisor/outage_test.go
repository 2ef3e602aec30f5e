package supervisor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// The events, statistics and attempts of an outage with short tokens.
func TestOutage(t *testing.T) {
	runFakeTime(t, 12*time.Second, nil, func(w *fakeWorkspace) {
		first := w.Current()
		w.sleepUntil(6 * time.Second)
		w.setFailing(true)
		w.sleepUntil(11 * time.Second)
		w.assertEvents(Failing)
		if e := w.events[0]; !e.ExpiresAt.Equal(first.ExpiresAt) || !errors.Is(e.Err, errDown) || e.Rejected || !near(w.eventAt[0], 8*time.Second) {
			t.Errorf("got %+v at %v", e, w.eventAt[0])
		}
		if !w.Current().Value.Equal(first.Value) {
			t.Error("the old token is gone")
		}
		if s := w.Stats(); s.Failed == 0 || s.Refreshes != 0 || s.LastError != errDown.Error() {
			t.Errorf("got %+v", s)
		}
		w.sleepUntil(12*time.Second + time.Millisecond)
		w.assertEvents(Failing, Expired)
		if !near(w.eventAt[1], 12*time.Second) || !errors.Is(w.events[1].Err, errDown) {
			t.Errorf("got %+v at %v", w.events[1], w.eventAt[1])
		}
		w.sleepUntil(36 * time.Second)
		for i := 1; i < len(w.asked); i++ { // a tenth of the life is the longest wait
			if w.asked[i]-w.asked[i-1] > 1205*time.Millisecond {
				t.Errorf("got a wait of %v", w.asked[i]-w.asked[i-1])
			}
		}
		w.setFailing(false)
		w.sleepUntil(36*time.Second + 1205*time.Millisecond)
		w.assertEvents(Failing, Expired, Recovered)
		if e := w.events[2]; e.Err != nil || !e.ExpiresAt.Equal(w.Current().ExpiresAt) || w.Current().Value.Equal(first.Value) {
			t.Errorf("got %+v", e)
		}
		if s := w.Stats(); s.LastError != "" || s.Refreshes != 1 {
			t.Errorf("got %+v", s)
		}
		w.setFailing(true) // another outage is reported again
		w.sleepUntil(80 * time.Second)
		w.assertEvents(Failing, Expired, Recovered, Failing, Expired)
	})
}

// Waits grow to 30 s, and start again at the minimum after a success.
func TestOutage_Backoff(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.down = true }, func(w *fakeWorkspace) {
		w.sleepUntil(45 * time.Minute)
		want := []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond, 3200 * time.Millisecond, 6400 * time.Millisecond, 12800 * time.Millisecond, 25600 * time.Millisecond, 30 * time.Second, 30 * time.Second}
		for i, wait := range want {
			if got := w.asked[i+1] - w.asked[i]; !near(got, wait) {
				t.Errorf("wait %d: got %v, want %v", i, got, wait)
			}
		}
		w.sleepUntil(5 * time.Hour)
		w.assertEvents(Failing, Expired)
		_, before := w.counts()
		w.sleepUntil(5*time.Hour + 10*time.Minute)
		if _, after := w.counts(); after-before != 20 {
			t.Errorf("got %d attempts in ten minutes, want 20", after-before)
		}
		w.setFailing(false)
		w.sleepUntil(5*time.Hour + 11*time.Minute)
		w.assertMinted(1)
		w.setFailing(true)
		w.with(func() { w.asked = nil })
		w.sleepUntil(6 * time.Hour)
		if got := w.asked[1] - w.asked[0]; !near(got, 200*time.Millisecond) {
			t.Errorf("got first wait %v, want 200ms", got)
		}
	})
}

func TestOutage_MintHangs(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.mintTakes = time.Hour }, func(w *fakeWorkspace) {
		w.sleepUntil(40*time.Minute + firstAttempt - time.Second)
		w.assertEvents()
		w.sleepUntil(40*time.Minute + firstAttempt + time.Second)
		w.assertEvents(Failing)
		if !errors.Is(w.events[0].Err, context.DeadlineExceeded) {
			t.Errorf("got %v", w.events[0].Err)
		}
		w.with(func() { w.mintTakes = attemptTimeout - time.Second }) // after a failure there is more time
		w.sleepUntil(45 * time.Minute)
		w.assertEvents(Failing, Recovered)
	})
	// It fails before the token expires, so that the reason is known then.
	runFakeTime(t, 12*time.Second, func(w *fakeWorkspace) { w.mintTakes = time.Minute }, func(w *fakeWorkspace) {
		w.sleepUntil(12*time.Second + time.Millisecond)
		w.assertEvents(Failing, Expired)
		if s := w.Stats(); !errors.Is(w.events[1].Err, context.DeadlineExceeded) || s.Failed != 1 || s.LastError == "" {
			t.Errorf("got %v, %+v; want a failed refresh", w.events[1].Err, s)
		}
		w.with(func() { w.mintTakes = 0 })
		w.sleepUntil(2 * time.Minute)
		w.assertEvents(Failing, Expired, Recovered)
	})
}

// After sleep of the machine the first event may be the expiry.
func TestOutage_BeginsAfterExpiry(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.down = true }, func(w *fakeWorkspace) {
		w.sleepUntil(10 * time.Minute)
		w.jumpClock(2 * time.Hour)
		w.sleepUntil(20 * time.Minute)
		w.assertEvents(Expired)
		w.setFailing(false)
		w.sleepUntil(21 * time.Minute)
		w.assertEvents(Expired, Recovered)
	})
}

// A delivery that failed is repeated with the same token, until that is old.
func TestOutage_DeliveryFails(t *testing.T) {
	full := errors.New("no space left")
	var delivered []string
	fails := true
	runFakeTime(t, 12*time.Second, func(w *fakeWorkspace) {
		w.onTok = func(ctx context.Context, tok credential.Token) (err error) {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("no deadline")
			}
			w.with(func() {
				delivered = append(delivered, tok.Value.Reveal())
				if fails {
					err = full
				}
			})
			return err
		}
	}, func(w *fakeWorkspace) {
		w.sleepUntil(9 * time.Second)
		w.assertEvents(Failing)
		if !errors.Is(w.events[0].Err, full) || w.Stats().LastError != "delivering the new token: no space left" {
			t.Errorf("got %v, %+v", w.events[0].Err, w.Stats())
		}
		if w.Current().Value.Reveal() != tokenValue(0) {
			t.Error("a token that is not delivered is the current one")
		}
		w.with(func() { fails = false })
		w.sleepUntil(11 * time.Second)
		w.assertEvents(Failing, Recovered)
		w.assertMinted(1)
		if w.Current().Value.Reveal() != tokenValue(1) || len(delivered) < 3 || strings.Join(delivered, "") != strings.Repeat(tokenValue(1), len(delivered)) {
			t.Errorf("got %q", delivered)
		}
		w.with(func() { fails = true })
		w.sleepUntil(40 * time.Second)
		if last := delivered[len(delivered)-1]; last == tokenValue(2) || w.Stats().Refreshes < 3 {
			t.Errorf("%s is still delivered; %+v", last, w.Stats())
		}
	})
}

func TestOutage_MintReturnsNoNewToken(t *testing.T) {
	for want, give := range map[string]func(w *fakeWorkspace, old credential.Token) credential.Token{
		"the new token is invalid":          func(*fakeWorkspace, credential.Token) credential.Token { return credential.Token{} },
		"the new token is the old one":      func(_ *fakeWorkspace, old credential.Token) credential.Token { return old },
		"the new token has already expired": func(w *fakeWorkspace, _ credential.Token) credential.Token { w.mintedAge = w.life; return w.token(1) },
	} {
		runFakeTime(t, time.Minute, func(w *fakeWorkspace) {
			w.mint = func(context.Context, credential.Secret) (credential.Token, error) { return give(w, w.Current()), nil }
		}, func(w *fakeWorkspace) {
			w.sleepUntil(41 * time.Second)
			if len(w.events) != 1 || w.events[0].Err.Error() != want {
				t.Errorf("got %v, want %v", w.events, want)
			}
		})
	}
}

// Run waits for a mint in progress, and does not count its failure.
func TestRun_EndsDuringMint(t *testing.T) {
	var got *fakeWorkspace
	ended := false
	runFakeTime(t, 12*time.Second, func(w *fakeWorkspace) {
		got = w
		w.mint = func(ctx context.Context, _ credential.Secret) (credential.Token, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			w.with(func() { ended = true })
			return credential.Token{}, ctx.Err()
		}
	}, func(w *fakeWorkspace) { w.sleepUntil(9 * time.Second) })
	if s := got.Stats(); !ended || s.Failed != 0 || len(got.events) != 0 {
		t.Errorf("got mint ended %v, %+v, %v", ended, s, got.events)
	}
}
