package supervisor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

var noToken credential.Secret

func TestToken_SharedRefresh(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.mintTakes = 3 * time.Second }, func(w *fakeWorkspace) {
		w.assertAll(w.callRefresh(100, noToken), 0, 0, 0)
		w.jumpClock(2 * time.Hour)
		w.assertAll(w.callRefresh(100, noToken), 1, 3*time.Second, 1)
	})
	// Callers join a scheduled refresh that is in progress.
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.mintTakes = time.Second }, func(w *fakeWorkspace) {
		w.sleepUntil(40*time.Minute + 500*time.Millisecond)
		w.assertAll(w.callRefresh(10, w.Current().Value), 1, 500*time.Millisecond, 1)
	})
}

func TestRefresh_ReplacesRejectedOnce(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.mintTakes = time.Second }, func(w *fakeWorkspace) {
		zero, other := w.Current().Value, credential.NewSecret("another token")
		w.sleepUntil(time.Minute)
		w.assertAll(w.callRefresh(5, other), 0, 0, 0)
		w.assertAll(w.callRefresh(100, zero), 1, time.Second, 1)
		w.assertAll(w.callRefresh(100, zero), 1, 0, 1) // late callers
		if !w.old[0].Equal(zero) {
			t.Error("Mint did not get the rejected token")
		}
		// The new one is rejected too: another would not help for a while.
		one := w.Current().Value
		w.assertAll(w.callRefresh(10, one), 1, 0, 1)
		w.sleepUntil(2 * time.Minute)
		w.assertAll(w.callRefresh(10, one), 2, time.Second, 2)
	})
	// That wait is for tokens that a rejection brought, not for scheduled ones.
	runFakeTime(t, time.Hour, nil, func(w *fakeWorkspace) {
		w.sleepUntil(40*time.Minute + 10*time.Millisecond)
		w.assertMinted(1)
		w.assertAll(w.callRefresh(10, w.Current().Value), 2, 0, 2)
	})
	// A rejection of an expired token says nothing about the next one.
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.down = true }, func(w *fakeWorkspace) {
		zero := w.Current().Value
		w.sleepUntil(time.Hour + time.Second)
		if _, err := w.Refresh(w.t.Context(), zero); !errors.Is(err, errDown) {
			t.Errorf("got %v", err)
		}
		w.setFailing(false)
		if a := w.callRefresh(3, zero); a[0].token != tokenValue(1) {
			t.Errorf("got %v", a)
		}
		if a := w.callRefresh(3, w.Current().Value); a[0].token != tokenValue(2) {
			t.Errorf("got %v", a)
		}
	})
}

func TestRefresh_RejectedDuringOutage(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.down, w.mintTakes = true, 100*time.Millisecond }, func(w *fakeWorkspace) {
		zero := w.Current().Value
		w.assertAll(w.callRefresh(100, zero), 0, 100*time.Millisecond, 1) // the old one: it still lives
		w.assertEvents(Failing)
		if !w.events[0].Rejected {
			t.Error("the event does not report the rejection")
		}
		w.setFailing(false)
		w.sleepUntil(time.Second) // it is retried by itself
		w.assertEvents(Failing, Recovered)
		if w.events[1].Rejected {
			t.Error("the new token is reported as rejected")
		}
	})
}

func TestToken_ClockSetBack(t *testing.T) {
	runFakeTime(t, time.Hour, nil, func(w *fakeWorkspace) {
		w.sleepUntil(time.Minute)
		w.jumpClock(-30 * time.Second)
		w.assertAll(w.callRefresh(1, noToken), 0, 0, 0)
		w.jumpClock(-31 * time.Second)
		w.assertAll(w.callRefresh(1, noToken), 1, 0, 1)
	})
}

func TestToken_MinimumLife(t *testing.T) {
	for life, least := range map[time.Duration]time.Duration{time.Hour: 5 * time.Second, 12 * time.Second: 1200 * time.Millisecond} {
		runFakeTime(t, life, func(w *fakeWorkspace) { w.down, w.mintTakes = true, time.Millisecond }, func(w *fakeWorkspace) {
			w.sleepUntil(life - least)
			if all := w.callRefresh(1, noToken); all[0].after != 0 {
				t.Errorf("life %v: with %v left got a wait of %v", life, least, all[0].after)
			}
			_, before := w.counts()
			w.sleepUntil(life - least + 100*time.Millisecond)
			all := w.callRefresh(1, noToken)
			if _, after := w.counts(); after <= before || all[0].token != tokenValue(0) || all[0].after > time.Second+2*time.Millisecond {
				t.Errorf("life %v: got %+v, %d mints, then %d; want the old token", life, all, before, after)
			}
			w.sleepUntil(life)
			if _, err := w.Token(w.t.Context()); !errors.Is(err, errDown) || err.Error() != "no fresh token: the workspace is down" {
				t.Errorf("life %v: got %v", life, err)
			}
			w.setFailing(false)
			if a := w.callRefresh(3, noToken); a[0].token != tokenValue(1) {
				t.Errorf("life %v: got %v", life, a)
			}
		})
	}
}

// A failing workspace is called once a second, for any number of callers.
func TestToken_RateDuringOutage(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.down = true }, func(w *fakeWorkspace) {
		w.sleepUntil(61 * time.Minute)
		_, before := w.counts()
		for range 60 {
			for _, a := range w.callRefresh(20, noToken) {
				if !errors.Is(a.err, errDown) || a.after > time.Second+5*time.Millisecond {
					t.Fatalf("got %v after %v", a.err, a.after)
				}
			}
		}
		_, after := w.counts()
		if after-before < 59 {
			t.Errorf("got %d attempts, want 60", after-before)
		}
		for i := before + 1; i < after; i++ {
			if gap := w.asked[i] - w.asked[i-1]; gap < time.Second {
				t.Errorf("got two attempts within %v", gap)
			}
		}
		w.assertEvents(Failing, Expired)
	})
}

func TestToken_Context(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.mintTakes = time.Minute }, func(w *fakeWorkspace) {
		short := func(rejected credential.Secret) (credential.Token, error) {
			ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
			defer cancel()
			return w.Refresh(ctx, rejected)
		}
		zero := w.Current().Value
		begin := time.Now()
		if tok, err := short(zero); err != nil || !tok.Value.Equal(zero) || time.Since(begin) != time.Second {
			t.Errorf("got %v, %v after %v; want the living token", tok, err, time.Since(begin))
		}
		w.jumpClock(time.Hour)
		if _, err := short(noToken); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		w.sleepUntil(2 * time.Minute) // a caller that gave up does not end the refresh
		if tok, err := short(noToken); err != nil || tok.Value.Reveal() != tokenValue(1) {
			t.Errorf("got %v", err)
		}
		w.assertMinted(1)
	})
}

func TestToken_BeforeAndAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		first := credential.Token{Value: credential.NewSecret("first"), MintedAt: now, ExpiresAt: now.Add(time.Hour)}
		r := NewRefresher(RefresherConfig{First: first, Mint: func(ctx context.Context, _ credential.Secret) (credential.Token, error) {
			<-ctx.Done()
			return credential.Token{}, ctx.Err()
		}})
		if tok, err := r.Token(t.Context()); err != nil || !tok.Value.Equal(first.Value) || !r.Stats().Beat.IsZero() {
			t.Errorf("before Run: got %v, %v", tok, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		got, done := make(chan error), make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		go func() { // waits for a mint that hangs
			_, err := r.Refresh(t.Context(), first.Value)
			got <- err
		}()
		synctest.Wait()
		cancel()
		<-done
		if err := <-got; !errors.Is(err, ErrStopped) {
			t.Errorf("waiting when Run ended: got %v", err)
		}
		if _, err := r.Token(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("after Run: got %v", err)
		}
	})
}

func TestRun_Schedule(t *testing.T) {
	for _, life := range []time.Duration{12 * time.Second, time.Minute, time.Hour} {
		for jitter, part := range map[float64]float64{0: 2.0/3 - 0.05, 0.5: 2.0 / 3, 0.999999: 2.0/3 + 0.05} {
			runFakeTime(t, life, func(w *fakeWorkspace) { w.jitter = func() float64 { return jitter } }, func(w *fakeWorkspace) {
				w.sleepUntil(3 * life)
				want := time.Duration(part * float64(life))
				w.assertMinted(int(3 / part))
				for i, at := range w.minted {
					if off := (at - time.Duration(i+1)*want).Abs(); off > life/10000+5*time.Millisecond {
						t.Errorf("life %v, jitter %v: got token %d at %v, want %v", life, jitter, i+1, at, time.Duration(i+1)*want)
					}
				}
				for i, old := range w.old {
					if want := w.token(i).Value; !old.Equal(want) {
						t.Errorf("mint %d did not get the token to replace", i)
					}
				}
				w.assertEvents()
				if s := w.Stats(); s.Refreshes != len(w.minted) || s.Failed != 0 || s.LastError != "" || !s.ExpiresAt.Equal(w.Current().ExpiresAt) {
					t.Errorf("got %+v", s)
				}
			})
		}
	}
}

// After sleep of the machine the clock is checked within 10 s, also during a wait
// for the next attempt, and no warning comes before a refresh was tried.
func TestRun_MachineSleep(t *testing.T) {
	for asleep, want := range map[time.Duration]int{20 * time.Minute: 0, 31 * time.Minute: 1, 51 * time.Minute: 1, 8 * time.Hour: 1} {
		runFakeTime(t, time.Hour, nil, func(w *fakeWorkspace) {
			w.sleepUntil(10*time.Minute + time.Second)
			w.jumpClock(asleep)
			w.sleepUntil(10*time.Minute + 11*time.Second)
			w.assertMinted(want)
			w.assertEvents()
		})
	}
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.down = true }, func(w *fakeWorkspace) {
		w.sleepUntil(45 * time.Minute) // each wait is 30 s now
		_, before := w.counts()
		w.jumpClock(time.Minute)
		w.setFailing(false)
		w.sleepUntil(45*time.Minute + 10*time.Second)
		if _, after := w.counts(); after != before+1 {
			t.Errorf("got %d attempts, want 1", after-before)
		}
	})
}

func TestRun_ClockSetBack(t *testing.T) {
	runFakeTime(t, time.Hour, nil, func(w *fakeWorkspace) { // to before the token
		w.sleepUntil(30 * time.Minute)
		w.jumpClock(-31 * time.Minute)
		w.sleepUntil(30*time.Minute + 10*time.Second)
		w.assertMinted(1)
		w.sleepUntil(70 * time.Minute)
		w.assertMinted(1)
		w.sleepUntil(71 * time.Minute)
		w.assertMinted(2)
	})
	runFakeTime(t, time.Hour, nil, func(w *fakeWorkspace) { // to after its start: its age stays
		w.sleepUntil(30 * time.Minute)
		w.jumpClock(-25 * time.Minute)
		w.sleepUntil(39*time.Minute + 59*time.Second)
		w.assertMinted(0)
		w.sleepUntil(40*time.Minute + time.Second)
		w.assertMinted(1)
	})
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.down = true }, func(w *fakeWorkspace) { // during an outage
		w.sleepUntil(45 * time.Minute)
		_, before := w.counts()
		w.jumpClock(-10 * time.Minute)
		w.sleepUntil(46 * time.Minute)
		if _, after := w.counts(); after != before+2 {
			t.Errorf("got %d attempts in a minute, want 2", after-before)
		}
	})
}

func TestLastBeat(t *testing.T) {
	for life, oldest := range map[time.Duration]time.Duration{time.Hour: 10 * time.Second, 30 * time.Second: 3 * time.Second} {
		runFakeTime(t, life, nil, func(w *fakeWorkspace) {
			for at := time.Second; at < time.Minute; at += 700 * time.Millisecond {
				w.sleepUntil(at)
				if age := time.Since(w.Stats().Beat); age > oldest {
					t.Errorf("life %v: got a beat %v old, want %v", life, age, oldest)
				}
			}
		})
	}
}

// A cached token may be old when it is received. If Mint returns only such tokens,
// it is called at a limited rate.
func TestRun_OldTokens(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.mintedAge = 45 * time.Minute }, func(w *fakeWorkspace) {
		w.assertMinted(1)
		w.sleepUntil(time.Minute)
		w.assertMinted(7)
		w.with(func() { w.mintedAge = 0 })
		w.sleepUntil(2 * time.Minute)
		w.assertMinted(8)
	})
}

func TestRun_LifeIsLimited(t *testing.T) {
	runFakeTime(t, 24*time.Hour, nil, func(w *fakeWorkspace) {
		w.sleepUntil(41 * time.Minute)
		w.assertMinted(1)
		if left := w.Current().ExpiresAt.Sub(w.wallClock()); left > time.Hour {
			t.Errorf("got %v left, want at most an hour", left)
		}
	})
}
