package broker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
)

func TestNoSecret(t *testing.T) {
	for _, kind := range []error{keychain.ErrNotFound, keychain.ErrLocked, keychain.ErrDismissed, keychain.ErrAbsent, keychain.ErrTimeout, keychain.ErrFailed} {
		w := newWorld()
		w.secretErr = &keychain.Error{Op: "get", Account: "a", Err: kind}
		_, err := w.ready(t, resolve(t))
		var e *NoSecretError
		if got := w.did(); !errors.As(err, &e) || e.Host != "w.example" || e.ClientID != client || !errors.Is(err, kind) || got != "keychain" {
			t.Errorf("%v: %v: %s", kind, err, got)
		}
	}
}

func TestNoSecretCarriesTheNotes(t *testing.T) {
	w := newWorld()
	w.secretErr = &keychain.Error{Err: keychain.ErrNotFound}
	_, err := w.ready(t, resolve(t, "DATABRICKS_CLIENT_SECRET", secretText, "host", "w.example", "DATABRICKS_HOST", "other.example"))
	var e *NoSecretError
	if !errors.As(err, &e) || len(e.Notes) != 1 || e.Notes[0].Name != "DATABRICKS_CLIENT_SECRET" || strings.Contains(err.Error(), secretText) {
		t.Errorf("%v, notes %v", err, e.Notes)
	}
}

func TestKeychainHasItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := w.broker(resolve(t, "keychain-timeout", "50ms"))
		b.Secrets = slow{}
		begun := time.Now()
		_, err := b.Ready(t.Context())
		var e *NoSecretError
		if took := time.Since(begun); !errors.As(err, &e) || took != 50*time.Millisecond {
			t.Errorf("%v after %s", err, took)
		}
	})
}

type slow struct{}

func (slow) Get(ctx context.Context, _ string) (credential.Secret, error) {
	<-ctx.Done()
	return credential.Secret{}, &keychain.Error{Op: "get", Err: keychain.ErrTimeout}
}

func TestGivenSecrets(t *testing.T) {
	w := newWorld()
	byEnv := resolve(t, "PGHOST", ownHost, "DATABRICKS_CLIENT_SECRET", "env-secret-1")
	if _, err := w.ready(t, byEnv); err != nil || w.did() != "sign-in credential login:token-1" {
		t.Errorf("from the environment: %v", err)
	}
	if _, err := w.ready(t, byEnv); err != nil || w.did() != "" {
		t.Errorf("warm: %v", err)
	}
	// A token that another secret has minted does not serve.
	if s, err := w.ready(t, resolve(t, "PGHOST", ownHost, "DATABRICKS_CLIENT_SECRET", "env-secret-2")); err != nil || s.Cached {
		t.Errorf("another secret: %+v, %v", s, err)
	}
	w.did()
	if _, err := w.ready(t, resolve(t, "PGHOST", ownHost, "client-secret-file", "/run/secrets/x")); err != nil || w.did() != "file:/run/secrets/x sign-in credential login:token-3" {
		t.Errorf("from a file: %v", err)
	}
	b := w.broker(resolve(t, "client-secret-file", "/x"))
	boom := errors.New("boom")
	b.ReadSecretFile = func(string) (credential.Secret, error) { return credential.Secret{}, boom }
	_, err := b.Ready(t.Context())
	var e *SecretFileError
	if !errors.As(err, &e) || !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), "--client-secret-file: ") {
		t.Error(err)
	}
}

func TestStagesAreTold(t *testing.T) {
	w := newWorld()
	b := w.broker(resolve(t))
	var stages []Stage
	b.Tell = func(s Stage, text string) {
		if strings.Contains(text, "token-") || strings.Contains(text, secretText) {
			t.Errorf("a secret is told: %s", text)
		}
		if s != Note {
			stages = append(stages, s)
		}
	}
	if _, err := b.Ready(t.Context()); err != nil || len(stages) != 3 || stages[0] != AtKeychain || stages[1] != AtExchange || stages[2] != AtWake {
		t.Errorf("%v, %v", stages, err)
	}
}
