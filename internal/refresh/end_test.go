package refresh

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Run waits for a mint that takes its time to end, and does not blame it.
func TestRunEndsDuringAMint(t *testing.T) {
	var got *lake
	left := false
	bubble(t, 12*time.Second, func(l *lake) {
		got = l
		l.Mint = func(ctx context.Context, _ credential.Secret) (credential.Token, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			l.with(func() { left = true })
			return credential.Token{}, ctx.Err()
		}
	}, func(l *lake) { l.at(9 * time.Second) })
	got.with(func() {
		if s := got.Stats(); !left || s.Failed != 0 || len(got.events) != 0 {
			t.Errorf("the mint has ended: %v; %+v, %v", left, s, got.events)
		}
	})
}

// Nor does it when it hears of both ends at once.
func TestRunEndsWithAMint(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			minting := false
			k := &Keeper{
				Mint: func(ctx context.Context, _ credential.Secret) (credential.Token, error) {
					minting = true
					<-ctx.Done()
					return credential.Token{}, ctx.Err()
				},
				Beat: func() {
					if synctest.Wait(); minting {
						cancel()
						time.Sleep(time.Second)
					}
				},
				Event: func(e Event) { t.Errorf("told of %+v", e) },
			}
			now := time.Now()
			if err := k.Run(ctx, credential.Token{Value: credential.NewSecret("a"), MintedAt: now, ExpiresAt: now.Add(12 * time.Second)}); err != nil {
				t.Error(err)
			}
			if s := k.Stats(); s.Failed != 0 || !minting {
				t.Errorf("%+v, minting: %v", s, minting)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		good := credential.Token{Value: credential.NewSecret("a"), MintedAt: now, ExpiresAt: now.Add(time.Hour)}
		mint := func(context.Context, credential.Secret) (credential.Token, error) { return good, nil }
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		k := &Keeper{Mint: mint}
		if err := k.Run(ended, good); err != nil {
			t.Error(err)
		}
		for want, err := range map[string]error{
			"a Keeper runs once":      k.Run(ended, good),
			"a Keeper needs Mint":     (&Keeper{}).Run(ended, good),
			"the first token is none": (&Keeper{Mint: mint}).Run(ended, credential.Token{Value: good.Value}),
		} {
			if err == nil || err.Error() != want {
				t.Errorf("%v, and not %s", err, want)
			}
		}
		bad := &Keeper{Mint: mint}
		_ = bad.Run(ended, credential.Token{})
		if _, err := bad.Fresh(t.Context(), credential.Secret{}); !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
	})
}
