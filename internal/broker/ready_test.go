package broker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

func TestColdThenWarm(t *testing.T) {
	w := newWorld()
	var target pglogin.Target
	w.login = func(_ context.Context, tg pglogin.Target, _ string) error { target = tg; return nil }
	c := resolve(t, "PGHOST", ownHost, "PGPORT", "5433", "database", "db", "user", "me", "pghostaddr", "10.0.0.1")
	s, err := w.ready(t, c)
	if err != nil || s.Cached || s.Token.Value.Reveal() != "token-1" {
		t.Fatalf("%+v, %v", s, err)
	}
	if got := w.did(); got != "keychain sign-in credential login:token-1" {
		t.Errorf("cold: %s", got)
	}
	want := pglogin.Target{Host: ownHost, Port: 5433, HostAddr: "10.0.0.1", Database: "db", User: "me", SSLMode: "verify-full", SSLRootCert: "/roots.pem"}
	if target != want || s.Target != want {
		t.Errorf("logged in to %+v, given to the child %+v", target, s.Target)
	}
	// Warm: the token is the cached one, and the login was proven a moment ago.
	s, err = w.ready(t, c)
	if err != nil || !s.Cached || s.Token.Value.Reveal() != "token-1" {
		t.Errorf("%+v, %v", s, err)
	}
	if got := w.did(); got != "" {
		t.Errorf("warm: %s", got)
	}
}

func TestWaitWords(t *testing.T) {
	for _, c := range []struct{ wait, first, second string }{
		{config.WaitAuto, "keychain sign-in credential login:token-1", ""},
		{config.WaitAlways, "keychain sign-in credential login:token-1", "login:token-1"},
		{config.WaitNever, "keychain sign-in credential", ""},
	} {
		w := newWorld()
		for i, want := range []string{c.first, c.second} {
			if _, err := w.ready(t, resolve(t, "PGHOST", ownHost, "wait", c.wait)); err != nil {
				t.Fatal(err)
			}
			if got := w.did(); got != want {
				t.Errorf("--wait %s, run %d: %q, and not %q", c.wait, i+1, got, want)
			}
		}
	}
	// What another target, or an old stamp, has proven does not count.
	w := newWorld()
	synctest.Test(t, func(t *testing.T) {
		for _, step := range []struct {
			sleep time.Duration
			user  string
			want  string
		}{
			{0, "a", "keychain sign-in credential login:token-1"},
			{44 * time.Second, "a", ""},
			{0, "b", "login:token-1"},
			{0, "b", ""},
			{46 * time.Second, "b", "login:token-1"},
		} {
			time.Sleep(step.sleep)
			if _, err := w.ready(t, resolve(t, "PGHOST", ownHost, "user", step.user)); err != nil {
				t.Fatal(err)
			}
			if got := w.did(); got != step.want {
				t.Errorf("%+v: %q", step, got)
			}
		}
	})
}

func tokenRefused() error {
	return &pglogin.Error{Kind: pglogin.Refused, Code: "28P01", Message: "password authentication failed"}
}

func TestRefusedCachedTokenIsMintedAnewOnce(t *testing.T) {
	c := resolve(t, "PGHOST", ownHost, "wait", "always")
	for _, refusal := range []error{tokenRefused(), &pglogin.Error{Kind: pglogin.TokenInvalid}} {
		w := newWorld()
		if _, err := w.ready(t, c); err != nil {
			t.Fatal(err)
		}
		w.did()
		w.login = func(_ context.Context, _ pglogin.Target, password string) error {
			if password == "token-1" {
				return refusal
			}
			return nil
		}
		s, err := w.ready(t, c)
		if got := w.did(); err != nil || s.Token.Value.Reveal() != "token-2" || s.Cached || got != "login:token-1 keychain sign-in credential login:token-2" {
			t.Errorf("%v: %+v, %v: %s", refusal, s, err, got)
		}
		if _, err := w.ready(t, c); err != nil || w.did() != "login:token-2" {
			t.Errorf("the new token was not kept: %v", err)
		}
		// Refused again: an error, and no third try.
		w.login = func(context.Context, pglogin.Target, string) error { return refusal }
		_, err = w.ready(t, c)
		var e *pglogin.Error
		if got := w.did(); !errors.As(err, &e) || !e.TokenRefused() || got != "login:token-2 keychain sign-in credential login:token-3" {
			t.Errorf("%v: %v: %s", refusal, err, got)
		}
	}
}

func TestRefusedNewTokenIsNotMintedAgain(t *testing.T) {
	w := newWorld()
	w.login = func(context.Context, pglogin.Target, string) error { return tokenRefused() }
	_, err := w.ready(t, resolve(t, "PGHOST", ownHost))
	var e *pglogin.Error
	if got := w.did(); !errors.As(err, &e) || got != "keychain sign-in credential login:token-1" {
		t.Errorf("%v: %s", err, got)
	}
}

func TestOtherRefusalsMintNothing(t *testing.T) {
	c := resolve(t, "PGHOST", ownHost, "wait", "always")
	w := newWorld()
	if _, err := w.ready(t, c); err != nil {
		t.Fatal(err)
	}
	w.did()
	for _, k := range []pglogin.Kind{pglogin.RoleMissing, pglogin.DatabaseMissing, pglogin.ConnectDenied, pglogin.EndpointDisabled, pglogin.EndpointNotFound, pglogin.NotAllowed,
		pglogin.Certificate, pglogin.WakeTimeout, pglogin.NameNotResolved, pglogin.ExternalAuth, pglogin.Other, pglogin.Refused} {
		w.login = func(context.Context, pglogin.Target, string) error { return &pglogin.Error{Kind: k, Message: "no"} }
		_, err := w.ready(t, c)
		var e *pglogin.Error
		if got := w.did(); !errors.As(err, &e) || e.Kind != k || got != "login:token-1" {
			t.Errorf("%s: %v: %s", k, err, got)
		}
	}
	// A login that failed proves nothing.
	if _, err := w.ready(t, resolve(t, "PGHOST", ownHost, "user", "other")); err == nil {
		t.Error("a failed login counts as proven")
	}
}

func TestLoginHasTheWaitTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.login = func(ctx context.Context, _ pglogin.Target, _ string) error {
			d, ok := ctx.Deadline()
			if left := time.Until(d); !ok || left != 7*time.Second {
				t.Errorf("the login has %s", left)
			}
			return nil
		}
		if _, err := w.ready(t, resolve(t, "PGHOST", ownHost, "wait-timeout", "7s")); err != nil {
			t.Error(err)
		}
	})
}

func TestCancelled(t *testing.T) {
	for name, prepare := range map[string]func(*world, context.CancelFunc){
		"in the keychain": func(w *world, cancel context.CancelFunc) { w.secretErr = context.Canceled; cancel() },
		"in the sign-in": func(w *world, cancel context.CancelFunc) {
			w.token = func(int) error { cancel(); return unavailable() }
		},
		"in both calls": func(w *world, cancel context.CancelFunc) {
			wait := func(ctx context.Context, _ int) error { cancel(); <-ctx.Done(); return ctx.Err() }
			w.credError, w.endError = wait, wait
		},
		"in the login": func(w *world, cancel context.CancelFunc) {
			w.login = func(ctx context.Context, _ pglogin.Target, _ string) error { cancel(); <-ctx.Done(); return ctx.Err() }
		},
	} {
		w := newWorld()
		ctx, cancel := context.WithCancel(t.Context())
		prepare(w, cancel)
		if _, err := w.broker(resolve(t)).Ready(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
