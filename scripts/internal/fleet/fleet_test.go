package main

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/supervisor"
)

var errDown = errors.New("down")

// TestSimulate_LikeTheRefresher runs the product's Refresher in fake time with the same
// outage: the simulation must count as many calls, before, during and after it.
func TestSimulate_LikeTheRefresher(t *testing.T) {
	const holders = 500
	down := [2]time.Duration{100 * time.Minute, 130 * time.Minute}
	spans := [][2]time.Duration{{0, down[0]}, down, {down[1], down[1] + 10*time.Minute}, {down[1] + 10*time.Minute, duration}}
	simulated := simulate(config{holders: holders, down: down})
	real := &fleet{second: make([]int, int(duration.Seconds()))}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), duration-time.Second)
		defer cancel()
		lock := make(chan struct{}, 1)
		call := func(context.Context) (credential.Token, error) {
			at := time.Since(begin)
			lock <- struct{}{}
			real.second[int(at.Seconds())]++
			<-lock
			time.Sleep(latency)
			if down[0] <= at && at < down[1] {
				return credential.Token{}, errDown
			}
			now := time.Now()
			return credential.Token{Value: credential.NewSecret(rand.Text()), MintedAt: now, ExpiresAt: now.Add(life)}, nil
		}
		mint := func(ctx context.Context, _ credential.Secret) (token credential.Token, err error) {
			for i := 0; i < calls && err == nil; i++ {
				token, err = retry.Do(ctx, retry.Exchange(), call, func(error) retry.Verdict { return retry.Verdict{Retry: true} })
			}
			return token, err
		}
		for range holders {
			go func() {
				starting, stop := context.WithTimeout(ctx, startBudget)
				defer stop()
				first, err := mint(starting, credential.Secret{})
				if err != nil {
					t.Error(err)
					return
				}
				supervisor.NewRefresher(supervisor.RefresherConfig{First: first, Mint: mint, OnEvent: func(supervisor.Event) {}}).Run(ctx)
			}()
		}
		time.Sleep(duration)
	})
	for _, s := range spans {
		got, want := simulated.mean(s[0], s[1]), real.mean(s[0], s[1])
		t.Logf("%s to %s: simulated %.3f, real %.3f calls/s", s[0], s[1], got, want)
		if want == 0 || got < 0.8*want || got > 1.2*want {
			t.Errorf("%s to %s: got %.3f calls/s, want %.3f ±20 %%", s[0], s[1], got, want)
		}
	}
}

func TestSimulate_Limit(t *testing.T) {
	f := simulate(config{holders: 1000, start: time.Minute, limit: 20})
	if peak, ready := f.peak(0, duration), f.ready(1); peak <= 20 || f.restarts == 0 || ready < 1000*calls/20*time.Second || ready > time.Hour {
		t.Errorf("got peak %.0f, %d restarts, ready after %s; want more calls than 20 a second, and 2,000 answers at that rate", peak, f.restarts, ready)
	}
	if one := simulate(config{holders: 1, start: time.Minute}); one.restarts != 0 || len(one.started) != 1 || one.ready(1) != calls*latency {
		t.Errorf("got %+v", one.started)
	}
}
