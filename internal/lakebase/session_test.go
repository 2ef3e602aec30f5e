package lakebase

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

const cold = "keychain sign-in credential login:token-1"

func TestOpen_ColdThenWarm(t *testing.T) {
	f := newFake()
	var target pglogin.Target
	f.login = func(_ context.Context, tg pglogin.Target, _ string) error { target = tg; return nil }
	c := resolve(t, "PGHOST", ownHost, "PGPORT", "5433", "database", "db", "user", "me", "pghostaddr", "10.0.0.1")
	want := pglogin.Target{Host: ownHost, Port: 5433, HostAddr: "10.0.0.1", Database: "db", User: "me", SSLMode: "verify-full", SSLRootCert: "/roots.pem"}
	s, err := f.open(t.Context(), c)
	if got := f.took(); err != nil || s.cached || s.Token.Value.Reveal() != "token-1" || got != cold || target != want || s.Target != want {
		t.Fatalf("got %+v, %v, calls %q, a login at %+v; want %+v", s, err, got, target, want)
	}
	if want := []auth.Stage{auth.StageKeychain, auth.StageExchange, auth.StageLogin}; !slices.Equal(f.stages, want) {
		t.Errorf("got stages %v, want %v", f.stages, want)
	}
	if all := strings.Join(f.notes, "\n"); strings.Contains(all, "token-") || strings.Contains(all, secretText) {
		t.Errorf("a note contains a secret: %s", all)
	}
	// Warm: the token is cached, and the login has just succeeded.
	s, err = f.open(t.Context(), c)
	if got := f.took(); err != nil || !s.cached || s.Token.Value.Reveal() != "token-1" || got != "" {
		t.Errorf("got %+v, %v, calls %q; want token-1 without a call", s, err, got)
	}
}

func TestOpen_Wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for wait, want := range map[string][]string{ // two runs as user a, two as b, and one after the proof has expired
			config.WaitAuto:   {cold, "", "login:token-1", "", "login:token-1"},
			config.WaitAlways: {cold, "login:token-1", "login:token-1", "login:token-1", "login:token-1"},
			config.WaitNever:  {"keychain sign-in credential", "", "", "", ""},
		} {
			f := newFake()
			f.login = func(ctx context.Context, _ pglogin.Target, _ string) error {
				if d, _ := ctx.Deadline(); time.Until(d) != 7*time.Second {
					t.Errorf("the login has %s, want 7s", time.Until(d))
				}
				return nil
			}
			for i, want := range want {
				user := []string{"a", "a", "b", "b", "b"}[i]
				time.Sleep([]time.Duration{0, 44, 0, 0, 46}[i] * time.Second)
				_, err := f.open(t.Context(), resolve(t, "PGHOST", ownHost, "wait", wait, "user", user, "wait-timeout", "7s"))
				if got := f.took(); err != nil || got != want {
					t.Errorf("--wait %s, run %d: got %q, %v; want %q", wait, i+1, got, err, want)
				}
			}
		}
	})
}

func TestOpen_RefusedCachedTokenIsReplacedOnce(t *testing.T) {
	c := resolve(t, "PGHOST", ownHost, "wait", "always")
	refused := &pglogin.Error{Kind: pglogin.Refused, Code: "28P01", Message: "password authentication failed"}
	for _, refusal := range []error{refused, &pglogin.Error{Kind: pglogin.TokenInvalid}} {
		f := newFake()
		if _, err := f.open(t.Context(), c); err != nil || f.took() != cold {
			t.Fatal(err)
		}
		f.refuse("login:token-1", refusal)
		s, err := f.open(t.Context(), c)
		if got := f.took(); err != nil || s.Token.Value.Reveal() != "token-2" || s.cached || got != "login:token-1 keychain sign-in credential login:token-2" {
			t.Errorf("%v: got %+v, %v: %s", refusal, s, err, got)
		}
		// The new token is cached. A refused new token is not replaced again.
		f.login = func(context.Context, pglogin.Target, string) error { return refusal }
		_, err = f.open(t.Context(), c)
		if got := f.took(); !errors.Is(err, refusal) || got != "login:token-2 keychain sign-in credential login:token-3" {
			t.Errorf("%v: got %v: %s", refusal, err, got)
		}
	}
	f := newFake()
	f.refuse("login:token-1", refused)
	if _, err := f.open(t.Context(), c); err == nil || f.took() != cold {
		t.Errorf("a new token that was refused: got %v", err)
	}
}
