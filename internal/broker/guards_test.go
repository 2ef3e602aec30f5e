package broker

import (
	"context"
	"errors"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// A login that failed is made again by the next run, with the same values.
func TestFailedLoginIsNotProven(t *testing.T) {
	c := resolve(t, "PGHOST", ownHost)
	w := newWorld()
	w.login = func(context.Context, pglogin.Target, string) error {
		return &pglogin.Error{Kind: pglogin.DatabaseMissing}
	}
	if _, err := w.ready(t, c); err == nil {
		t.Fatal("the login did not fail")
	}
	w.did()
	w.login = nil
	if _, err := w.ready(t, c); err != nil || w.did() != "login:token-1" {
		t.Errorf("the next run made no login (%v)", err)
	}
	if _, err := w.ready(t, c); err != nil || w.did() != "" {
		t.Errorf("a login that worked is made again (%v)", err)
	}
}

// What no room has classified is told at once.
func TestUnknownErrorsAreFinal(t *testing.T) {
	odd := errors.New("odd")
	w := newWorld()
	w.credError = func(context.Context, int) error { return odd }
	_, err := w.ready(t, resolve(t, "PGHOST", ownHost, "timeout", "3s"))
	if got := w.did(); !errors.Is(err, odd) || got != "keychain sign-in credential" {
		t.Errorf("%v: %s", err, got)
	}
}

// waits is a keychain that shows a dialog until its caller has gone.
type waits struct{ asked chan struct{} }

func (s waits) Get(ctx context.Context, _ string) (credential.Secret, error) {
	close(s.asked)
	<-ctx.Done()
	return credential.Secret{}, ctx.Err()
}

func TestCancelledAtTheKeychain(t *testing.T) {
	w := newWorld()
	b := w.broker(resolve(t, "PGHOST", ownHost))
	s := waits{make(chan struct{})}
	b.Secrets = s
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.asked; cancel() }()
	_, err := b.Ready(ctx)
	if !errors.Is(err, context.Canceled) || errors.As(err, new(*NoSecretError)) {
		t.Errorf("%v", err)
	}
	// Its own limit is another matter.
	b = w.broker(resolve(t, "PGHOST", ownHost, "keychain-timeout", "20ms"))
	b.Secrets = waits{make(chan struct{})}
	if _, err := b.Ready(t.Context()); !errors.As(err, new(*NoSecretError)) || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
