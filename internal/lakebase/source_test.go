package lakebase

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// The endpoint and the credential are requested concurrently: each waits here until
// the other one has come.
func TestToken_HostIsAskedConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		here := make(chan struct{})
		f.fail["credential"] = func(context.Context, int) error { here <- struct{}{}; return nil }
		f.fail["endpoint"] = func(context.Context, int) error { <-here; return nil }
		s, err := f.open(t.Context(), resolve(t))
		if err != nil || s.Target.Host != ownHost {
			t.Fatalf("got %+v, %v", s, err)
		}
		f.took()
		s, err = f.open(t.Context(), resolve(t))
		if got := f.took(); err != nil || s.Target.Host != ownHost || got != "" {
			t.Errorf("the host is not remembered: %+v, %v: %s", s, err, got)
		}
	})
}

// A token that was minted with another secret is not used.
func TestToken_GivenSecret(t *testing.T) {
	f := newFake()
	for _, step := range []struct{ secret, want string }{
		{"env-secret-1", "sign-in credential login:token-1"}, {"env-secret-1", ""}, {"env-secret-2", "sign-in credential login:token-2"},
	} {
		if _, err := f.open(t.Context(), resolve(t, "PGHOST", ownHost, "DATABRICKS_CLIENT_SECRET", step.secret)); err != nil || f.took() != step.want {
			t.Errorf("%+v: got %v", step, err)
		}
	}
}

func TestRefresh_IsAnotherToken(t *testing.T) {
	f := newFake()
	s := f.source(resolve(t))
	first, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.took()
	next, err := s.Refresh(t.Context(), first.Value)
	if got := f.took(); err != nil || next.Value.Equal(first.Value) || !strings.HasPrefix(got, "keychain sign-in ") {
		t.Errorf("got %v: %s", err, got)
	}
	// One that another process has minted meanwhile is used.
	again, err := f.source(resolve(t)).Refresh(t.Context(), first.Value)
	if got := f.took(); err != nil || !again.Value.Equal(next.Value) || got != "" {
		t.Errorf("got %v: %s", err, got)
	}
}

func TestRefresh_WantsHalfOfALife(t *testing.T) {
	for left, want := range map[time.Duration]string{31 * time.Minute: "cached", 29 * time.Minute: "token-1"} {
		c := resolve(t)
		s := newFake().source(c)
		now := time.Now()
		cached := newToken("cached")
		cached.MintedAt, cached.ExpiresAt = now.Add(left-time.Hour), now.Add(left)
		s.cache.Save(t.Context(), auth.KnownIdentity(c).Key(c), tokencache.Entry{Token: cached, DatabaseHost: ownHost})
		if got, err := s.Refresh(t.Context(), credential.NewSecret("another")); err != nil || got.Value.Reveal() != want {
			t.Errorf("with %s left: got %q, %v; want %q", left, got.Value.Reveal(), err, want)
		}
	}
}

func TestMint(t *testing.T) {
	f, c := newFake(), resolve(t)
	key, e, err := f.source(c).Mint(t.Context())
	if err != nil || key != auth.KnownIdentity(c).Key(c) || e.Token.Value.Reveal() != "token-1" || len(f.cache) != 0 {
		t.Errorf("got %v, %+v, %v", key, e, err)
	}
	f.took()
	c.Endpoint.Value = ""
	if _, e, err := f.source(c).Mint(t.Context()); err != nil || !e.Token.Value.IsZero() || f.took() != "keychain sign-in" {
		t.Errorf("without a target: got %+v, %v", e, err)
	}
}

// The workspace token of --credential workspace is cached for all targets, but is no
// database token for a run that wants one. TestScripts/credential_workspace has the rest.
func TestWorkspaceToken_OfAllTargets(t *testing.T) {
	f := newFake()
	f.target = instanceID
	if _, err := f.source(instance(t, "credential", "workspace", "read-only", "true")).WorkspaceToken(t.Context()); err != nil || f.took() != "keychain sign-in" {
		t.Errorf("got %v", err)
	}
	if _, err := f.source(resolve(t)).WorkspaceToken(t.Context()); err != nil || f.took() != "" {
		t.Errorf("the workspace token depends on the target: %v", err)
	}
	if s, err := f.open(t.Context(), instance(t)); err != nil || s.Token.Value.Reveal() != "token-1" {
		t.Errorf("got %v", err)
	}
}

func TestToken_SharedWorkspaceToken(t *testing.T) {
	f := newFake()
	ctx := t.Context()
	shared := auth.Identity{Type: "x", Principal: "ada", Shared: true}
	for _, step := range []struct{ endpoint, want string }{{endpointID, "token credential"}, {"projects/p/branches/b/endpoints/other", "credential"}} {
		f.target = step.endpoint
		s := f.source(resolve(t, "endpoint", step.endpoint, "pghost", ownHost))
		_, err := s.mint(ctx, s.bearer(f, shared), auth.Identity{Type: "x", User: "ada"}, credential.Secret{}, false)
		if got := f.took(); err != nil || got != step.want {
			t.Errorf("%s: got %q, %v; want %q", step.endpoint, got, err, step.want)
		}
	}
	// As the password, a rejected one is replaced.
	s := f.source(resolve(t, "credential", "workspace", "pghost", ownHost))
	for rejected, want := range map[string]string{"bearer": "refresh", "another": ""} {
		if _, err := s.bearer(f, shared).Refresh(ctx, credential.NewSecret(rejected)); err != nil || f.took() != want {
			t.Errorf("%s: got %v, want %q", rejected, err, want)
		}
	}
}
