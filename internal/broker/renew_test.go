package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

func TestRenewIsAnotherToken(t *testing.T) {
	w := newWorld()
	b := w.broker(resolve(t, "wait", "never"))
	s, err := b.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.did()
	next, err := b.Renew(t.Context(), s.Token.Value)
	if got := w.did(); err != nil || next.Value.Equal(s.Token.Value) || got != "keychain sign-in credential endpoint" && got != "keychain sign-in endpoint credential" {
		t.Errorf("%v: %s", err, got)
	}
	// One that another process has minted meanwhile serves.
	again, err := w.broker(resolve(t)).Renew(t.Context(), s.Token.Value)
	if got := w.did(); err != nil || !again.Value.Equal(next.Value) || got != "" {
		t.Errorf("%v: %s", err, got)
	}
}

// More than --min-ttl may be left, and still it is time.
func TestRenewWantsHalfOfALife(t *testing.T) {
	for left, want := range map[time.Duration]string{31 * time.Minute: "cached", 29 * time.Minute: "token-1"} {
		b := newWorld().broker(resolve(t))
		now := time.Now()
		cached := aToken("cached")
		cached.MintedAt, cached.ExpiresAt = now.Add(left-time.Hour), now.Add(left)
		b.Cache.Save(t.Context(), b.Config.Key(), tokencache.Entry{Token: cached, DatabaseHost: ownHost})
		next, err := b.Renew(t.Context(), credential.NewSecret("another"))
		if err != nil || next.Value.Reveal() != want {
			t.Errorf("with %s left: %q, %v", left, next.Value.Reveal(), err)
		}
	}
}

// A keychain that is locked in mid-life stops nobody, and is asked quietly.
func TestRenewWithoutAKeychain(t *testing.T) {
	w := newWorld()
	b := w.broker(resolve(t, "wait", "never"))
	s, err := b.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	quiet := newWorld()
	quiet.secretErr = &keychain.Error{Op: "read", Err: keychain.ErrLocked}
	b.QuietSecrets = quiet
	w.did()
	if _, err := b.Renew(t.Context(), s.Token.Value); err != nil {
		t.Error(err)
	}
	if got := w.did(); quiet.did() != "keychain" || got != "sign-in credential endpoint" && got != "sign-in endpoint credential" {
		t.Errorf("%s", got)
	}
	// Without one that has worked there is nothing to go by.
	fresh := w.broker(resolve(t))
	fresh.QuietSecrets = quiet
	var none *NoSecretError
	if _, err := fresh.Renew(t.Context(), credential.NewSecret("token-2")); !errors.As(err, &none) {
		t.Errorf("%v", err)
	}
}

func TestRenewReadsTheFileAgain(t *testing.T) {
	w := newWorld()
	b := w.broker(resolve(t, "wait", "never", "client-secret-file", "/secret"))
	s, err := b.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.did()
	rotated := "dose-rotated"
	b.ReadSecretFile = func(string) (credential.Secret, error) { w.note("again"); return credential.NewSecret(rotated), nil }
	if _, err := b.Renew(t.Context(), s.Token.Value); err != nil || b.proven.Reveal() != rotated {
		t.Errorf("%v", err)
	}
	b.ReadSecretFile = func(string) (credential.Secret, error) { return credential.Secret{}, errors.New("gone") }
	if _, err := b.Renew(t.Context(), credential.NewSecret("token-2")); err != nil || b.proven.Reveal() != rotated {
		t.Errorf("%v", err)
	}
}
