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
	if got := f.took(); err != nil || s.Cached || s.Token.Value.Reveal() != "token-1" || got != cold {
		t.Fatalf("got %+v, %v, calls %q; want token-1 after %q", s, err, got, cold)
	}
	if target != want || s.Target != want {
		t.Errorf("got a login at %+v and a session for %+v, want %+v", target, s.Target, want)
	}
	if want := []auth.Stage{auth.StageKeychain, auth.StageExchange, auth.StageLogin}; !slices.Equal(f.stages, want) {
		t.Errorf("got stages %v, want %v", f.stages, want)
	}
	if all := strings.Join(f.notes, "\n"); strings.Contains(all, "token-") || strings.Contains(all, secretText) {
		t.Errorf("a note contains a secret: %s", all)
	}
	// Warm: the token is cached, and the login has just succeeded.
	s, err = f.open(t.Context(), c)
	if got := f.took(); err != nil || !s.Cached || s.Token.Value.Reveal() != "token-1" || got != "" {
		t.Errorf("got %+v, %v, calls %q; want token-1 without a call", s, err, got)
	}
}

func TestOpen_Wait(t *testing.T) {
	for _, c := range []struct{ wait, first, second string }{
		{config.WaitAuto, cold, ""},
		{config.WaitAlways, cold, "login:token-1"},
		{config.WaitNever, "keychain sign-in credential", ""},
	} {
		f := newFake()
		for i, want := range []string{c.first, c.second} {
			_, err := f.open(t.Context(), resolve(t, "PGHOST", ownHost, "wait", c.wait))
			if got := f.took(); err != nil || got != want {
				t.Errorf("--wait %s, run %d: got %q, %v; want %q", c.wait, i+1, got, err, want)
			}
		}
	}
}

func TestOpen_LoginProofExpiresAndIsForOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		for _, step := range []struct {
			sleep time.Duration
			user  string
			want  string
		}{
			{0, "a", cold},
			{44 * time.Second, "a", ""},
			{0, "b", "login:token-1"},
			{0, "b", ""},
			{46 * time.Second, "b", "login:token-1"},
		} {
			time.Sleep(step.sleep)
			_, err := f.open(t.Context(), resolve(t, "PGHOST", ownHost, "user", step.user))
			if got := f.took(); err != nil || got != step.want {
				t.Errorf("%+v: got %q, %v", step, got, err)
			}
		}
	})
}

func refusal() error {
	return &pglogin.Error{Kind: pglogin.Refused, Code: "28P01", Message: "password authentication failed"}
}

func TestOpen_RefusedCachedTokenIsReplacedOnce(t *testing.T) {
	c := resolve(t, "PGHOST", ownHost, "wait", "always")
	for _, refusal := range []error{refusal(), &pglogin.Error{Kind: pglogin.TokenInvalid}} {
		f := newFake()
		if _, err := f.open(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		f.took()
		f.login = func(_ context.Context, _ pglogin.Target, password string) error {
			if password == "token-1" {
				return refusal
			}
			return nil
		}
		s, err := f.open(t.Context(), c)
		if got := f.took(); err != nil || s.Token.Value.Reveal() != "token-2" || s.Cached || got != "login:token-1 keychain sign-in credential login:token-2" {
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
	f.login = func(context.Context, pglogin.Target, string) error { return refusal() }
	if _, err := f.open(t.Context(), c); err == nil || f.took() != cold {
		t.Errorf("a new token that was refused: got %v", err)
	}
}

func TestOpen_OtherLoginErrorsMintNothing(t *testing.T) {
	c := resolve(t, "PGHOST", ownHost)
	f := newFake()
	for i, k := range []pglogin.Kind{pglogin.RoleMissing, pglogin.DatabaseMissing, pglogin.ConnectDenied, pglogin.EndpointDisabled, pglogin.EndpointNotFound, pglogin.NotAllowed,
		pglogin.Certificate, pglogin.WakeTimeout, pglogin.NameNotResolved, pglogin.ExternalAuth, pglogin.Other, pglogin.Refused} {
		f.login = func(context.Context, pglogin.Target, string) error { return &pglogin.Error{Kind: k, Message: "no"} }
		_, err := f.open(t.Context(), c)
		want := "login:token-1" // a login that failed proves nothing
		if i == 0 {
			want = cold
		}
		var e *pglogin.Error
		if got := f.took(); !errors.As(err, &e) || e.Kind != k || got != want {
			t.Errorf("%s: got %v, calls %q; want %q", k, err, got, want)
		}
	}
}

func TestOpen_LoginHasTheWaitTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.login = func(ctx context.Context, _ pglogin.Target, _ string) error {
			d, ok := ctx.Deadline()
			if left := time.Until(d); !ok || left != 7*time.Second {
				t.Errorf("the login has %s, want 7s", left)
			}
			return nil
		}
		if _, err := f.open(t.Context(), resolve(t, "PGHOST", ownHost, "wait-timeout", "7s")); err != nil {
			t.Error(err)
		}
	})
}

func TestOpen_Cancelled(t *testing.T) {
	for name, prepare := range map[string]func(*fakeWorkspace, context.CancelFunc){
		"in the keychain": func(f *fakeWorkspace, cancel context.CancelFunc) { f.secretErr = context.Canceled; cancel() },
		"in the sign-in": func(f *fakeWorkspace, cancel context.CancelFunc) {
			f.signIn = func(int) error { cancel(); return unavailable() }
		},
		"in both calls": func(f *fakeWorkspace, cancel context.CancelFunc) {
			wait := func(ctx context.Context, _ int) error { cancel(); <-ctx.Done(); return ctx.Err() }
			f.credError, f.endError = wait, wait
		},
		"in the login": func(f *fakeWorkspace, cancel context.CancelFunc) {
			f.login = func(ctx context.Context, _ pglogin.Target, _ string) error { cancel(); <-ctx.Done(); return ctx.Err() }
		},
	} {
		f := newFake()
		ctx, cancel := context.WithCancel(t.Context())
		prepare(f, cancel)
		if _, err := f.open(ctx, resolve(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
		cancel()
	}
}
