package supervisor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

var noToken credential.Secret

func TestToken_SharedRefresh(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.mintTakes = 3 * time.Second }, func(w *fakeWorkspace) {
		w.assertRefresh(100, noToken, 0, 0, 0)
		w.jumpClock(2 * time.Hour)
		w.assertRefresh(100, noToken, 1, 3*time.Second, 1)
	})
	// Callers join a scheduled refresh that is in progress.
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.mintTakes = time.Second }, func(w *fakeWorkspace) {
		w.sleepUntil(40*time.Minute + 500*time.Millisecond)
		w.assertRefresh(10, w.Current().Value, 1, 500*time.Millisecond, 1)
	})
}

func TestRefresh_ReplacesRejectedOnce(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.mintTakes = time.Second }, func(w *fakeWorkspace) {
		zero, other := w.Current().Value, credential.NewSecret("another token")
		w.sleepUntil(time.Minute)
		w.assertRefresh(5, other, 0, 0, 0)
		w.assertRefresh(100, zero, 1, time.Second, 1)
		w.assertRefresh(100, zero, 1, 0, 1) // late callers
		if !w.old[0].Equal(zero) {
			t.Error("Mint did not get the rejected token")
		}
		// The new one is rejected too: another would not help for a while.
		one := w.Current().Value
		w.assertRefresh(10, one, 1, 0, 1)
		w.sleepUntil(2 * time.Minute)
		w.assertRefresh(10, one, 2, time.Second, 2)
	})
	// That wait is for tokens that a rejection brought, not for scheduled ones.
	runFakeTime(t, time.Hour, nil, func(w *fakeWorkspace) {
		w.sleepUntil(40*time.Minute + 10*time.Millisecond)
		w.assertMinted(1)
		w.assertRefresh(10, w.Current().Value, 2, 0, 2)
	})
	// A rejection of an expired token says nothing about the next one.
	runFakeTime(t, time.Minute, nil, func(w *fakeWorkspace) {
		w.jumpClock(time.Minute)
		w.assertRefresh(3, w.Current().Value, 1, 0, 1)
		w.sleepUntil(7 * time.Second)
		w.assertRefresh(3, w.Current().Value, 2, 0, 2)
	})
}

// A native password is replaced only after the server has rejected it.
func TestRefresh_WithoutExpiry(t *testing.T) {
	runFakeTime(t, 0, func(w *fakeWorkspace) { w.down, w.mintTakes = true, time.Second }, func(w *fakeWorkspace) {
		w.sleepUntil(100 * time.Hour)
		w.jumpClock(-time.Hour)
		w.assertRefresh(10, noToken, 0, 0, 0)
		w.assertRefresh(10, w.Current().Value, 0, time.Second, 1)
		w.assertEvents(Failing)
		w.setFailing(false)
		w.sleepUntil(100*time.Hour + time.Minute)
		w.assertRefresh(10, noToken, 1, 0, w.attempts())
		w.assertEvents(Failing, Recovered)
		if s := w.Stats(); !s.TokenExpiresAt.IsZero() || s.Refreshes != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestRefresh_RejectedDuringOutage(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.down, w.mintTakes = true, 100*time.Millisecond }, func(w *fakeWorkspace) {
		w.assertRefresh(100, w.Current().Value, 0, 100*time.Millisecond, 1) // the old one: it still lives
		w.assertEvents(Failing)
		w.setFailing(false)
		w.sleepUntil(time.Second) // it is retried by itself
		w.assertEvents(Failing, Recovered)
		if !w.events[0].Rejected || w.events[1].Rejected {
			t.Errorf("got %+v, want the first token reported as rejected", w.events)
		}
	})
}

func TestToken_MinimumLife(t *testing.T) {
	for life, least := range map[time.Duration]time.Duration{time.Hour: 5 * time.Second, 12 * time.Second: 1200 * time.Millisecond} {
		runFakeTime(t, life, func(w *fakeWorkspace) { w.down, w.mintTakes = true, time.Millisecond }, func(w *fakeWorkspace) {
			w.sleepUntil(life - least)
			w.assertRefresh(1, noToken, 0, 0, w.attempts())
			before := w.attempts()
			w.sleepUntil(life - least + 100*time.Millisecond)
			if tok, err := w.Token(w.t.Context()); err != nil || tok.Value.Reveal() != tokenValue(0) || w.attempts() <= before {
				t.Errorf("life %v: got %v, %d mints, then %d; want the old token", life, err, before, w.attempts())
			}
			w.sleepUntil(life)
			if _, err := w.Token(w.t.Context()); !errors.Is(err, errDown) || err.Error() != "no fresh token: the workspace is down" {
				t.Errorf("life %v: got %v", life, err)
			}
			w.setFailing(false)
			if tok, err := w.Token(w.t.Context()); err != nil || tok.Value.Reveal() != tokenValue(1) {
				t.Errorf("life %v: got %v", life, err)
			}
		})
	}
}

// A failing workspace is called once a second, for any number of callers.
func TestToken_RateDuringOutage(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.down = true }, func(w *fakeWorkspace) {
		w.sleepUntil(61 * time.Minute)
		before := w.attempts()
		begin := time.Now()
		for time.Since(begin) < time.Minute {
			if _, err := w.Token(w.t.Context()); !errors.Is(err, errDown) {
				t.Fatalf("got %v", err)
			}
		}
		if got := w.attempts() - before; got < 58 || got > 61 {
			t.Errorf("got %d attempts, want 60", got)
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
		w.assertRefresh(1, noToken, 1, 0, 2)
	})
}

func TestToken_BeforeAndAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		first := credential.Token{Value: credential.NewSecret("first"), MintedAt: now, ExpiresAt: now.Add(time.Hour)}
		minting := true
		r := NewRefresher(RefresherConfig{First: first, Mint: func(ctx context.Context, _ credential.Secret) (credential.Token, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			minting = false
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
		<-done // Run waits for the mint, and does not count its failure
		if err := <-got; err != nil || minting || r.Stats().FailedRefreshes != 0 {
			t.Errorf("waiting when Run ended: got %v, %+v", err, r.Stats())
		}
		if tok, err := r.Refresh(t.Context(), first.Value); err != nil || !tok.Value.Equal(first.Value) {
			t.Errorf("after Run: got %v, %v", tok, err)
		}
	})
}

func TestRun_Schedule(t *testing.T) {
	for _, life := range []time.Duration{12 * time.Second, time.Minute, time.Hour} {
		for jitter, part := range map[float64]float64{0: 2.0/3 - 0.15, 0.5: 2.0 / 3, 0.999999: 2.0/3 + 0.15} {
			runFakeTime(t, life, func(w *fakeWorkspace) { w.jitter = jitter }, func(w *fakeWorkspace) {
				w.sleepUntil(3 * life)
				want := time.Duration(part * float64(life))
				w.assertMinted(int(3 / part))
				for i, at := range w.minted {
					if off := (at - time.Duration(i+1)*want).Abs(); off > life/10000+5*time.Millisecond || w.old[i].Reveal() != tokenValue(i) {
						t.Errorf("life %v, jitter %v: got token %d at %v, want %v", life, jitter, i+1, at, time.Duration(i+1)*want)
					}
				}
				w.assertEvents()
				s := w.Stats()
				if s.Refreshes != len(w.minted) || s.FailedRefreshes != 0 || s.LastError != "" ||
					!s.TokenExpiresAt.Equal(w.Current().ExpiresAt) || time.Since(s.Beat) > 10*time.Second {
					t.Errorf("got %+v", s)
				}
			})
		}
	}
}

// After sleep of the machine the clock is checked within 10 s, and no warning comes
// before a refresh was tried.
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
	// The first event may be the expiry.
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.down = true }, func(w *fakeWorkspace) {
		w.sleepUntil(10 * time.Minute)
		w.jumpClock(2 * time.Hour)
		w.sleepUntil(20 * time.Minute)
		w.assertEvents(Expired)
	})
}

// A token's age stays when the clock is set back, even to before its start.
func TestRun_ClockSetBack(t *testing.T) {
	for _, back := range []time.Duration{25 * time.Minute, 31 * time.Minute} {
		runFakeTime(t, time.Hour, nil, func(w *fakeWorkspace) {
			w.sleepUntil(30 * time.Minute)
			w.jumpClock(-back)
			w.assertRefresh(1, noToken, 0, 0, 0)
			w.sleepUntil(39*time.Minute + 59*time.Second)
			w.assertMinted(0)
			w.sleepUntil(40*time.Minute + time.Second)
			w.assertMinted(1)
		})
	}
}

// A token from Mint may be old, and is assumed to live for an hour at most. If Mint
// returns only old ones, it is called at a limited rate.
func TestRun_UnusualTokens(t *testing.T) {
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) { w.mintedAge = 45 * time.Minute }, func(w *fakeWorkspace) {
		w.assertMinted(1)
		w.sleepUntil(time.Minute)
		w.assertMinted(7)
		w.with(func() { w.mintedAge = 0 })
		w.sleepUntil(2 * time.Minute)
		w.assertMinted(8)
	})
	runFakeTime(t, 24*time.Hour, nil, func(w *fakeWorkspace) {
		w.sleepUntil(41 * time.Minute)
		w.assertMinted(1)
	})
	for want, give := range map[string]func(w *fakeWorkspace, old credential.Token) credential.Token{
		"the new token is the old one": func(_ *fakeWorkspace, old credential.Token) credential.Token { return old },
		"the new token has already expired": func(w *fakeWorkspace, _ credential.Token) credential.Token {
			w.mintedAge = w.life
			return w.token(1)
		},
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

// The events, statistics and attempts of an outage with short tokens.
func TestOutage(t *testing.T) {
	runFakeTime(t, 12*time.Second, nil, func(w *fakeWorkspace) {
		first := w.Current()
		w.sleepUntil(6 * time.Second)
		w.setFailing(true)
		w.sleepUntil(11 * time.Second)
		w.assertEvents(Failing)
		e := w.events[0]
		if !e.ExpiresAt.Equal(first.ExpiresAt) || !errors.Is(e.Err, errDown) || e.Rejected || !near(w.eventAt[0], 8*time.Second) {
			t.Errorf("got %+v at %v", e, w.eventAt[0])
		}
		if s := w.Stats(); s.FailedRefreshes == 0 || s.Refreshes != 0 || s.LastError != errDown.Error() || !w.Current().Value.Equal(first.Value) {
			t.Errorf("got %+v", s)
		}
		w.sleepUntil(36 * time.Second)
		w.assertEvents(Failing, Expired)
		if !near(w.eventAt[1], 12*time.Second) || !errors.Is(w.events[1].Err, errDown) {
			t.Errorf("got %+v at %v", w.events[1], w.eventAt[1])
		}
		w.assertWaits()
		w.setFailing(false)
		w.sleepUntil(36*time.Second + 1205*time.Millisecond)
		w.assertEvents(Failing, Expired, Recovered)
		if e, s := w.events[2], w.Stats(); e.Err != nil || !e.ExpiresAt.Equal(w.Current().ExpiresAt) || s.LastError != "" || s.Refreshes != 1 {
			t.Errorf("got %+v, %+v", e, s)
		}
		w.with(func() { w.down, w.asked = true, nil })
		w.sleepUntil(80 * time.Second)
		w.assertEvents(Failing, Expired, Recovered, Failing, Expired) // another outage is reported again
		w.assertWaits()
	})
}

// assertWaits checks that the waits between attempts grow to a tenth of the life of 12 s.
func (w *fakeWorkspace) assertWaits() {
	w.t.Helper()
	want := 200 * time.Millisecond
	for i := 1; i < len(w.asked); i++ {
		if got := w.asked[i] - w.asked[i-1]; !near(got, want) {
			w.t.Errorf("wait %d: got %v, want %v", i, got, want)
		}
		want = min(2*want, 1200*time.Millisecond)
	}
}

type busyError struct{ error }

func (busyError) Verdict() retry.Verdict { return retry.Verdict{Retry: true, After: 20 * time.Second} }

// A server that asks to wait is not called before, by clients neither. After a
// failure each refresh makes one attempt.
func TestOutage_RetryAfter(t *testing.T) {
	attempts := 0
	runFakeTime(t, time.Hour, func(w *fakeWorkspace) {
		w.mint = func(ctx context.Context, old credential.Secret) (credential.Token, error) {
			w.with(func() { w.asked = append(w.asked, time.Since(w.start)) })
			return retry.Do(ctx, retry.Exchange(), func(context.Context) (credential.Token, error) {
				attempts++
				return credential.Token{}, busyError{errDown}
			}, func(error) retry.Verdict { return retry.Verdict{Retry: true} })
		}
	}, func(w *fakeWorkspace) {
		w.sleepUntil(61 * time.Minute)
		for i := 1; i < len(w.asked); i++ {
			if got := w.asked[i] - w.asked[i-1]; got < 20*time.Second {
				t.Errorf("wait %d: got %v, want 20s or more", i, got)
			}
		}
		first := attempts
		w.with(func() { w.asked = nil })
		begin := time.Now()
		for time.Since(begin) < 10*time.Minute {
			_, _ = w.Token(w.t.Context())
		}
		if got := w.attempts(); got < 28 || got > 32 || attempts-first != got {
			t.Errorf("got %d refreshes, %d attempts, want 30 with one each", got, attempts-first)
		}
	})
}

// A mint that hangs fails before the token expires, so that the reason is known then.
func TestOutage_MintHangs(t *testing.T) {
	for life, failed := range map[time.Duration]time.Duration{
		time.Hour: 40*time.Minute + firstAttempt, 12 * time.Second: 11600 * time.Millisecond,
	} {
		runFakeTime(t, life, func(w *fakeWorkspace) { w.mintTakes = time.Hour }, func(w *fakeWorkspace) {
			w.with(func() { w.mintTakes = attemptTimeout - time.Second }) // after a failure there is more time
			w.sleepUntil(failed + 3*attemptTimeout)
			e := w.events[0]
			if e.Kind != Failing || !errors.Is(e.Err, context.DeadlineExceeded) || !near(w.eventAt[0], failed) || w.Stats().Refreshes == 0 {
				t.Errorf("life %v: got %v at %v, %+v; want a failure after %v, then a token", life, e, w.eventAt[0], w.Stats(), failed)
			}
		})
	}
}

// A token that could not be delivered is not the current one.
func TestOutage_DeliveryFails(t *testing.T) {
	full := errors.New("no space left")
	fails := true
	runFakeTime(t, 12*time.Second, func(w *fakeWorkspace) {
		w.onTok = func(ctx context.Context, _ credential.Token) (err error) {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("no deadline")
			}
			w.with(func() {
				if fails {
					err = full
				}
			})
			return err
		}
	}, func(w *fakeWorkspace) {
		w.sleepUntil(9 * time.Second)
		w.assertEvents(Failing)
		if s := w.Stats(); !errors.Is(w.events[0].Err, full) || s.LastError != "delivering the new token: no space left" || s.Refreshes != 0 {
			t.Errorf("got %v, %+v", w.events[0].Err, s)
		}
		if w.Current().Value.Reveal() != tokenValue(0) {
			t.Error("the new token is the current one, want the old one")
		}
		w.with(func() { fails = false })
		w.sleepUntil(11 * time.Second)
		w.assertEvents(Failing, Recovered)
		if s := w.Stats(); s.Refreshes != 1 || s.LastError != "" || w.Current().Value.Reveal() != tokenValue(len(w.minted)) {
			t.Errorf("got %q, %+v", w.Current().Value.Reveal(), s)
		}
	})
}
